//! How accumulators become bytes: requantization, then a fused table. Shared by every kernel that accumulates.

use tilemark_model::Graph;
use tilemark_model::graph::Bounds;

use crate::error::Error;
use crate::host::simd::Rounding;
use crate::plan::{Lowering, stored_table, stored_zero_point};

/// Channels of one register block of the portable kernels.
pub(crate) const LANES: usize = 8;

/// Adding this to a float of magnitude below 2^22 leaves its nearest integer, ties to even, in the low mantissa bits.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
const ROUND_BITS: i32 = 0x4b40_0000;

/// The integer nearest to `x`, ties to even; exact for |x| < 2^22. Vectorizes where `round_ties_even` is a call.
#[inline(always)]
pub(crate) fn nearest(x: f32) -> i32 {
    ((x + ROUND).to_bits() as i32).wrapping_sub(ROUND_BITS)
}

/// `clamp(rint(f32(acc) * multiplier) + zero_point, lo, hi)` in stored bytes.
///
/// The product is clamped before it is rounded: the bounds are integers and rounding is monotone, so the result is
/// the same, and after the clamp the cheap rounding of [`nearest`] is exact. The product must not be NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clamp {
    lo: f32,
    hi: f32,
    zero_point: i32,
}

impl Clamp {
    /// Bounds and zero point in stored bytes: 0 to 255.
    pub(crate) fn new(lo: i32, hi: i32, zero_point: i32) -> Self {
        Self { lo: (lo - zero_point) as f32, hi: (hi - zero_point) as f32, zero_point }
    }

    /// Smallest byte, largest byte and zero point.
    #[allow(clippy::cast_possible_truncation, reason = "bounds are bytes")]
    pub(crate) fn bytes(self) -> [i32; 3] {
        let byte = |bound: f32| bound as i32 + self.zero_point;
        [byte(self.lo), byte(self.hi), self.zero_point]
    }

    /// The same for vector kernels.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounds are bytes")]
    pub(crate) fn rounding(self, can_wrap: bool) -> Rounding {
        let byte = |bound: f32| (bound as i32 + self.zero_point) as u8;
        Rounding::new(byte(self.lo), byte(self.hi), self.zero_point as u8, can_wrap)
    }

    #[inline(always)]
    pub(crate) fn byte(self, acc: i32, multiplier: f32) -> u8 {
        self.round(acc as f32 * multiplier)
    }

    /// The byte of a number that already is in steps of the output, still without its zero point.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "clamped to 0..=255 by the bounds")]
    pub(crate) fn round(self, product: f32) -> u8 {
        // Not f32::max and min: their NaN rules cost instructions.
        let product = if product < self.lo { self.lo } else { product };
        let product = if product > self.hi { self.hi } else { product };
        (nearest(product) + self.zero_point) as u8
    }
}

/// The epilogue of a convolution or fully connected layer.
#[derive(Debug)]
pub(crate) struct Requant {
    /// Bias of each channel with the input's zero point folded in.
    bias: Vec<i32>,
    /// The sum of each channel's weights.
    weights: Vec<i32>,
    multipliers: Vec<f32>,
    clamp: Clamp,
    table: Option<[u8; 256]>,
}

impl Requant {
    /// For a node with inputs x, weights, bias, multipliers.
    pub(crate) fn new(step: &Lowering<'_>, bounds: Bounds) -> Result<Self, Error> {
        let Lowering { graph, node, .. } = *step;
        let missing = || Error::internal(&node.name, "lacks its weights");
        let weights = graph.constant_bytes(node.inputs[1]).ok_or_else(missing)?;
        let [bias, multipliers] = [2, 3].map(|i| graph.constant(node.inputs[i]));
        let bias = bias.ok_or_else(missing)?.widened()?;
        let zero = stored_zero_point(graph, node.inputs[0])?;
        let per_channel = weights.len() / bias.len();
        let sum = |o: usize| -> i32 {
            weights[o * per_channel..][..per_channel].iter().map(|&w| i32::from(w.cast_signed())).sum()
        };
        let weights: Vec<i32> = (0..bias.len()).map(sum).collect();
        // In range: checked when the graph was loaded.
        let folded = bias.iter().zip(&weights).map(|(bias, sum)| bias.wrapping_sub(zero.wrapping_mul(*sum)));
        Ok(Self {
            bias: folded.collect(),
            weights,
            multipliers: multipliers.ok_or_else(missing)?.as_f32()?.to_vec(),
            clamp: clamp(graph, node.output, Some(bounds))?,
            table: step.table().map(|node| stored_table(graph, node)).transpose()?,
        })
    }

