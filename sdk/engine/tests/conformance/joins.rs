//! Operands of a Concat that lie inside its result: every kernel that writes or reads pixels that lie apart.

use std::sync::Arc;

use tilemark_engine::{Compiled, CpuLevel, Device};
use tilemark_model::graph::{
    BinaryOp, Bounds, Coordinates, FloatOp, Interpolation, MoveOp, Nearest, Pool, UnaryOp,
};
use tilemark_model::{DType, Op, Quant, reference};

use super::build::{Builder, Built, Case, ConvSpec, Fill, window};
use super::moving::resize;

const QUANT: Quant = Quant { scale: 0.1, zero_point: 5 };

/// A case, and how many of its Concats must be in place.
type Expected = (Case, usize);

pub(crate) fn cases() -> Vec<Case> {
    all().into_iter().map(|(case, _)| case).collect()
}

fn all() -> Vec<Expected> {
    let mut cases = Vec::new();
    for (seed, channels) in (0..).zip([[1, 1], [1, 17], [3, 5], [16, 33], [4, 64], [24, 41], [65, 2]]) {
        for dtype in [DType::U8, DType::I8] {
            cases.push(every_writer(seed, channels, dtype));
            cases.push(every_reader(seed, channels, dtype));
        }
        cases.push(floats(seed, channels));
        cases.push(rows(seed, channels));
    }
    cases.extend([large([64, 4], 0), large([63, 65], 1)]);
    cases.extend([
        nested(),
        dense_blocks(),
        of_outputs_and_twice(),
        of_inputs(),
        behind_other_names(),
        vectors(),
    ]);
    cases
}

fn spec(outputs: usize, kernel: usize, groups: usize, dtype: DType) -> ConvSpec {
    let window = window([kernel; 2], [1, 1], [1, 1], [kernel / 2; 4]);
    let (weights, multiplier, zero) = (Fill::Any, 0.004, QUANT.zero_point);
    ConvSpec { outputs, groups, window, weights, multiplier, narrow: 0, dtype, zero }
}

/// A value as the joins here want it.
fn like(shape: &[usize], dtype: DType, x: &Built) -> Built {
    Built { id: x.id, shape: shape.to_vec(), dtype, quant: Some(QUANT) }
}

fn table(builder: &mut Builder, x: &Built, dtype: DType) -> Built {
    let entries = builder.tensor(&[256], dtype, Fill::Any);
    let entries = builder.constant(entries);
    builder.node("table", Op::Table, vec![x.id, entries], &like(&x.shape, dtype, x))
}

fn sum(builder: &mut Builder, a: &Built, b: &Built, dtype: DType) -> Built {
    let (lo, hi) = dtype.range().unwrap();
    builder.node("sum", Op::Add(Bounds { lo, hi }), vec![a.id, b.id], &like(&a.shape, dtype, a))
}

fn max_pool(builder: &mut Builder, x: &Built) -> Built {
    let window = window([3, 3], [1, 1], [1, 1], [1; 4]);
    builder.pool(x, true, Pool { window, ceil_mode: false, count_include_pad: false })
}

/// Pixels twice as dense.
fn enlarged(builder: &mut Builder, x: &Built) -> Built {
    let [n, c, h, w] = x.shape[..] else { unreachable!("an image") };
    let resize =
        resize(Coordinates::Asymmetric, Interpolation::Nearest(Nearest::Floor), &[n, c, 2 * h, 2 * w]);
    let op = Op::Move(MoveOp::Resize(resize));
    builder.node("resize", op, vec![x.id], &like(&[n, c, 2 * h, 2 * w], x.dtype, x))
}

