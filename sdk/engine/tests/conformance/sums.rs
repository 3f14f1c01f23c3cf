//! Adversarial vectors for what adds product after product: floats, and integers whose zero points come with the input.

use tilemark_model::graph::{
    AutoPad, Conv, Direction, FloatOp, GeneralOp, MatMul, Pads, Recurrent, State, Window, WindowNd,
};
use tilemark_model::shape::output_extent;
use tilemark_model::{DType, Op, Tensor};

use super::build::{Builder, Built, Case, Fill, Random, window};
use super::cases::EDGES;

/// A convolution to test: input `[N, C, H, W]`, output channels of each group.
struct Spec {
    x: [usize; 4],
    outputs: usize,
    groups: usize,
    window: Window,
}

/// Around lanes, blocks of channels and blocks of pixels; and anything.
fn specs() -> Vec<Spec> {
    let mut specs = Vec::new();
    for n in EDGES.into_iter().chain([63, 64, 65, 129]) {
        let three = || window([3, 3], [1, 1], [1, 1], [1; 4]);
        for (x, outputs) in [([1, n, 3, 4], 5), ([1, 4, 3, 3], n), ([2, 3, 2, n], 2), ([1, 2, n, 1], 17)] {
            specs.push(Spec { x, outputs, groups: 1, window: three() });
        }
        specs.push(Spec { x: [1, n, 4, 5], outputs: 1, groups: n, window: three() }); // depthwise
        specs.push(Spec { x: [2, 2 * n, 3, 3], outputs: 3, groups: 2, window: three() });
        specs.push(Spec {
            x: [1, 3, 5, n],
            outputs: n,
            groups: 1,
            window: window([1, 1], [2, 2], [1, 1], [0; 4]),
        });
    }
    // Too much to fill lines of three up.
    let all = window([3, 3], [1, 1], [1, 1], [1; 4]);
    specs.push(Spec { x: [1, 2000, 2, 3], outputs: 3, groups: 1, window: all });
    let mut random = Random(7);
    for _ in 0..60 {
        let mut axis = |size: usize| {
            let (kernel, dilation) = (random.pick(&[1, 2, 3, 5, 9]), random.pick(&[1, 1, 2, 3]));
            let pads = [random.below(kernel + 1), random.below(kernel + 1)];
            let fits = size + pads[0] + pads[1] > (kernel - 1) * dilation;
            let (kernel, dilation) = if fits { (kernel, dilation) } else { (1, 1) };
            (kernel, random.pick(&[1, 1, 2, 3]), dilation, pads)
        };
        let size = [7, 12];
        let (v, h) = (axis(size[0]), axis(size[1]));
        let mut window = window([v.0, h.0], [v.1, h.1], [v.2, h.2], [v.3[0], h.3[0], v.3[1], h.3[1]]);
        match random.below(6) {
            0 => window.pads = Pads::SameUpper,
            1 => window.pads = Pads::SameLower,
            _ => {}
        }
        let groups = random.pick(&[1, 1, 2, 3]);
        let x = [random.pick(&[1, 2]), groups * random.pick(&[1, 2, 5]), size[0], size[1]];
        specs.push(Spec { x, outputs: random.pick(&[1, 3, 16, 17, 70]), groups, window });
    }
    specs
}

impl Spec {
    fn name(&self) -> String {
        let Self { x, outputs, groups, window } = self;
        format!("{x:?} to {outputs} in {groups} groups, {window:?}")
    }

    fn weights(&self) -> [usize; 4] {
        let [height, width] = self.window.kernel;
        [self.outputs * self.groups, self.x[1] / self.groups, height, width]
    }

    fn output(&self) -> Vec<usize> {
        let [images, _, rows, columns] = self.x;
        let [height, width] = output_extent(&self.window, [rows, columns], false).unwrap().output;
        vec![images, self.outputs * self.groups, height, width]
    }
}

pub(crate) fn conv_f32() -> Vec<Case> {
    let mut cases = Vec::new();
    for (seed, spec) in (0..).zip(specs()) {
        let mut builder = Builder::new(seed);
        // Numbers that are none meet padding, which must not count as zeros.
        let fill = if seed % 4 == 3 { Fill::Highest } else { Fill::Any };
        let x = builder.input(&spec.x, DType::F32, fill);
        let weights = builder.tensor(&spec.weights(), DType::F32, fill);
        let mut inputs = vec![x.id, builder.constant(weights)];
        if seed % 3 != 0 {
            let bias = builder.tensor(&[spec.outputs * spec.groups], DType::F32, Fill::Any);
            inputs.push(builder.constant(bias));
        }
        let conv = Conv { window: spec.window.clone(), groups: spec.groups };
        let y = Built { shape: spec.output(), ..x };
        let y = builder.node("conv", Op::Float(FloatOp::Conv(conv)), inputs, &y);
        cases.push(builder.finish(spec.name(), &[&y]));
    }
    cases
}

