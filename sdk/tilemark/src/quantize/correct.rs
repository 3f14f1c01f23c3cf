//! Bias correction (Nagel et al. 2019, section 4.2.2, the empirical form; also Finkelstein et al., "Fighting Quantization Bias
//! With Bias", 2019): rounding weights and inputs shifts the mean of each channel of a layer's output; the shift, measured
//! on calibration data with every layer before it already quantized and corrected, goes into the bias.

use std::collections::HashMap;

use rayon::prelude::*;
use tilemark_model::quantize::{FloatModel, Forward, Layer, Placement};
use tilemark_model::{Tensor, ValueId};

use super::calibrate::channels;
use super::data::Samples;
use super::likeness::reals;
use super::progress::{Progress, Stage};
use super::simulate::{Decisions, Simulation, with_added};
use crate::error::Error;

/// Samples used at most: a mean over all places of these is exact enough.
const MOST_SAMPLES: usize = 64;
/// All samples go through a layer together, so what they hold at once is bounded, in bytes.
const MOST_BYTES: usize = 1 << 30;

/// What to add to each channel of each layer that has a bias or can have one.
pub(super) fn corrections(
    model: &FloatModel,
    placement: &Placement,
    decisions: &Decisions,
    samples: &Samples,
    progress: &dyn Progress,
) -> Result<HashMap<ValueId, Vec<f32>>, Error> {
    let simulation = Simulation::new(model, placement, decisions)?;
    let forward = &simulation.forward;
    let first = samples.load(0)?;
    let fit = MOST_BYTES / largest_live(forward, &first)?.max(1);
    let chosen = samples.spread(fit.clamp(1, MOST_SAMPLES));
    let layers: HashMap<ValueId, &Layer> = placement.layers.iter().map(|l| (l.sum, l)).collect();
    let graph = model.graph();
    progress.begin(Stage::Correction, graph.nodes.len());
    let expected = float_means(model, &layers, samples, &chosen)?;
    let start = |&i: &usize| {
        let inputs = samples.load(i)?;
        let shapes = forward.shapes(&inputs)?;
        let mut values: Vec<Option<Tensor>> = vec![None; graph.values.len()];
        for (port, mut tensor) in graph.inputs.iter().zip(inputs) {
            simulation.round(port.value, &mut tensor)?;
            values[port.value.index()] = Some(tensor);
        }
        Ok((values, shapes))
    };
    let mut runs: Vec<_> = chosen.par_iter().map(start).collect::<Result<_, Error>>()?;
    let mut corrections = HashMap::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        let evaluate = |(values, shapes): &(Vec<Option<Tensor>>, _)| forward.evaluate(node, values, shapes);
        let mut outputs: Vec<Tensor> = runs.par_iter().map(evaluate).collect::<Result<_, _>>()?;
        if let Some(layer) = layers.get(&node.output)
            && (layer.takes_bias || layer.bias.is_some())
        {
            let found = outputs.iter().map(|tensor| Sums::of(tensor, layer.channel_axis));
            let found = found.reduce(Sums::plus).unwrap_or_default().means();
            let wanted = expected.get(&node.output).map(Vec::as_slice).unwrap_or_default();
            let shift: Vec<f32> =
                wanted.iter().zip(&found).map(|(wanted, found)| (wanted - found) as f32).collect();
            for output in &mut outputs {
                *output = with_added(output, layer.channel_axis, &shift)?;
            }
            corrections.insert(node.output, shift);
        }
        let keep = |((values, _), mut output): (&mut (Vec<Option<Tensor>>, _), Tensor)| {
            simulation.round(node.output, &mut output)?;
            values[node.output.index()] = Some(output);
            forward.dying(i).iter().for_each(|value| values[value.index()] = None);
            Ok::<_, Error>(())
        };
        runs.par_iter_mut().zip(outputs).try_for_each(keep)?;
        progress.advance();
    }
    progress.end();
    Ok(corrections)
}

/// The mean of each channel of each layer's sum in the float model.
fn float_means(
    model: &FloatModel,
    layers: &HashMap<ValueId, &Layer>,
    samples: &Samples,
    chosen: &[usize],
) -> Result<HashMap<ValueId, Vec<f64>>, Error> {
    let forward = Forward::new(model.graph());
    let of_sample = |&i: &usize| {
        let mut sums = HashMap::new();
        forward.run(samples.load(i)?, |value, tensor| {
            if let Some(layer) = layers.get(&value) {
                sums.insert(value, Sums::of(tensor, layer.channel_axis));
            }
            Ok::<_, Error>(())
        })?;
        Ok(sums)
    };
    let each: Vec<HashMap<ValueId, Sums>> = chosen.par_iter().map(of_sample).collect::<Result<_, Error>>()?;
    // In the order of samples: sums of floats depend on it.
    let mut all: HashMap<ValueId, Sums> = HashMap::new();
    for (value, sums) in each.into_iter().flatten() {
        let so_far = all.remove(&value).unwrap_or_default();
        all.insert(value, so_far.plus(sums));
    }
    Ok(all.into_iter().map(|(value, sums)| (value, sums.means())).collect())
}

/// Sums over the elements of each channel.
#[derive(Clone, Debug, Default)]
struct Sums {
    sums: Vec<f64>,
    count: f64,
}

impl Sums {
    fn of(tensor: &Tensor, axis: Option<usize>) -> Self {
        let (channels, inner) = channels(tensor.shape(), axis);
        let mut sums = vec![0.0; channels];
        for (i, block) in reals(tensor).chunks(inner.max(1)).enumerate() {
            sums[i % channels] += block.iter().map(|&x| f64::from(x)).sum::<f64>();
        }
        Self { sums, count: (tensor.len() / channels) as f64 }
    }

    fn plus(mut self, other: Self) -> Self {
        if self.sums.is_empty() {
            return other;
        }
        self.sums.iter_mut().zip(other.sums).for_each(|(sum, more)| *sum += more);
        self.count += other.count;
        self
    }

    fn means(self) -> Vec<f64> {
        self.sums.into_iter().map(|sum| sum / self.count.max(1.0)).collect()
    }
}

/// Bytes of the tensors that one run holds at once, at most.
fn largest_live(forward: &Forward, inputs: &[Tensor]) -> Result<usize, Error> {
    let shapes = forward.shapes(inputs)?;
    let bytes = |value: &ValueId| 4 * shapes.of(*value).iter().product::<usize>();
    let graph = forward.graph();
    let constant = |value: &ValueId| graph.value(*value).constant.is_some();
    let mut live: usize = graph.inputs.iter().map(|port| bytes(&port.value)).sum();
    let mut most = live;
    for (i, node) in graph.nodes.iter().enumerate() {
        live += bytes(&node.output);
        most = most.max(live);
        live -= forward.dying(i).iter().filter(|v| !constant(v)).map(bytes).sum::<usize>().min(live);
    }
    Ok(most)
}
