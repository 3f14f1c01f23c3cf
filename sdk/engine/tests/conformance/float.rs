//! Adversarial vectors for f32 operations: special numbers, broadcasts, and sizes around registers.

use tilemark_model::graph::{
    AutoPad, BinaryOp, ConvTranspose, Coordinates, FloatOp, Interpolation, ReduceOp, UnaryOp, WindowNd,
};
use tilemark_model::{DType, Op, Tensor};

use super::build::{Builder, Built, Case, Fill};
use super::cases::EDGES;
use super::moving;

const SHAPES: [&[usize]; 8] =
    [&[2, 3, 5, 7], &[1, 33, 4, 4], &[1, 1, 16, 17], &[4, 65], &[1], &[31], &[2, 3, 4], &[2, 2, 2, 2, 3]];

pub(crate) fn unary() -> Vec<Case> {
    let functions = [
        UnaryOp::Relu,
        UnaryOp::Clip { lo: 0.0, hi: 6.0 },
        UnaryOp::Clip { lo: -1.25, hi: -0.0 },
        UnaryOp::LeakyRelu { alpha: 0.1 },
        UnaryOp::Sigmoid,
        UnaryOp::Tanh,
        UnaryOp::HardSigmoid { alpha: 0.2, beta: 0.5 },
        UnaryOp::HardSwish,
        UnaryOp::Neg,
        UnaryOp::Abs,
        UnaryOp::Reciprocal,
        UnaryOp::Sqrt,
        UnaryOp::Exp,
        UnaryOp::Log,
        UnaryOp::Erf,
        UnaryOp::Floor,
        UnaryOp::Round,
        UnaryOp::Sign,
        UnaryOp::Softplus,
        UnaryOp::Gelu,
    ];
    let mut cases = Vec::new();
    for (i, op) in functions.into_iter().enumerate() {
        for fill in [Fill::Any, Fill::Highest] {
            let mut builder = Builder::new(i as u64);
            let outputs: Vec<Built> = SHAPES
                .iter()
                .map(|shape| {
                    let x = builder.input(shape, DType::F32, fill);
                    builder.node("f", Op::Float(FloatOp::Unary(op)), vec![x.id], &x)
                })
                .collect();
            cases
                .push(builder.finish(format!("{} {fill:?}", op.name()), &outputs.iter().collect::<Vec<_>>()));
        }
    }
    cases
}

/// Shapes of two operands and of what they broadcast to.
pub(crate) const BROADCASTS: [(&[usize], &[usize], &[usize]); 17] = [
    (&[2, 3, 5, 7], &[2, 3, 5, 7], &[2, 3, 5, 7]),
    (&[2, 17, 5, 7], &[2, 17, 1, 1], &[2, 17, 5, 7]),
    (&[2, 17, 5, 7], &[17, 1, 1], &[2, 17, 5, 7]),
    (&[1, 17, 1, 1], &[2, 17, 5, 7], &[2, 17, 5, 7]),
    (&[2, 3, 5, 7], &[2, 1, 5, 7], &[2, 3, 5, 7]),
    (&[2, 3, 5, 7], &[5, 7], &[2, 3, 5, 7]),
    (&[2, 3, 5, 7], &[7], &[2, 3, 5, 7]),
    (&[2, 3, 5, 7], &[5, 1], &[2, 3, 5, 7]),
    (&[2, 3, 5, 7], &[], &[2, 3, 5, 7]),
    (&[2, 3, 1, 1], &[2, 1, 5, 7], &[2, 3, 5, 7]),
    (&[4, 1], &[1, 33], &[4, 33]),
    (&[2, 3, 33], &[33], &[2, 3, 33]),
    (&[2, 3, 33], &[2, 3, 1], &[2, 3, 33]),
    (&[2, 3, 33], &[3, 1], &[2, 3, 33]),
    (&[2, 3, 33], &[2, 1, 33], &[2, 3, 33]),
    (&[2, 1, 2, 3, 3], &[3, 1, 1, 3], &[2, 3, 2, 3, 3]),
    (&[65], &[1], &[65]),
];