/// A zero point for integers of this type: a constant, or an input of the graph.
fn zero_point(builder: &mut Builder, shape: &[usize], dtype: DType, is_constant: bool) -> Built {
    if is_constant {
        let tensor = builder.tensor(shape, dtype, Fill::Any);
        let id = builder.constant(tensor);
        return Built { id, shape: shape.to_vec(), dtype, quant: None };
    }
    builder.input(shape, dtype, Fill::Any)
}

pub(crate) fn conv_integer() -> Vec<Case> {
    let mut cases = Vec::new();
    for (seed, spec) in (0..).zip(specs()) {
        let mut builder = Builder::new(seed);
        let types = [DType::U8, DType::I8];
        let [of_x, of_w] = [0, 1].map(|_| builder.random.pick(&types));
        let fill = builder.random.pick(&[Fill::Any, Fill::Lowest, Fill::Highest]);
        let x = builder.input(&spec.x, of_x, fill);
        let weights: Tensor = builder.tensor(&spec.weights(), of_w, fill);
        let weights = builder.constant(weights);
        let zero = zero_point(&mut builder, &[1], of_x, seed % 3 == 0);
        let zeros = if seed % 2 == 0 { vec![1] } else { vec![spec.outputs * spec.groups] };
        let zeros = zero_point(&mut builder, &zeros, of_w, true);
        let op = GeneralOp::ConvInteger { window: nd(&spec.window), groups: spec.groups };
        let y = Built { id: x.id, shape: spec.output(), dtype: DType::I32, quant: None };
        let y = builder.node("conv", Op::General(op), vec![x.id, weights, zero.id, zeros.id], &y);
        cases.push(builder.finish(spec.name(), &[&y]));
    }
    cases
}

fn nd(window: &Window) -> WindowNd {
    let (pads, auto_pad) = match window.pads {
        Pads::Explicit(pads) => (pads.to_vec(), AutoPad::Explicit),
        Pads::SameUpper => (vec![0; 4], AutoPad::SameUpper),
        Pads::SameLower => (vec![0; 4], AutoPad::SameLower),
    };
    let Window { kernel, strides, dilations, .. } = window;
    let [kernel, strides, dilations] = [kernel, strides, dilations].map(|of| of.to_vec());
    WindowNd { kernel, strides, dilations, pads, auto_pad }
}

/// Shapes of a and b.
type Shapes = (Vec<usize>, Vec<usize>);

/// Shapes of matrices that can be multiplied: rows, products and columns at edges in turn, batches in front.
fn matrices() -> Vec<Shapes> {
    let mut shapes = Vec::new();
    for n in EDGES.into_iter().chain([63, 64, 65, 129, 300]) {
        shapes.extend([
            (vec![3, 5], vec![5, n]),
            (vec![n, 4], vec![4, 3]),
            (vec![2, n], vec![n, 17]),
            (vec![n], vec![n, 2]),
            (vec![2, 3, n], vec![n, 33]),
            (vec![2, 5, 7], vec![2, 7, n]),
            (vec![2, 1, 3, 2, n], vec![4, 1, n, 3]),
        ]);
    }
    shapes.push((vec![2, 20_000], vec![20_000, 3])); // too much to fill lines of three up
    shapes
}

fn product_shape((a, b): &Shapes) -> Vec<usize> {
    let batch = |shape: &[usize]| shape[..shape.len().saturating_sub(2)].to_vec();
    let mut shape = tilemark_model::shape::broadcast(&batch(a), &batch(b)).unwrap();
    shape.extend(a.len().checked_sub(2).map(|i| a[i]));
    shape.extend(b.last());
    shape
}

pub(crate) fn matmul_f32() -> Vec<Case> {
    let plain = MatMul { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false };
    let mut cases = Vec::new();
    for (seed, shapes) in (0..).zip(matrices()) {
        for is_constant in [false, true] {
            let (mut builder, (a, b)) = (Builder::new(seed), &shapes);
            let fill = if seed % 4 == 3 { Fill::Highest } else { Fill::Any };
            let x = builder.input(a, DType::F32, fill);
            let second = zero_point(&mut builder, b, DType::F32, is_constant);
            let y = Built { shape: product_shape(&shapes), ..x.clone() };
            let y = builder.node("dot", Op::Float(FloatOp::MatMul(plain)), vec![x.id, second.id], &y);
            cases.push(builder.finish(format!("{a:?} times {b:?}, constant: {is_constant}"), &[&y]));
        }
    }
    for n in EDGES {
        // Heads innermost, around their lanes.
        let mut builder = Builder::new(n as u64);
        let a = builder.input(&[2, n, 3, 5], DType::F32, Fill::Any);
        let b = builder.input(&[2, n, 5, 4], DType::F32, Fill::Highest);
        let y = Built { shape: vec![2, n, 3, 4], ..a.clone() };
        let y = builder.node("dot", Op::Float(FloatOp::MatMul(plain)), vec![a.id, b.id], &y);
        cases.push(builder.finish(format!("{n} heads"), &[&y]));
        for (i, c) in [vec![n], vec![1, n], vec![4, n], vec![4, 1], vec![]].into_iter().enumerate() {
            cases.push(gemm(n, i, &c));
        }
    }
    cases
}

