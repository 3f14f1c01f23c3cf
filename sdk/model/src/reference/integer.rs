//! 8-bit operations, by the formulas of [`crate::numerics`].

use super::{broadcast_strides, matmul_lines, reduced_groups, taps, walk};
use crate::error::Error;
use crate::graph::{Bounds, Conv, Graph, Node, Op, Pool, eight_bit};
use crate::numerics::{self, AddCoefficients};
use crate::shape::{normalize_axis, output_extent};
use crate::tensor::{DType, Data, Quant, Tensor};

/// `acc = bias + sum((x - zero) * w)` over the taps inside the image (padding is exactly zero), then requantize.
pub(super) fn conv(
    graph: &Graph,
    node: &Node,
    conv: &Conv,
    bounds: Bounds,
    operands: &[&Tensor],
    shape: &[usize],
) -> Result<Tensor, Error> {
    let [x, w, bias, multipliers] = weighted(operands)?;
    let (x_zero, y_zero) = (graph.quant(node.inputs[0])?.zero_point, graph.quant(node.output)?.zero_point);
    let (x, w, bias, multipliers) = (ints(x)?, ints(w)?, bias.widened()?, multipliers.as_f32()?);
    let &[channels, height, width] = &x.shape[1..] else { return Err(bad_rank(node)) };
    let &[outputs, group_channels, kernel_h, kernel_w] = w.shape else { return Err(bad_rank(node)) };
    // The order of a sum is free, since it wraps: channels that are neighbours are several times as fast.
    let (x, w) = (channels_last(&x), channels_last(&w));
    let group_outputs = outputs / conv.groups;
    let before = padding_before(node, &conv.window, [height, width])?;
    let mut y = Vec::with_capacity(shape.iter().product());
    for n in 0..shape[0] {
        for o in 0..outputs {
            let first_channel = o / group_outputs * group_channels;
            for oy in 0..shape[2] {
                for ox in 0..shape[3] {
                    let mut acc = bias[o];
                    for ([ky, kx], [iy, ix]) in taps(&conv.window, before, [oy, ox], [height, width]) {
                        let pixel = ((n * height + iy) * width + ix) * channels + first_channel;
                        let tap = ((o * kernel_h + ky) * kernel_w + kx) * group_channels;
                        let pairs = x[pixel..][..group_channels].iter().zip(&w[tap..][..group_channels]);
                        acc = pairs.map(|(x, w)| (x - x_zero) * w).fold(acc, i32::wrapping_add);
                    }
                    y.push(numerics::requantize(acc, multipliers[o], y_zero, bounds.lo, bounds.hi));
                }
            }
        }
    }
    finish(graph, node, shape, y)
}

/// The same for a matrix product: one dot product per output.
pub(super) fn fully_connected(
    graph: &Graph,
    node: &Node,
    bounds: Bounds,
    operands: &[&Tensor],
    shape: &[usize],
) -> Result<Tensor, Error> {
    let [x, w, bias, multipliers] = weighted(operands)?;
    let (x_zero, y_zero) = (graph.quant(node.inputs[0])?.zero_point, graph.quant(node.output)?.zero_point);
    let (x, w, bias, multipliers) = (x.widened()?, ints(w)?, bias.widened()?, multipliers.as_f32()?);
    let k = w.shape[1];
    let mut y = Vec::with_capacity(shape.iter().product());
    for row in x.chunks_exact(k.max(1)) {
        for (o, weights) in w.data.chunks_exact(k.max(1)).enumerate() {
            let products = row.iter().zip(weights).map(|(x, w)| (x - x_zero) * w);
            let acc = products.fold(bias[o], i32::wrapping_add);
            y.push(numerics::requantize(acc, multipliers[o], y_zero, bounds.lo, bounds.hi));
        }
    }
    finish(graph, node, shape, y)
}

/// The same for a matrix product of two activations, both with their zero points taken off.
pub(super) fn matmul(
    graph: &Graph,
    node: &Node,
    bounds: Bounds,
    operands: &[&Tensor],
    shape: &[usize],
) -> Result<Tensor, Error> {
    let [qa, qb] = [graph.quant(node.inputs[0])?, graph.quant(node.inputs[1])?];
    let qy = graph.quant(node.output)?;
    let multiplier = numerics::multiplier(qa.scale, qb.scale, qy.scale);
    let (a, b) = (ints(operands[0])?, ints(operands[1])?);
    let mut y = Vec::with_capacity(shape.iter().product());
    matmul_lines(a.shape, b.shape, |row, column| {
        let products =
            row.zip(column).map(|(i, j)| (a.data[i] - qa.zero_point) * (b.data[j] - qb.zero_point));
        let acc = products.fold(0, i32::wrapping_add);
        y.push(numerics::requantize(acc, multiplier, qy.zero_point, bounds.lo, bounds.hi));
    })
    .ok_or_else(|| bad_rank(node))?;
    finish(graph, node, shape, y)
}