    /// Bias, with the input's zero point folded in, and multiplier of one channel.
    pub(crate) fn channel(&self, channel: usize) -> (i32, f32) {
        (self.bias[channel], self.multipliers[channel])
    }

    /// The same for a lane of a kernel that subtracts `shift` from every byte of the input: the bias takes back what the sum
    /// then lacks. Lanes without a channel have neither.
    pub(crate) fn lane(&self, channel: Option<usize>, shift: i32) -> (i32, f32) {
        let Some(channel) = channel else { return (0, 1.0) };
        let (bias, multiplier) = self.channel(channel);
        // In range again when the products are in, however it wraps here.
        (bias.wrapping_add(shift.wrapping_mul(self.weights[channel])), multiplier)
    }

    /// Number of channels.
    pub(crate) fn len(&self) -> usize {
        self.bias.len()
    }

    /// Smallest byte, largest byte and zero point.
    pub(crate) fn clamp_bytes(&self) -> [i32; 3] {
        self.clamp.bytes()
    }

    /// Bounds and zero point.
    pub(crate) fn rounding(&self) -> Rounding {
        // The largest product there can be is 2^31 times the multiplier. Any real one is far below 1.
        self.clamp.rounding(self.multipliers.iter().any(|&multiplier| multiplier > 0.5))
    }

    /// The table that follows.
    pub(crate) fn table(&self) -> Option<&[u8; 256]> {
        self.table.as_ref()
    }

    /// Finishes the accumulators of one pixel: as many channels, from `first`, as there are bytes.
    ///
    /// One loop over many channels, because that is what LLVM vectorizes whole; done block by block of eight in
    /// registers, a third of it stayed scalar and a 1x1 convolution of 16 channels took 1.6 times as long.
    pub(crate) fn finish(&self, sums: &[i32], first: usize, bytes: &mut [u8]) {
        let n = bytes.len();
        let (sums, clamp) = (&sums[..n], self.clamp);
        let (bias, multipliers) = (&self.bias[first..][..n], &self.multipliers[first..][..n]);
        for i in 0..n {
            bytes[i] = clamp.byte(sums[i].wrapping_add(bias[i]), multipliers[i]);
        }
        if let Some(table) = &self.table {
            bytes.iter_mut().for_each(|byte| *byte = table[usize::from(*byte)]);
        }
    }
}

/// The clamp of a value's own range, or of narrower bounds given in its own units.
pub(crate) fn clamp(
    graph: &Graph,
    value: tilemark_model::ValueId,
    bounds: Option<Bounds>,
) -> Result<Clamp, Error> {
    let (lowest, highest) = graph.value(value).dtype.range().unwrap_or((0, 255));
    let bounds = bounds.unwrap_or(Bounds { lo: lowest, hi: highest });
    Ok(Clamp::new(bounds.lo - lowest, bounds.hi - lowest, stored_zero_point(graph, value)?))
}

#[cfg(test)]
mod tests {
    use tilemark_model::numerics;

    use super::*;

    #[test]
    fn the_clamp_equals_the_contract() {
        let edges =
            [0, 1, 2, 3, 5, 127, 128, 255, 256, 65535, (1 << 22) + 1, (1 << 24) + 1, i32::MAX, i32::MIN];
        let signed = edges.into_iter().flat_map(|acc: i32| [acc, acc.wrapping_neg()]);
        for acc in signed.chain((0..5000).map(|i| i * 7919 - 19_000_000)) {
            for multiplier in [0.5, 0.25, 1.0, 1.5, 0.1, 0.007_812_5, 3.0e-6, 0.999] {
                for (lo, hi, zero) in [(0, 255, 0), (0, 255, 255), (0, 255, 7), (3, 200, 128), (9, 9, 4)] {
                    let expected = numerics::requantize(acc, multiplier, zero, lo, hi);
                    let found = Clamp::new(lo, hi, zero).byte(acc, multiplier);
                    assert_eq!(i32::from(found), expected, "{acc} * {multiplier}, zero point {zero}");
                }
            }
        }
    }
}
