//! Convolutions and pools over one axis become ones over an image of height 1, and what is element by element between
//! them follows, so that audio networks take the same 8-bit operations and kernels as images. Exact: the products meet in
//! the same order.

use std::collections::HashMap;

use crate::error::Error;
use crate::graph::{
    AutoPad, Conv, Draft, FloatOp, Node, Op, Pads, Pool, PoolKind, PoolNd, ValueId, Window, WindowNd,
};
use crate::tensor::Tensor;

/// Where the new axis is, before the length.
const HEIGHT: i64 = 2;

pub(super) fn lift_lines(draft: &mut Draft) -> Result<usize, Error> {
    if !draft.nodes.iter().any(|node| over_a_line(&node.op)) {
        return Ok(0);
    }
    draft.sort()?;
    let dequantized = draft.producers();
    let old = std::mem::take(&mut draft.nodes);
    let mut lift = Lift { draft, images: HashMap::new(), old: &old, producers: dequantized };
    let mut rewrites = 0;
    for node in &old {
        match lift.lifted(node)? {
            Some((op, inputs)) => {
                lift.image(node, op, inputs);
                rewrites += 1;
            }
            None => lift.draft.nodes.push(node.clone()),
        }
    }
    Ok(rewrites)
}

/// A convolution or pool over one axis.
fn over_a_line(op: &Op) -> bool {
    match op {
        Op::Float(FloatOp::ConvNd { window, .. } | FloatOp::PoolNd(PoolNd { window, .. })) => {
            window.kernel.len() == 1
        }
        _ => false,
    }
}

struct Lift<'a> {
    draft: &'a mut Draft,
    /// The image behind each value that was one of lines.
    images: HashMap<ValueId, ValueId>,
    old: &'a [Node],
    producers: HashMap<ValueId, usize>,
}