/// Quantized addition and multiplication.
pub(super) fn binary(
    graph: &Graph,
    node: &Node,
    bounds: Bounds,
    operands: &[&Tensor],
    shape: &[usize],
) -> Result<Tensor, Error> {
    let [qa, qb] = [graph.quant(node.inputs[0])?, graph.quant(node.inputs[1])?];
    let qy = graph.quant(node.output)?;
    let Bounds { lo, hi } = bounds;
    let add = AddCoefficients::new(qa, qb, qy);
    let (a, b) = (ints(operands[0])?, ints(operands[1])?);
    let mut y = Vec::with_capacity(shape.iter().product());
    let strides = [broadcast_strides(a.shape, shape), broadcast_strides(b.shape, shape)];
    walk(shape, [&strides[0], &strides[1]], |[i, j]| {
        y.push(match node.op {
            Op::Mul(_) => numerics::multiply(a.data[i], b.data[j], qa, qb, qy, lo, hi),
            _ => add.add(a.data[i], b.data[j], lo, hi),
        });
    });
    finish(graph, node, shape, y)
}

/// `sum(x - zero)` over the window, then requantized with the mean's multiplier.
pub(super) fn average_pool(
    graph: &Graph,
    node: &Node,
    pool: &Pool,
    x: &Tensor,
    shape: &[usize],
) -> Result<Tensor, Error> {
    let (qx, qy) = (graph.quant(node.inputs[0])?, graph.quant(node.output)?);
    let (lo, hi) = output_range(graph, node);
    let x = ints(x)?;
    let image = [x.shape[2], x.shape[3]];
    let mut y = Vec::with_capacity(shape.iter().product());
    for plane in x.data.chunks_exact(image[0] * image[1]) {
        for oy in 0..shape[2] {
            for ox in 0..shape[3] {
                let before = padding_before(node, &pool.window, image)?;
                let inside = taps(&pool.window, before, [oy, ox], image);
                let (n, acc) = inside.fold((0, 0i32), |(n, acc), (_, [iy, ix])| {
                    (n + 1, acc.wrapping_add(plane[iy * image[1] + ix] - qx.zero_point))
                });
                let n = if pool.count_include_pad { padded_count(pool, image, [oy, ox]) } else { n };
                let multiplier = numerics::mean_multiplier(qx.scale, qy.scale, n.max(1)); // dilated taps can all miss the image
                y.push(numerics::requantize(acc, multiplier, qy.zero_point, lo, hi));
            }
        }
    }
    finish(graph, node, shape, y)
}

/// The mean of each channel's plane.
pub(super) fn global_average_pool(
    graph: &Graph,
    node: &Node,
    x: &Tensor,
    shape: &[usize],
) -> Result<Tensor, Error> {
    let (qx, qy) = (graph.quant(node.inputs[0])?, graph.quant(node.output)?);
    let (lo, hi) = output_range(graph, node);
    let x = ints(x)?;
    let n = x.shape[2..].iter().product();
    let multiplier = numerics::mean_multiplier(qx.scale, qy.scale, n);
    let plane_sum = |plane: &[i32]| plane.iter().map(|q| q - qx.zero_point).fold(0, i32::wrapping_add);
    let means = x
        .data
        .chunks_exact(n)
        .map(|plane| numerics::requantize(plane_sum(plane), multiplier, qy.zero_point, lo, hi));
    finish(graph, node, shape, means.collect())
}

/// The mean over axes.
pub(super) fn reduce_mean(
    graph: &Graph,
    node: &Node,
    axes: &[i64],
    x: &Tensor,
    shape: &[usize],
) -> Result<Tensor, Error> {
    let (qx, qy) = (graph.quant(node.inputs[0])?, graph.quant(node.output)?);
    let (lo, hi) = output_range(graph, node);
    let x = ints(x)?;
    let mut means = Vec::with_capacity(shape.iter().product());
    reduced_groups(x.shape, axes, |group| {
        let acc = group.iter().map(|&i| x.data[i] - qx.zero_point).fold(0, i32::wrapping_add);
        let multiplier = numerics::mean_multiplier(qx.scale, qy.scale, group.len());
        means.push(numerics::requantize(acc, multiplier, qy.zero_point, lo, hi));
    });
    finish(graph, node, shape, means)
}

/// One look-up per element; the table is indexed by the byte that holds x.
pub(super) fn table(graph: &Graph, node: &Node, operands: &[&Tensor]) -> Result<Tensor, Error> {
    let table = ints(operands[1])?;
    let bytes = operands[0].to_bytes();
    let y = bytes.iter().map(|&byte| table.data[usize::from(byte)]).collect();
    finish(graph, node, operands[0].shape(), y)
}

