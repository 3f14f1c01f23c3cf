//! The normative formulas. Every backend computes exactly these f32 operations in exactly this order; nothing
//! is contracted into a fused multiply-add except where one is written.
//!
//! `rint` rounds half to even. All arithmetic on scales is binary32, round to nearest even.

pub mod narrow;

use crate::tensor::{DType, Quant};

/// `clamp(rint(f32(acc) * multiplier) + zero_point, lo, hi)`: how an accumulator becomes 8 bits.
///
/// The int-to-float conversion rounds (it is inexact above 2^24), the product rounds, `rint` rounds; the zero
/// point is added in integers, after. `|acc * multiplier| < 2^31` is checked when a graph is loaded.
#[inline]
pub fn requantize(acc: i32, multiplier: f32, zero_point: i32, lo: i32, hi: i32) -> i32 {
    let rounded = (acc as f32 * multiplier).round_ties_even() as i32;
    rounded.saturating_add(zero_point).clamp(lo, hi)
}

/// `(x_scale * w_scale) / y_scale`, in this order: the multiplier of one output channel.
#[inline]
pub fn multiplier(x_scale: f32, w_scale: f32, y_scale: f32) -> f32 {
    (x_scale * w_scale) / y_scale
}

/// `x_scale / (y_scale * n)`: the multiplier of a sum over `n` elements that becomes their mean.
#[inline]
pub fn mean_multiplier(x_scale: f32, y_scale: f32, n: usize) -> f32 {
    x_scale / (y_scale * n as f32)
}

/// ONNX `QuantizeLinear`: `clamp(rint(x / scale) + zero_point)`; a division, and the zero point after rounding.
///
/// NaN becomes the zero point; infinities saturate.
#[inline]
pub fn quantize(x: f32, quant: Quant, dtype: DType) -> i32 {
    let (lo, hi) = dtype.range().unwrap_or((i32::MIN, i32::MAX));
    let rounded = (x / quant.scale).round_ties_even() as i32; // saturates; NaN gives 0
    rounded.saturating_add(quant.zero_point).clamp(lo, hi)
}

/// ONNX `DequantizeLinear`: `f32(q - zero_point) * scale`.
#[inline]
pub fn dequantize(q: i32, quant: Quant) -> f32 {
    q.wrapping_sub(quant.zero_point) as f32 * quant.scale
}

/// Coefficients of the quantized addition `y = a + b`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AddCoefficients {
    /// `a_scale / y_scale`.
    pub ra: f32,
    /// `b_scale / y_scale`.
    pub rb: f32,
    /// `y_zero - fma(ra, a_zero, rb * b_zero)`: every zero point, folded once.
    pub c: f32,
}

impl AddCoefficients {
    /// Coefficients for inputs quantized by `a` and `b` and an output quantized by `y`.
    pub fn new(a: Quant, b: Quant, y: Quant) -> Self {
        let (ra, rb) = (a.scale / y.scale, b.scale / y.scale);
        let zero = ra.mul_add(a.zero_point as f32, rb * b.zero_point as f32);
        Self { ra, rb, c: y.zero_point as f32 - zero }
    }

    /// `clamp(rint(fma(a, ra, fma(b, rb, c))), lo, hi)`: two fused multiply-adds, zero point inside the rounding.
    #[inline]
    pub fn add(self, a: i32, b: i32, lo: i32, hi: i32) -> i32 {
        (self.sum(a, b).round_ties_even() as i32).clamp(lo, hi)
    }

    /// The sum before it is rounded.
    #[inline(always)]
    pub fn sum(self, a: i32, b: i32) -> f32 {
        (a as f32).mul_add(self.ra, (b as f32).mul_add(self.rb, self.c))
    }

    /// The largest magnitude of its three numbers; NaN if one is.
    pub fn largest(self) -> f32 {
        [self.ra, self.rb, self.c].iter().fold(0.0, |most, x| if most >= x.abs() { most } else { x.abs() })
    }
}

/// `clamp(rint(f32((a-za)*(b-zb)) * m + zy), lo, hi)` with `m = (sa*sb)/sy`: the quantized product; zero point
/// inside the rounding, no fused multiply-add.
#[inline]
pub fn multiply(a: i32, b: i32, qa: Quant, qb: Quant, qy: Quant, lo: i32, hi: i32) -> i32 {
    let product = (a - qa.zero_point) * (b - qb.zero_point);
    let y = product as f32 * multiplier(qa.scale, qb.scale, qy.scale) + qy.zero_point as f32;
    (y.round_ties_even() as i32).clamp(lo, hi)
}

/// Number of partial sums of [`sum`].
pub const SUM_LANES: usize = 8;