/// A product with factors, transposed operands and an addend of shape `c`.
fn gemm(n: usize, i: usize, c: &[usize]) -> Case {
    let mut builder = Builder::new(i as u64);
    let (trans_a, trans_b) = ([0, 2, 4].contains(&i), [1, 2, 4].contains(&i));
    let product = MatMul { alpha: 0.3, beta: -1.7, trans_a, trans_b };
    let a = builder.input(if trans_a { &[6, 4] } else { &[4, 6] }, DType::F32, Fill::Any);
    let b = builder.tensor(&if trans_b { [n, 6] } else { [6, n] }, DType::F32, Fill::Any);
    let b = builder.constant(b);
    let c = zero_point(&mut builder, c, DType::F32, trans_a);
    let y = Built { shape: vec![4, n], ..a.clone() };
    let y = builder.node("gemm", Op::Float(FloatOp::MatMul(product)), vec![a.id, b, c.id], &y);
    builder.finish(format!("{product:?} of {n} columns, c {:?}", c.shape), &[&y])
}

pub(crate) fn matmul_integer() -> Vec<Case> {
    let mut cases = Vec::new();
    for (seed, shapes) in (0..).zip(matrices()) {
        let (mut builder, (a, b)) = (Builder::new(seed), &shapes);
        let types = [DType::U8, DType::I8];
        let [of_a, of_b] = [0, 1].map(|_| builder.random.pick(&types));
        let fill = builder.random.pick(&[Fill::Any, Fill::Lowest, Fill::Highest]);
        let x = builder.input(a, of_a, fill);
        let weights = zero_point(&mut builder, b, of_b, true);
        // One for each row runs as the reference does.
        let rows = a.len().checked_sub(2).map_or(1, |i| a[i]);
        let zero = zero_point(&mut builder, &[if seed % 5 == 0 { rows } else { 1 }], of_a, seed % 3 == 0);
        let columns = b[b.len() - 1];
        let zeros = zero_point(&mut builder, &[if seed % 2 == 0 { columns } else { 1 }], of_b, true);
        let y = Built { shape: product_shape(&shapes), dtype: DType::I32, quant: None, ..x.clone() };
        let inputs = vec![x.id, weights.id, zero.id, zeros.id];
        let y = builder.node("dot", Op::General(GeneralOp::MatMulInteger), inputs, &y);
        cases.push(builder.finish(format!("{a:?} times {b:?}"), &[&y]));
    }
    cases
}

/// LSTMs and GRUs: units around lanes, every direction and state, first states constant or given.
pub(crate) fn recurrent() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, hidden) in EDGES.into_iter().chain([65]).enumerate() {
        for direction in [Direction::Forward, Direction::Reverse, Direction::Both] {
            for (gates, state) in [
                (4, State::Sequence),
                (4, State::Hidden),
                (4, State::Cell),
                (3, State::Sequence),
                (3, State::Hidden),
            ] {
                let layer = Recurrent { hidden, direction, state, linear_before_reset: i.is_multiple_of(2) };
                cases.push(recurrence(i, layer, gates));
            }
        }
    }
    cases
}

fn recurrence(i: usize, layer: Recurrent, gates: usize) -> Case {
    let mut builder = Builder::new(i as u64);
    let (directions, hidden) = (layer.directions(), layer.hidden);
    let (steps, batch, width) = (3, 1 + i % 3, 1 + i);
    let x = builder.input(&[steps, batch, width], DType::F32, Fill::Any);
    let mut inputs = vec![x.id];
    for shape in [
        vec![directions, gates * hidden, width],
        vec![directions, gates * hidden, hidden],
        vec![directions, 2 * gates * hidden],
    ] {
        // Small, or every gate would be open or shut.
        let reals: Vec<f32> = (0..shape.iter().product())
            .map(|_| (builder.random.below(2001) as f32 - 1000.0) / 4000.0)
            .collect();
        inputs.push(builder.constant(Tensor::f32(shape, reals).unwrap()));
    }
    let states = if gates == 4 { 2 } else { 1 };
    for _ in 0..states {
        let shape = [directions, if i.is_multiple_of(2) { batch } else { 1 }, hidden];
        inputs.push(zero_point(&mut builder, &shape, DType::F32, i.is_multiple_of(3)).id);
    }
    if gates == 4 {
        let peepholes = builder.tensor(&[directions, 3 * hidden], DType::F32, Fill::Any);
        inputs.push(builder.constant(peepholes));
    }
    let shape = match layer.state {
        State::Sequence => vec![steps, directions, batch, hidden],
        _ => vec![directions, batch, hidden],
    };
    let op = if gates == 4 { FloatOp::Lstm(layer) } else { FloatOp::Gru(layer) };
    let y = builder.node("rnn", Op::Float(op), inputs, &Built { shape, ..x });
    builder.finish(format!("{gates} gates, {layer:?}"), &[&y])
}
