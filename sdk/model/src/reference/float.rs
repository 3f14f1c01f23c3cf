//! f32 operations in their one fixed order. Nothing is contracted; sums follow [`numerics::sum`] or the order written.

use super::general::reals;
use super::integer::padded_count;
use super::{broadcast_strides, reduced_groups, taps, walk};
use crate::error::Error;
use crate::graph::{BinaryOp, Conv, MatMul, Pool, ReduceOp, UnaryOp};
use crate::numerics;
use crate::shape::{normalize_axis, output_extent};
use crate::tensor::Tensor;

/// Products are added to the bias one by one, channel by channel, row by row, column by column.
pub(super) fn conv(conv: &Conv, operands: &[&Tensor], shape: &[usize]) -> Result<Vec<f32>, Error> {
    let (x, w) = (operands[0], operands[1]);
    let bias = operands.get(2).map(|b| b.as_f32()).transpose()?;
    let &[channels, height, width] = &x.shape()[1..] else { return Err(bad_rank(x)) };
    let &[outputs, group_channels, kernel_h, kernel_w] = w.shape() else { return Err(bad_rank(w)) };
    let group_outputs = outputs / conv.groups;
    let before = output_extent(&conv.window, [height, width], false).ok_or_else(|| bad_rank(x))?.before;
    let (xs, ws) = (x.as_f32()?, w.as_f32()?);
    let mut y = Vec::with_capacity(shape.iter().product());
    for n in 0..shape[0] {
        for o in 0..outputs {
            let first_channel = o / group_outputs * group_channels;
            for oy in 0..shape[2] {
                for ox in 0..shape[3] {
                    let mut acc = bias.map_or(0.0, |b| b[o]);
                    for c in 0..group_channels {
                        let plane = (n * channels + first_channel + c) * height * width;
                        let kernel = (o * group_channels + c) * kernel_h * kernel_w;
                        for ([ky, kx], [iy, ix]) in taps(&conv.window, before, [oy, ox], [height, width]) {
                            acc += xs[plane + iy * width + ix] * ws[kernel + ky * kernel_w + kx];
                        }
                    }
                    y.push(acc);
                }
            }
        }
    }
    Ok(y)
}

/// `alpha * a @ b + beta * c`: the products of one output are added from k = 0 upwards.
pub(super) fn matmul(m: &MatMul, operands: &[&Tensor], shape: &[usize]) -> Result<Vec<f32>, Error> {
    let (a, b) = (operands[0], operands[1]);
    let (xs, ys) = (a.as_f32()?, b.as_f32()?);
    // Rank-1 operands become a row or a column; the result's shape has dropped that axis, its elements are the same.
    let wide_a = if a.shape().len() == 1 { vec![1, a.shape()[0]] } else { a.shape().to_vec() };
    let wide_b = if b.shape().len() == 1 { vec![b.shape()[0], 1] } else { b.shape().to_vec() };
    let (Some((batch_a, &[a0, a1])), Some((batch_b, &[b0, b1]))) =
        (wide_a.split_last_chunk::<2>(), wide_b.split_last_chunk::<2>())
    else {
        return Err(bad_rank(a));
    };
    let (rows, inner, a_row, a_step) = if m.trans_a { (a1, a0, 1, a1) } else { (a0, a1, a1, 1) };
    let (columns, b_step, b_column) = if m.trans_b { (b0, 1, b1) } else { (b1, b1, 1) };
    let batch = crate::shape::broadcast(batch_a, batch_b).ok_or_else(|| bad_rank(a))?;
    let (sa, sb) = (broadcast_strides(batch_a, &batch), broadcast_strides(batch_b, &batch));
    let mut y = Vec::with_capacity(shape.iter().product());
    walk(&batch, [&sa, &sb], |[i, j]| {
        let (xs, ys) = (&xs[i * a0 * a1..], &ys[j * b0 * b1..]);
        for row in 0..rows {
            for column in 0..columns {
                let mut acc = 0.0;
                for k in 0..inner {
                    acc += xs[row * a_row + k * a_step] * ys[k * b_step + column * b_column];
                }
                y.push(m.alpha * acc);
            }
        }
    });
    if let Some(c) = operands.get(2) {
        let reals = c.as_f32()?;
        let mut out = y.iter_mut();
        walk(shape, [&broadcast_strides(c.shape(), shape)], |[i]| {
            if let Some(y) = out.next() {
                *y += m.beta * reals[i];
            }
        });
    }
    Ok(y)
}

