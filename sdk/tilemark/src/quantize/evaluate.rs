//! Measures a quantized model: each layer's noise, simulated; the outputs as the integer engine computes them.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;
use tilemark_engine::{Compiled, Device};
use tilemark_model::quantize::{FloatModel, Forward, Layer, Placement, quantize_layer};
use tilemark_model::{Graph, Shapes, Tensor, ValueId, import, shape};

use super::data::Samples;
use super::likeness::{Loss, Noise, cosine, reals, top};
use super::progress::{Progress, Stage};
use super::report::{Accuracy, FloatNode, LayerReport, Quality, Report};
use super::search::{self, Found};
use super::simulate::Simulation;
use super::{Decisions, Evaluation};
use crate::contents::declared;
use crate::error::Error;

/// Samples over which the noise of layers is measured.
const LISTENED: usize = 16;
/// Fewer calibration samples than this get a note.
const FEW: usize = 8;
/// Samples whose float outputs are in memory together.
const BATCH: usize = 64;

#[allow(clippy::too_many_arguments, reason = "everything that a quantization knows meets here, once")]
pub(super) fn report(
    model: &FloatModel,
    whole: &Placement,
    found: Found,
    equalized: Option<usize>,
    onnx: &[u8],
    calibration: &Samples,
    evaluation: Option<&Evaluation>,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let graph = Arc::new(import(onnx)?);
    let shapes = shape::infer(&graph, &shape::declared(&graph, 1))?;
    let macs = |node: &tilemark_model::Node| shape::macs(node, &shapes);
    let integer = graph.nodes.iter().filter(|node| !node.op.is_float());
    let quality = quality(model, &graph, calibration, evaluation, progress)?;
    Ok(Report {
        model: graph.name.clone(),
        calibration_samples: calibration.count(),
        activations: found.decisions.dtype.to_string(),
        ranges: search::name(found.method),
        bias_corrected: found.corrected,
        equalized_pairs: equalized,
        layers: layers(model, whole, &found, calibration, progress)?,
        float_nodes: float_nodes(&graph, &found.placement),
        macs: graph.nodes.iter().map(macs).sum(),
        integer_macs: integer.map(macs).sum(),
        float_bytes: model.graph().weights().len(),
        int8_bytes: onnx.len(),
        quality,
        notes: notes(model, &found, calibration.count()),
        candidates: found.candidates,
        kept_float: found.kept,
    })
}

fn notes(model: &FloatModel, found: &Found, samples: usize) -> Vec<String> {
    let mut notes = found.notes.clone();
    if samples < FEW {
        notes
            .push(format!("calibrated with {samples} samples: ranges of other data may be wider; give more"));
    }
    for layer in &found.placement.layers {
        let Some(weights) = model.graph().constant(layer.weights) else { continue };
        let Ok(quantized) = quantize_layer(&weights, layer.axis, &[], 1.0) else { continue };
        let dead = dead_channels(&quantized.weights, layer.axis);
        if dead > 0 {
            notes.push(format!("`{}`: {dead} channels have no weights", layer.name));
        }
    }
    notes
}

/// Channels whose integer weights are all zero.
fn dead_channels(weights: &Tensor, axis: usize) -> usize {
    let (channels, inner) = super::calibrate::channels(weights.shape(), Some(axis));
    let mut alive = vec![false; channels];
    for (i, &w) in weights.widened().unwrap_or_default().iter().enumerate() {
        alive[i / inner.max(1) % channels] |= w != 0;
    }
    alive.iter().filter(|alive| !**alive).count()
}

/// What the imported model runs in float, with the reason that placement knows.
fn float_nodes(graph: &Graph, placement: &Placement) -> Vec<FloatNode> {
    let reasons: HashMap<&str, &str> =
        placement.float.iter().map(|f| (f.node.as_str(), f.reason.as_str())).collect();
    let node = |node: &tilemark_model::Node| FloatNode {
        node: node.name.clone(),
        op: node.op.name().trim_end_matches(" (f32)").to_owned(),
        reason: (*reasons.get(node.name.as_str()).unwrap_or(&"what it reads or writes is not quantized"))
            .to_owned(),
    };
    graph.nodes.iter().filter(|node| node.op.is_float()).map(node).collect()
}

fn layers(
    model: &FloatModel,
    whole: &Placement,
    found: &Found,
    samples: &Samples,
    progress: &dyn Progress,
) -> Result<Vec<LayerReport>, Error> {
    let noises = noises(model, whole, found, samples, progress)?;
    let graph = model.graph();
    let shapes = shape::infer(graph, &shape::declared(graph, 1))?;
    let quantized = |layer: &Layer| found.placement.layers.iter().any(|l| l.name == layer.name);
    let report = |layer: &Layer| {
        let range = found.ranges.get(&layer.output);
        Ok(LayerReport {
            name: layer.name.clone(),
            what: describe(graph, layer, &shapes),
            macs: shape::macs(&graph.nodes[layer.node], &shapes),
            quantized: quantized(layer),
            snr_db: noises.get(&layer.output).copied().unwrap_or_default().db(),
            weights_snr_db: weights_noise(model, layer, &found.decisions)?.db(),
            alone_snr_db: found.sensitivities.get(&layer.name).map(Loss::db),
            lo: range.map_or(0.0, |range| range.lo),
            hi: range.map_or(0.0, |range| range.hi),
        })
    };
    whole.layers.iter().map(report).collect()
}

