//! A batch normalization behind a convolution or matrix product becomes part of its weights and bias, as exporters and
//! other runtimes do it too: `(w * x + b) * scale + shift` is `(w * scale) * x + (b * scale + shift)`, each rounded once.
//! Where the weights are quantized their scales take the factor, so that the integers stay and the layer can be an 8-bit one.

use std::collections::{HashMap, HashSet};

use super::islands::Surroundings;
use super::ranks::ranks;
use crate::error::Error;
use crate::graph::{Draft, FloatOp, Node, Op, ValueId};
use crate::limits::{MAX_SCALE, MIN_SCALE};
use crate::numerics;
use crate::tensor::{DType, Data, Quant, Tensor};

/// A convolution with its normalization folded in.
struct Folded {
    index: usize,
    weights: Weights,
    bias: Vec<f32>,
    /// Index of the normalization, and what it wrote.
    normalization: usize,
    output: ValueId,
}

/// New weights: floats, or the model's integers with scales along `axis`.
enum Weights {
    Real(Tensor),
    Quantized { ints: Tensor, scales: Vec<f32>, axis: i64 },
}

pub(super) fn fold_normalization(draft: &mut Draft) -> Result<usize, Error> {
    draft.sort()?;
    let folded = Search { around: &Surroundings::of(draft), ranks: ranks(draft) }.all()?;
    let mut absorbed = HashSet::new();
    let count = folded.len();
    for Folded { index, weights, bias, normalization, output } in folded {
        let name = draft.nodes[index].name.clone();
        let weights = match weights {
            Weights::Real(tensor) => draft.constant(format!("{name}.weights"), tensor),
            Weights::Quantized { ints, scales, axis } => {
                let zeros = Tensor::new([scales.len()], Data::I32(vec![0; scales.len()]))?;
                let ints = draft.constant(format!("{name}.integers"), ints);
                let scales = draft.constant(format!("{name}.scales"), Tensor::f32([scales.len()], scales)?);
                let zeros = draft.constant(format!("{name}.zeros"), zeros);
                let real = draft.activation(format!("{name}.weights"), DType::F32, None);
                let op = Op::Dequantize { axis: Some(axis) };
                draft.node(format!("{name}.weights"), op, vec![ints, scales, zeros], real);
                real
            }
        };
        let bias = draft.constant(format!("{name}.bias"), Tensor::f32([bias.len()], bias)?);
        draft.check_constants(0)?;
        let node = &mut draft.nodes[index];
        node.inputs = vec![node.inputs[0], weights, bias];
        node.output = output;
        absorbed.insert(normalization);
    }
    draft.remove_nodes(&absorbed);
    Ok(count)
}

struct Search<'a> {
    around: &'a Surroundings<'a>,
    ranks: HashMap<ValueId, usize>,
}

/// How weights lie: along which axis the channels of the output are.
struct Layer {
    channels: usize,
    axis: usize,
    /// Of a transposed convolution: `[C, O/groups, ...]`.
    groups: Option<usize>,
}

