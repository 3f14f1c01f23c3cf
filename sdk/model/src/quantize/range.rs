//! The reals that a tensor's integers stand for.

use crate::limits::MAX_SCALE;
use crate::tensor::{DType, Quant};

/// Smallest and largest real of a tensor; zero is always between them, since padding and Relu must be exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// At most 0.
    pub lo: f32,
    /// At least 0.
    pub hi: f32,
}

/// Narrower than this a tensor counts as all zero: its scale would be near the smallest that a graph can have.
const LEAST_WIDTH: f64 = 1e-20;

impl Range {
    /// The smallest range with zero that holds both.
    pub fn new(lo: f32, hi: f32) -> Self {
        Self { lo: lo.min(0.0), hi: hi.max(0.0) }
    }

    /// The scale and zero point under which the integers of `dtype` cover the range; `None` for a range too wide for
    /// any scale. A tensor that is always zero gets the scale of the range 0 to 1.
    pub fn quant(self, dtype: DType) -> Option<Quant> {
        let (least, most) = dtype.range()?;
        let width = f64::from(self.hi) - f64::from(self.lo);
        let steps = f64::from(most - least);
        let (lo, scale) =
            if width < LEAST_WIDTH { (0.0, 1.0 / steps) } else { (f64::from(self.lo), width / steps) };
        let scale = scale as f32;
        if !scale.is_finite() || scale > MAX_SCALE {
            return None;
        }
        let zero_point = (-lo / f64::from(scale)).round_ties_even().clamp(0.0, steps) as i32 + least;
        Some(Quant { scale, zero_point })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_exact_and_the_ends_are_within_half_a_step() {
        for (lo, hi) in [(-1.0, 3.0), (0.0, 6.0), (-2.5, 0.0), (0.5, 4.0), (-9.0, -3.0), (-1e-3, 1e4)] {
            for dtype in [DType::U8, DType::I8] {
                let range = Range::new(lo, hi);
                let quant = range.quant(dtype).unwrap();
                let (least, most) = dtype.range().unwrap();
                assert!((least..=most).contains(&quant.zero_point));
                let real = |q: i32| (q - quant.zero_point) as f32 * quant.scale;
                assert!((real(least) - range.lo).abs() <= 0.501 * quant.scale, "{range:?} {quant:?}");
                assert!((real(most) - range.hi).abs() <= 0.501 * quant.scale, "{range:?} {quant:?}");
            }
        }
        assert_eq!(Range::new(0.0, 6.0).quant(DType::U8).unwrap().zero_point, 0);
        assert_eq!(Range::new(0.0, 6.0).quant(DType::I8).unwrap().zero_point, -128);
    }

    #[test]
    fn a_dead_or_boundless_tensor_gets_a_sane_scale_or_none() {
        let dead = Range::new(0.0, 0.0).quant(DType::U8).unwrap();
        assert_eq!(dead, Quant { scale: 1.0 / 255.0, zero_point: 0 });
        assert_eq!(Range::new(0.0, 1e-30).quant(DType::U8), Some(dead));
        assert_eq!(Range::new(f32::MIN, f32::MAX).quant(DType::U8), None);
        assert!(Range::new(-1e30, 1e30).quant(DType::U8).is_some());
    }
}
