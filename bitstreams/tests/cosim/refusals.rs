//! Damaged command lists: refused with the reason, never a hang, and the engine works afterwards.

use tilemark_bitstreams::{Config, DESCRIPTOR_BYTES, Program};
use tilemark_model::DType;
use tilemark_testkit::random::SplitMix64;

use super::build::{Builder, ConvSpec, Fill};
use super::lower::{Case, compare, explicit, prepared};
use super::simulator::{Simulator, Timing, simulator};

/// A convolution of two blocks of channels, which is two tiles.
fn case(config: Config) -> Case {
    let mut builder = Builder::new(5);
    let channels = config.lanes + 4;
    let x = builder.input(&[1, channels, 9, 9], DType::U8, Fill::Any);
    let window = explicit([3, 3], [1, 1], [1, 1], [1; 4]);
    let spec = ConvSpec { outputs: channels, groups: 1, window, fill: Fill::Any, dtype: DType::U8 };
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
    let config = simulator.config();
    let compared = compare(simulator, config, &case(config)).unwrap();
    assert_eq!((compared.different, compared.elements), (0, (config.lanes + 4) * 81));
}

#[test]
fn every_flipped_bit_of_a_descriptor_is_refused() {
    let Some(mut simulator) = simulator() else { return };
    let config = simulator.config();
    let good = prepared(&case(config), config).unwrap().program;
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
    let config = simulator.config();
    let good = prepared(&case(config), config).unwrap().program;
    type Change = fn(&mut [u32], &Config);
    let cases: [(u32, &str, Change); 18] = [
        (1, "no operation", |w, _| w[0] &= !0xff),
        (1, "operation 7", |w, _| w[0] = w[0] & !0xff | 7),
        (3, "another mark", |w, _| w[0] ^= 0x100),
        (3, "a reserved flag", |w, _| w[0] |= 1 << 31),
        (3, "a reserved word", |w, _| w[25] = 1),
        (3, "a maximum in parts", |w, _| w[0] = w[0] & !(0xff | 1 << 20) | 4),
        (4, "no rows", |w, _| w[6] &= 0xffff_0000),
        (4, "too many columns", |w, _| w[13] |= 0x1000_0000),
        (4, "no kernel", |w, _| w[14] &= !0xff),
        (4, "no weights to load", |w, _| w[10] &= 0xffff),
        (5, "slot 4 of parameters", |w, _| w[2] |= 4 << 8),
        (5, "slot 2 of tables", |w, _| w[2] |= 2 << 16),
        (7, "activations loaded too far", |w, c| w[7] = w[7] & 0xffff | (c.bank_words() as u32 - 4) << 16),
        (7, "activations used too far", |w, c| w[18] = w[18] & 0xffff_0000 | (c.bank_words() as u32 - 4)),
        (8, "weights loaded too far", |w, c| w[10] = w[10] & 0xffff_0000 | (c.weights as u32 - 12)),
        (8, "weights used too far", |w, c| w[18] = w[18] & 0xffff | (c.weights as u32 - 12) << 16),
        (9, "more sums than are kept", |w, c| {
            w[0] &= !(1 << 21);
            w[20] = c.sums as u32 - 6;
        }),
        (10, "an address between words", |w, c| w[3] += c.lanes as u32 / 2),
    ];
    for (code, what, change) in cases {
        let ran = simulator.execute(&changed(&good, 0, |w| change(w, &config)), 1_000_000);
        assert_eq!((ran.error, ran.error_index), (code, 0), "{what}");
    }
    works(&mut simulator);
}

#[test]
fn random_descriptors_end_or_can_be_stopped() {
    let Some(mut simulator) = simulator() else { return };
    let config = simulator.config();
    let good = prepared(&case(config), config).unwrap().program;
    let mut random = SplitMix64::new(11);
    let patience = 8 * u64::from(simulator.execute(&good, 1_000_000).cycles);
    let (mut refused, mut ended, mut stopped) = (0, 0, 0);
    for round in 0..1500 {
        let (word, value) = (random.below(21), random.bits() as u32);
        let narrow = random.below(2) == 0;
        let bit = random.below(32);
        let bad =
            changed(&good, random.below(2), |w| w[word] = if narrow { w[word] ^ 1 << bit } else { value });
        simulator.load(&bad);
        match simulator.run_anywhere(patience) {
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