pub(crate) fn binary() -> Vec<Case> {
    use BinaryOp::{Add, Div, Max, Min, Mod, Mul, PRelu, Pow, Remainder, Sub};
    let mut cases = Vec::new();
    for op in [Add, Sub, Mul, Div, Pow, PRelu, Min, Max, Mod, Remainder] {
        for (i, (a, b, shape)) in BROADCASTS.into_iter().enumerate() {
            let mut builder = Builder::new(i as u64);
            let x = builder.input(a, DType::F32, Fill::Any);
            let y = builder.input(b, DType::F32, if i % 2 == 0 { Fill::Any } else { Fill::Highest });
            let z = Built { shape: shape.to_vec(), ..x.clone() };
            let z = builder.node("f", Op::Float(FloatOp::Binary(op)), vec![x.id, y.id], &z);
            cases.push(builder.finish(format!("{op:?} of {a:?} and {b:?}"), &[&z]));
        }
        let mut builder = Builder::new(99);
        let x = builder.input(&[2, 3, 5, 7], DType::F32, Fill::Highest);
        let two = builder.constant(Tensor::f32([1], vec![2.0]).unwrap());
        let factors = builder.tensor(&[3, 1, 1], DType::F32, Fill::Any);
        let factors = builder.constant(factors);
        let squared = builder.node("f", Op::Float(FloatOp::Binary(op)), vec![x.id, two], &x);
        let flipped = builder.node("f", Op::Float(FloatOp::Binary(op)), vec![factors, squared.id], &x);
        cases.push(builder.finish(format!("{op:?} with constants"), &[&squared, &flipped]));
    }
    cases
}

pub(crate) fn scale_shift() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in EDGES {
        for shape in [vec![2, n, 3, 5], vec![2, n], vec![2, n, 7], vec![1, n, 2, 3, 2]] {
            let mut builder = Builder::new(n as u64);
            let x = builder.input(&shape, DType::F32, Fill::Any);
            let constants = [(); 2].map(|()| {
                let tensor = builder.tensor(&[n], DType::F32, Fill::Any);
                builder.constant(tensor)
            });
            let inputs = vec![x.id, constants[0], constants[1]];
            let y = builder.node("norm", Op::Float(FloatOp::ScaleShift), inputs, &x);
            cases.push(builder.finish(format!("{shape:?}"), &[&y]));
        }
    }
    cases
}

pub(crate) fn softmax() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in EDGES.into_iter().chain([63, 64, 65, 1000]) {
        for (shape, axis) in [
            (vec![3, n], -1),
            (vec![2, 3, n], 2),
            (vec![2, n, 3, 2], 1),
            (vec![2, 3, 2, n], 3), // not along channels
        ] {
            for fill in [Fill::Any, Fill::Highest] {
                let mut builder = Builder::new(n as u64);
                let x = builder.input(&shape, DType::F32, fill);
                let y =
                    builder.node("p", Op::Float(FloatOp::Softmax { axis, to_end: false }), vec![x.id], &x);
                cases.push(builder.finish(format!("axis {axis} of {shape:?} {fill:?}"), &[&y]));
            }
        }
    }
    cases
}

pub(crate) fn reduce() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in EDGES.into_iter().chain([63, 64, 65, 1000]) {
        for (shape, axis, keep_dims) in [
            (vec![3, n], -1, true),
            (vec![2, 3, n], 2, false),
            (vec![n], 0, true),
            (vec![2, 2, 3, 2, n], -1, true),
            (vec![2, 2, 3, 2, n], -1, false), // four axes are left
            (vec![2, 3, 2, n], 3, true),
            (vec![n, 3, 5], 1, true),
        ] {
            for op in [ReduceOp::Mean, ReduceOp::Sum, ReduceOp::Max] {
                let mut builder = Builder::new(n as u64);
                let x = builder.input(&shape, DType::F32, if n % 2 == 0 { Fill::Any } else { Fill::Highest });
                let at = usize::try_from(axis).unwrap_or(shape.len() - 1);
                let mut left = shape.clone();
                left[at] = 1;
                if !keep_dims {
                    left.remove(at);
                }
                let reduce = FloatOp::Reduce { op, axes: vec![axis], keep_dims };
                let y =
                    builder.node("sum", Op::Float(reduce), vec![x.id], &Built { shape: left, ..x.clone() });
                cases.push(builder.finish(format!("{op:?} along {axis} of {shape:?}"), &[&y]));
            }
        }
    }
    cases
}

