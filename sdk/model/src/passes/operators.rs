//! An f32 operation that stands between Dequantize and Quantize becomes the 8-bit operation it stands for.

use std::collections::HashSet;

use crate::error::Error;
use crate::graph::{BinaryOp, Bounds, Draft, FloatOp, MatMul, Node, Op, ReduceOp, ValueId};
use crate::numerics;
use crate::tensor::{DType, Data, Quant, Tensor};

use super::islands::{End, QuantizedConstant, Surroundings};

/// How far a bias scale may be from `x_scale * w_scale`; both are made by the same f32 product, up to rounding.
const BIAS_SCALE_TOLERANCE: f64 = 1e-5;

/// Largest bias, 2^31, in units of `x_scale * w_scale`.
const MAX_BIAS: f32 = 2_147_483_648.0;
/// Units of a bias, in steps of the output, of which 2^32 are less than half a step.
const DEAD_RATIO: f32 = 1.164_153_2e-10; // 2^-33

/// A node's replacement, and constants that it needs as further inputs.
struct Rewrite {
    index: usize,
    op: Op,
    inputs: Vec<ValueId>,
    constants: Vec<(&'static str, Tensor)>,
    end: End,
}

pub(super) fn quantize_operators(draft: &mut Draft) -> Result<usize, Error> {
    let around = Surroundings::of(draft);
    let mut rewrites = Vec::new();
    let mut bytes = 0;
    for (index, node) in draft.nodes.iter().enumerate() {
        if let Op::Float(op) = &node.op
            && let Some(end) = around.end(node.output)
            && let Some(rewrite) = (Island { around: &around, node, end }).rewrite(index, op)?
        {
            let tensors = rewrite.constants.iter().map(|(_, tensor)| tensor);
            bytes += tensors.map(|tensor| tensor.len() as u64 * tensor.dtype().size() as u64).sum::<u64>();
            draft.check_constants(bytes)?;
            rewrites.push(rewrite);
        }
    }
    let count = rewrites.len();
    let mut absorbed = HashSet::new();
    for rewrite in rewrites {
        let Rewrite { index, op, mut inputs, constants, end } = rewrite;
        let name = draft.nodes[index].name.clone();
        for (suffix, tensor) in constants {
            inputs.push(draft.constant(format!("{name}.{suffix}"), tensor));
        }
        draft.nodes[index] = Node { name, op, inputs, output: end.output };
        absorbed.insert(end.quantize);
    }
    draft.remove_nodes(&absorbed);
    Ok(count)
}

struct Island<'a> {
    around: &'a Surroundings<'a>,
    node: &'a Node,
    end: End,
}

