//! Normalizations in f32: means and variances by [`numerics::sum`], one rounding an operation.

use super::{broadcast_strides, walk};
use crate::error::Error;
use crate::numerics;
use crate::shape::normalize_axis;
use crate::tensor::Tensor;

/// `x * scale[c] + shift[c]`: the product is rounded, then the sum.
pub(super) fn scale_shift(operands: &[&Tensor]) -> Result<Vec<f32>, Error> {
    let x = operands[0];
    let (scale, shift) = (operands[1].as_f32()?, operands[2].as_f32()?);
    let inner: usize = x.shape()[2..].iter().product();
    let of_channel = |(i, &x): (usize, &f32)| {
        let c = i / inner % scale.len();
        x * scale[c] + shift[c]
    };
    Ok(x.as_f32()?.iter().enumerate().map(of_channel).collect())
}

/// Every line normalized over the axes from `axis` to the end.
pub(super) fn layer(
    axis: i64,
    epsilon: f32,
    operands: &[&Tensor],
    shape: &[usize],
) -> Result<Vec<f32>, Error> {
    let axis = normalize_axis(axis, shape.len()).unwrap_or(0);
    let mut y = operands[0].as_f32()?.to_vec();
    y.chunks_exact_mut(shape[axis..].iter().product()).for_each(|line| normalize(line, epsilon));
    for (i, operand) in operands.iter().enumerate().skip(1) {
        let reals = operand.as_f32()?;
        let mut out = y.iter_mut();
        walk(shape, [&broadcast_strides(operand.shape(), shape)], |[at]| {
            if let Some(y) = out.next() {
                *y = if i == 1 { *y * reals[at] } else { *y + reals[at] };
            }
        });
    }
    Ok(y)
}

/// Every channel of every image normalized, then scaled and shifted by the channel's values.
pub(super) fn instance(epsilon: f32, operands: &[&Tensor]) -> Result<Vec<f32>, Error> {
    let shape = operands[0].shape();
    let (scale, shift) = (operands[1].as_f32()?, operands[2].as_f32()?);
    let mut y = operands[0].as_f32()?.to_vec();
    for (i, plane) in y.chunks_exact_mut(shape[2..].iter().product()).enumerate() {
        normalize(plane, epsilon);
        let c = i % shape[1];
        plane.iter_mut().for_each(|x| *x = *x * scale[c] + shift[c]);
    }
    Ok(y)
}

/// `(x - mean) / sqrt(variance + epsilon)`
fn normalize(line: &mut [f32], epsilon: f32) {
    let n = line.len() as f32;
    let mean = numerics::sum(line.iter().copied()) / n;
    let square = |&x: &f32| (x - mean) * (x - mean);
    let variance = numerics::sum(line.iter().map(square)) / n;
    let deviation = (variance + epsilon).sqrt();
    line.iter_mut().for_each(|x| *x = (*x - mean) / deviation);
}

/// `x / (bias + alpha / size * sum)^beta`: squares of the neighbouring channels are added in their order, the power is
/// evaluated in f64 and rounded once.
pub(super) fn lrn(size: usize, [alpha, beta, bias]: [f32; 3], x: &Tensor) -> Result<Vec<f32>, Error> {
    let (channels, inner) = (x.shape()[1], x.shape()[2..].iter().product::<usize>());
    let reals = x.as_f32()?;
    let at = |(i, &x): (usize, &f32)| {
        let c = i / inner % channels;
        let first = c.saturating_sub((size - 1) / 2);
        let last = (c + size / 2).min(channels - 1);
        let sum = (first..=last).fold(0.0, |sum, other| {
            let neighbour = reals[i - c * inner + other * inner];
            sum + neighbour * neighbour
        });
        let base = bias + alpha / size as f32 * sum;
        x / libm::pow(f64::from(base), f64::from(beta)) as f32
    };
    Ok(reals.iter().enumerate().map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f32s(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::f32(shape, values.to_vec()).unwrap()
    }

    #[test]
    fn channels_are_scaled_and_shifted() {
        let x = f32s(&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let y = scale_shift(&[&x, &f32s(&[2], &[2.0, 10.0]), &f32s(&[2], &[0.5, -1.0])]).unwrap();
        assert_eq!(y, [2.5, 4.5, 29.0, 39.0]);
    }

    #[test]
    fn a_line_gets_mean_zero_and_deviation_one() {
        let x = f32s(&[2, 2], &[1.0, 3.0, -5.0, 5.0]);
        let y = layer(-1, 0.0, &[&x, &f32s(&[2], &[1.0, 2.0]), &f32s(&[2], &[0.0, 1.0])], &[2, 2]).unwrap();
        assert_eq!(y, [-1.0, 3.0, -1.0, 3.0]);
        let x = f32s(&[1, 2, 2], &[1.0, 3.0, -5.0, 5.0]);
        let y = instance(0.0, &[&x, &f32s(&[2], &[1.0, 2.0]), &f32s(&[2], &[0.0, 1.0])]).unwrap();
        assert_eq!(y, [-1.0, 1.0, -1.0, 3.0]);
    }

    #[test]
    fn responses_are_divided_by_their_neighbours() {
        let x = f32s(&[1, 3, 1], &[1.0, 2.0, 3.0]);
        // Channel 0 sees 1 + 4, channel 1 all three, channel 2 sees 4 + 9.
        let y = lrn(3, [3.0, 1.0, 1.0], &x).unwrap();
        assert_eq!(y, [1.0 / 6.0, 2.0 / 15.0, 3.0 / 14.0]);
    }
}
