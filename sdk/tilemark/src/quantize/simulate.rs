//! The quantized model, simulated in f32: weights rounded to integers and back, every quantized tensor too. It differs from
//! the integer graph by f32's own rounding only, and any part of it can be left out, which is what comparing needs.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;
use tilemark_model::quantize::{FloatModel, Forward, Layer, Placement, quantize_layer};
use tilemark_model::{DType, Quant, Tensor, ValueId, numerics};

use super::calibrate::channels;
use super::data::Samples;
use super::likeness::{Loss, reals};
use super::progress::{Progress, Stage};
use crate::error::Error;

/// What decides a quantized model, by value of the float graph.
#[derive(Clone, Debug)]
pub(super) struct Decisions {
    pub(super) dtype: DType,
    /// Scale and zero point of activations.
    pub(super) quants: HashMap<ValueId, Quant>,
    /// What is added to each channel of a layer's sum: [`Layer::sum`].
    pub(super) corrections: HashMap<ValueId, Vec<f32>>,
}

/// A simulated model.
#[derive(Clone)]
pub(super) struct Simulation<'a> {
    pub(super) forward: Forward<'a>,
    decisions: Decisions,
    layers: HashMap<ValueId, Layer>,
}

impl<'a> Simulation<'a> {
    /// The whole model quantized.
    pub(super) fn new(
        model: &'a FloatModel,
        placement: &Placement,
        decisions: &Decisions,
    ) -> Result<Self, Error> {
        Self::of_layers(model, &placement.layers, decisions)
    }

    /// Only these layers quantized, with the tensors of `decisions`.
    pub(super) fn of_layers(
        model: &'a FloatModel,
        layers: &[Layer],
        decisions: &Decisions,
    ) -> Result<Self, Error> {
        let mut forward = Forward::new(model.graph());
        for layer in layers {
            let (Some(weights), Some(x)) =
                (model.graph().constant(layer.weights), decisions.quants.get(&layer.input))
            else {
                continue;
            };
            let bias = layer.bias.and_then(|bias| model.graph().constant(bias));
            let bias = bias.as_ref().map(|bias| reals(bias).to_vec()).unwrap_or_default();
            let quantized = quantize_layer(&weights, layer.axis, &bias, x.scale)?;
            forward.replace(layer.weights, quantized.dequantized(layer.axis)?);
        }
        let layers = layers.iter().map(|layer| (layer.sum, layer.clone())).collect();
        Ok(Self { forward, decisions: decisions.clone(), layers })
    }

    /// Runs one sample; `observe` gets every tensor as the quantized model has it.
    pub(super) fn run(
        &self,
        inputs: Vec<Tensor>,
        mut observe: impl FnMut(ValueId, &Tensor),
    ) -> Result<Vec<Tensor>, Error> {
        self.forward.run(inputs, |value, tensor| {
            self.round(value, tensor)?;
            observe(value, tensor);
            Ok(())
        })
    }

    /// Does to a tensor what quantization does.
    pub(super) fn round(&self, value: ValueId, tensor: &mut Tensor) -> Result<(), Error> {
        if let (Some(correction), Some(layer)) =
            (self.decisions.corrections.get(&value), self.layers.get(&value))
        {
            *tensor = with_added(tensor, layer.channel_axis, correction)?;
        }
        if let Some(&quant) = self.decisions.quants.get(&value) {
            let dtype = self.decisions.dtype;
            let round = |&x: &f32| numerics::dequantize(numerics::quantize(x, quant, dtype), quant);
            *tensor = Tensor::f32(tensor.shape(), reals(tensor).iter().map(round).collect())?;
        }
        Ok(())
    }
}

/// A tensor with a number added to each channel.
pub(super) fn with_added(tensor: &Tensor, axis: Option<usize>, added: &[f32]) -> Result<Tensor, Error> {
    let (channels, inner) = channels(tensor.shape(), axis);
    let values = reals(tensor).iter().enumerate();
    let values = values.map(|(i, x)| x + added.get(i / inner.max(1) % channels).unwrap_or(&0.0)).collect();
    Ok(Tensor::f32(tensor.shape(), values)?)
}

/// How far each candidate's outputs are from the float model's over some samples.
pub(super) fn losses(
    model: &FloatModel,
    candidates: &[Simulation],
    samples: &Samples,
    chosen: &[usize],
    progress: &dyn Progress,
) -> Result<Vec<Loss>, Error> {
    progress.begin(Stage::Comparison, chosen.len());
    let float = Forward::new(model.graph());
    let of_sample = |&i: &usize| {
        let inputs = samples.load(i)?;
        let expected = float.run(inputs.clone(), |_, _| Ok::<_, Error>(()))?;
        let loss =
            |candidate: &Simulation| Ok(Loss::of(&expected, &candidate.run(inputs.clone(), |_, _| ())?));
        let losses = candidates.iter().map(loss).collect::<Result<Vec<_>, Error>>();
        progress.advance();
        losses
    };
    let each: Vec<Vec<Loss>> = chosen.par_iter().map(of_sample).collect::<Result<_, _>>()?;
    progress.end();
    let mut sums = vec![Loss::default(); candidates.len()];
    for losses in each {
        sums.iter_mut().zip(losses).for_each(|(sum, loss)| sum.add(&loss));
    }
    Ok(sums)
}

/// The loss of quantizing each layer alone, in the order of the placement.
pub(super) fn sensitivities(
    model: &FloatModel,
    placement: &Placement,
    decisions: &Decisions,
    samples: &Samples,
    chosen: &[usize],
    progress: &dyn Progress,
) -> Result<Vec<Loss>, Error> {
    progress.begin(Stage::Sensitivity, placement.layers.len());
    let float = Forward::new(model.graph());
    let load = |&i: &usize| {
        let inputs = samples.load(i)?;
        let outputs = float.run(inputs.clone(), |_, _| Ok::<_, Error>(()))?;
        Ok((inputs, outputs))
    };
    let expected: Vec<_> = chosen.par_iter().map(load).collect::<Result<_, Error>>()?;
    let of_layer = |layer: &Layer| {
        let around: BTreeSet<ValueId> = [layer.input, layer.output].into();
        let quants = decisions.quants.iter().filter(|(value, _)| around.contains(value));
        let alone = Decisions { quants: quants.map(|(v, q)| (*v, *q)).collect(), ..decisions.clone() };
        let simulation = Simulation::of_layers(model, std::slice::from_ref(layer), &alone)?;
        let mut loss = Loss::default();
        for (inputs, outputs) in &expected {
            loss.add(&Loss::of(outputs, &simulation.run(inputs.clone(), |_, _| ())?));
        }
        progress.advance();
        Ok(loss)
    };
    let losses = placement.layers.par_iter().map(of_layer).collect();
    progress.end();
    losses
}
