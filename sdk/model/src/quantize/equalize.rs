//! Cross-layer equalization (Nagel, van Baalen, Blankevoort, Welling: "Data-Free Quantization Through Weight Equalization
//! and Bias Correction", ICCV 2019, section 4.1): between two convolutions, channel by channel, a factor moves from the
//! first one's weights to the second one's, so that both use their range alike. What the model computes stays the same.

use std::collections::HashMap;

use super::normalization::per_channel;
use super::placement::{Layer, Placement};
use super::prepare::FloatModel;
use super::weights::largest;
use crate::error::Error;
use crate::graph::{FloatOp, Op, UnaryOp, ValueId};
use crate::tensor::Tensor;

/// Rounds over all pairs; each pair moves the ranges of its neighbours, and after these few nothing changes any more.
const ROUNDS: usize = 20;
/// A channel passes Clip unchanged if it stays below this share of the bound, before and after: data that calibration
/// did not see may be larger.
const HEADROOM: f32 = 0.5;

/// Equalizes every pair of convolutions with nothing but Relu or Clip between them. `largest_sum` has, for the value that
/// each layer writes ([`Layer::sum`]), the largest element of each channel in calibration: through Clip only channels
/// that stay clear of its upper bound are scaled. Returns the model and how many pairs there were.
///
/// # Errors
/// Those of import for the changed model.
pub fn equalize(
    model: &FloatModel,
    placement: &Placement,
    largest_sum: &HashMap<ValueId, Vec<f32>>,
) -> Result<(FloatModel, usize), Error> {
    let pairs = Pair::all(model, placement);
    let mut constants: HashMap<ValueId, Tensor> = HashMap::new();
    for pair in &pairs {
        for id in [Some(pair.first.weights), pair.first.bias, Some(pair.second.weights)].into_iter().flatten()
        {
            if let Some(tensor) = model.graph().constant(id) {
                constants.insert(id, tensor);
            }
        }
    }
    let mut largest_sum = largest_sum.clone();
    for _ in 0..ROUNDS {
        for pair in &pairs {
            pair.equalize(&mut constants, &mut largest_sum)?;
        }
    }
    let name = |id: ValueId| model.graph().value(id).name.clone();
    let changed: Vec<(String, Tensor)> =
        constants.into_iter().map(|(id, tensor)| (name(id), tensor)).collect();
    Ok((model.with_constants(&changed)?, pairs.len()))
}

/// Two convolutions, the second of which alone reads the first.
struct Pair<'a> {
    first: &'a Layer,
    second: &'a Layer,
    /// Groups of the second.
    groups: usize,
    /// The upper bound of a Clip between them.
    bound: Option<f32>,
}

impl<'a> Pair<'a> {
    fn all(model: &FloatModel, placement: &'a Placement) -> Vec<Self> {
        let graph = model.graph();
        let mut readers: HashMap<ValueId, usize> = HashMap::new();
        for id in graph.nodes.iter().flat_map(|node| &node.inputs) {
            *readers.entry(*id).or_default() += 1;
        }
        let once =
            |id: ValueId| readers.get(&id) == Some(&1) && !graph.outputs.iter().any(|port| port.value == id);
        let convolution = |layer: &Layer| match &graph.nodes[layer.node].op {
            Op::Float(FloatOp::Conv(conv)) => Some(conv.groups),
            _ => None,
        };
        // Constants that several layers share would be scaled for one and spoilt for the other.
        let owns = |layer: &Layer| [Some(layer.weights), layer.bias].into_iter().flatten().all(once);
        let mut pairs = Vec::new();
        for second in &placement.layers {
            let first = placement.layers.iter().find(|first| first.output == second.input);
            let (Some(first), Some(groups)) = (first, convolution(second)) else { continue };
            if convolution(first).is_none() || !once(first.output) || !owns(first) || !owns(second) {
                continue;
            }
            if let Some(bound) = bound_between(model, first) {
                pairs.push(Self { first, second, groups, bound });
            }
        }
        pairs
    }