pub(crate) fn conv_transpose() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, &n) in EDGES.iter().enumerate() {
        // Channels, outputs, columns and rows at the edge in turn.
        for (x, outputs) in [([1, n, 3, 4], 5), ([1, 4, 3, 3], n), ([2, 3, 2, n], 2), ([1, 2, n, 3], 1)] {
            cases.push(deconvolution(i as u64, x, outputs, 1, window([2, 2], [2, 2], [1, 1], [0; 4]), true));
        }
    }
    for seed in 0..40 {
        let mut builder = Builder::new(seed);
        let random = &mut builder.random;
        let [kernel, strides, dilations] =
            [[1, 2, 3, 4], [1, 2, 2, 3], [1, 1, 2, 3]].map(|from| [random.pick(&from), random.pick(&from)]);
        let pads = [0, 1, 2, 3].map(|i: usize| random.below(kernel[i % 2].min(2)));
        let groups = random.pick(&[1, 1, 2, 3]);
        let x = [
            random.pick(&[1, 2]),
            groups * random.pick(&[1, 2, 5]),
            1 + random.below(7),
            1 + random.below(20),
        ];
        let outputs = random.pick(&[1, 3, 8, 17]);
        let mut window = window(kernel, strides, dilations, pads);
        // What is left of the smallest output must not be nothing.
        let full = |axis: usize| strides[axis] * (x[2 + axis] - 1) + (kernel[axis] - 1) * dilations[axis] + 1;
        if (0..2).any(|axis| full(axis) <= pads[axis] + pads[axis + 2]) {
            window.pads = vec![0; 4];
        }
        cases.push(deconvolution(seed, x, outputs, groups, window, seed % 2 == 0));
    }
    cases
}

fn window(kernel: [usize; 2], strides: [usize; 2], dilations: [usize; 2], pads: [usize; 4]) -> WindowNd {
    WindowNd {
        kernel: kernel.to_vec(),
        strides: strides.to_vec(),
        dilations: dilations.to_vec(),
        pads: pads.to_vec(),
        auto_pad: AutoPad::Explicit,
    }
}

/// `outputs` channels of each group.
fn deconvolution(
    seed: u64,
    x: [usize; 4],
    outputs: usize,
    groups: usize,
    window: WindowNd,
    bias: bool,
) -> Case {
    let name = format!("{x:?} to {outputs} in {groups} groups, {window:?}");
    let mut builder = Builder::new(seed);
    let image = builder.input(&x, DType::F32, Fill::Any);
    let shape = [x[1], outputs, window.kernel[0], window.kernel[1]];
    let weights = builder.tensor(&shape, DType::F32, Fill::Any);
    let mut inputs = vec![image.id, builder.constant(weights)];
    if bias {
        let bias = builder.tensor(&[outputs * groups], DType::F32, Fill::Any);
        inputs.push(builder.constant(bias));
    }
    let along = |axis: usize| {
        let span = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
        window.strides[axis] * (x[2 + axis] - 1) + span - window.pads[axis] - window.pads[axis + 2]
    };
    let shape = vec![x[0], outputs * groups, along(0), along(1)];
    let conv = ConvTranspose { window, groups, output_padding: vec![0, 0], output_size: None };
    let y = Built { shape, ..image };
    let y = builder.node("deconv", Op::Float(FloatOp::ConvTranspose(conv)), inputs, &y);
    builder.finish(name, &[&y])
}

pub(crate) fn resize() -> Vec<Case> {
    let mut cases = Vec::new();
    let interpolations = [Interpolation::Linear, Interpolation::Cubic { a: -0.75 }];
    for (i, n) in EDGES.into_iter().enumerate() {
        for coordinates in [Coordinates::HalfPixel, Coordinates::Asymmetric, Coordinates::AlignCorners] {
            for (from, to) in [
                ([n, 4, 5], [n, 8, 10]),
                ([3, n, 4], [3, 7, 4]),
                ([3, 2, n], [3, 2, 9]),
                ([2, 3, 3], [5, 3, 6]),
            ] {
                let mut builder = Builder::new(i as u64);
                let x = builder.input(&[2, from[0], from[1], from[2]], DType::F32, Fill::Any);
                let sizes = [2, to[0], to[1], to[2]];
                let op = FloatOp::Resize(moving::resize(coordinates, interpolations[i % 2], &sizes));
                let y = Built { shape: sizes.to_vec(), ..x.clone() };
                let y = builder.node("resize", Op::Float(op), vec![x.id], &y);
                cases.push(builder.finish(format!("{from:?} to {to:?} {coordinates:?}"), &[&y]));
            }
        }
    }
    cases
}