impl Search<'_> {
    fn all(&self) -> Result<Vec<Folded>, Error> {
        let nodes = self.around.draft.nodes.iter().enumerate();
        let folded = nodes.filter_map(|(i, node)| self.fold(i, node).transpose());
        folded.collect()
    }

    fn fold(&self, index: usize, node: &Node) -> Result<Option<Folded>, Error> {
        let Some((normalization, next)) = self.around.only_consumer(node.output) else { return Ok(None) };
        if next.op != Op::Float(FloatOp::ScaleShift) || next.inputs[0] != node.output {
            return Ok(None);
        }
        let constants = [1, 2].map(|i| self.around.draft.tensor(next.inputs[i]));
        let [Some(scale), Some(shift)] = constants else { return Ok(None) };
        let (scale, shift) = (scale.as_f32()?, shift.as_f32()?);
        let Some(layer) = self.layer(node, scale.len())? else { return Ok(None) };
        let Some(bias) = self.bias(node, scale.len())? else { return Ok(None) };
        let Some(weights) = self.weights(node.inputs[1], &layer, scale)? else { return Ok(None) };
        let bias = (0..bias.len()).map(|o| bias[o] * scale[o] + shift[o]).collect();
        Ok(Some(Folded { index, weights, bias, normalization, output: next.output }))
    }

    /// What kind of weights the node has; `None` if its output is not `[N, C, ...]` with a channel for each factor.
    fn layer(&self, node: &Node, channels: usize) -> Result<Option<Layer>, Error> {
        let (axis, groups) = match &node.op {
            Op::Float(FloatOp::Conv(_) | FloatOp::ConvNd { .. }) => (0, None),
            Op::Float(FloatOp::ConvTranspose(conv)) => (1, Some(conv.groups)),
            Op::Float(FloatOp::MatMul(m)) if m.beta == 1.0 || node.inputs.len() < 3 => {
                if self.ranks.get(&node.inputs[0]) != Some(&2) {
                    return Ok(None);
                }
                (if m.trans_b { 0 } else { 1 }, None)
            }
            _ => return Ok(None),
        };
        let shape = match self.around.constant(node.inputs[1])? {
            Some(constant) => constant.tensor.shape(),
            None => match self.around.draft.tensor(node.inputs[1]) {
                Some(tensor) => tensor.shape(),
                None => return Ok(None),
            },
        };
        let outputs = shape.get(axis).and_then(|&n| n.checked_mul(groups.unwrap_or(1)));
        let matrix = !matches!(node.op, Op::Float(FloatOp::MatMul(_))) || shape.len() == 2;
        let fits = matrix && shape.len() >= 2 && outputs == Some(channels) && groups != Some(0);
        Ok(fits.then_some(Layer { channels, axis, groups }))
    }

    /// The bias as floats, one a channel; zeros if there is none.
    fn bias(&self, node: &Node, channels: usize) -> Result<Option<Vec<f32>>, Error> {
        let Some(&id) = node.inputs.get(2) else { return Ok(Some(vec![0.0; channels])) };
        let reals = match self.around.constant(id)? {
            Some(constant) => {
                let ints = constant.tensor.widened()?;
                let at = |i: usize| i.min(constant.scales.len() - 1);
                let real = |(i, q): (usize, i32)| {
                    let quant = Quant { scale: constant.scales[at(i)], zero_point: constant.zeros[at(i)] };
                    numerics::dequantize(q, quant)
                };
                ints.into_iter().enumerate().map(real).collect()
            }
            None => match self.around.draft.tensor(id) {
                Some(tensor) => tensor.as_f32()?.to_vec(),
                None => return Ok(None),
            },
        };
        Ok(match reals.len() {
            1 => Some(vec![reals[0]; channels]),
            n if n == channels => Some(reals),
            _ => None,
        })
    }

    fn weights(&self, id: ValueId, layer: &Layer, factors: &[f32]) -> Result<Option<Weights>, Error> {
        if let Some(tensor) = self.around.draft.tensor(id) {
            let reals = tensor.as_f32()?;
            let channel = layer.channel_of(tensor.shape());
            let scaled = reals.iter().enumerate().map(|(i, w)| w * factors[channel(i)]).collect();
            return Ok(Some(Weights::Real(Tensor::f32(tensor.shape(), scaled)?)));
        }
        let Some(constant) = self.around.constant(id)? else { return Ok(None) };
        let shape = constant.tensor.shape();
        let along = constant.axis.map(|axis| crate::shape::normalize_axis(axis, shape.len()));
        let lengths = [1, layer.channels].contains(&constant.scales.len());
        if layer.groups.is_some() || !lengths || along.is_some_and(|along| along != Some(layer.axis)) {
            return Ok(None);
        }
        let of = |o: usize| if constant.scales.len() == 1 { 0 } else { o };
        let channel = layer.channel_of(shape);
        let mut ints = Vec::with_capacity(constant.tensor.len());
        for (i, q) in constant.tensor.widened()?.into_iter().enumerate() {
            let o = channel(i);
            let centred = q - constant.zeros[of(o)];
            // A scale is positive: a negative factor turns the integers around, one of zero leaves none.
            let sign = if factors[o] == 0.0 { 0 } else { factors[o].signum() as i32 };
            let Ok(weight) = i8::try_from(centred * sign) else { return Ok(None) };
            ints.push(weight);
        }
        let scaled = |o: usize| {
            let scale = constant.scales[of(o)];
            if factors[o] == 0.0 { scale } else { scale * factors[o].abs() }
        };
        let scales: Vec<f32> = (0..layer.channels).map(scaled).collect();
        if !scales.iter().all(|scale| (MIN_SCALE..=MAX_SCALE).contains(scale)) {
            return Ok(None);
        }
        let axis = i64::from(layer.axis == 1);
        Ok(Some(Weights::Quantized { ints: Tensor::new(shape, Data::I8(ints))?, scales, axis }))
    }
}

