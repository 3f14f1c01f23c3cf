//! What dynamic quantization writes: integer products with computed zero points, and their tails in f32. And f16 scales.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use tilemark_model::{DType, Data, Error, Graph, Tensor, import, reference, shape};
use tilemark_testkit::onnx::{Builder, int, ints};

fn run(graph: &Graph, inputs: &[Tensor]) -> Vec<Tensor> {
    reference::run(graph, inputs.to_vec()).unwrap()
}

fn code(dtype: DType) -> i64 {
    tilemark_model::onnx::code(dtype).into()
}

/// `x -> DynamicQuantizeLinear -> ConvInteger -> Cast -> Mul(x_scale * w_scale) -> Add(bias)`, as ONNX Runtime's
/// `quantize_dynamic` writes it.
fn dynamic_conv(shape: &[usize], weights: &Tensor) -> Builder {
    let mut net = Builder::new(13);
    let x = net.input("x", shape);
    let [q, scale, zero] = net.outputs_of("DynamicQuantizeLinear", &[&x], vec![]);
    let w = net.constant(weights);
    let w_zero = net.constant(&Tensor::u8([], vec![128]).unwrap());
    let pads = vec![1i64; 2 * (shape.len() - 2)];
    let acc = net.node("ConvInteger", &[&q, &w, &zero, &w_zero], vec![ints("pads", pads)]);
    let w_scale = net.scalar(0.25);
    let scale = net.node("Mul", &[&scale, &w_scale], vec![]);
    let real = net.node("Cast", &[&acc], vec![int("to", code(DType::F32))]);
    let y = net.node("Mul", &[&real, &scale], vec![]);
    let mut per_channel = vec![1; shape.len()];
    per_channel[1] = weights.shape()[0];
    let bias = net.constant(&Tensor::f32(per_channel, vec![0.5; weights.shape()[0]]).unwrap());
    let y = net.node("Add", &[&y, &bias], vec![]);
    net.output(&acc);
    net.output(&y);
    net
}

/// Padding stands for the zero point, so it adds nothing; and every product is an integer one.
#[test]
fn a_dynamic_convolution_is_exact() {
    let weights = Tensor::u8([1, 1, 3], vec![127, 128, 130]).unwrap(); // -1, 0, 2
    let graph = import(&dynamic_conv(&[1, 1, 4], &weights).encode()).unwrap();
    let x = Tensor::f32([1, 1, 4], vec![-51.0, 0.0, 51.0, 204.0]).unwrap(); // scale 1, zero point 51
    let y = run(&graph, &[x]);
    assert_eq!(y[0].data(), &Data::I32(vec![0, 51 + 2 * 51, 2 * 204, -51]));
    assert_eq!(y[1].as_f32().unwrap(), [0.5, 38.75, 102.5, -12.25]);
    let shapes = shape::infer(&graph, &[vec![1, 1, 4]]).unwrap();
    let conv = graph.nodes.iter().find(|node| node.op.name() == "ConvInteger").unwrap();
    assert_eq!((shape::macs(conv, &shapes), conv.op.is_float()), (12, false));
}

/// Sums beyond 24 bits would not survive in f32.
#[test]
fn large_integer_products_are_exact() {
    let n = 3000;
    let mut net = Builder::new(13);
    let a = net.typed_input("a", DType::U8, &[1, n]);
    let b = net.constant(&Tensor::new([n, 1], Data::I8(vec![-127; n])).unwrap());
    let y = net.node("MatMulInteger", &[&a, &b], vec![]);
    net.output(&y);
    let mut x = vec![255; n];
    x[7] = 254;
    let y = run(&import(&net.encode()).unwrap(), &[Tensor::u8([1, n], x).unwrap()]);
    assert_eq!(y[0].data(), &Data::I32(vec![-127 * (255 * 3000 - 1)]));
}

#[test]
fn zero_points_that_fit_no_line_are_refused() {
    let mut net = Builder::new(13);
    let a = net.typed_input("a", DType::U8, &[2, 3]);
    let b = net.constant(&Tensor::u8([3, 4], vec![1; 12]).unwrap());
    let zeros = net.constant(&Tensor::u8([3], vec![1; 3]).unwrap());
    let y = net.node("MatMulInteger", &[&a, &b, &zeros, ""], vec![]);
    net.output(&y);
    let graph = import(&net.encode()).unwrap();
    let error = reference::run(&graph, vec![Tensor::u8([2, 3], vec![1; 6]).unwrap()]).unwrap_err();
    assert!(matches!(&error, Error::Shape { .. }) && error.to_string().contains("one or 2"), "{error}");
}

fn halves(values: &[f32]) -> Tensor {
    let bits = values.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect();
    Tensor::new([values.len()], Data::Coded(tilemark_model::Coded::new(DType::F16, bits).unwrap())).unwrap()
}

/// The scale is f16, so the real values are; quantizing them again divides in f32.
#[test]
fn f16_scales_give_f16() {
    let mut net = Builder::new(19);
    let x = net.typed_input("x", DType::U8, &[3]);
    let scale = net.constant(&halves(&[0.1]));
    let zero = net.constant(&Tensor::u8([1], vec![3]).unwrap());
    let real = net.node("DequantizeLinear", &[&x, &scale, &zero], vec![]);
    let y = net.node("QuantizeLinear", &[&real, &scale, &zero], vec![]);
    net.output(&real);
    net.output(&y);
    let graph = import(&net.encode()).unwrap();
    let y = run(&graph, &[Tensor::u8([3], vec![0, 4, 255]).unwrap()]);
    // 0.1 as f16 is 0.0999755859375; times 252 is 25.19384765625, to which the nearest f16 is 25.1875.
    assert_eq!(y[0].to_bytes(), halves(&[-0.299_926_76, 0.099_975_586, 25.1875]).to_bytes());
    assert_eq!(y[1].to_bytes(), [0, 4, 255]);
}

/// A tensor that a cast made of integers is dequantized as any other.
#[test]
fn what_was_cast_to_bytes_can_be_dequantized() {
    let mut net = Builder::new(13);
    let x = net.typed_input("x", DType::I32, &[3]);
    let x = net.node("Cast", &[&x], vec![int("to", code(DType::U8))]);
    let (scale, zero) = (net.scalar(0.5), net.constant(&Tensor::u8([], vec![2]).unwrap()));
    let y = net.node("DequantizeLinear", &[&x, &scale, &zero], vec![]);
    let y = net.unary("Relu", &y);
    net.output(&y);
    let y = run(&import(&net.encode()).unwrap(), &[Tensor::new([3], Data::I32(vec![1, 2, 260])).unwrap()]);
    assert_eq!(y[0].as_f32().unwrap(), [0.0, 0.0, 1.0]);
}