fn describe(graph: &Graph, layer: &Layer, shapes: &Shapes) -> String {
    let axes: Vec<String> = shapes.of(layer.weights).iter().map(usize::to_string).collect();
    format!("{} {}", graph.nodes[layer.node].op.name().trim_end_matches(" (f32)"), axes.join("x"))
}

fn weights_noise(model: &FloatModel, layer: &Layer, decisions: &Decisions) -> Result<Noise, Error> {
    let Some(weights) = model.graph().constant(layer.weights) else { return Ok(Noise::default()) };
    let x_scale = decisions.quants.get(&layer.input).map_or(1.0, |quant| quant.scale);
    let quantized = quantize_layer(&weights, layer.axis, &[], x_scale)?.dequantized(layer.axis)?;
    Ok(Noise::of(reals(&weights), reals(&quantized)))
}

/// The noise in each layer's output, float model against simulation.
fn noises(
    model: &FloatModel,
    whole: &Placement,
    found: &Found,
    samples: &Samples,
    progress: &dyn Progress,
) -> Result<HashMap<ValueId, Noise>, Error> {
    let float = Forward::new(model.graph());
    let simulation = Simulation::new(model, &found.placement, &found.decisions)?;
    let outputs: std::collections::HashSet<ValueId> = whole.layers.iter().map(|layer| layer.output).collect();
    let chosen = samples.spread(LISTENED);
    progress.begin(Stage::Noise, chosen.len());
    let of_sample = |&i: &usize| {
        let inputs = samples.load(i)?;
        let mut expected: HashMap<ValueId, Tensor> = HashMap::new();
        float.run(inputs.clone(), |value, tensor| {
            if outputs.contains(&value) {
                expected.insert(value, tensor.clone());
            }
            Ok::<_, Error>(())
        })?;
        let mut noises = HashMap::new();
        simulation.run(inputs, |value, tensor| {
            if let Some(expected) = expected.remove(&value) {
                noises.insert(value, Noise::of(reals(&expected), reals(tensor)));
            }
        })?;
        progress.advance();
        Ok(noises)
    };
    let each: Vec<HashMap<ValueId, Noise>> =
        chosen.par_iter().map(of_sample).collect::<Result<_, Error>>()?;
    progress.end();
    let mut sums: HashMap<ValueId, Noise> = HashMap::new();
    for (value, noise) in each.into_iter().flatten() {
        sums.entry(value).or_default().add(noise);
    }
    Ok(sums)
}

/// Sums over samples of what [`Quality`] shows.
#[derive(Default)]
struct Tally {
    loss: Loss,
    cosines: f64,
    scores: usize,
    agreed: usize,
    float_right: usize,
    int8_right: usize,
}

impl Tally {
    fn add(&mut self, float: &[Tensor], int8: &[Tensor], label: Option<usize>) {
        self.loss.add(&Loss::of(float, int8));
        let (Some(a), Some(b)) = (float.first(), int8.first()) else { return };
        let (xs, ys) = (reals(a), reals(b));
        self.cosines += cosine(xs, ys);
        // A list of scores: one axis longer than 1.
        if a.len() > 1 && a.shape().last() == Some(&a.len()) {
            let (float, int8) = (top(xs), top(ys));
            self.scores += 1;
            self.agreed += usize::from(float == int8);
            self.float_right += usize::from(Some(float) == label);
            self.int8_right += usize::from(Some(int8) == label);
        }
    }
}

fn quality(
    model: &FloatModel,
    graph: &Arc<Graph>,
    calibration: &Samples,
    evaluation: Option<&Evaluation>,
    progress: &dyn Progress,
) -> Result<Quality, Error> {
    let (data, samples) =
        evaluation.map_or(("calibration", calibration), |evaluation| ("evaluation", &evaluation.samples));
    let labels = evaluation.and_then(|evaluation| evaluation.labels.as_deref());
    let float = Forward::new(model.graph());
    let mut session = Compiled::new(Arc::clone(graph), &Device::host())?.session()?;
    progress.begin(Stage::Evaluation, samples.count());
    let mut tally = Tally::default();
    let all: Vec<usize> = (0..samples.count()).collect();
    for batch in all.chunks(BATCH) {
        let run_float = |&i: &usize| {
            let inputs = samples.load(i)?;
            let outputs = float.run(inputs.clone(), |_, _| Ok::<_, Error>(()))?;
            Ok((inputs, outputs))
        };
        let floats: Vec<_> = batch.par_iter().map(run_float).collect::<Result<_, Error>>()?;
        for (&i, (inputs, outputs)) in batch.iter().zip(&floats) {
            let int8 = declared(graph, &session.run(inputs)?)?;
            tally.add(outputs, &int8, labels.and_then(|labels| labels.get(i).copied()));
            progress.advance();
        }
    }
    progress.end();
    let n = samples.count() as f64;
    let share = |count: usize| count as f64 / n;
    let scores = tally.scores == samples.count();
    Ok(Quality {
        data,
        samples: samples.count(),
        snr_db: tally.loss.db(),
        cosine: tally.cosines / n,
        top1_agreement: scores.then(|| share(tally.agreed)),
        accuracy: labels
            .filter(|_| scores)
            .map(|_| Accuracy { float: share(tally.float_right), int8: share(tally.int8_right) }),
    })
}
