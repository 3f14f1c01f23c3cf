//! The requantizer alone, on millions of vectors, many of them exact ties.

use std::io::{Read, Write};

use tilemark_model::numerics::requantize;
use tilemark_testkit::random::SplitMix64;

use super::simulator::spawn;

/// Where `cargo xtask fpga` says that the simulator of the requantizer is.
const SIMULATOR: &str = "TILEMARK_REQUANT_SIM";
/// Vectors that have one zero point and bounds: they may not change while results are on their way.
const BATCH: usize = 4096;

struct Vector {
    acc: i32,
    scale: f32,
    t: f32,
}

/// A sum and a multiplier; one in four is aimed at a tie, one in four multipliers is a power of two.
fn product(random: &mut SplitMix64) -> Vector {
    let scale = f32::from_bits((87 + random.below(43) as u32) << 23 | random.bits() as u32 & 0x7f_ffff);
    let scale = if random.below(4) == 0 { f32::from_bits(scale.to_bits() & 0x7f80_0000) } else { scale };
    let acc = if random.below(4) == 0 {
        ((random.int(-300, 300) as f32 + 0.5) / scale).round_ties_even() as i32
    } else {
        (random.bits() as i32) >> random.below(32)
    };
    // The contract bounds the product: every machine converts it alike.
    let acc = if (acc as f32 * scale).abs() < 2_147_483_000.0 { acc } else { acc >> 16 };
    let acc = if (acc as f32 * scale).abs() < 2_147_483_000.0 { acc } else { 0 };
    Vector { acc, scale, t: 0.0 }
}

/// An operand, its factor, and a term such that the sum is often at or beside a tie.
fn sum(random: &mut SplitMix64) -> Vector {
    let acc = random.int(-128, 255);
    let scale = f32::from_bits((127 - 16 + random.below(22) as u32) << 23 | random.bits() as u32 & 0x7f_ffff);
    let scale = if random.below(4) == 0 { f32::from_bits(scale.to_bits() & 0x7f80_0000) } else { scale };
    let scale = if scale * 255.0 < 16384.0 { scale } else { scale / 64.0 };
    let target = random.int(-300, 300) as f32 + 0.5;
    let t = match random.below(4) {
        0 => (random.unit() - 0.5) * 600.0,
        1 => f32::from_bits((random.below(140) as u32) << 23 | random.bits() as u32 & 0x807f_ffff),
        2 => target - acc as f32 * scale,
        _ => (-(acc as f32)).mul_add(scale, target),
    };
    let nudged = f32::from_bits(t.to_bits().wrapping_add_signed(random.int(-1, 1)));
    let t = if nudged.is_finite() && nudged.abs() < 16384.0 && nudged.abs() >= f32::MIN_POSITIVE {
        nudged
    } else {
        0.0
    };
    Vector { acc, scale, t }
}

#[test]
fn requantizer_alone_equals_the_formulas() {
    let Some((mut child, mut to, mut from)) = spawn(SIMULATOR) else { return };
    let mut random = SplitMix64::new(42);
    let (mut vectors, mut ties, mut different) = (0usize, 0usize, 0usize);
    let enough: usize = std::env::var("TILEMARK_REQUANT_VECTORS").map_or(20_000_000, |n| n.parse().unwrap());
    while vectors < enough {
        let add = random.below(3) == 0;
        let zero = random.int(-128, 127);
        let lo = if random.below(2) == 0 { -128 } else { zero };
        let hi = if random.below(4) == 0 { random.int(lo, 127) } else { 127 };
        let batch: Vec<Vector> =
            (0..BATCH).map(|_| if add { sum(&mut random) } else { product(&mut random) }).collect();
        let mut order = (BATCH as u32).to_le_bytes().to_vec();
        order.extend([zero as u8, lo as u8, hi as u8, u8::from(add)]);
        for vector in &batch {
            order.extend(vector.acc.to_le_bytes());
            order.extend(vector.scale.to_le_bytes());
            order.extend(vector.t.to_le_bytes());
        }
        to.write_all(&order).expect("the simulator lives");
        let mut answers = [0; BATCH];
        from.read_exact(&mut answers).expect("the simulator answers");
        for (vector, answer) in batch.iter().zip(answers) {
            let Vector { acc, scale, t } = *vector;
            let real = if add { (acc as f32).mul_add(scale, t) } else { acc as f32 * scale };
            ties += usize::from(real.abs() < 300.0 && (real - real.floor()).to_bits() == 0.5f32.to_bits());
            let wanted = match add {
                true => (real.round_ties_even() as i32).saturating_add(zero).clamp(lo, hi),
                false => requantize(acc, scale, zero, lo, hi),
            };
            if wanted != i32::from(answer.cast_signed()) {
                different += 1;
                if different <= 8 {
                    eprintln!(
                        "add {add}: {acc} {scale:e} {t:e} -> {real}: {wanted}, not {}",
                        answer.cast_signed()
                    );
                }
            }
        }
        vectors += BATCH;
    }
    println!("{vectors} vectors, {ties} exact ties, {different} differ");
    drop(to);
    assert!(child.wait().expect("it ends").success());
    assert!(ties > vectors / 50, "{ties} ties are too few");
    assert_eq!(different, 0);
}
