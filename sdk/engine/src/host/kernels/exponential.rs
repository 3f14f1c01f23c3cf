//! `e^x` as loops that vectorize, bit for bit that of [`tilemark_model::numerics::exp`].
//!
//! The arithmetic is that of FreeBSD's `e_exp.c`, which libm has too: `x = k ln 2 + r`, a rational function of `r`, a
//! power of two. Its branches are selections here, so that a register of numbers goes through them together.

const HALF_LN2: u64 = 0x3fd6_2e43_0000_0000;
const THREE_HALVES_LN2: u64 = 0x3ff0_a2b2_0000_0000;
const TINY: u64 = 0x3e30_0001_0000_0000;
const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
const INVERSE_LN2: f64 = f64::from_bits(0x3ff7_1547_652b_82fe);
/// Coefficients of the rational function.
const P: [f64; 5] = [
    f64::from_bits(0x3fc5_5555_5555_553e),
    f64::from_bits(0xbf66_c16c_16be_bd93),
    f64::from_bits(0x3f11_566a_af25_de2c),
    f64::from_bits(0xbebb_bd41_c5d2_6bf1),
    f64::from_bits(0x3e66_3769_72be_a4d0),
];
/// Adding it to an integer of magnitude below 2^51 leaves that integer in the low bits.
const TO_BITS: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
/// Beyond this, results in f32 are zero or infinite.
const FAR: f64 = 110.0;

/// `e^x`, rounded to f32 once.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the one rounding")]
pub(crate) fn exp(x: f32) -> f32 {
    let wide = f64::from(x);
    let y = if x.is_nan() { wide } else { near(cut(wide)) };
    y as f32
}

/// `1 / (1 + e^-x)`, rounded to f32 once.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the one rounding")]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let wide = -f64::from(x);
    let y = if x.is_nan() { wide } else { near(cut(wide)) };
    (1.0 / (1.0 + y)) as f32
}

#[inline(always)]
fn cut(x: f64) -> f64 {
    let x = if x > FAR { FAR } else { x };
    if x < -FAR { -FAR } else { x }
}

/// `e^x` for `|x|` up to [`FAR`], in f64.
#[inline(always)]
fn near(x: f64) -> f64 {
    let magnitude = x.abs();
    let one = 1f64.copysign(x);
    let far = (INVERSE_LN2 * x + 0.5f64.copysign(x)).trunc();
    let reduced = if magnitude >= f64::from_bits(THREE_HALVES_LN2) { far } else { one };
    let k = if magnitude >= f64::from_bits(HALF_LN2) { reduced } else { 0.0 };
    let (high, low) = (x - k * LN2_HIGH, k * LN2_LOW);
    let r = high - low;
    let rr = r * r;
    let c = r - rr * (P[0] + rr * (P[1] + rr * (P[2] + rr * (P[3] + rr * P[4]))));
    let y = 1.0 + (r * c / (2.0 - c) - low + high);
    let power = f64::from_bits((k + TO_BITS).to_bits().wrapping_add(1023) << 52);
    if magnitude >= f64::from_bits(TINY) { y * power } else { 1.0 + x }
}

#[cfg(test)]
mod tests {
    use tilemark_model::graph::UnaryOp;
    use tilemark_model::{numerics, reference};

    use super::*;
    use crate::host::CpuLevel;
    use crate::host::vectorize::{Loop, Vectorizer};

    struct Both<'a>(&'a [f32], &'a mut [f32], &'a mut [f32]);

    impl Loop for Both<'_> {
        #[inline(always)]
        fn run(self) {
            self.1.iter_mut().zip(self.0).for_each(|(y, &x)| *y = exp(x));
            self.2.iter_mut().zip(self.0).for_each(|(y, &x)| *y = sigmoid(x));
        }
    }

    #[test]
    fn every_bit_is_that_of_the_contract() {
        // Every sign and exponent with 509 mantissas each, and the neighbourhoods of the branches' limits.
        let spread =
            (0..512u32 * 509).map(|i| f32::from_bits(((i / 509) << 23) | (((i % 509) * 16_481) & 0x7f_ffff)));
        let limits = [0.346_573_6f32, 1.039_720_8, 3.7e-9, 88.722_84, -103.972_08, -87.336_55, 110.0, 0.0];
        let near = limits
            .iter()
            .flat_map(|x| (0..4000u32).map(|i| f32::from_bits((x.to_bits() + i).wrapping_sub(2000))));
        let xs: Vec<f32> = spread.chain(near.clone()).chain(near.map(|x| -x)).collect();
        for level in CpuLevel::ALL.into_iter().filter(|level| level.is_supported()) {
            let (mut powers, mut sigmoids) = (vec![0.0; xs.len()], vec![0.0; xs.len()]);
            Vectorizer::new(level).run(Both(&xs, &mut powers, &mut sigmoids));
            for (i, &x) in xs.iter().enumerate() {
                if x.is_nan() {
                    // Which NaN, of a signaling one, is the compiler's choice.
                    assert!(powers[i].is_nan() && sigmoids[i].is_nan());
                    continue;
                }
                assert_eq!(powers[i].to_bits(), numerics::exp(x).to_bits(), "exp({x:e}) at {level}");
                let expected = reference::of_one(UnaryOp::Sigmoid, x);
                assert_eq!(sigmoids[i].to_bits(), expected.to_bits(), "sigmoid({x:e}) at {level}");
            }
        }
    }
}