impl Island<'_> {
    fn rewrite(self, index: usize, op: &FloatOp) -> Result<Option<Rewrite>, Error> {
        let Some((x, qx)) = self.around.quantized(self.node.inputs[0]) else { return Ok(None) };
        let bounds = self.end.bounds;
        let (op, inputs, constants) = match op {
            FloatOp::Conv(conv) => match self.weights(qx, Transposed::No)? {
                Some(constants) => (Op::Conv(conv.clone(), bounds), vec![x], constants),
                None => return Ok(None),
            },
            FloatOp::MatMul(m) => match (self.fully_connected(m, qx)?, self.second_activation(m)) {
                (Some(constants), _) => (Op::FullyConnected(bounds), vec![x], constants),
                (None, Some(b)) => (Op::MatMul(bounds), vec![x, b], Vec::new()),
                (None, None) => return Ok(None),
            },
            FloatOp::Binary(op @ (BinaryOp::Add | BinaryOp::Mul)) => {
                let Some((b, _)) = self.around.quantized(self.node.inputs[1]) else { return Ok(None) };
                let op = if *op == BinaryOp::Add { Op::Add(bounds) } else { Op::Mul(bounds) };
                (op, vec![x, b], Vec::new())
            }
            FloatOp::AveragePool(pool) if self.unbounded() => {
                (Op::AveragePool(pool.clone()), vec![x], Vec::new())
            }
            FloatOp::GlobalAveragePool if self.unbounded() => (Op::GlobalAveragePool, vec![x], Vec::new()),
            FloatOp::Reduce { op: ReduceOp::Mean, axes, keep_dims } if self.unbounded() => {
                let op = Op::ReduceMean { axes: axes.clone(), keep_dims: *keep_dims };
                (op, vec![x], Vec::new())
            }
            _ => return Ok(None),
        };
        Ok(Some(Rewrite { index, op, inputs, constants, end: self.end }))
    }

    /// Whether no Relu or Clip narrows the output's range.
    fn unbounded(&self) -> bool {
        let (lo, hi) = self.around.draft.value(self.end.output).dtype.range().unwrap_or((0, 0));
        self.end.bounds == Bounds { lo, hi }
    }

    fn fully_connected(&self, m: &MatMul, qx: Quant) -> Result<Option<Constants>, Error> {
        if m.alpha != 1.0 || m.trans_a || (self.node.inputs.len() > 2 && m.beta != 1.0) {
            return Ok(None);
        }
        self.weights(qx, if m.trans_b { Transposed::No } else { Transposed::Yes })
    }

    /// The quantized right-hand side of a plain product of two activations.
    fn second_activation(&self, m: &MatMul) -> Option<ValueId> {
        let plain = *m == MatMul { beta: m.beta, alpha: 1.0, trans_a: false, trans_b: false };
        let (b, _) = self.around.quantized(self.node.inputs[1])?;
        (plain && self.node.inputs.len() == 2).then_some(b)
    }

    /// Weights `[O, ...]`, bias `[O]` and multipliers `[O]`; `None` if the second operand is no 8-bit constant or the
    /// third no fitting bias. The operation then stays in f32, and `tilemark inspect` says so.
    fn weights(&self, qx: Quant, transposed: Transposed) -> Result<Option<Constants>, Error> {
        let Some(constant) = self.around.constant(self.node.inputs[1])? else { return Ok(None) };
        let Some((weights, scales)) = symmetric(&constant, transposed)? else { return Ok(None) };
        let outputs = weights.shape()[0];
        let Some(bias) = self.bias(outputs, qx, &scales)? else { return Ok(None) };
        // A subnormal multiplier takes every sum to zero, and so does the smallest normal one.
        let multiplier =
            |&scale: &f32| numerics::multiplier(qx.scale, scale, self.end.quant.scale).max(f32::MIN_POSITIVE);
        let multipliers = Tensor::f32([outputs], scales.iter().map(multiplier).collect())?;
        Ok(Some(vec![("weights", weights), ("bias", bias), ("multipliers", multipliers)]))
    }

    /// The bias in units of `x_scale * w_scale`: zeros if there is none, the model's own integers if it is quantized
    /// by that scale, and a plain f32 constant rounded to it.
    fn bias(&self, outputs: usize, qx: Quant, scales: &[f32]) -> Result<Option<Tensor>, Error> {
        let Some(&id) = self.node.inputs.get(2) else {
            return Ok(Some(Tensor::new([outputs], Data::I32(vec![0; outputs]))?));
        };
        let units: Vec<f32> = scales.iter().map(|&scale| qx.scale * scale).collect();
        if let Some(constant) = self.around.constant(id)? {
            let fits = |(i, &unit): (usize, &f32)| {
                let (scale, zero) = (pick(&constant.scales, i), pick(&constant.zeros, i));
                let off = f64::from(*scale) / f64::from(unit) - 1.0;
                // Whatever the integers, such a channel is rounded to 0; its scale may have lost its digits.
                let dead = scale.max(unit) / self.end.quant.scale < DEAD_RATIO;
                *zero == 0 && (dead || off.abs() <= BIAS_SCALE_TOLERANCE)
            };
            let usable = constant.tensor.dtype() == DType::I32 && constant.tensor.len() == outputs;
            if usable && units.iter().enumerate().all(fits) {
                return Ok(Some(constant.tensor.clone().reshaped([outputs])?));
            }
            return Ok(None);
        }
        let Some(reals) = self.around.draft.tensor(id).filter(|tensor| tensor.len() == outputs) else {
            return Ok(None);
        };
        // A bias out of its unit's reach is not cut off: the layer stays in f32.
        let reals = reals.as_f32()?;
        let reachable = |(real, unit): (&f32, &f32)| *real == 0.0 || (real / unit).abs() < MAX_BIAS;
        if !reals.iter().zip(&units).all(reachable) {
            return Ok(None);
        }
        let ints = reals.iter().zip(&units).map(|(real, unit)| (real / unit).round_ties_even() as i32);
        Ok(Some(Tensor::new([outputs], Data::I32(ints.collect()))?))
    }
}

type Constants = Vec<(&'static str, Tensor)>;

/// Whether the model holds a matrix as `[K, N]`.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Transposed {
    No,
    Yes,
}