    fn equalize(
        &self,
        constants: &mut HashMap<ValueId, Tensor>,
        largest_sum: &mut HashMap<ValueId, Vec<f32>>,
    ) -> Result<(), Error> {
        let (Some(w1), Some(w2)) = (constants.get(&self.first.weights), constants.get(&self.second.weights))
        else {
            return Ok(());
        };
        let (r1, r2) = (largest(w1, 0)?, self.largest_of_inputs(w2)?);
        let sums = largest_sum.get(&self.first.sum).filter(|sums| sums.len() == r1.len());
        let factor = |c: usize| {
            let (r1, r2) = (r1[c], *r2.get(c).unwrap_or(&0.0));
            let factor = (r1 / r2).sqrt();
            if !(r1 > 0.0 && r2 > 0.0 && factor.is_normal()) {
                return 1.0;
            }
            let Some(bound) = self.bound.map(|bound| bound * HEADROOM) else { return factor };
            match sums.and_then(|sums| sums.get(c)) {
                Some(&sum) if sum <= bound => factor.max(sum.max(0.0) / bound),
                _ => 1.0,
            }
        };
        let factors: Vec<f32> = (0..r1.len()).map(factor).collect();
        let by = |c: usize| f64::from(factors[c]);
        let divided = per_channel(w1, 0, |c, w| f64::from(w) / by(c))?;
        let multiplied = self.times(w2, &factors)?;
        constants.insert(self.first.weights, divided);
        constants.insert(self.second.weights, multiplied);
        if let Some(bias) = self.first.bias
            && let Some(tensor) = constants.get(&bias)
        {
            let divided = per_channel(&tensor.clone().reshaped([r1.len()])?, 0, |c, b| f64::from(b) / by(c))?;
            let shape = tensor.shape().to_vec();
            constants.insert(bias, divided.reshaped(shape)?);
        }
        if let Some(sums) = largest_sum.get_mut(&self.first.sum) {
            sums.iter_mut().zip(&factors).for_each(|(sum, factor)| *sum /= factor);
        }
        Ok(())
    }

    /// For element `i` of the second one's weights: the input channel that it belongs to.
    fn input_channel(&self, shape: &[usize], i: usize) -> usize {
        let taps: usize = shape[2..].iter().product();
        let (within, outputs) = (shape[1], shape[0] / self.groups.max(1));
        let output = i / (within * taps).max(1);
        output / outputs.max(1) * within + i / taps.max(1) % within.max(1)
    }

    fn largest_of_inputs(&self, w2: &Tensor) -> Result<Vec<f32>, Error> {
        let mut largest = vec![0.0f32; w2.shape()[1] * self.groups];
        for (i, w) in w2.as_f32()?.iter().enumerate() {
            let c = self.input_channel(w2.shape(), i);
            largest[c] = largest[c].max(w.abs());
        }
        Ok(largest)
    }

    fn times(&self, w2: &Tensor, factors: &[f32]) -> Result<Tensor, Error> {
        let reals = w2.as_f32()?.iter().enumerate();
        let scaled = reals.map(|(i, w)| w * factors[self.input_channel(w2.shape(), i)]).collect();
        Tensor::f32(w2.shape(), scaled)
    }
}

/// The upper bound between a layer's sum and its output: `Some(None)` without one, `None` where what stands between is
/// not proportional above zero.
#[allow(clippy::option_option, reason = "no bound and no way through are two answers")]
fn bound_between(model: &FloatModel, layer: &Layer) -> Option<Option<f32>> {
    let graph = model.graph();
    let (mut id, mut bound) = (layer.sum, None);
    while id != layer.output {
        let node = graph.nodes.iter().find(|node| node.inputs.first() == Some(&id))?;
        match node.op {
            Op::Float(FloatOp::Unary(UnaryOp::Relu)) => {}
            Op::Float(FloatOp::Unary(UnaryOp::Clip { lo: 0.0, hi })) if hi > 0.0 => {
                bound = Some(bound.map_or(hi, |bound: f32| bound.min(hi)));
            }
            _ => return None,
        }
        id = node.output;
    }
    Some(bound)
}