/// Element-wise with broadcasting.
pub(super) fn binary(op: BinaryOp, operands: &[&Tensor], shape: &[usize]) -> Result<Vec<f32>, Error> {
    let (a, b) = (operands[0], operands[1]);
    let (xs, ys) = (a.as_f32()?, b.as_f32()?);
    let mut out = Vec::with_capacity(shape.iter().product());
    walk(shape, [&broadcast_strides(a.shape(), shape), &broadcast_strides(b.shape(), shape)], |[i, j]| {
        out.push(of_two(op, xs[i], ys[j]));
    });
    Ok(out)
}

/// One function of two floats.
#[inline]
pub fn of_two(op: BinaryOp, a: f32, b: f32) -> f32 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        // One rounding, of an exact minimum, product or remainder, or of a power evaluated in f64.
        op => reals(op, a.into(), b.into()) as f32,
    }
}

/// One function of one float. NaN stays NaN in all but Relu and Clip, whose comparisons it fails.
pub fn of_one(op: UnaryOp, x: f32) -> f32 {
    let once = |f: fn(f64) -> f64| f(f64::from(x)) as f32;
    match op {
        // Comparisons and not `max` and `min`, which may return either of two zeros.
        UnaryOp::Relu => larger(x, 0.0),
        UnaryOp::Clip { lo, hi } => {
            let x = larger(x, lo);
            if x < hi { x } else { hi }
        }
        UnaryOp::LeakyRelu { alpha } => {
            if x < 0.0 {
                alpha * x
            } else {
                x
            }
        }
        UnaryOp::Sigmoid => once(|x| 1.0 / (1.0 + libm::exp(-x))),
        UnaryOp::Tanh => once(libm::tanh),
        UnaryOp::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
        UnaryOp::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        UnaryOp::Neg => -x,
        UnaryOp::Abs => x.abs(),
        UnaryOp::Reciprocal => 1.0 / x,
        UnaryOp::Sqrt => x.sqrt(),
        UnaryOp::Exp => once(libm::exp),
        UnaryOp::Log => once(libm::log),
        UnaryOp::Erf => once(libm::erf),
        UnaryOp::Sin => once(libm::sin),
        UnaryOp::Cos => once(libm::cos),
        UnaryOp::Floor => x.floor(),
        UnaryOp::Ceil => x.ceil(),
        UnaryOp::Round => x.round_ties_even(),
        UnaryOp::Sign => {
            if x == 0.0 || x.is_nan() {
                x
            } else {
                x.signum()
            }
        }
        UnaryOp::Softplus => once(softplus),
        UnaryOp::Softsign => once(|x| x / (1.0 + x.abs())),
        UnaryOp::Gelu => once(|x| 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))),
        UnaryOp::GeluTanh => once(|x| {
            0.5 * x * (1.0 + libm::tanh((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x)))
        }),
        UnaryOp::Mish => once(|x| x * libm::tanh(softplus(x))),
        UnaryOp::ThresholdedRelu { alpha } => {
            if x > alpha {
                x
            } else {
                0.0
            }
        }
        UnaryOp::Elu { .. } | UnaryOp::Selu { .. } | UnaryOp::Celu { .. } => exponential(op, x),
    }
}

fn larger(x: f32, bound: f32) -> f32 {
    if x > bound { x } else { bound }
}

/// `ln(1 + e^x)`, without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// Functions that are exponentials below zero, evaluated in f64 and rounded once.
fn exponential(op: UnaryOp, x: f32) -> f32 {
    let wide = f64::from(x);
    let below = |alpha: f32| f64::from(alpha) * libm::expm1(wide);
    let y = match op {
        UnaryOp::Elu { .. } | UnaryOp::Celu { .. } if x >= 0.0 => return x,
        UnaryOp::Elu { alpha } => below(alpha),
        UnaryOp::Celu { alpha } => f64::from(alpha) * libm::expm1(wide / f64::from(alpha)),
        UnaryOp::Selu { gamma, .. } if x > 0.0 => f64::from(gamma) * wide,
        UnaryOp::Selu { alpha, gamma } => f64::from(gamma) * below(alpha),
        _ => wide,
    };
    y as f32
}