/// The weights with their zero points taken off, output channels first, and one scale a channel. `None` if a zero
/// point leaves a weight outside i8 or the scales run along another axis.
fn symmetric(
    constant: &QuantizedConstant,
    transposed: Transposed,
) -> Result<Option<(Tensor, Vec<f32>)>, Error> {
    let shape = constant.tensor.shape();
    if shape.len() < 2
        || (transposed == Transposed::Yes && shape.len() != 2)
        || constant.tensor.dtype() == DType::I32
    {
        return Ok(None);
    }
    let channel_axis = if transposed == Transposed::Yes { 1 } else { 0 };
    if constant.axis.is_some_and(|axis| crate::shape::normalize_axis(axis, shape.len()) != Some(channel_axis))
    {
        return Ok(None);
    }
    let outputs = shape[channel_axis];
    if constant.scales.len() != 1 && constant.scales.len() != outputs {
        return Ok(None);
    }
    let ints = constant.tensor.widened()?;
    let inner = ints.len() / outputs.max(1);
    let at = |o: usize, k: usize| {
        if transposed == Transposed::Yes { ints[k * outputs + o] } else { ints[o * inner + k] }
    };
    let mut weights = Vec::with_capacity(ints.len());
    for o in 0..outputs {
        let zero = *pick(&constant.zeros, o);
        for k in 0..inner {
            let Ok(weight) = i8::try_from(at(o, k) - zero) else { return Ok(None) };
            weights.push(weight);
        }
    }
    let shape = if transposed == Transposed::Yes { vec![outputs, inner] } else { shape.to_vec() };
    let scales = (0..outputs).map(|o| *pick(&constant.scales, o)).collect();
    Ok(Some((Tensor::new(shape, Data::I8(weights))?, scales)))
}