/// Sum of floats in the project's one fixed order: lane `i` takes elements `i, i+8, i+16…` in turn, then the lanes
/// are added as `((0+4)+(2+6)) + ((1+5)+(3+7))`. Every float reduction of the contract uses it.
pub fn sum(values: impl IntoIterator<Item = f32>) -> f32 {
    let mut lanes = [0f32; SUM_LANES];
    for (i, v) in values.into_iter().enumerate() {
        lanes[i % SUM_LANES] += v;
    }
    sum_lanes(lanes)
}

/// The end of [`sum`]: the sum of its partial sums.
#[inline]
pub fn sum_lanes([a, b, c, d, e, f, g, h]: [f32; SUM_LANES]) -> f32 {
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// `e^x` for f32, evaluated in f64 by one portable implementation and rounded once.
pub fn exp(x: f32) -> f32 {
    libm::exp(f64::from(x)) as f32
}

/// The quantization to u8 that a tensor's own range gives: from `min`, at most 0, to `max`, at least 0, in 255 steps;
/// `scale = (max - min) / 255`, `zero = rint(clamp(0 - min / scale, 0, 255))`. Zeros have the scale 1, as in ONNX Runtime,
/// and an infinite range has the scale of the largest finite one.
#[allow(clippy::cast_possible_truncation, reason = "clamped to a byte")]
pub fn dynamic_quant([min, max]: [f32; 2]) -> Quant {
    let range = (max - min).min(f32::MAX);
    let scale = if range == 0.0 { 1.0 } else { (range / 255.0).max(f32::MIN_POSITIVE) };
    Quant { scale, zero_point: (0.0 - min / scale).clamp(0.0, 255.0).round_ties_even() as i32 }
}

/// Softmax over `logits`, in place: `e = exp(x - max)`, then `e / sum(e)` with [`sum`]'s order.
pub fn softmax(logits: &mut [f32]) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for x in logits.iter_mut() {
        *x = exp(*x - max);
    }
    let total = sum(logits.iter().copied());
    for x in logits.iter_mut() {
        *x /= total;
    }
}

/// Logarithm of the softmax, in place: `(x - max) - ln(sum(exp(x - max)))` with [`sum`]'s order; the logarithm is
/// evaluated in f64 and rounded once.
pub fn log_softmax(logits: &mut [f32]) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total = sum(logits.iter().map(|&x| exp(x - max)));
    let log = libm::log(f64::from(total)) as f32;
    for x in logits.iter_mut() {
        *x = (*x - max) - log;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requantize_rounds_half_to_even_then_adds_the_zero_point() {
        // 1 * 0.5 = 0.5 -> 0, 3 * 0.5 = 1.5 -> 2, 5 * 0.5 = 2.5 -> 2; an odd zero point does not move the tie.
        let y: Vec<i32> = [1, 3, 5, -1, -3].iter().map(|&a| requantize(a, 0.5, 7, 0, 255)).collect();
        assert_eq!(y, [7, 9, 9, 7, 5]);
    }

    #[test]
    fn requantize_converts_before_it_multiplies() {
        // 2^24 + 1 is not a float: the conversion rounds it to 2^24 before the multiplication sees it.
        assert_eq!(requantize(16_777_217, 1.0, 0, i32::MIN, i32::MAX), 16_777_216);
        assert_eq!(requantize(i32::MAX, 1e9, 3, 0, 255), 255);
        assert_eq!(requantize(i32::MIN, 1e9, -3, -128, 127), -128);
    }

    #[test]
    fn addition_puts_the_zero_point_inside_the_rounding() {
        // 0.5 + zero point 1 = 1.5 -> 2; rounding first would give 0 + 1 = 1.
        let q = |scale, zero_point| Quant { scale, zero_point };
        let add = AddCoefficients::new(q(0.5, 0), q(0.5, 0), q(1.0, 1));
        assert_eq!(add.add(1, 0, 0, 255), 2);
        assert_eq!(multiply(1, 1, q(0.5, 0), q(1.0, 0), q(1.0, 1), 0, 255), 2);
    }

    #[test]
    fn quantize_divides_and_saturates() {
        let q = Quant { scale: 0.1, zero_point: 128 };
        assert_eq!(quantize(0.25, q, DType::U8), 130); // 0.25f32 / 0.1f32 = 2.5 -> 2
        assert_eq!(quantize(f32::INFINITY, q, DType::U8), 255);
        assert_eq!(quantize(f32::NEG_INFINITY, q, DType::U8), 0);
        assert_eq!(quantize(f32::NAN, q, DType::U8), 128);
    }

    #[test]
    fn the_sum_has_one_order() {
        let values: Vec<f32> = (0..19).map(|i| 1.0 / (i + 1) as f32).collect();
        let mut lanes = [0f32; 8];
        values.iter().enumerate().for_each(|(i, v)| lanes[i % 8] += v);
        let expected =
            ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
        assert_eq!(sum(values).to_bits(), expected.to_bits());
    }
}