impl Lift<'_> {
    /// The operation on images that stands for a node, with its inputs.
    fn lifted(&mut self, node: &Node) -> Result<Option<(Op, Vec<ValueId>)>, Error> {
        let x = node.inputs.first().copied().unwrap_or(node.output);
        let lifted = match &node.op {
            Op::Float(FloatOp::ConvNd { window, groups }) if window.kernel.len() == 1 => {
                let op = Op::Float(FloatOp::Conv(Conv { window: image_window(window), groups: *groups }));
                let mut inputs = vec![self.image_of(x), self.weights(node.inputs[1])?];
                inputs.extend(&node.inputs[2..]);
                Some((op, inputs))
            }
            Op::Float(FloatOp::PoolNd(pool)) if pool.window.kernel.len() == 1 => {
                Some((image_pool(pool), vec![self.image_of(x)]))
            }
            op if self.images.contains_key(&x) && follows(op) => {
                let mut inputs = vec![self.images[&x]];
                inputs.extend(&node.inputs[1..]);
                Some((op.clone(), inputs))
            }
            Op::Concat { axis } => {
                let images = node.inputs.iter().map(|id| self.images.get(id).copied());
                // Of three axes; the last is now the fourth.
                let axis = if *axis < 0 { *axis + 3 } else { *axis };
                let op = Op::Concat { axis: if axis == HEIGHT { HEIGHT + 1 } else { axis } };
                images.collect::<Option<Vec<_>>>().map(|images| (op, images))
            }
            op if op.is_elementwise() => {
                let [a, b] = [0, 1].map(|i| node.inputs.get(i).copied());
                match (a, b) {
                    (Some(a), Some(b)) if [a, b].iter().any(|id| self.images.contains_key(id)) => {
                        let (a, b) = (self.operand(a)?, self.operand(b)?);
                        a.zip(b).map(|(a, b)| (op.clone(), vec![a, b]))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        Ok(lifted)
    }

    /// Adds the operation on images, and the node's own value as lines of its result.
    fn image(&mut self, node: &Node, op: Op, inputs: Vec<ValueId>) {
        let value = self.draft.value(node.output).clone();
        let image = self.draft.activation(format!("{}.image", value.name), value.dtype, value.quant);
        self.draft.node(&node.name, op, inputs, image);
        let lines = Op::Squeeze { axes: vec![HEIGHT] };
        self.draft.node(format!("{}.lines", node.name), lines, vec![image], node.output);
        self.images.insert(node.output, image);
    }

    /// A value as images of height 1.
    fn image_of(&mut self, x: ValueId) -> ValueId {
        if let Some(&image) = self.images.get(&x) {
            return image;
        }
        let value = self.draft.value(x).clone();
        let image = self.draft.activation(format!("{}.image", value.name), value.dtype, value.quant);
        let heighten = Op::Unsqueeze { axes: vec![HEIGHT] };
        self.draft.node(format!("{}.image", value.name), heighten, vec![x], image);
        self.images.insert(x, image);
        image
    }

    /// The second factor of something element by element: an image too, or a constant that broadcasts to one.
    fn operand(&mut self, id: ValueId) -> Result<Option<ValueId>, Error> {
        if let Some(&image) = self.images.get(&id) {
            return Ok(Some(image));
        }
        let Some(tensor) = self.draft.tensor(id) else { return Ok(None) };
        match *tensor.shape() {
            [] | [_] => Ok(Some(id)),
            [_, _] | [_, _, _] => self.heightened(id).map(Some),
            _ => Ok(None),
        }
    }

    /// Weights as those of an image; where they are dequantized constants, of the constants.
    fn weights(&mut self, id: ValueId) -> Result<ValueId, Error> {
        if self.draft.tensor(id).is_some() {
            return self.heightened(id);
        }
        let producer = self.producers.get(&id).map(|&i| &self.old[i]);
        match producer {
            Some(node) if matches!(node.op, Op::Dequantize { .. }) && self.is_kernel(node.inputs[0]) => {
                let mut inputs = node.inputs.clone();
                inputs[0] = self.heightened(inputs[0])?;
                // From the end the new axis would count.
                let op = match node.op {
                    Op::Dequantize { axis: Some(axis @ ..-1) } => Op::Dequantize { axis: Some(axis + 3) },
                    _ => node.op.clone(),
                };
                let real = self.draft.activation(
                    format!("{}.image", self.draft.value(id).name),
                    self.draft.value(id).dtype,
                    None,
                );
                self.draft.node(format!("{}.image", node.name), op, inputs, real);
                Ok(real)
            }
            _ => Ok(self.image_of(id)),
        }
    }

    fn is_kernel(&self, id: ValueId) -> bool {
        self.draft.tensor(id).is_some_and(|tensor| tensor.shape().len() == 3)
    }

    /// A constant with an axis of 1 before its last one.
    fn heightened(&mut self, id: ValueId) -> Result<ValueId, Error> {
        let value = self.draft.value(id).clone();
        let Some(tensor) = value.constant else { return Ok(id) };
        let mut shape = tensor.shape().to_vec();
        shape.insert(shape.len() - 1, 1);
        let tensor: Tensor = tensor.reshaped(shape)?;
        let image = self.draft.constant(format!("{}.image", value.name), tensor);
        self.draft.values[image.index()].quant = value.quant;
        self.draft.check_constants(0)?;
        Ok(image)
    }
}

/// Operations of one tensor that mean the same on images of height 1.
fn follows(op: &Op) -> bool {
    matches!(
        op,
        Op::Quantize { axis: None }
            | Op::Dequantize { axis: None }
            | Op::Float(
                FloatOp::Unary(_) | FloatOp::GlobalAveragePool | FloatOp::GlobalMaxPool | FloatOp::ScaleShift
            )
    )
}

fn image_window(window: &WindowNd) -> Window {
    let pads = match window.auto_pad {
        AutoPad::Explicit => Pads::Explicit([0, window.pads[0], 0, window.pads[1]]),
        AutoPad::SameUpper => Pads::SameUpper,
        AutoPad::SameLower => Pads::SameLower,
    };
    let along = |n: usize| [1, n];
    Window {
        kernel: along(window.kernel[0]),
        strides: along(window.strides[0]),
        dilations: along(window.dilations[0]),
        pads,
    }
}

fn image_pool(pool: &PoolNd) -> Op {
    let of = |count_include_pad| Pool {
        window: image_window(&pool.window),
        ceil_mode: pool.ceil_mode,
        count_include_pad,
    };
    match pool.kind {
        PoolKind::Max => Op::MaxPool(of(false)),
        PoolKind::Average { count_include_pad } => Op::Float(FloatOp::AveragePool(of(count_include_pad))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{BinaryOp, UnaryOp};
    use crate::passes::testing::{Q, Sketch, bytes};
    use crate::passes::{hoist, movement, operators};
    use crate::tensor::{DType, Data, Quant};

    fn window(kernel: usize, pads: [usize; 2]) -> WindowNd {
        let (strides, dilations) = (vec![1], vec![1]);
        WindowNd {
            kernel: vec![kernel],
            strides,
            dilations,
            pads: pads.to_vec(),
            auto_pad: AutoPad::Explicit,
        }
    }

    fn kernel(outputs: usize) -> Tensor {
        let ints = (0..outputs * 6).map(|i| i8::try_from(i as i64 * 37 % 255 - 127).unwrap());
        Tensor::new([outputs, 2, 3], Data::I8(ints.collect())).unwrap()
    }

    /// A quantized line, its convolution, a bias per channel, Relu, and a residual sum: all of it on images, whose shape
    /// changes at the ends alone; and so all of it in 8 bits.
    #[test]
    fn a_line_network_becomes_an_image_network() {
        let out = Quant { scale: 8.0, zero_point: 128 };
        let mut net = Sketch::default();
        let x = net.input(DType::U8, Some(Q), &[1, 2, 9]);
        let real = net.dequantize(x);
        let w = net.dequantized(kernel(2), &[0.5, 0.25], 0);
        let conv = FloatOp::ConvNd { window: window(3, [1, 1]), groups: 1 };
        let y = net.float(conv, &[real, w]);
        let y = net.unary(UnaryOp::Relu, y);
        let y = net.quantize(y, out);
        let y = net.dequantize(y);
        let sum = net.binary(BinaryOp::Add, y, real);
        let sum = net.quantize(sum, out);
        let sum = net.dequantize(sum);
        let pool = PoolNd {
            kind: PoolKind::Average { count_include_pad: false },
            window: window(2, [0, 0]),
            ceil_mode: false,
        };
        let y = net.float(FloatOp::PoolNd(pool), &[sum]);
        let y = net.quantize(y, out);
        net.output(y);
        let given = [bytes(&[1, 2, 9])];
        assert_eq!(net.apply(lift_lines, &given), 9);
        net.draft.drop_dead_nodes();
        assert_eq!(net.ops().iter().filter(|op| ["Unsqueeze", "Squeeze"].contains(op)).count(), 2);
        for pass in [movement::sink_dequantize, hoist::hoist_quantize] {
            net.apply(pass, &given);
        }
        // Its sum and mean round once where f32 rounds thrice: forms are compared, not bytes.
        operators::quantize_operators(&mut net.draft).unwrap();
        net.draft.drop_dead_nodes();
        let ops = net.ops();
        assert!(["Conv", "Add", "AveragePool"].iter().all(|op| ops.contains(op)), "{ops:?}");
        assert!(!ops.iter().any(|op| op.ends_with("(f32)")), "{ops:?}");
    }

    #[test]
    fn joins_and_constants_follow_into_the_image() {
        for axis in [1, 2, -1] {
            let mut net = Sketch::default();
            let x = net.input(DType::F32, None, &[1, 2, 6]);
            let pool = |kind| FloatOp::PoolNd(PoolNd { kind, window: window(3, [1, 1]), ceil_mode: false });
            let max = net.float(pool(PoolKind::Max), &[x]);
            let mean = net.float(pool(PoolKind::Average { count_include_pad: true }), &[x]);
            let factors = Tensor::f32([2, 1], vec![0.5, -3.0]).unwrap();
            let factors = net.draft.constant("factors", factors);
            let scaled = net.binary(BinaryOp::Mul, mean, factors);
            let joined = net.add(Op::Concat { axis }, &[max, scaled], DType::F32, None);
            net.output(joined);
            let given = Tensor::f32([1, 2, 6], (0..12).map(|i| (i as f32 * 0.7).sin()).collect()).unwrap();
            assert_eq!(net.apply(lift_lines, &[given]), 4);
            net.draft.drop_dead_nodes();
            let squeezes = net.ops().iter().filter(|op| **op == "Squeeze").count();
            assert_eq!(squeezes, 1, "axis {axis}");
        }
    }

    /// Padding that follows from the input, groups, weights that are computed.
    #[test]
    fn other_forms_of_a_convolution() {
        for auto_pad in [AutoPad::SameUpper, AutoPad::SameLower] {
            let mut net = Sketch::default();
            let x = net.input(DType::F32, None, &[1, 2, 6]);
            let w = net.input(DType::F32, None, &[2, 1, 4]);
            let window = WindowNd { auto_pad, strides: vec![2], ..window(4, [0, 0]) };
            let y = net.float(FloatOp::ConvNd { window, groups: 2 }, &[x, w]);
            net.output(y);
            let ramp = |shape: [usize; 3]| {
                let n = shape.iter().product::<usize>();
                Tensor::f32(shape, (0..n).map(|i| (i as f32 * 0.7).cos()).collect()).unwrap()
            };
            assert_eq!(net.apply(lift_lines, &[ramp([1, 2, 6]), ramp([2, 1, 4])]), 1);
        }
    }
}