impl Layer {
    /// The output channel of each weight.
    fn channel_of(&self, shape: &[usize]) -> impl Fn(usize) -> usize {
        let inner = shape[self.axis + 1..].iter().product::<usize>().max(1);
        let along = shape[self.axis].max(1);
        let group_inputs = self.groups.map(|groups| (shape[0] / groups).max(1));
        move |i| {
            let own = i / inner % along;
            match group_inputs {
                Some(group_inputs) => i / inner / along / group_inputs * along + own,
                None => own,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{AutoPad, BinaryOp, Conv, ConvTranspose, MatMul, Pads, UnaryOp, Window, WindowNd};
    use crate::passes::operators::quantize_operators;
    use crate::passes::testing::{Q, Sketch, bytes};

    /// Powers of two, so that folding is exact; one turns a channel around, one blanks it.
    const FACTORS: [f32; 4] = [0.5, -2.0, 0.0, 4.0];
    const SHIFTS: [f32; 4] = [1.0, 0.25, -3.0, 0.0];

    fn conv() -> FloatOp {
        let window =
            Window { kernel: [2; 2], strides: [1; 2], dilations: [1; 2], pads: Pads::Explicit([0; 4]) };
        FloatOp::Conv(Conv { window, groups: 1 })
    }

    fn normalized(net: &mut Sketch, x: ValueId) -> ValueId {
        let [scale, shift] = [FACTORS, SHIFTS].map(|values| {
            let n = net.draft.values.len();
            net.draft.constant(format!("p{n}"), Tensor::f32([4], values.to_vec()).unwrap())
        });
        net.float(FloatOp::ScaleShift, &[x, scale, shift])
    }

    fn ints(shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        let ints = (0..n).map(|i| i8::try_from(i as i64 * 37 % 255 - 127).unwrap());
        Tensor::new(shape, Data::I8(ints.collect())).unwrap()
    }

    fn reals(shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        Tensor::f32(shape, (0..n).map(|i| (i * 5 % 16) as f32 * 0.25 - 1.0).collect()).unwrap()
    }

    #[test]
    fn float_weights_take_it_up() {
        let window = WindowNd {
            kernel: vec![2; 2],
            strides: vec![1; 2],
            dilations: vec![1; 2],
            pads: vec![0; 4],
            auto_pad: AutoPad::Explicit,
        };
        let (output_padding, output_size) = (vec![0; 2], None);
        let transposed =
            FloatOp::ConvTranspose(ConvTranspose { window, groups: 2, output_padding, output_size });
        let product = |trans_b| FloatOp::MatMul(MatMul { alpha: 0.5, beta: 1.0, trans_a: false, trans_b });
        let cases: [(FloatOp, &[usize], &[usize]); 4] = [
            (conv(), &[1, 3, 4, 4], &[4, 3, 2, 2]),
            (transposed, &[1, 6, 4, 4], &[6, 2, 2, 2]),
            (product(false), &[2, 3], &[3, 4]),
            (product(true), &[2, 3], &[4, 3]),
        ];
        for (op, x, w) in cases {
            for biased in [false, true] {
                let mut net = Sketch::default();
                let given = net.input(DType::F32, None, x);
                let mut inputs = vec![given, net.draft.constant("w", reals(w))];
                inputs.extend(biased.then(|| net.draft.constant("b", reals(&[4]))));
                let y = net.float(op.clone(), &inputs);
                let y = normalized(&mut net, y);
                net.output(y);
                assert_eq!(net.apply(fold_normalization, &[reals(x)]), 1, "{}", op.name());
                assert_eq!(net.ops(), [op.name()]);
            }
        }
    }

    /// The integers stay, so the layer still becomes an 8-bit one.
    #[test]
    fn quantized_weights_keep_their_integers() {
        for scales in [&[0.5][..], &[0.5, 0.25, 0.125, 1.0]] {
            let mut net = Sketch::default();
            let x = net.input(DType::U8, Some(Q), &[1, 3, 4, 4]);
            let real = net.dequantize(x);
            let w = net.dequantized(ints(&[4, 3, 2, 2]), scales, 0);
            let y = net.float(conv(), &[real, w]);
            let y = normalized(&mut net, y);
            let y = net.unary(UnaryOp::Relu, y);
            let y = net.quantize(y, Quant { scale: 16.0, zero_point: 128 });
            net.output(y);
            let given = [bytes(&[1, 3, 4, 4])];
            assert_eq!(net.apply(fold_normalization, &given), 1);
            assert_eq!(net.apply(quantize_operators, &given), 1);
            net.draft.drop_dead_nodes();
            assert_eq!(net.ops(), ["Conv"]);
            let Data::I8(folded) = net.draft.tensor(net.draft.nodes[0].inputs[1]).unwrap().data() else {
                panic!()
            };
            assert_eq!((folded[0], folded[12], folded[24]), (-127, -62, 0), "kept, turned around, blanked");
        }
    }

    #[test]
    fn what_does_not_fit_stays() {
        type Build = fn(&mut Sketch, ValueId) -> ValueId;
        let cases: [(&str, Build); 4] = [
            ("a weight of -128 that would be turned around", |net, x| {
                let w =
                    net.dequantized(Tensor::new([4, 3, 2, 2], Data::I8(vec![-128; 48])).unwrap(), &[0.5], 0);
                net.float(conv(), &[x, w])
            }),
            ("a result that something else reads", |net, x| {
                let w = net.draft.constant("w", reals(&[4, 3, 2, 2]));
                let y = net.float(conv(), &[x, w]);
                net.output(y);
                y
            }),
            ("weights that are computed", |net, x| {
                let w = net.input(DType::F32, None, &[4, 3, 2, 2]);
                net.float(conv(), &[x, w])
            }),
            ("what is no layer", |net, x| {
                let w = net.draft.constant("w", reals(&[1, 1, 4, 4]));
                let w = net.binary(BinaryOp::Add, x, w);
                let window = [0, 0, 1, 0, 0, 0, 0, 0].to_vec();
                let op = crate::graph::MoveOp::Pad {
                    mode: crate::graph::PadMode::Constant,
                    pads: crate::graph::Ints::Given([vec![0, 1, 0, 0], window[4..].to_vec()].concat()),
                    axes: None,
                    filled: false,
                };
                net.add(Op::Move(op), &[w], DType::F32, None)
            }),
        ];
        for (what, build) in cases {
            let mut net = Sketch::default();
            let x = net.input(DType::F32, None, &[1, 3, 4, 4]);
            let y = build(&mut net, x);
            let y = normalized(&mut net, y);
            net.output(y);
            let given: Vec<Tensor> = [reals(&[1, 3, 4, 4]), reals(&[4, 3, 2, 2])]
                .into_iter()
                .take(net.draft.inputs.len())
                .collect();
            assert_eq!(net.apply(fold_normalization, &given), 0, "{what}");
        }
    }
}
