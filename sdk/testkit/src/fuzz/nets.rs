//! Small networks, of which the corpora hold the ONNX files and the imported graphs.

use prost::Message;
use tilemark_model::{DType, Data, Tensor};

use crate::onnx::{Builder, Quantization, float, int, ints};
use crate::random::SplitMix64;

/// Each network's name and ONNX file.
pub(super) fn all() -> [(&'static str, Vec<u8>); 5] {
    [
        ("net", integer_net().encode()),
        ("float", float_net().encode()),
        ("signed", signed_net().encode()),
        ("attention", attention_net().encode()),
        ("qoperator", qoperator_net()),
    ]
}

/// Layers of every kind, with a dynamic batch.
fn integer_net() -> Builder {
    let mut random = SplitMix64::new(3);
    let mut net = Builder::new(13);
    let act = Quantization::u8(0.02, 128);
    let x = net.batched_input("x", &[3, 6, 6]);
    let x = net.qdq(&x, act);
    let a = net.conv(&x, &mut random, [4, 3, 3, 3]).pads([1; 4]).strides([2, 2]).add();
    let a = net.clip(&a, 0.0, 2.0);
    let a = net.qdq(&a, act);
    let b = net.conv(&a, &mut random, [4, 1, 3, 3]).groups(4).pads([1; 4]).add();
    let b = net.unary("HardSwish", &b);
    let b = net.qdq(&b, act);
    let sum = net.node("Add", &[&a, &b], vec![]);
    let sum = net.qdq(&sum, act);
    let most = net.pool("MaxPool", &sum, [2, 2], [1, 1], [0, 0, 1, 1]);
    let mean = net.pool("AveragePool", &sum, [3, 3], [1, 1], [1; 4]);
    let mean = net.qdq(&mean, act);
    let both = net.concat(&[&most, &mean], 1);
    let both = net.qdq(&both, act);
    let gate = net.node("GlobalAveragePool", &[&both], vec![]);
    let gate = net.qdq(&gate, act);
    let both = net.node("Mul", &[&both, &gate], vec![]);
    let both = net.qdq(&both, act);
    let both = net.transpose(&both, &[0, 2, 3, 1]);
    let flat = net.node("ReduceMean", &[&both], vec![ints("axes", [1, 2]), int("keepdims", 0)]);
    let flat = net.qdq(&flat, act);
    let y = net.gemm(&flat, &mut random, 5, 8);
    let y = net.qdq(&y, Quantization::u8(0.1, 100));
    let y = net.node("Softmax", &[&y], vec![int("axis", -1)]);
    net.output(&y);
    net
}

/// What runs in f32.
fn float_net() -> Builder {
    let mut random = SplitMix64::new(4);
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 2, 5, 5]);
    let weights = Tensor::f32([4, 1, 3, 3], random.floats(36, -1.0, 1.0)).expect("36 weights");
    let weights = net.constant(&weights);
    let y = net.node("Conv", &[&x, &weights], vec![ints("pads", [1; 4]), int("group", 2)]);
    let y = net.node("LeakyRelu", &[&y], vec![float("alpha", 0.1)]);
    let pooled = net.pool("AveragePool", &y, [2, 2], [2, 2], [0; 4]);
    let pooled = net.node("Flatten", &[&pooled], vec![int("axis", 1)]);
    let matrix = Tensor::f32([3, 16], random.floats(48, -1.0, 1.0)).expect("48 weights");
    let matrix = net.constant(&matrix);
    let z = net.node("Gemm", &[&pooled, &matrix], vec![int("transB", 1), float("alpha", 0.5)]);
    let z = net.unary("Sigmoid", &z);
    let top = net.node("ReduceMax", &[&z], vec![ints("axes", [1])]);
    let z = net.node("Div", &[&z, &top], vec![]);
    let z = net.node("Sub", &[&z, &top], vec![]);
    net.output(&z);
    net
}

/// s8 activations, reshapes, and an integer input and output.
fn signed_net() -> Builder {
    let mut random = SplitMix64::new(5);
    let mut net = Builder::new(17);
    let act = Quantization::i8(0.05, -3);
    let x = net.typed_input("x", DType::I8, &[2, 4, 3]);
    let x = net.dequantize(&x, act);
    let x = net.reshape(&x, &[0, 3, 4]);
    let x = net.qdq(&x, act);
    let weights = net.weights(&mut random, &[4, 6], &[0.01]);
    let y = net.node("MatMul", &[&x, &weights], vec![]);
    let y = net.unary("Relu", &y);
    let y = net.quantize(&y, act);
    net.output(&y);
    net
}

/// A product of two activations, between a softmax and a sum.
fn attention_net() -> Builder {
    let mut net = Builder::new(13);
    let act = Quantization::u8(0.02, 128);
    let x = net.batched_input("x", &[4, 6]);
    let x = net.qdq(&x, act);
    let turned = net.transpose(&x, &[0, 2, 1]);
    let scores = net.node("MatMul", &[&x, &turned], vec![]);
    let scores = net.qdq(&scores, Quantization::u8(0.1, 100));
    let shares = net.node("Softmax", &[&scores], vec![int("axis", -1)]);
    let shares = net.qdq(&shares, Quantization::u8(1.0 / 256.0, 0));
    let mixed = net.node("MatMul", &[&shares, &x], vec![]);
    let mixed = net.qdq(&mixed, act);
    let y = net.node("Add", &[&x, &mixed], vec![]);
    let y = net.qdq(&y, act);
    net.output(&y);
    net
}

/// The QOperator form, ONNX's own and ONNX Runtime's.
fn qoperator_net() -> Vec<u8> {
    let mut random = SplitMix64::new(8);
    let mut net = Builder::new(13);
    let x = net.typed_input("x", DType::U8, &[1, 2, 4, 4]);
    let scale = net.scalar(0.05);
    let zero = net.constant(&Tensor::u8([], vec![9]).expect("a scalar"));
    let weights = Tensor::new([3, 2, 3, 3], Data::I8(random.weights(54))).expect("54 weights");
    let weights = net.constant(&weights);
    let scales = net.constant(&Tensor::f32([3], vec![0.01, 0.02, 0.005]).expect("3 scales"));
    let zeros = net.constant(&Tensor::new([3], Data::I8(vec![0; 3])).expect("3 zero points"));
    let inputs = [&x, &scale, &zero, &weights, &scales, &zeros, &scale, &zero].map(String::as_str);
    let y = net.node("QLinearConv", &inputs, vec![ints("pads", [1; 4])]);
    let inputs = [&y, &scale, &zero, &y, &scale, &zero, &scale, &zero].map(String::as_str);
    let y = net.node("QLinearAdd", &inputs, vec![]);
    let inputs = [&y, &scale, &zero, &scale, &zero].map(String::as_str);
    let y = net.node("QLinearSigmoid", &inputs, vec![]);
    net.output(&y);
    let mut model = net.model();
    let nodes = model.graph.iter_mut().flat_map(|graph| &mut graph.node);
    for node in nodes.filter(|node| node.op_type != "QLinearConv") {
        "com.microsoft".clone_into(&mut node.domain);
    }
    model.encode_to_vec()
}