/// f32 to integers.
pub(super) fn quantize(
    graph: &Graph,
    node: &Node,
    axis: Option<i64>,
    operands: &[&Tensor],
) -> Result<Tensor, Error> {
    let x = operands[0];
    let dtype = graph.value(node.output).dtype;
    let quant_at = quants(graph, node.output, axis, operands)?;
    let y = x.as_f32()?.iter().enumerate().map(|(i, &real)| numerics::quantize(real, quant_at(i), dtype));
    finish(graph, node, x.shape(), y.collect())
}

/// Integers to f32.
pub(super) fn dequantize(
    graph: &Graph,
    node: &Node,
    axis: Option<i64>,
    operands: &[&Tensor],
) -> Result<Tensor, Error> {
    let x = operands[0];
    let quant_at = quants(graph, node.inputs[0], axis, operands)?;
    let y = x.widened()?.into_iter().enumerate().map(|(i, q)| numerics::dequantize(q, quant_at(i)));
    Tensor::f32(x.shape(), y.collect())
}

/// The quantization of each element: one for all, or one per index of an axis.
fn quants(
    graph: &Graph,
    ints_side: crate::ValueId,
    axis: Option<i64>,
    operands: &[&Tensor],
) -> Result<impl Fn(usize) -> Quant, Error> {
    let (per_axis, inner) = match axis {
        None => (vec![graph.quant(ints_side)?], 1),
        Some(axis) => {
            let zeros = operands[2].widened()?;
            let scales = operands[1].as_f32()?.iter().zip(zeros);
            let quants: Vec<Quant> = scales.map(|(&scale, zero_point)| Quant { scale, zero_point }).collect();
            let shape = operands[0].shape();
            // A single scale holds for a tensor of any rank.
            let inner = match normalize_axis(axis, shape.len()) {
                Some(axis) => shape[axis + 1..].iter().product::<usize>(),
                None => 1,
            };
            (quants, inner.max(1))
        }
    };
    Ok(move |i: usize| per_axis[i / inner % per_axis.len()])
}

/// Elements of a window with padding counted, but not what a ceil-mode window covers beyond it.
pub(super) fn padded_count(pool: &Pool, image: [usize; 2], output: [usize; 2]) -> usize {
    let Some(extent) = output_extent(&pool.window, image, pool.ceil_mode) else { return 1 };
    let along = |axis: usize| {
        let end = image[axis] + extent.before[axis] + extent.after[axis];
        let start = output[axis] * pool.window.strides[axis];
        (0..pool.window.kernel[axis]).filter(|k| start + k * pool.window.dilations[axis] < end).count()
    };
    along(0) * along(1)
}

/// Rows above and columns left of the image.
pub(super) fn padding_before(
    node: &Node,
    window: &crate::graph::Window,
    image: [usize; 2],
) -> Result<[usize; 2], Error> {
    // Ceil mode changes the number of outputs, never the padding before.
    let extent = output_extent(window, image, true).ok_or_else(|| bad_rank(node))?;
    Ok(extent.before)
}

/// An integer tensor, widened once.
struct Ints<'a> {
    shape: &'a [usize],
    data: Vec<i32>,
}

fn ints(tensor: &Tensor) -> Result<Ints<'_>, Error> {
    Ok(Ints { shape: tensor.shape(), data: tensor.widened()? })
}

/// `[outer, channels, rows, columns]` as `[outer, rows, columns, channels]`.
fn channels_last(tensor: &Ints) -> Vec<i32> {
    let (channels, pixels) = (tensor.shape[1], tensor.shape[2] * tensor.shape[3]);
    let mut last = Vec::with_capacity(tensor.data.len());
    for plane in tensor.data.chunks_exact((channels * pixels).max(1)) {
        last.extend((0..pixels).flat_map(|at| (0..channels).map(move |c| plane[c * pixels + at])));
    }
    last
}

fn weighted<'a>(operands: &[&'a Tensor]) -> Result<[&'a Tensor; 4], Error> {
    operands.try_into().map_err(|_| Error::invalid_graph("weights", "an operand is missing"))
}

fn output_range(graph: &Graph, node: &Node) -> (i32, i32) {
    graph.value(node.output).dtype.range().unwrap_or((i32::MIN, i32::MAX))
}

fn bad_rank(node: &Node) -> Error {
    Error::invalid_graph(&node.name, "an operand has a shape that inference would have refused")
}

/// Stores clamped integers in the output's type.
fn finish(graph: &Graph, node: &Node, shape: &[usize], y: Vec<i32>) -> Result<Tensor, Error> {
    let data = match graph.value(node.output).dtype {
        DType::I32 => Data::I32(y),
        dtype => eight_bit(dtype, y.into_iter()),
    };
    Tensor::new(shape, data)
}