/// Largest element of each channel's plane.
pub(super) fn global_max_pool(x: &Tensor) -> Result<Vec<f32>, Error> {
    let n: usize = x.shape()[2..].iter().product();
    let largest = |plane: &[f32]| plane.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    Ok(x.as_f32()?.chunks_exact(n).map(largest).collect())
}

/// Sum of the window's taps in order, divided by their number.
pub(super) fn average_pool(pool: &Pool, x: &Tensor, shape: &[usize]) -> Result<Vec<f32>, Error> {
    let image = [x.shape()[2], x.shape()[3]];
    let before = output_extent(&pool.window, image, pool.ceil_mode).ok_or_else(|| bad_rank(x))?.before;
    let mut y = Vec::with_capacity(shape.iter().product());
    for plane in x.as_f32()?.chunks_exact(image[0] * image[1]) {
        for oy in 0..shape[2] {
            for ox in 0..shape[3] {
                let (mut n, mut total) = (0, 0.0);
                for (_, [iy, ix]) in taps(&pool.window, before, [oy, ox], image) {
                    n += 1;
                    total += plane[iy * image[1] + ix];
                }
                let n = if pool.count_include_pad { padded_count(pool, image, [oy, ox]) } else { n };
                // Dilated taps can all miss the image: nothing over one is zero.
                y.push(total / n.max(1) as f32);
            }
        }
    }
    Ok(y)
}

/// Mean of each channel's plane.
pub(super) fn global_average_pool(x: &Tensor) -> Result<Vec<f32>, Error> {
    let n: usize = x.shape()[2..].iter().product();
    Ok(x.as_f32()?.chunks_exact(n).map(|plane| numerics::sum(plane.iter().copied()) / n as f32).collect())
}

/// Reduces the named axes; the elements of one result are taken in row-major order.
pub(super) fn reduce(op: ReduceOp, axes: &[i64], x: &Tensor) -> Result<Vec<f32>, Error> {
    let reals = x.as_f32()?;
    let mut y = Vec::new();
    reduced_groups(x.shape(), axes, |group| {
        let values = group.iter().map(|&i| reals[i]);
        y.push(match op {
            ReduceOp::Sum => numerics::sum(values),
            ReduceOp::Mean => numerics::sum(values) / group.len() as f32,
            ReduceOp::Max => values.fold(f32::NEG_INFINITY, f32::max),
            ReduceOp::Min => values.fold(f32::INFINITY, f32::min),
            ReduceOp::Prod => values.fold(1.0, |product, x| product * x),
            ReduceOp::L1 => numerics::sum(values.map(f32::abs)),
            ReduceOp::L2 => numerics::sum(values.map(|x| x * x)).sqrt(),
            ReduceOp::SumSquare => numerics::sum(values.map(|x| x * x)),
            ReduceOp::LogSum => of_one(UnaryOp::Log, numerics::sum(values)),
            ReduceOp::LogSumExp => {
                let max = values.clone().fold(f32::NEG_INFINITY, f32::max);
                if max.is_infinite() {
                    max
                } else {
                    max + of_one(UnaryOp::Log, numerics::sum(values.map(|x| numerics::exp(x - max))))
                }
            }
        });
    });
    Ok(y)
}

/// A function of every line along `axis`; with `to_end` a line runs through all axes after it.
pub(super) fn along_lines(
    axis: i64,
    to_end: bool,
    x: &Tensor,
    function: fn(&mut [f32]),
) -> Result<Vec<f32>, Error> {
    let axis = normalize_axis(axis, x.shape().len()).ok_or_else(|| bad_rank(x))?;
    let after: usize = x.shape()[axis + 1..].iter().product();
    let (n, inner) = if to_end { (x.shape()[axis] * after, 1) } else { (x.shape()[axis], after) };
    let mut y = x.as_f32()?.to_vec();
    let mut line = vec![0.0; n];
    for start in (0..y.len()).step_by((n * inner).max(1)) {
        for offset in start..start + inner {
            for (i, slot) in line.iter_mut().enumerate() {
                *slot = y[offset + i * inner];
            }
            function(&mut line);
            for (i, value) in line.iter().enumerate() {
                y[offset + i * inner] = *value;
            }
        }
    }
    Ok(y)
}

fn bad_rank(x: &Tensor) -> Error {
    Error::invalid_graph("tensor", format!("has shape {:?}, which inference would have refused", x.shape()))
}