/// Operands by every kind of kernel, joined for a convolution that wants a halo.
fn every_writer(seed: u64, [few, many]: [usize; 2], dtype: DType) -> Expected {
    let mut builder = Builder::new(seed);
    let x = builder.input(&[2, many, 6, 10], DType::U8, Fill::Any);
    let small = builder.input(&[2, few, 3, 5], dtype, Fill::Any);
    builder.set_quant(small.id, Some(QUANT));
    let point = builder.conv(&x, &spec(few, 1, 1, dtype));
    let square = builder.conv(&x, &spec(many, 3, 1, dtype));
    let depthwise = builder.conv(&x, &spec(many, 3, many, dtype));
    let again = builder.conv(&x, &spec(many, 3, many, dtype));
    let again = table(&mut builder, &again, dtype);
    let residual = builder.conv(&x, &spec(many, 1, 1, dtype));
    let residual = sum(&mut builder, &residual, &x, dtype);
    let pooled = builder.conv(&x, &spec(few, 1, 1, dtype));
    let pooled = max_pool(&mut builder, &pooled);
    let mapped = table(&mut builder, &x, dtype);
    let pair = sum(&mut builder, &x, &mapped, dtype);
    let pair = table(&mut builder, &pair, dtype);
    let moved = enlarged(&mut builder, &small);
    let parts = [&point, &square, &depthwise, &again, &residual, &pooled, &pair, &moved];
    let joined = builder.concat(&parts, 1);
    let y = builder.conv(&joined, &spec(7, 3, 1, dtype));
    (builder.finish(format!("writers of {few} and {many} channels of {dtype}"), &[&joined, &y]), 1)
}

/// An operand that every kind of kernel reads, some of which want a halo.
fn every_reader(seed: u64, [few, many]: [usize; 2], dtype: DType) -> Expected {
    let mut builder = Builder::new(seed);
    let x = builder.input(&[2, 6, 5, 9], DType::U8, Fill::Any);
    let other = builder.conv(&x, &spec(few, 1, 1, dtype));
    let value = builder.conv(&x, &spec(many, 3, 1, dtype));
    let joined = builder.concat(&[&other, &value, &other.clone()][..2], 1);
    let mut outputs = vec![joined.clone()];
    outputs.push(builder.conv(&value, &spec(9, 3, 1, dtype)));
    outputs.push(builder.conv(&value, &spec(33, 1, 1, dtype)));
    // A register that holds several pixels needs them side by side.
    let folds = many <= 16;
    if !folds {
        outputs.push(builder.conv(&value, &spec(many, 5, many, dtype)));
    }
    outputs.push(max_pool(&mut builder, &value));
    let pool = window([2, 3], [2, 1], [1, 1], [0, 1, 0, 1]);
    outputs.push(builder.pool(
        &value,
        false,
        Pool { window: pool, ceil_mode: false, count_include_pad: false },
    ));
    outputs.push(builder.global_pool(&value));
    outputs.push(table(&mut builder, &value, dtype));
    outputs.push(sum(&mut builder, &value, &value, dtype));
    outputs.push(builder.transpose(&value, &[0, 2, 1, 3]));
    outputs.push(builder.dequantize(&value));
    let residual = builder.conv(&x, &spec(many, 1, 1, dtype));
    outputs.push(sum(&mut builder, &residual, &value, dtype));
    let case = builder.finish(
        format!("readers of {many} channels beside {few} of {dtype}"),
        &outputs.iter().collect::<Vec<_>>(),
    );
    (case, 1)
}

/// The same of floats.
fn floats(seed: u64, [few, many]: [usize; 2]) -> Expected {
    let mut builder = Builder::new(seed);
    let [a, b] = [few, many].map(|n| builder.input(&[2, n, 3, 5], DType::F32, Fill::Any));
    let unary = |builder: &mut Builder, x: &Built| {
        builder.node("relu", Op::Float(FloatOp::Unary(UnaryOp::Relu)), vec![x.id], x)
    };
    let (a, b) = (unary(&mut builder, &a), unary(&mut builder, &b));
    let joined = builder.concat(&[&a, &b], 1);
    let product = builder.node("mul", Op::Float(FloatOp::Binary(BinaryOp::Mul)), vec![b.id, b.id], &b);
    let next = unary(&mut builder, &b);
    let y = builder.quantize(&b, DType::U8);
    (builder.finish(format!("{few} and {many} channels of floats"), &[&joined, &product, &next, &y]), 1)
}

