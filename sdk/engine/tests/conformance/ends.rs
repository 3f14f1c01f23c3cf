//! What becomes the end of an f32 step: a quantization of its result, tile by tile, or a function of what was dequantized,
//! looked up by the byte.

use tilemark_engine::{Compiled, Device};
use tilemark_model::graph::{
    AutoPad, BinaryOp, ConvTranspose, Coordinates, FloatOp, Interpolation, UnaryOp, WindowNd,
};
use tilemark_model::{DType, Op};

use super::build::{Builder, Built, Case, ConvSpec, Fill, window};
use super::moving;

/// The f32 operations whose kernels write rows.
const STEPS: [&str; 6] = ["relu", "sigmoid", "product", "scale_shift", "conv_transpose", "resize"];

fn step(builder: &mut Builder, name: &str, x: &Built) -> Built {
    let node = |builder: &mut Builder, op: FloatOp, inputs: Vec<_>, shape: Vec<usize>| {
        builder.node("f", Op::Float(op), inputs, &Built { shape, ..x.clone() })
    };
    let (channels, shape) = (x.shape[1], x.shape.clone());
    let constant = |builder: &mut Builder, shape: &[usize]| {
        let tensor = builder.tensor(shape, DType::F32, Fill::Any);
        builder.constant(tensor)
    };
    let op = |name| if name == "relu" { UnaryOp::Relu } else { UnaryOp::Sigmoid };
    match name {
        "relu" | "sigmoid" => node(builder, FloatOp::Unary(op(name)), vec![x.id], shape),
        "product" => {
            let factors = builder.input(&[x.shape[0], channels, 1, 1], DType::F32, Fill::Any);
            node(builder, FloatOp::Binary(BinaryOp::Mul), vec![x.id, factors.id], shape)
        }
        "scale_shift" => {
            let constants = [(); 2].map(|()| constant(builder, &[channels]));
            node(builder, FloatOp::ScaleShift, vec![x.id, constants[0], constants[1]], shape)
        }
        "conv_transpose" => {
            let outputs = if channels % 2 == 0 { channels } else { 1 };
            let window = WindowNd {
                kernel: vec![2, 2],
                strides: vec![2, 2],
                dilations: vec![1, 1],
                pads: vec![0; 4],
                auto_pad: AutoPad::Explicit,
            };
            let weights = constant(builder, &[channels, outputs, 2, 2]);
            let conv = ConvTranspose { window, groups: 1, output_padding: vec![0, 0], output_size: None };
            let shape = vec![x.shape[0], outputs, 2 * x.shape[2], 2 * x.shape[3]];
            node(builder, FloatOp::ConvTranspose(conv), vec![x.id, weights], shape)
        }
        _ => {
            let sizes = [x.shape[0], channels, 2 * x.shape[2], x.shape[3] + 3];
            let resize = moving::resize(Coordinates::HalfPixel, Interpolation::Linear, &sizes);
            node(builder, FloatOp::Resize(resize), vec![x.id], sizes.to_vec())
        }
    }
}

/// A padded convolution, which wants a halo around what it reads.
fn padded(builder: &mut Builder, x: &Built) -> Built {
    let window = window([3, 3], [1, 1], [1, 1], [1; 4]);
    let (weights, dtype) = (Fill::Any, DType::U8);
    let spec =
        ConvSpec { outputs: 5, groups: 1, window, weights, multiplier: 0.004, narrow: 0, dtype, zero: 3 };
    builder.conv(x, &spec)
}

