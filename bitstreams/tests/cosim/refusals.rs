//! Damaged command lists: refused with the reason, never a hang, and the engine works afterwards.

use tilemark_bitstreams::{Config, DESCRIPTOR_BYTES, Program};
use tilemark_model::DType;
use tilemark_testkit::random::SplitMix64;

use super::build::{Builder, ConvSpec, Fill};
use super::lower::{Case, compare, explicit, prepared};
use super::simulator::{Simulator, Timing, simulator};

fn case() -> Case {
    let mut builder = Builder::new(5);
    let x = builder.input(&[1, 20, 9, 9], DType::U8, Fill::Any);
    let window = explicit([3, 3], [1, 1], [1, 1], [1; 4]);
    let spec = ConvSpec { outputs: 20, groups: 1, window, fill: Fill::Any, dtype: DType::U8 };
    let y = builder.conv(&x, &spec);
    builder.finish("a convolution", &[&y])
}

/// Changes words of a descriptor and makes the checksum fit again.
fn changed(program: &Program, tile: usize, change: impl FnOnce(&mut [u32])) -> Program {
    let mut program = program.clone();
    let bytes = &mut program.list[tile * DESCRIPTOR_BYTES..][..DESCRIPTOR_BYTES];
    let mut words: Vec<u32> =
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
    change(&mut words);
    words[31] = words[..31].iter().fold(0u32, |sum, &word| sum.wrapping_add(word)).wrapping_neg();
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    program
}

fn works(simulator: &mut Simulator) {
    let compared = compare(simulator, Config::LANES_16, &case()).unwrap();
    assert_eq!((compared.different, compared.elements), (0, 20 * 81));
}

#[test]
fn every_flipped_bit_of_a_descriptor_is_refused() {
    let Some(mut simulator) = simulator() else { return };
    let good = prepared(&case(), Config::LANES_16).unwrap().program;
    simulator.timing(Timing { latency: 3, taken: [200, 256, 256], seed: 1 });
    for bit in 0..DESCRIPTOR_BYTES * 8 {
        let mut bad = good.clone();
        bad.list[DESCRIPTOR_BYTES + bit / 8] ^= 1 << (bit % 8);
        let ran = simulator.execute(&bad, 100_000);
        assert_eq!((ran.error, ran.error_index), (2, 1), "bit {bit}");
    }
    works(&mut simulator);
}

#[test]
fn every_reason_is_given() {
    let Some(mut simulator) = simulator() else { return };
    let good = prepared(&case(), Config::LANES_16).unwrap().program;
    type Change = fn(&mut [u32]);
    let cases: [(u32, &str, Change); 16] = [
        (1, "no operation", |w| w[0] &= !0xff),
        (1, "operation 7", |w| w[0] = w[0] & !0xff | 7),
        (3, "another mark", |w| w[0] ^= 0x100),
        (3, "a reserved flag", |w| w[0] |= 1 << 31),
        (3, "a reserved word", |w| w[25] = 1),
        (3, "a maximum in parts", |w| w[0] = w[0] & !(0xff | 1 << 20) | 4),
        (4, "no rows", |w| w[6] &= 0xffff_0000),
        (4, "too many columns", |w| w[13] |= 0x1000_0000),
        (4, "no kernel", |w| w[14] &= !0xff),
        (4, "no weights to load", |w| w[10] &= 0xffff),
        (5, "slot 4 of parameters", |w| w[2] |= 4 << 8),
        (5, "slot 2 of tables", |w| w[2] |= 2 << 16),
        (7, "activations loaded too far", |w| w[7] = w[7] & 0xffff | 1020 << 16),
        (8, "weights loaded too far", |w| w[10] = w[10] & 0xffff_0000 | 500),
        (8, "weights used too far", |w| w[18] = w[18] & 0xffff | 500 << 16),
        (10, "an address between words", |w| w[3] += 8),
    ];
    for (code, what, change) in cases {
        let ran = simulator.execute(&changed(&good, 0, change), 1_000_000);
        assert_eq!((ran.error, ran.error_index), (code, 0), "{what}");
    }
    let ran = simulator.execute(&changed(&good, 0, |w| w[18] = w[18] & 0xffff_0000 | 1020), 1_000_000);
    assert_eq!(ran.error, 7, "activations used too far");
    let kept = |w: &mut [u32]| {
        w[0] &= !(1 << 21);
        w[20] = 250;
    };
    let ran = simulator.execute(&changed(&good, 0, kept), 1_000_000);
    assert_eq!(ran.error, 9, "more sums than are kept");
    works(&mut simulator);
}

#[test]
fn random_descriptors_end_or_can_be_stopped() {
    let Some(mut simulator) = simulator() else { return };
    let good = prepared(&case(), Config::LANES_16).unwrap().program;
    let mut random = SplitMix64::new(11);
    let (mut refused, mut ended, mut stopped) = (0, 0, 0);
    for round in 0..1500 {
        let (word, value) = (random.below(21), random.bits() as u32);
        let narrow = random.below(2) == 0;
        let bit = random.below(32);
        let bad =
            changed(&good, random.below(2), |w| w[word] = if narrow { w[word] ^ 1 << bit } else { value });
        simulator.load(&bad);
        match simulator.run_anywhere(30_000) {
            true if simulator.register(0x28) != 0 => refused += 1,
            true => ended += 1,
            false => {
                simulator.set(0x20, 2);
                assert!(simulator.run_anywhere(1000), "round {round}: it does not stop");
                assert_eq!(simulator.register(0x28), 11);
                stopped += 1;
            }
        }
        if round % 100 == 0 {
            works(&mut simulator);
        }
    }
    println!("{refused} refused, {ended} ended, {stopped} stopped");
    assert!(refused > 100 && ended > 100 && stopped > 0);
    works(&mut simulator);
}
