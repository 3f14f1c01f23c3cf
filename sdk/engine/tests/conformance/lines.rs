//! Adversarial vectors for what goes over lines or whole tensors: sums, means, softmax, normalizations; and for casts.

use tilemark_model::graph::{DynamicPart, FloatOp, GeneralOp, ReduceOp};
use tilemark_model::{DType, Op};

use super::build::{Builder, Built, Case, Fill};
use super::cases::EDGES;

/// Any axes of any ranks, in f32 and of bytes.
pub(crate) fn reduce() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in EDGES.into_iter().chain([63, 64, 65, 130]) {
        for (shape, axes) in [
            (vec![2, n, 3, 5], vec![2, 3]),
            (vec![2, 3, n, 2], vec![-2]),
            (vec![2, n, 3, 2], vec![1]),
            (vec![3, n, 4], vec![0]),
            (vec![n, 3, 5], vec![1]),
            (vec![2, 3, n], vec![]),
            (vec![2, 2, 3, 2, n], vec![0, 3]),
            (vec![2, 9, n], vec![1, 2]),
        ] {
            for (i, keep_dims) in [true, false].into_iter().enumerate() {
                let name = format!("{axes:?} of {shape:?}, keeps axes: {keep_dims}");
                let mut builder = Builder::new((n + i) as u64);
                let left = left(&shape, &axes, keep_dims);
                let mut outputs = Vec::new();
                for op in [ReduceOp::Mean, ReduceOp::Sum] {
                    let fill = if n % 2 == 0 { Fill::Any } else { Fill::Highest };
                    let x = builder.input(&shape, DType::F32, fill);
                    let op = Op::Float(FloatOp::Reduce { op, axes: axes.clone(), keep_dims });
                    outputs.push(builder.node("sum", op, vec![x.id], &Built { shape: left.clone(), ..x }));
                }
                for dtype in [DType::U8, DType::I8] {
                    let x = builder.input(&shape, dtype, if i == 0 { Fill::Any } else { Fill::Highest });
                    let quant = Some(builder.quant(dtype));
                    let y = Built { shape: left.clone(), quant, ..x };
                    outputs.push(builder.node(
                        "mean",
                        Op::ReduceMean { axes: axes.clone(), keep_dims },
                        vec![x.id],
                        &y,
                    ));
                }
                cases.push(builder.finish(name, &outputs.iter().collect::<Vec<_>>()));
            }
        }
        cases.push(global(n));
    }
    cases
}

/// What is left of a shape.
fn left(shape: &[usize], axes: &[i64], keep_dims: bool) -> Vec<usize> {
    let rank = shape.len() as i64;
    let is_named =
        |axis: usize| axes.is_empty() || axes.iter().any(|&name| name.rem_euclid(rank) == axis as i64);
    let size = |(axis, &n): (usize, &usize)| match is_named(axis) {
        true => keep_dims.then_some(1),
        false => Some(n),
    };
    shape.iter().enumerate().filter_map(size).collect()
}

/// Means of planes of one to three axes.
fn global(n: usize) -> Case {
    let mut builder = Builder::new(n as u64);
    let mut outputs = Vec::new();
    for shape in [vec![2, n, 3, 3], vec![2, 3, n], vec![1, n, 2, 3, 2]] {
        let x = builder.input(&shape, DType::F32, Fill::Any);
        let ones = shape.iter().enumerate().map(|(i, &n)| if i < 2 { n } else { 1 }).collect();
        let y = Built { shape: ones, ..x.clone() };
        outputs.push(builder.node("gap", Op::Float(FloatOp::GlobalAveragePool), vec![x.id], &y));
        let bytes = builder.input(&shape, DType::I8, Fill::Any);
        outputs.push(builder.global_pool(&bytes));
    }
    builder.finish(format!("planes, {n}"), &outputs.iter().collect::<Vec<_>>())
}

/// Along any axis, along several, and logarithms.
pub(crate) fn softmax() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in EDGES.into_iter().chain([65, 300]) {
        for (shape, axis) in [
            (vec![3, n, 2], 1),
            (vec![n, 3], 0),
            (vec![2, 3, n, 4], 2),
            (vec![2, n, 3, 2], 0),
            (vec![2, 3, 4, n], -1),
            (vec![2, 2, 3, 2, n], 1),
        ] {
            for (i, to_end) in [false, true].into_iter().enumerate() {
                let mut builder = Builder::new((n + i) as u64);
                let x = builder.input(&shape, DType::F32, if n % 3 == 0 { Fill::Highest } else { Fill::Any });
                let p = builder.node("p", Op::Float(FloatOp::Softmax { axis, to_end }), vec![x.id], &x);
                let l = builder.node("l", Op::Float(FloatOp::LogSoftmax { axis, to_end }), vec![x.id], &x);
                cases.push(
                    builder.finish(format!("axis {axis} of {shape:?}, to the end: {to_end}"), &[&p, &l]),
                );
            }
        }
    }
    cases
}

