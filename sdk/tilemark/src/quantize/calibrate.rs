//! What calibration data tells of a float model: extremes and distributions of the tensors to quantize.

use std::collections::HashMap;

use rayon::prelude::*;
use tilemark_model::quantize::{FloatModel, Forward, Histogram, Layer, Method, Placement, Range};
use tilemark_model::{DType, Quant, Tensor, ValueId};

use super::data::Samples;
use super::likeness::reals;
use super::progress::{Progress, Stage};
use crate::error::Error;

/// Samples whose findings are in memory together, before they are joined in order.
const BATCH: usize = 64;

/// What the first pass found.
#[derive(Clone, Debug)]
pub(super) struct Extremes {
    /// For each group of tensors.
    pub(super) ranges: Vec<Range>,
    /// For each layer's sum: the largest element of each channel.
    pub(super) largest_sums: HashMap<ValueId, Vec<f32>>,
}

impl Extremes {
    /// Runs every sample once.
    ///
    /// # Errors
    /// [`Error::Calibration`] for a tensor that becomes NaN or infinite; those of loading.
    pub(super) fn find(
        model: &FloatModel,
        placement: &Placement,
        samples: &Samples,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let forward = Forward::new(model.graph());
        let mut found =
            Self { ranges: vec![Range { lo: 0.0, hi: 0.0 }; placement.groups], largest_sums: HashMap::new() };
        for tensor in &placement.tensors {
            if let Some(constant) = model.graph().constant(tensor.value) {
                found.see(tensor.group, &constant);
            }
        }
        progress.begin(Stage::Ranges, samples.count());
        let all: Vec<usize> = (0..samples.count()).collect();
        for batch in all.chunks(BATCH) {
            let each = |&i: &usize| {
                let one = found.empty().of_sample(&forward, placement, samples, i);
                progress.advance();
                one
            };
            for one in batch.par_iter().map(each).collect::<Result<Vec<_>, Error>>()? {
                found.join(one);
            }
        }
        progress.end();
        Ok(found)
    }

    fn empty(&self) -> Self {
        Self { ranges: vec![Range { lo: 0.0, hi: 0.0 }; self.ranges.len()], largest_sums: HashMap::new() }
    }

    fn of_sample(
        mut self,
        forward: &Forward,
        placement: &Placement,
        samples: &Samples,
        i: usize,
    ) -> Result<Self, Error> {
        let groups = observed(placement);
        let layers: HashMap<ValueId, &Layer> = placement.layers.iter().map(|l| (l.sum, l)).collect();
        forward.run(samples.load(i)?, |value, tensor| {
            if let Some(&group) = groups.get(&value) {
                self.see(group, tensor);
                let Range { lo, hi } = self.ranges[group];
                if !(lo.is_finite() && hi.is_finite()) || reals(tensor).iter().any(|x| x.is_nan()) {
                    let name = forward.graph().value(value).name.clone();
                    let reason =
                        format!("it becomes NaN or infinite in the float model, on {}", samples.name(i));
                    return Err(Error::Calibration { tensor: name, reason });
                }
            }
            if let Some(layer) = layers.get(&value) {
                self.largest_sums.insert(value, largest_of_channels(tensor, layer.channel_axis));
            }
            Ok(())
        })?;
        Ok(self)
    }

    fn see(&mut self, group: usize, tensor: &Tensor) {
        let range = &mut self.ranges[group];
        for &x in reals(tensor) {
            range.lo = range.lo.min(x);
            range.hi = range.hi.max(x);
        }
    }

    fn join(&mut self, other: Self) {
        for (range, more) in self.ranges.iter_mut().zip(other.ranges) {
            *range = Range { lo: range.lo.min(more.lo), hi: range.hi.max(more.hi) };
        }
        for (value, more) in other.largest_sums {
            let most = self.largest_sums.entry(value).or_insert_with(|| more.clone());
            most.iter_mut().zip(more).for_each(|(most, x)| *most = most.max(x));
        }
    }
}

/// The distribution of each group, from a second pass.
#[derive(Debug)]
pub(super) struct Distributions(Vec<Histogram>);

impl Distributions {
    pub(super) fn count(
        model: &FloatModel,
        placement: &Placement,
        extremes: &Extremes,
        samples: &Samples,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let forward = Forward::new(model.graph());
        let groups = observed(placement);
        let empty = || extremes.ranges.iter().map(|&range| Histogram::new(range)).collect::<Vec<_>>();
        progress.begin(Stage::Distributions, samples.count());
        let count = |mut counted: Vec<Histogram>, i: usize| {
            forward.run(samples.load(i)?, |value, tensor| {
                if let Some(&group) = groups.get(&value) {
                    counted[group].add(reals(tensor));
                }
                Ok::<_, Error>(())
            })?;
            progress.advance();
            Ok::<_, Error>(counted)
        };
        let merge = |mut a: Vec<Histogram>, b: Vec<Histogram>| {
            a.iter_mut().zip(&b).for_each(|(a, b)| a.merge(b));
            Ok(a)
        };
        // Counts are integers: whichever thread adds which sample, the sums are the same.
        let counted = (0..samples.count()).into_par_iter().try_fold(empty, count).try_reduce(empty, merge)?;
        progress.end();
        Ok(Self(counted))
    }

    /// The ranges that a method chooses.
    pub(super) fn ranges(&self, method: Method) -> Vec<Range> {
        self.0.par_iter().map(|histogram| histogram.range(method, 255)).collect()
    }
}

/// Scale and zero point of every quantized value.
///
/// # Errors
/// [`Error::Calibration`] for a range that no scale covers.
pub(super) fn quants(
    model: &FloatModel,
    placement: &Placement,
    ranges: &[Range],
    dtype: DType,
) -> Result<HashMap<ValueId, Quant>, Error> {
    let quant = |tensor: &tilemark_model::quantize::QuantizedTensor| {
        let range = ranges[tensor.group];
        let quant = range.quant(dtype).ok_or_else(|| Error::Calibration {
            tensor: model.graph().value(tensor.value).name.clone(),
            reason: format!("its values run from {:e} to {:e}, beyond any scale", range.lo, range.hi),
        })?;
        Ok((tensor.value, quant))
    };
    placement.tensors.iter().map(quant).collect()
}

fn observed(placement: &Placement) -> HashMap<ValueId, usize> {
    placement.tensors.iter().filter(|t| t.observed).map(|t| (t.value, t.group)).collect()
}

/// The largest element of each channel along an axis, the last one if it is not named.
fn largest_of_channels(tensor: &Tensor, axis: Option<usize>) -> Vec<f32> {
    let (channels, inner) = channels(tensor.shape(), axis);
    let mut largest = vec![f32::NEG_INFINITY; channels];
    for (i, block) in reals(tensor).chunks(inner.max(1)).enumerate() {
        let most = &mut largest[i % channels];
        *most = block.iter().fold(*most, |most, &x| most.max(x));
    }
    largest
}

/// Number of channels along an axis, the last one if it is not named, and elements between one channel and the next.
pub(super) fn channels(shape: &[usize], axis: Option<usize>) -> (usize, usize) {
    let axis = axis.unwrap_or(shape.len().saturating_sub(1));
    let channels = shape.get(axis).copied().unwrap_or(1);
    (channels.max(1), shape.iter().skip(axis + 1).product())
}
