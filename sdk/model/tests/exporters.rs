//! What exporters and quantizers really write, each found in a network of `cargo xtask models`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use tilemark_model::{Data, Tensor, import, reference};
use tilemark_testkit::onnx::{Builder, Quantization, int, string};

fn run(net: &Builder, input: Tensor) -> Tensor {
    let graph = import(&net.encode()).unwrap();
    let output = reference::run(&graph, vec![input]).unwrap().swap_remove(0);
    graph.declared(&graph.outputs[0], &output).unwrap()
}

/// ONNX Runtime's quantizer stores the scale and shift of a BatchNormalization that follows an activation as integers.
#[test]
fn parameters_of_a_normalization_may_be_quantized() {
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 2, 1, 1]);
    let gamma = net.dequantized(&Tensor::new([2], Data::I8(vec![4, -8])).unwrap(), &[0.5]);
    let beta = net.dequantized(&Tensor::new([2], Data::I32(vec![3, 5])).unwrap(), &[1.0, 2.0]);
    let [mean, variance] =
        [[1.0, 2.0], [1.0, 4.0]].map(|v| net.constant(&Tensor::f32([2], v.to_vec()).unwrap()));
    let y = net.node("BatchNormalization", &[&x, &gamma, &beta, &mean, &variance], vec![]);
    net.output(&y);
    let y = run(&net, Tensor::f32([1, 2, 1, 1], vec![3.0, 3.0]).unwrap());
    // 2 * (3 - 1) + 3 and -4 * (3 - 2) / 2 + 10, but for an epsilon of 1e-5.
    let off = y.as_f32().unwrap().iter().zip([7.0, 8.0]).map(|(a, b)| (a - b).abs());
    assert!(off.fold(0.0, f32::max) < 1e-4, "{y:?}");
}

/// A channel whose weights are next to nothing has a scale next to nothing, and a bias' scale may be subnormal.
#[test]
fn a_dead_channel_keeps_the_others_in_integers() {
    for dead in [1.4e-35_f32, 1.2e-37, 1e-44] {
        let mut net = Builder::new(13);
        let q = Quantization::u8(0.02, 3);
        let x = net.input("x", &[1, 1, 1, 1]);
        let x = net.qdq(&x, q);
        let weights = Tensor::new([2, 1, 1, 1], Data::I8(vec![100, 100])).unwrap();
        let weights = net.dequantized(&weights, &[0.01, dead]);
        let bias = Tensor::new([2], Data::I32(vec![100, 0])).unwrap();
        let bias = net.dequantized(&bias, &[0.02 * 0.01, 0.02 * dead]);
        let y = net.node("Conv", &[&x, &weights, &bias], vec![]);
        let y = net.qdq(&y, q);
        net.output(&y);
        let graph = import(&net.encode()).unwrap();
        assert!(graph.nodes.iter().all(|node| !node.op.is_float()), "{dead:e}: {:?}", graph.nodes);
        let y = run(&net, Tensor::f32([1, 1, 1, 1], vec![1.0]).unwrap());
        assert_eq!(y.as_f32().unwrap(), [0.02_f32 * 51.0, 0.0], "{dead:e}");
    }
}

/// An f32 bias beyond 2^31 units of the products is not cut off: the layer stays in f32.
#[test]
fn a_bias_out_of_reach_is_not_approximated() {
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 1, 1, 1]);
    let x = net.qdq(&x, Quantization::u8(0.01, 3));
    let weights = net.dequantized(&Tensor::new([1, 1, 1, 1], Data::I8(vec![1])).unwrap(), &[1e-20]);
    let bias = net.constant(&Tensor::f32([1], vec![1.0]).unwrap());
    let y = net.node("Conv", &[&x, &weights, &bias], vec![]);
    let y = net.quantize(&y, Quantization::u8(0.01, 0));
    net.output(&y);
    let y = run(&net, Tensor::f32([1, 1, 1, 1], vec![0.5]).unwrap());
    assert_eq!(y.to_bytes(), [100]);
}

/// In the QOperator form a Resize reads 8-bit integers: ONNX interpolates between them and cuts the fraction off.
#[test]
fn integers_are_resized_as_they_are() {
    let mut net = Builder::new(13);
    let q = Quantization::u8(0.5, 10);
    let x = net.input("x", &[1, 1, 1, 2]);
    let x = net.quantize(&x, q);
    let scales = net.constant(&Tensor::f32([4], vec![1.0, 1.0, 1.0, 2.0]).unwrap());
    let y = net.node("Resize", &[&x, "", &scales], vec![string("mode", "linear")]);
    let y = net.dequantize(&y, q);
    net.output(&y);
    // Integers 10 and 13; 10.75 and 12.25 between them become 10 and 12.
    let y = run(&net, Tensor::f32([1, 1, 1, 2], vec![0.0, 1.5]).unwrap());
    assert_eq!(y.as_f32().unwrap(), [0.0, 0.0, 1.0, 1.5]);
}

/// A Cast to 8 bits computes integers that a DequantizeLinear may read as any quantization.
#[test]
fn a_cast_may_be_dequantized() {
    let mut net = Builder::new(13);
    let x = net.input("x", &[2]);
    let y = net.node("Cast", &[&x], vec![int("to", 2)]);
    let y = net.dequantize(&y, Quantization::u8(0.25, 1));
    net.output(&y);
    let y = run(&net, Tensor::f32([2], vec![5.9, 1.0]).unwrap());
    assert_eq!(y.as_f32().unwrap(), [1.0, 0.0]);
}