pub(crate) fn normalize() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in EDGES.into_iter().chain([65, 300]) {
        for (shape, axis, of_scale) in [
            (vec![3, n], -1, vec![n]),
            (vec![2, 3, n], 2, vec![1, 1, n]),
            (vec![2, 3, n], 1, vec![3, n]),
            (vec![2, n, 3, 4], 1, vec![n, 1, 4]),
            (vec![2, 3, 2, n], -1, vec![1]),
            (vec![2, n], 1, vec![2, n]), // differs from line to line
        ] {
            let mut builder = Builder::new(n as u64);
            let x = builder.input(&shape, DType::F32, if n % 5 == 0 { Fill::Highest } else { Fill::Any });
            let [scale, bias] = [(); 2].map(|()| {
                let tensor = builder.tensor(&of_scale, DType::F32, Fill::Any);
                builder.constant(tensor)
            });
            let op = || Op::Float(FloatOp::LayerNorm { axis, epsilon: 1e-5 });
            let both = builder.node("norm", op(), vec![x.id, scale, bias], &x);
            let scaled = builder.node("norm", op(), vec![x.id, scale], &x);
            cases.push(
                builder.finish(format!("axis {axis} of {shape:?}, scale {of_scale:?}"), &[&both, &scaled]),
            );
        }
        for shape in [vec![2, 3, n], vec![2, n, 3, 4], vec![1, n, 2, 2, 3]] {
            let mut builder = Builder::new(n as u64);
            let x = builder.input(&shape, DType::F32, Fill::Any);
            let [scale, bias] = [(); 2].map(|()| {
                let tensor = builder.tensor(&[shape[1]], DType::F32, Fill::Any);
                builder.constant(tensor)
            });
            let op = Op::Float(FloatOp::InstanceNorm { epsilon: 1e-3 });
            let y = builder.node("norm", op, vec![x.id, scale, bias], &x);
            cases.push(builder.finish(format!("instances of {shape:?}"), &[&y]));
        }
    }
    cases
}

pub(crate) fn cast() -> Vec<Case> {
    use DType::{Bool, F32, I8, I32, I64, U8};
    let mut cases = Vec::new();
    for (x, y) in [
        (U8, F32),
        (I8, F32),
        (I32, F32),
        (I64, F32),
        (F32, F32),
        (F32, U8),
        (F32, I8),
        (F32, I32),
        (F32, I64),
        (I32, I64),
        (I64, I32),
        (F32, Bool), // runs as the reference does
    ] {
        for fill in [Fill::Any, Fill::Highest] {
            let mut builder = Builder::new(5);
            let outputs: Vec<Built> = [&[2, 3, 5, 7][..], &[33], &[4, 65]]
                .iter()
                .map(|shape| {
                    let x = builder.input(shape, x, fill);
                    builder.set_quant(x.id, None);
                    let y = Built { dtype: y, quant: None, ..x };
                    builder.node("cast", Op::General(GeneralOp::Cast { saturate: true }), vec![x.id], &y)
                })
                .collect();
            cases.push(builder.finish(format!("{x} to {y}, {fill:?}"), &outputs.iter().collect::<Vec<_>>()));
        }
    }
    cases
}

pub(crate) fn dynamic_quantize() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in EDGES {
        for shape in [vec![n], vec![3, n], vec![2, n, 3, 2], vec![2, 3, 5, n]] {
            for fill in [Fill::Any, Fill::Highest, Fill::Lowest] {
                let mut builder = Builder::new(n as u64);
                let x = builder.input(&shape, DType::F32, fill);
                let part = |builder: &mut Builder, part, shape: Vec<usize>, dtype| {
                    let y = Built { shape, dtype, ..x.clone() };
                    builder.node("dq", Op::General(GeneralOp::DynamicQuantize(part)), vec![x.id], &y)
                };
                let q = part(&mut builder, DynamicPart::Integers, shape.clone(), DType::U8);
                let scale = part(&mut builder, DynamicPart::Scale, vec![], DType::F32);
                let zero = part(&mut builder, DynamicPart::ZeroPoint, vec![], DType::U8);
                cases.push(builder.finish(format!("{shape:?} {fill:?}"), &[&q, &scale, &zero]));
            }
        }
    }
    cases
}