/// Operands one after the other: rows of one image, images, and rows of three axes, one of them by another name.
fn rows(seed: u64, [few, many]: [usize; 2]) -> Expected {
    let mut builder = Builder::new(seed);
    let mut outputs = Vec::new();
    for (axis, batch) in [(2, 1), (0, few)] {
        let x = builder.input(&[batch, 6, 3, 5], DType::U8, Fill::Any);
        let a = builder.conv(&x, &spec(many, 1, 1, DType::I8));
        let b = builder.conv(&x, &spec(many, 3, 1, DType::I8));
        let b = table(&mut builder, &b, DType::I8);
        let joined = builder.concat(&[&a, &b], axis);
        outputs.extend([builder.conv(&joined, &spec(5, 1, 1, DType::U8)), b, joined]);
    }
    let parts = [0, 1].map(|_| {
        let x = builder.input(&[1, 7, many], DType::U8, Fill::Any);
        table(&mut builder, &x, DType::U8)
    });
    let other = builder.input(&[1, many, 7], DType::U8, Fill::Any);
    let other = table(&mut builder, &other, DType::U8);
    let turned = builder.reshape(&other, &[1, 7, many, 1]);
    let turned = builder.reshape(&turned, &[1, 7, many]);
    let joined = builder.concat(&[&parts[0], &turned, &parts[1]], 1);
    outputs.push(builder.fully_connected(&joined, 9, Fill::Any, 0.01));
    outputs.push(builder.fully_connected(&other, 3, Fill::Any, 0.01));
    // One that reads an operand would read the buffer that it writes.
    let after = table(&mut builder, &parts[0], DType::U8);
    outputs.push(builder.concat(&[&parts[0], &after], 1));
    (
        builder
            .finish(format!("rows of {few} images and {many} channels"), &outputs.iter().collect::<Vec<_>>()),
        3,
    )
}

/// A result that is an operand: of channels, and of rows.
fn nested() -> Expected {
    let mut builder = Builder::new(1);
    let x = builder.input(&[1, 8, 4, 6], DType::U8, Fill::Any);
    let [a, b, c] = [3, 18, 20].map(|n| builder.conv(&x, &spec(n, 1, 1, DType::U8)));
    let inner = builder.concat(&[&a, &b], 1);
    let outer = builder.concat(&[&c, &inner], 1);
    let y = builder.conv(&outer, &spec(4, 3, 1, DType::U8));
    let [d, e] = [(); 2].map(|()| builder.conv(&x, &spec(41, 1, 1, DType::U8)));
    let stacked = builder.concat(&[&d, &e, &outer], 2);
    let z = builder.conv(&stacked, &spec(4, 1, 1, DType::U8));
    // The outer result wants a halo, so that it is no row of the stacked one.
    (builder.finish("joins of joins", &[&y, &z, &inner]), 2)
}

/// Each layer reads what all before it wrote: it must not write beside what it reads.
fn dense_blocks() -> Expected {
    let mut builder = Builder::new(2);
    let x = builder.input(&[1, 8, 5, 5], DType::U8, Fill::Any);
    let mut value = builder.conv(&x, &spec(20, 1, 1, DType::U8));
    for _ in 0..3 {
        let next = builder.conv(&value, &spec(12, 3, 1, DType::U8));
        value = builder.concat(&[&value, &next], 1);
    }
    (builder.finish("dense blocks", &[&value]), 0)
}

/// Operands that are outputs too, and one that comes twice.
fn of_outputs_and_twice() -> Expected {
    let mut builder = Builder::new(3);
    let x = builder.input(&[2, 8, 5, 5], DType::U8, Fill::Any);
    let [a, b, c] = [20, 3, 4].map(|n| builder.conv(&x, &spec(n, 1, 1, DType::I8)));
    let joined = builder.concat(&[&a, &b], 1);
    let twice = builder.concat(&[&c, &c], 1);
    let again = builder.concat(&[&a, &c], 1);
    (builder.finish("outputs, and twice", &[&a, &b, &joined, &twice, &again]), 1)
}

/// A result beyond the cache, in place only where its operands are wide.
fn large([a, b]: [usize; 2], expected: usize) -> Expected {
    let mut builder = Builder::new(7);
    let x = builder.input(&[1, 8, 64, 64], DType::U8, Fill::Any);
    let parts = [a, b].map(|n| builder.conv(&x, &spec(n, 1, 1, DType::U8)));
    let joined = builder.concat(&[&parts[0], &parts[1]], 1);
    (builder.finish(format!("{a} and {b} channels of a large image"), &[&joined]), expected)
}