/// Every case's quantizations vanish.
pub(crate) fn quantized() -> Vec<Case> {
    let mut cases = Vec::new();
    let shapes = [[2, 3, 5, 7], [1, 24, 9, 16], [2, 48, 3, 21], [1, 17, 33, 2], [1, 16, 40, 40]];
    for (seed, shape) in (0..).zip(shapes) {
        for name in STEPS {
            let mut builder = Builder::new(seed);
            let dtype = builder.random.pick(&[DType::U8, DType::I8]);
            let fill = if seed % 2 == 0 { Fill::Any } else { Fill::Highest };
            let x = builder.input(&shape, DType::F32, fill);
            let y = step(&mut builder, name, &x);
            let y = builder.quantize(&y, dtype);
            let next = padded(&mut builder, &y);
            cases.push(builder.finish(format!("{name} of {shape:?}, quantized"), &[&y, &next]));
        }
    }
    // A part of a Concat along channels: bytes that lie apart.
    for name in ["relu", "scale_shift"] {
        let mut builder = Builder::new(7);
        let x = builder.input(&[1, 32, 6, 5], DType::F32, Fill::Any);
        let y = step(&mut builder, name, &x);
        let y = builder.quantize(&y, DType::U8);
        let other = builder.input(&[1, 32, 6, 5], DType::U8, Fill::Any);
        let other = padded(&mut builder, &other);
        builder.set_quant(other.id, y.quant);
        let joined = builder.concat(&[&y, &Built { quant: y.quant, ..other }], 1);
        let next = padded(&mut builder, &joined);
        cases.push(builder.finish(format!("{name}, quantized, joined"), &[&next]));
    }
    cases
}

/// Floats that others read too, or that are an output: their quantizations stay.
fn kept() -> Vec<Case> {
    let mut cases = Vec::new();
    for is_output in [true, false] {
        let mut builder = Builder::new(8);
        let x = builder.input(&[1, 8, 4, 4], DType::F32, Fill::Any);
        let y = step(&mut builder, "scale_shift", &x);
        let bytes = builder.quantize(&y, DType::I8);
        let other = if is_output { y } else { step(&mut builder, "relu", &y) };
        cases.push(builder.finish(format!("floats that stay, {is_output}"), &[&bytes, &other]));
    }
    cases
}

/// Functions of dequantized bytes. All but the last two become look-ups.
pub(crate) fn looked_up() -> Vec<Case> {
    let functions = [
        UnaryOp::Sigmoid,
        UnaryOp::Tanh,
        UnaryOp::Exp,
        UnaryOp::Log,
        UnaryOp::Erf,
        UnaryOp::Softplus,
        UnaryOp::Gelu,
        UnaryOp::Relu,
        UnaryOp::HardSwish,
    ];
    let mut cases = Vec::new();
    for (seed, op) in (0..).zip(functions) {
        let mut builder = Builder::new(seed);
        let mut outputs = Vec::new();
        for shape in [&[2, 3, 5, 7][..], &[3, 65], &[1], &[1, 16, 40, 40]] {
            let dtype = builder.random.pick(&[DType::U8, DType::I8]);
            let x = builder.input(shape, dtype, Fill::Any);
            let x = builder.dequantize(&x);
            outputs.push(builder.node("f", Op::Float(FloatOp::Unary(op)), vec![x.id], &x));
        }
        cases.push(builder.finish(format!("{} of bytes", op.name()), &outputs.iter().collect::<Vec<_>>()));
    }
    cases
}

#[test]
fn ends_vanish_where_they_may() {
    let count = |case: &Case, ops: &[&str]| {
        let shapes: Vec<Vec<usize>> = case.inputs.iter().map(|x| x.shape().to_vec()).collect();
        let plan = Compiled::new(case.graph.clone(), &Device::host()).unwrap().plan(&shapes).unwrap();
        plan.steps().filter(|step| ops.contains(&step.op.as_str())).count()
    };
    for case in quantized() {
        assert_eq!(count(&case, &["Quantize"]), 0, "{}", case.name);
    }
    for case in kept() {
        assert_eq!(count(&case, &["Quantize"]), 1, "{}", case.name);
    }
    let cases = looked_up();
    let names = ["Sigmoid", "Tanh", "Exp", "Log", "Erf", "Softplus", "Gelu", "Relu", "HardSwish"];
    for (case, name) in cases.iter().zip(names) {
        let expected = if matches!(name, "Relu" | "HardSwish") { 4 } else { 0 };
        assert_eq!(count(case, &[&format!("{name} (f32)")]), expected, "{}", case.name);
    }
}

/// All of them, for the operations that the conformance suite goes through.
pub(crate) fn cases() -> Vec<Case> {
    quantized().into_iter().chain(kept()).chain(looked_up()).collect()
}