/// The entry of channel `i`; a single entry holds for all.
fn pick<T>(values: &[T], i: usize) -> &T {
    if values.len() == 1 { &values[0] } else { &values[i] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv, Pads, Pool, UnaryOp, Window};
    use crate::passes::testing::{Q, Sketch, bytes};

    type Build = fn(&mut Sketch, ValueId) -> ValueId;

    /// Output steps coarser than the products' and not so coarse that everything saturates.
    const OUT: Quant = Quant { scale: 8.0, zero_point: 128 };

    fn conv3x3() -> FloatOp {
        let window =
            Window { kernel: [3; 2], strides: [1; 2], dilations: [1; 2], pads: Pads::Explicit([1; 4]) };
        FloatOp::Conv(Conv { window, groups: 1 })
    }

    fn weights(outputs: usize) -> Tensor {
        let ints = (0..outputs * 18).map(|i| i8::try_from(i as i64 * 37 % 255 - 127).unwrap());
        Tensor::new([outputs, 2, 3, 3], Data::I8(ints.collect())).unwrap()
    }

    /// A quantized 2-channel image, the layer that `build` makes of it, and what ends it.
    fn layer(build: impl FnOnce(&mut Sketch, ValueId) -> ValueId) -> Sketch {
        let mut net = Sketch::default();
        let x = net.input(DType::U8, Some(Q), &[1, 2, 5, 5]);
        let real = net.dequantize(x);
        let y = build(&mut net, real);
        let y = net.quantize(y, OUT);
        net.output(y);
        net
    }

    fn rewrites(mut net: Sketch) -> (usize, Sketch) {
        let count = net.apply(quantize_operators, &[bytes(&[1, 2, 5, 5])]);
        net.draft.drop_dead_nodes();
        (count, net)
    }

    #[test]
    fn a_convolution_with_bias_per_channel() {
        let (scales, units) = ([0.5, 0.25, 0.125], [0.125, 0.0625, 0.03125]); // units = 0.25 * scales
        let (count, mut net) = rewrites(layer(|net, x| {
            let w = net.dequantized(weights(3), &scales, 0);
            let bias = Tensor::new([3], Data::I32(vec![500, -700, 9000])).unwrap();
            let b = net.dequantized(bias, &units, 0);
            let y = net.float(conv3x3(), &[x, w, b]);
            net.unary(UnaryOp::Relu, y)
        }));
        assert_eq!((count, net.ops()), (1, vec!["Conv"]));
        let node = &net.draft.nodes[0];
        assert!(
            matches!(node.op, Op::Conv(_, Bounds { lo: 128, hi: 255 })),
            "Relu became a bound: {:?}",
            node.op
        );
        let [bias, multipliers] = [2, 3].map(|i| net.draft.tensor(node.inputs[i]).unwrap());
        assert_eq!(bias.data(), &Data::I32(vec![500, -700, 9000]));
        assert_eq!(multipliers.as_f32().unwrap(), [0.015625, 0.0078125, 0.00390625]); // 0.25 * scale / 8
    }

    #[test]
    fn asymmetric_weights_lose_their_zero_point() {
        let (count, net) = rewrites(layer(|net, x| {
            let ints = (0..36).map(|i| u8::try_from(i * 7 % 250).unwrap()).collect();
            let w = net.dequantized(Tensor::u8([2, 2, 3, 3], ints).unwrap(), &[0.5], 123);
            net.float(conv3x3(), &[x, w])
        }));
        assert_eq!(count, 1);
        let Data::I8(ints) = net.draft.tensor(net.draft.nodes[0].inputs[1]).unwrap().data() else { panic!() };
        assert_eq!(ints[..3], [-123, -116, -109]);
    }

    #[test]
    fn what_does_not_fit_stays_float() {
        let unfit: [(&str, Build); 3] = [
            ("a bias of another scale", |net, x| {
                let w = net.dequantized(weights(2), &[0.5], 0);
                let b = net.dequantized(Tensor::new([2], Data::I32(vec![1, 2])).unwrap(), &[0.3], 0);
                net.float(conv3x3(), &[x, w, b])
            }),
            ("a weight beyond i8 once its zero point is off", |net, x| {
                let w = net.dequantized(Tensor::u8([1, 2, 3, 3], vec![255; 18]).unwrap(), &[0.5], 3);
                net.float(conv3x3(), &[x, w])
            }),
            ("weights that are floats", |net, x| {
                let w = net.draft.constant("w", Tensor::f32([1, 2, 3, 3], vec![0.5; 18]).unwrap());
                net.float(conv3x3(), &[x, w])
            }),
        ];
        for (what, build) in unfit {
            assert_eq!(rewrites(layer(build)).0, 0, "{what}");
        }
    }

    #[test]
    fn a_value_with_another_reader_keeps_its_float_form() {
        let mut net = layer(|net, x| {
            let w = net.dequantized(weights(2), &[0.5], 0);
            let y = net.float(conv3x3(), &[x, w]);
            net.output(y);
            y
        });
        assert_eq!(net.apply(quantize_operators, &[bytes(&[1, 2, 5, 5])]), 0);
    }

    #[test]
    fn additions_products_and_means() {
        let window =
            Window { kernel: [2; 2], strides: [1; 2], dilations: [1; 2], pads: Pads::Explicit([0; 4]) };
        let pool = Pool { window, ceil_mode: false, count_include_pad: false };
        let ops: [(&str, FloatOp); 5] = [
            ("Add", FloatOp::Binary(BinaryOp::Add)),
            ("Mul", FloatOp::Binary(BinaryOp::Mul)),
            ("AveragePool", FloatOp::AveragePool(pool)),
            ("GlobalAveragePool", FloatOp::GlobalAveragePool),
            ("ReduceMean", FloatOp::Reduce { op: ReduceOp::Mean, axes: vec![1], keep_dims: false }),
        ];
        for (name, op) in ops {
            let two = matches!(op, FloatOp::Binary(_));
            let mut net = layer(|net, x| net.float(op, &[x, x][..if two { 2 } else { 1 }]));
            // A mean over 25 or 2 is no f32 operation without rounding: shape and form are compared, not bytes.
            let count = if matches!(name, "GlobalAveragePool") {
                quantize_operators(&mut net.draft).unwrap()
            } else {
                net.apply(quantize_operators, &[bytes(&[1, 2, 5, 5])])
            };
            net.draft.drop_dead_nodes();
            assert_eq!((count, net.ops()), (1, vec![name]));
        }
    }

    #[test]
    fn a_matrix_product_is_turned_to_rows_of_outputs() {
        let mut net = Sketch::default();
        let x = net.input(DType::U8, Some(Q), &[2, 3]);
        let real = net.dequantize(x);
        let w = net.dequantized(Tensor::new([3, 2], Data::I8(vec![1, 2, 3, 4, 5, 6])).unwrap(), &[0.5], 0);
        let m = MatMul { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false };
        let y = net.float(FloatOp::MatMul(m), &[real, w]);
        let y = net.quantize(y, OUT);
        net.output(y);
        assert_eq!(net.apply(quantize_operators, &[bytes(&[2, 3])]), 1);
        let node = net.draft.nodes.iter().find(|node| node.op.name() == "FullyConnected").unwrap();
        let turned = net.draft.tensor(node.inputs[1]).unwrap();
        assert_eq!((turned.shape(), turned.data()), (&[2, 3][..], &Data::I8(vec![1, 3, 5, 2, 4, 6])));
    }
}