/// Callers' tensors and constants are copied.
fn of_inputs() -> Expected {
    let mut builder = Builder::new(4);
    let x = builder.input(&[1, 8, 5, 5], DType::U8, Fill::Any);
    builder.set_quant(x.id, Some(QUANT));
    let x = like(&x.shape, DType::U8, &x);
    let a = builder.conv(&x, &spec(20, 1, 1, DType::U8));
    let first = builder.concat(&[&x, &a], 1);
    let b = builder.conv(&x, &spec(20, 1, 1, DType::U8));
    let constant = builder.constant_like(&b, &[1, 3, 5, 5]);
    let second = builder.concat(&[&b, &constant], 1);
    (builder.finish("inputs and constants", &[&first, &second]), 0)
}

/// Operands whose bytes have other names, which must not lie apart.
fn behind_other_names() -> Expected {
    let mut builder = Builder::new(5);
    let x = builder.input(&[1, 8, 1, 6], DType::U8, Fill::Any);
    let [a, b] = [(); 2].map(|()| builder.conv(&x, &spec(20, 1, 1, DType::U8)));
    let joined = builder.concat(&[&a, &b], 1);
    let turned = builder.transpose(&a, &[0, 2, 3, 1]);
    let flat = builder.reshape(&turned, &[6, 20]);
    let y = builder.fully_connected(&flat, 4, Fill::Any, 0.01);
    (builder.finish("other names", &[&joined, &y]), 0)
}

/// Values of two and three axes: their last one is that of the channels.
fn vectors() -> Expected {
    let mut builder = Builder::new(6);
    let x = builder.input(&[5, 12], DType::U8, Fill::Any);
    let parts = [20, 3].map(|n| {
        let y = builder.fully_connected(&x, n, Fill::Any, 0.01);
        table(&mut builder, &y, DType::U8)
    });
    let joined = builder.concat(&[&parts[0], &parts[1]], 1);
    let y = builder.fully_connected(&joined, 4, Fill::Any, 0.01);
    let z = builder.fully_connected(&parts[1], 4, Fill::Any, 0.01);
    (builder.finish("vectors", &[&y, &z, &parts[0]]), 1)
}

#[test]
fn operands_lie_in_the_result_where_they_may() {
    for level in [CpuLevel::Scalar, Device::host().level().unwrap()] {
        for (case, expected) in all() {
            let shapes: Vec<Vec<usize>> = case.inputs.iter().map(|x| x.shape().to_vec()).collect();
            let compiled = Compiled::new(case.graph.clone(), &Device::host().with_level(level)).unwrap();
            let plan = compiled.plan(&shapes).unwrap();
            let in_place = plan.steps().filter(|step| step.op == "Concat" && step.kernel == "in place");
            assert_eq!(in_place.count(), expected, "{} at {level}", case.name);
        }
    }
}

/// The same operand lies apart in one plan and not in the other: a window's weights are packed in the order of its bytes.
#[test]
fn plans_of_one_graph_pack_weights_for_where_their_inputs_lie() {
    for level in CpuLevel::ALL.into_iter().filter(|level| level.has_kernels() && level.is_supported()) {
        let device = Device::host().with_level(level);
        let cases = [1, 20].map(|batch| {
            let mut builder = Builder::new(8);
            let x = builder.input(&[batch, 8, 20, 20], DType::U8, Fill::Any);
            let parts = [20, 20].map(|n| builder.conv(&x, &spec(n, 1, 1, DType::U8)));
            let joined = builder.concat(&[&parts[0], &parts[1]], 1);
            let y = builder.conv(&parts[1], &spec(9, 3, 1, DType::U8));
            builder.finish(format!("{batch} images"), &[&joined, &y])
        });
        let graph = Arc::new(cases[0].graph.clone());
        let compiled = Compiled::new(Arc::clone(&graph), &device).unwrap();
        let in_place = cases.iter().map(|Case { inputs, name, .. }| {
            let expected = reference::run(&graph, inputs.clone()).unwrap();
            let mut session = compiled.session().unwrap();
            assert!(session.run(inputs).unwrap() == expected, "{name} at {level}");
            session.plan().unwrap().steps().any(|step| step.kernel == "in place")
        });
        assert_eq!(in_place.collect::<Vec<_>>(), [true, false]);
    }
}
