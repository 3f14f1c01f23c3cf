//! The reference interpreter: every operation in its plainest form. It is the specification that each kernel of each
//! backend must equal byte for byte, so it is written to be read; speed is the engine's business.

mod detect;
mod dynamic;
mod float;
mod general;
mod integer;
mod movement;
mod moves;
mod normalize;
mod places;
mod recurrent;
mod resize;
mod spatial;
#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::graph::{FloatOp, Graph, Node, Op, ValueId, data_from_le};
use crate::numerics;
use crate::shape::{self, NodeShapes, Shapes, gates};
use crate::tensor::Tensor;

pub use float::{of_one, of_two};
pub use places::{Places, places};
pub use resize::{Taps, resize_taps};
pub use spatial::{Meetings, transposed_taps};

pub(crate) use detect::suppress;
pub(crate) use general::shape_value;

/// Runs `graph` on `inputs` (in the order of [`Graph::inputs`]) and returns the outputs as the graph holds them:
/// integers where the model quantizes. [`Graph::declared`] turns them into the model's declared types.
///
/// # Errors
/// Anything wrong with the inputs' number, types or shapes.
pub fn run(graph: &Graph, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, Error> {
    run_observed(graph, inputs, |_, _| ())
}

/// Like [`run`], and shows `observe` every value as it is computed, inputs included.
///
/// # Errors
/// Those of [`run`].
pub fn run_observed(
    graph: &Graph,
    inputs: Vec<Tensor>,
    mut observe: impl FnMut(ValueId, &Tensor),
) -> Result<Vec<Tensor>, Error> {
    let mut shapes = shape::infer(graph, &inputs.iter().map(|t| t.shape().to_vec()).collect::<Vec<_>>())?;
    let mut values: Vec<Option<Tensor>> = (0..graph.values.len()).map(|_| None).collect();
    for (port, tensor) in graph.inputs.iter().zip(inputs) {
        let tensor = graph.accept(port, tensor)?;
        observe(port.value, &tensor);
        values[port.value.index()] = Some(tensor);
    }
    let last_use = last_uses(graph);
    for (i, node) in graph.nodes.iter().enumerate() {
        for &id in &node.inputs {
            if values[id.index()].is_none() {
                values[id.index()] = graph.constant(id);
            }
        }
        let operands: Vec<&Tensor> =
            node.inputs.iter().filter_map(|id| values[id.index()].as_ref()).collect();
        let output = if shapes.is_late(node.output) {
            evaluate_late(graph, node, &operands, &mut shapes)?
        } else {
            evaluate(graph, node, &operands, &shapes)?
        };
        observe(node.output, &output);
        values[node.output.index()] = Some(output);
        for &id in node.inputs.iter().filter(|id| last_use[id.index()] == Some(i)) {
            values[id.index()] = None;
        }
    }
    let output = |id: ValueId| values[id.index()].clone().or_else(|| graph.constant(id));
    graph
        .outputs
        .iter()
        .map(|port| output(port.value).ok_or_else(|| Error::invalid_graph(&port.name, "was never computed")))
        .collect()
}

/// Computes one node from its operands, which have the shapes that `shapes` says.
///
/// # Errors
/// [`Error::DTypeMismatch`] if an operand has another type than the graph says.
pub fn evaluate(graph: &Graph, node: &Node, operands: &[&Tensor], shapes: &Shapes) -> Result<Tensor, Error> {
    if operands.len() != node.inputs.len() {
        return Err(Error::invalid_graph(&node.name, "an operand is missing"));
    }
    let shape = shapes.of(node.output);
    // Whatever the operands hold: no backend has work for it, so none looks whether an index is in range.
    if shape.contains(&0) {
        return Tensor::new(shape, data_from_le(graph.value(node.output).dtype, &[])?);
    }
    let x = operands[0];
    match &node.op {
        Op::Conv(conv, bounds) => integer::conv(graph, node, conv, *bounds, operands, shape),
        Op::FullyConnected(bounds) => integer::fully_connected(graph, node, *bounds, operands, shape),
        Op::MatMul(bounds) => integer::matmul(graph, node, *bounds, operands, shape),
        Op::Add(bounds) | Op::Mul(bounds) => integer::binary(graph, node, *bounds, operands, shape),
        Op::AveragePool(pool) => integer::average_pool(graph, node, pool, x, shape),
        Op::GlobalAveragePool => integer::global_average_pool(graph, node, x, shape),
        Op::ReduceMean { axes, .. } => integer::reduce_mean(graph, node, axes, x, shape),
        Op::Table => integer::table(graph, node, operands),
        Op::Quantize { axis } => integer::quantize(graph, node, *axis, operands),
        Op::Dequantize { axis } => integer::dequantize(graph, node, *axis, operands),
        Op::MaxPool(pool) => movement::max_pool(pool, x, shape),
        Op::Concat { axis } => movement::concat(*axis, operands, shape),
        Op::Transpose { .. } => moves::by_places(node, 0, operands, shapes),
        Op::Reshape { .. } | Op::Flatten { .. } | Op::Squeeze { .. } | Op::Unsqueeze { .. } => {
            x.clone().reshaped(shape)
        }
        Op::Float(FloatOp::Resize(op)) => resize::resize(op, &NodeShapes { node, shapes }.resized(op)?, x),
        Op::Float(op) => evaluate_float(op, operands, shape),
        Op::Move(op) => {
            let zero_point = graph.value(node.inputs[0]).quant.map_or(0, |quant| quant.zero_point);
            moves::evaluate(op, node, zero_point, operands, shapes)
        }
        Op::General(op) => general::evaluate(op, node, graph.value(node.output).dtype, operands, shapes),
    }
}

/// Computes one node whose output has a shape that depends on values, and completes `shapes` by it. To be called for every
/// such node of a run, in order.
///
/// # Errors
/// [`Error::Shape`] if the node cannot take its operands, [`Error::LimitExceeded`] beyond what late tensors may take
/// ([`crate::limits::MAX_LATE_BYTES`]), and those of [`evaluate`].
pub fn evaluate_late(
    graph: &Graph,
    node: &Node,
    operands: &[&Tensor],
    shapes: &mut Shapes,
) -> Result<Tensor, Error> {
    if operands.len() != node.inputs.len() {
        return Err(Error::invalid_graph(&node.name, "an operand is missing"));
    }
    let looked_at = shapes.settle(graph, node, operands)?;
    let output = evaluate(graph, node, operands, shapes);
    shapes.forget(node, &looked_at);
    output
}

/// Computes one f32 operation.
fn evaluate_float(op: &FloatOp, operands: &[&Tensor], shape: &[usize]) -> Result<Tensor, Error> {
    let data = match op {
        FloatOp::Conv(conv) => float::conv(conv, operands, shape)?,
        FloatOp::MatMul(m) => float::matmul(m, operands, shape)?,
        FloatOp::Binary(op) => float::binary(*op, operands, shape)?,
        FloatOp::Unary(op) => operands[0].as_f32()?.iter().map(|&x| of_one(*op, x)).collect(),
        FloatOp::AveragePool(pool) => float::average_pool(pool, operands[0], shape)?,
        FloatOp::GlobalAveragePool => float::global_average_pool(operands[0])?,
        FloatOp::Reduce { op, axes, .. } => float::reduce(*op, axes, operands[0])?,
        FloatOp::Softmax { axis, to_end } => {
            float::along_lines(*axis, *to_end, operands[0], numerics::softmax)?
        }
        FloatOp::LogSoftmax { axis, to_end } => {
            float::along_lines(*axis, *to_end, operands[0], numerics::log_softmax)?
        }
        FloatOp::ScaleShift => normalize::scale_shift(operands)?,
        FloatOp::ConvNd { window, groups } => spatial::conv(window, *groups, operands)?,
        FloatOp::ConvTranspose(conv) => spatial::conv_transpose(conv, operands)?,
        FloatOp::PoolNd(pool) => spatial::pool(pool, operands[0])?,
        FloatOp::GlobalMaxPool => float::global_max_pool(operands[0])?,
        FloatOp::Resize(_) => return Err(Error::invalid_graph("Resize", "needs the shapes around it")),
        FloatOp::LayerNorm { axis, epsilon } => normalize::layer(*axis, *epsilon, operands, shape)?,
        FloatOp::InstanceNorm { epsilon } => normalize::instance(*epsilon, operands)?,
        FloatOp::Lrn { size, alpha, beta, bias } => {
            normalize::lrn(*size, [*alpha, *beta, *bias], operands[0])?
        }
        FloatOp::Lstm(layer) | FloatOp::Gru(layer) => recurrent::run(layer, gates(op), operands)?,
        FloatOp::RoiAlign(roi) => detect::roi_align(roi, operands)?,
    };
    Tensor::f32(shape, data)
}

/// For each value the last node that reads it; `None` for outputs, which must stay.
fn last_uses(graph: &Graph) -> Vec<Option<usize>> {
    let mut last = vec![None; graph.values.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        for id in &node.inputs {
            last[id.index()] = Some(i);
        }
    }
    for port in &graph.outputs {
        last[port.value.index()] = None;
    }
    last
}

/// Row-major strides of a shape.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// Strides with which a tensor of `shape` is read as if it had been broadcast to `to`: 0 along stretched axes.
fn broadcast_strides(shape: &[usize], to: &[usize]) -> Vec<usize> {
    let missing = to.len() - shape.len();
    let own = strides(shape);
    (0..to.len()).map(|i| if i < missing || shape[i - missing] == 1 { 0 } else { own[i - missing] }).collect()
}

/// Calls `visit` with the offsets that each stride list gives for every index of `shape`, in row-major order.
fn walk<const N: usize>(shape: &[usize], strides: [&[usize]; N], mut visit: impl FnMut([usize; N])) {
    walk_index(shape, |index| visit(strides.map(|s| index.iter().zip(s).map(|(i, s)| i * s).sum())));
}

/// Calls `visit` with every index of `shape`, in row-major order.
fn walk_index(shape: &[usize], mut visit: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0usize; shape.len()];
    loop {
        visit(&index);
        let Some(axis) = (0..shape.len()).rev().find(|&axis| index[axis] + 1 < shape[axis]) else { return };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

/// For each output of NumPy's `matmul`, in row-major order: the offsets of its row of a and of its column of b. `None`
/// if the shapes cannot be multiplied.
fn matmul_lines(
    a: &[usize],
    b: &[usize],
    mut visit: impl FnMut(&mut dyn Iterator<Item = usize>, &mut dyn Iterator<Item = usize>),
) -> Option<()> {
    // Rank-1 operands become a row or a column; the result's shape has dropped that axis, its elements are the same.
    let wide_a = if a.len() == 1 { vec![1, a[0]] } else { a.to_vec() };
    let wide_b = if b.len() == 1 { vec![b[0], 1] } else { b.to_vec() };
    let (batch_a, &[rows, inner]) = wide_a.split_last_chunk::<2>()?;
    let (batch_b, &[_, columns]) = wide_b.split_last_chunk::<2>()?;
    let batch = shape::broadcast(batch_a, batch_b)?;
    walk(&batch, [&broadcast_strides(batch_a, &batch), &broadcast_strides(batch_b, &batch)], |[i, j]| {
        let (a_start, b_start) = (i * rows * inner, j * inner * columns);
        for row in 0..rows {
            for column in 0..columns {
                let line = a_start + row * inner;
                visit(&mut (line..line + inner), &mut (0..inner).map(|k| b_start + k * columns + column));
            }
        }
    });
    Some(())
}

/// For each output of a reduction over `axes` (none named: all), in row-major order: the offsets of its elements, in
/// row-major order too.
fn reduced_groups(of: &[usize], axes: &[i64], mut visit: impl FnMut(&[usize])) {
    let named: Vec<usize> = axes.iter().filter_map(|&axis| shape::normalize_axis(axis, of.len())).collect();
    let (reduced, kept): (Vec<usize>, Vec<usize>) =
        (0..of.len()).partition(|axis| axes.is_empty() || named.contains(axis));
    let own = strides(of);
    let pick = |axes: &[usize], from: &[usize]| axes.iter().map(|&axis| from[axis]).collect::<Vec<_>>();
    let mut inner = Vec::new();
    walk(&pick(&reduced, of), [&pick(&reduced, &own)], |[offset]| inner.push(offset));
    let mut group = Vec::with_capacity(inner.len());
    walk(&pick(&kept, of), [&pick(&kept, &own)], |[base]| {
        group.clear();
        group.extend(inner.iter().map(|offset| base + offset));
        visit(&group);
    });
}

/// The taps of a window at output `(oy, ox)` that lie inside an image of `h` x `w`: kernel position and image position.
fn taps(
    window: &crate::graph::Window,
    before: [usize; 2],
    [oy, ox]: [usize; 2],
    [h, w]: [usize; 2],
) -> impl Iterator<Item = ([usize; 2], [usize; 2])> {
    let at = move |axis: usize, o: usize, k: usize, size: usize| {
        (o * window.strides[axis] + k * window.dilations[axis])
            .checked_sub(before[axis])
            .filter(|&i| i < size)
    };
    let [rows, columns] = window.kernel;
    (0..rows)
        .flat_map(move |ky| (0..columns).map(move |kx| [ky, kx]))
        .filter_map(move |[ky, kx]| Some(([ky, kx], [at(0, oy, ky, h)?, at(1, ox, kx, w)?])))
}
