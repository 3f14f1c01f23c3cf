//! Integer weights and biases of one layer.

use super::normalization::per_channel;
use crate::error::Error;
use crate::tensor::{Data, Tensor};

/// A layer's constants in integers. `weight = integer * scale[channel]`, `bias = integer * x_scale * scale[channel]`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedLayer {
    /// i8, in [-127, 127], in the shape of the float weights.
    pub weights: Tensor,
    /// One for each output channel, f32.
    pub scales: Vec<f32>,
    /// One for each output channel, i32; no entries without a bias.
    pub bias: Vec<i32>,
}

/// Largest weight as an integer: the range is symmetric, so that -w is exact where w is.
const MOST: f32 = 127.0;
/// The bias may use half of a 32-bit accumulator; the other half is for the products.
const MOST_BIAS: f64 = (1u32 << 30) as f64;
/// How much smaller than the layer's largest scale that of a channel can become, which would be noise.
const LEAST_OF_LARGEST: f32 = 1.0 / (1u32 << 24) as f32;

/// Quantizes weights symmetrically, one scale a channel along `axis`, each the smallest that holds the channel's largest
/// weight. Where a channel's weights are so small, or all zero, that its bias would not fit, the scale is larger.
///
/// # Errors
/// [`Error::DTypeMismatch`] if the weights are not f32.
pub fn quantize_layer(
    weights: &Tensor,
    axis: usize,
    bias: &[f32],
    x_scale: f32,
) -> Result<QuantizedLayer, Error> {
    let largest = largest(weights, axis)?;
    let all = largest.iter().copied().fold(0.0, f32::max);
    let floor = if all > 0.0 { (all / MOST * LEAST_OF_LARGEST).max(f32::MIN_POSITIVE) } else { 1.0 };
    let scale = |(c, &largest): (usize, &f32)| {
        let for_bias = bias.get(c).map_or(0.0, |&b| f64::from(b).abs() / (f64::from(x_scale) * MOST_BIAS));
        (largest / MOST).max(for_bias as f32).max(floor)
    };
    let scales: Vec<f32> = largest.iter().enumerate().map(scale).collect();
    let ints =
        per_channel(weights, axis, |c, w| f64::from((w / scales[c]).round_ties_even().clamp(-MOST, MOST)))?;
    let ints = ints.as_f32()?.iter().map(|&w| w as i8).collect();
    let bias = bias.iter().zip(&scales);
    let bias = bias.map(|(&b, &scale)| {
        let unit = x_scale * scale;
        (f64::from(b) / f64::from(unit)).round_ties_even() as i32
    });
    Ok(QuantizedLayer {
        weights: Tensor::new(weights.shape(), Data::I8(ints))?,
        bias: bias.collect(),
        scales,
    })
}

impl QuantizedLayer {
    /// The weights as reals again.
    ///
    /// # Errors
    /// None for what [`quantize_layer`] made with this axis.
    pub fn dequantized(&self, axis: usize) -> Result<Tensor, Error> {
        let reals = self.weights.widened()?.into_iter().map(|w| w as f32).collect();
        per_channel(&Tensor::f32(self.weights.shape(), reals)?, axis, |c, w| {
            f64::from(w) * f64::from(self.scales[c])
        })
    }
}

/// The largest magnitude of each channel.
pub(super) fn largest(weights: &Tensor, axis: usize) -> Result<Vec<f32>, Error> {
    let channels = weights.shape()[axis];
    let inner: usize = weights.shape()[axis + 1..].iter().product();
    let mut largest = vec![0.0f32; channels];
    for (i, &w) in weights.as_f32()?.iter().enumerate() {
        let c = i / inner.max(1) % channels.max(1);
        largest[c] = largest[c].max(w.abs());
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_uses_its_whole_range() {
        let weights = Tensor::f32([2, 3], vec![0.5, -1.0, 0.1, 10.0, 20.0, -30.0]).unwrap();
        let rows = quantize_layer(&weights, 0, &[1.0, -2.0], 0.5).unwrap();
        assert_eq!(rows.weights.data(), &Data::I8(vec![64, -127, 13, 42, 85, -127]));
        assert_eq!(rows.scales, [1.0 / 127.0, 30.0 / 127.0]);
        assert_eq!(rows.bias, [254, -17]);
        let columns = quantize_layer(&weights, 1, &[], 0.5).unwrap();
        assert_eq!(columns.weights.data(), &Data::I8(vec![6, -6, 0, 127, 127, -127]));
        let back = columns.dequantized(1).unwrap();
        let error = back.as_f32().unwrap().iter().zip(weights.as_f32().unwrap());
        assert!(error.enumerate().all(|(i, (a, b))| (a - b).abs() <= 0.501 * columns.scales[i % 3]));
    }

    #[test]
    fn dead_channels_hold_their_bias() {
        let weights = Tensor::f32([3, 2], vec![0.0, 0.0, 1e-30, 0.0, 1.0, 0.5]).unwrap();
        let layer = quantize_layer(&weights, 0, &[5.0, -700.0, 0.0], 0.01).unwrap();
        assert_eq!(layer.weights.data(), &Data::I8(vec![0, 0, 0, 0, 127, 64]));
        for (c, bias) in [5.0, -700.0].into_iter().enumerate() {
            let real = f64::from(layer.bias[c]) * f64::from(0.01f32 * layer.scales[c]);
            assert!((real - bias).abs() < 1e-5 * bias.abs(), "{real}");
        }
        let zeros = quantize_layer(&Tensor::f32([1, 2], vec![0.0; 2]).unwrap(), 0, &[0.0], 1.0).unwrap();
        assert_eq!((zeros.scales, zeros.bias), (vec![1.0], vec![0]));
    }
}
