//! Batch normalization becomes part of the convolution or matrix product before it, and a convolution of its own (1 x 1,
//! one group a channel) where there is none: both are integer operations.

use std::collections::HashMap;

use super::edit::{Names, add_constant, attribute, int, node, set_input};
use crate::error::Error;
use crate::onnx::{self, GraphProto, NodeProto};
use crate::tensor::Tensor;

/// Epsilon where the node gives none, by ONNX's definition.
const EPSILON: f32 = 1e-5;

/// Folds every BatchNormalization whose parameters are constant. `ranks` has the number of axes of values by name.
pub(super) fn fold(graph: &mut GraphProto, ranks: &HashMap<String, usize>) -> Result<(), Error> {
    let mut names = Names::of(graph);
    let mut readers: HashMap<String, usize> = HashMap::new();
    let outputs = graph.output.iter().map(|port| &port.name);
    for name in graph.node.iter().flat_map(|node| &node.input).chain(outputs) {
        *readers.entry(name.clone()).or_default() += 1;
    }
    let mut made: Vec<NodeProto> = Vec::with_capacity(graph.node.len());
    for current in std::mem::take(&mut graph.node) {
        let Some(affine) = Affine::of(graph, &current)? else {
            made.push(current);
            continue;
        };
        let x = current.input.first().cloned().unwrap_or_default();
        let before = made.iter_mut().find(|before| before.output.first() == Some(&x));
        let alone = readers.get(&x) == Some(&1);
        if let Some(before) = before.filter(|_| alone)
            && affine.fold_into(graph, &mut names, before)?
        {
            before.output[0].clone_from(&current.output[0]);
        } else if ranks.get(&x) == Some(&4) {
            made.push(affine.convolution(graph, &mut names, &x, &current.output[0])?);
        } else {
            made.push(current);
        }
    }
    graph.node = made;
    Ok(())
}

/// `x * scale[c] + shift[c]`, in f64 so that folding rounds once.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Affine {
    /// What a BatchNormalization computes; `None` for other nodes and for parameters that are not constant.
    fn of(graph: &GraphProto, node: &NodeProto) -> Result<Option<Self>, Error> {
        let plain = node.output.iter().skip(1).all(String::is_empty);
        if node.op_type != "BatchNormalization" || !plain || node.output.is_empty() {
            return Ok(None);
        }
        let mut parameters = Vec::new();
        for name in node.input.iter().skip(1) {
            match constant(graph, name)? {
                Some(tensor) => parameters.push(tensor.as_f32()?.to_vec()),
                None => return Ok(None),
            }
        }
        let [gamma, beta, mean, variance] = parameters.as_slice() else { return Ok(None) };
        let epsilon = attribute(node, "epsilon").map_or(EPSILON, |attribute| attribute.f);
        let scales = gamma.iter().zip(variance);
        let scale: Vec<f64> =
            scales.map(|(&g, &v)| f64::from(g) / (f64::from(v) + f64::from(epsilon)).sqrt()).collect();
        let shifts = beta.iter().zip(mean).zip(&scale);
        let shift = shifts.map(|((&b, &m), s)| f64::from(b) - f64::from(m) * s).collect();
        Ok(Some(Self { scale, shift }))
    }

    /// Multiplies into the weights and bias of the node before; whether that could be done.
    fn fold_into(
        &self,
        graph: &mut GraphProto,
        names: &mut Names,
        before: &mut NodeProto,
    ) -> Result<bool, Error> {
        let one = |name| attribute(before, name).is_none_or(|a| a.f == 1.0);
        let flag = |name| attribute(before, name).is_some_and(|a| a.i != 0);
        let axis = match before.op_type.as_str() {
            "Conv" => 0,
            "ConvTranspose" if attribute(before, "group").is_none_or(|a| a.i == 1) => 1,
            "Gemm" if one("alpha") && one("beta") => usize::from(!flag("transB")),
            _ => return Ok(false),
        };
        let name_of = |i: usize| before.input.get(i).cloned().unwrap_or_default();
        let Some(weights) = constant(graph, &name_of(1))? else { return Ok(false) };
        let bias = match name_of(2) {
            name if name.is_empty() => vec![0.0; self.scale.len()],
            name => match constant(graph, &name)? {
                Some(bias) => bias.as_f32()?.to_vec(),
                None => return Ok(false),
            },
        };
        if weights.shape().get(axis) != Some(&self.scale.len()) || bias.len() != self.scale.len() {
            return Ok(false);
        }
        let scaled = per_channel(&weights, axis, |c, w| f64::from(w) * self.scale[c])?;
        let shifted = bias.iter().enumerate();
        let shifted = shifted.map(|(c, &b)| (f64::from(b) * self.scale[c] + self.shift[c]) as f32).collect();
        let made = [(1, "weights", scaled), (2, "bias", Tensor::f32([bias.len()], shifted)?)];
        for (i, what, tensor) in made {
            let name = names.free(&before.output[0], what);
            add_constant(graph, &name, &tensor);
            set_input(before, i, name);
        }
        Ok(true)
    }

    /// The same as a convolution of one tap.
    fn convolution(
        &self,
        graph: &mut GraphProto,
        names: &mut Names,
        x: &str,
        y: &str,
    ) -> Result<NodeProto, Error> {
        let channels = self.scale.len();
        let narrow = |reals: &[f64]| reals.iter().map(|&real| real as f32).collect();
        let [weights, bias] = ["weights", "bias"].map(|what| names.free(y, what));
        add_constant(graph, &weights, &Tensor::f32([channels, 1, 1, 1], narrow(&self.scale))?);
        add_constant(graph, &bias, &Tensor::f32([channels], narrow(&self.shift))?);
        let groups = int("group", i64::try_from(channels).unwrap_or(i64::MAX));
        Ok(node("Conv", vec![x.to_owned(), weights, bias], y, vec![groups]))
    }
}

/// A constant of the graph by its name.
fn constant(graph: &GraphProto, name: &str) -> Result<Option<Tensor>, Error> {
    let found = graph.initializer.iter().find(|tensor| tensor.name == name);
    found.map(onnx::to_tensor).transpose()
}

/// Every weight changed by a function of its channel along `axis`.
pub(super) fn per_channel(
    weights: &Tensor,
    axis: usize,
    change: impl Fn(usize, f32) -> f64,
) -> Result<Tensor, Error> {
    let channels = weights.shape()[axis];
    let inner: usize = weights.shape()[axis + 1..].iter().product();
    let reals = weights.as_f32()?.iter().enumerate();
    let changed = reals.map(|(i, &w)| change(i / inner.max(1) % channels.max(1), w) as f32).collect();
    Tensor::f32(weights.shape(), changed)
}
