//! Each missing Quantize or Dequantize is named by the node that it keeps in f32.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use tilemark_model::explain::float_nodes;
use tilemark_model::{Data, Tensor, import};
use tilemark_testkit::onnx::{Builder, Quantization, int, ints};

const Q: Quantization = Quantization::u8(0.05, 128);

/// The f32 nodes of a model, as `operation: reason`.
fn reasons(net: &Builder) -> Vec<String> {
    let graph = import(&net.encode()).unwrap();
    let found = float_nodes(&graph);
    found.iter().map(|float| format!("{}: {}", float.node.op.name(), float.reason)).collect()
}

/// What stands around one convolution.
#[derive(Clone, Copy)]
struct Around {
    input: bool,
    weights: bool,
    output: bool,
}

fn convolution(around: Around) -> Builder {
    let mut net = Builder::new(13);
    let mut x = net.input("x", &[1, 2, 4, 4]);
    if around.input {
        x = net.qdq(&x, Q);
    }
    let w = if around.weights {
        let ints = Tensor::new([2, 2, 1, 1], Data::I8(vec![1, 2, 3, 4])).unwrap();
        net.dequantized(&ints, &[0.5, 0.25])
    } else {
        net.constant(&Tensor::f32([2, 2, 1, 1], vec![0.5; 4]).unwrap())
    };
    let y = net.node("Conv", &[&x, &w], vec![]);
    let y = net.rename(&y, "y");
    let y = net.unary("Relu", &y);
    let y = if around.output { net.qdq(&y, Q) } else { y };
    let y = net.rename(&y, "out");
    net.output(&y);
    net
}

#[test]
fn the_missing_border_is_named() {
    let whole = Around { input: true, weights: true, output: true };
    assert!(reasons(&convolution(whole)).is_empty());
    let cases = [
        (Around { input: false, ..whole }, "input `x` of the model is not quantized"),
        (Around { weights: false, ..whole }, "`const_7` is not a symmetric 8-bit constant"),
        (Around { output: false, ..whole }, "output not quantized: it is output `out` of the model"),
    ];
    for (around, expected) in cases {
        let found = reasons(&convolution(around));
        let conv = found.iter().find(|line| line.starts_with("Conv (f32)")).unwrap();
        assert!(conv.contains(expected.trim_start_matches("`const_7` ")), "{found:?}");
    }
}

/// A float node keeps the one behind it in f32; both say so, and what has no integer form says that.
#[test]
fn a_float_node_is_named_as_the_reason_of_the_next() {
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 2, 4, 4]);
    let x = net.qdq(&x, Q);
    let y = net.node("LRN", &[&x], vec![int("size", 3)]);
    let pooled = net.node("AveragePool", &[&y], vec![ints("kernel_shape", [2, 2])]);
    let pooled = net.qdq(&pooled, Q);
    net.output(&pooled);
    assert_eq!(
        reasons(&net),
        [
            "LRN (f32): the operation has no integer form".to_owned(),
            format!("AveragePool (f32): input `{y}` comes from float node `{y}.node`"),
        ]
    );
}

#[test]
fn a_reader_that_takes_floats_is_named() {
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 2, 4, 4]);
    let x = net.qdq(&x, Q);
    let sum = net.node("Add", &[&x, &x], vec![]);
    let q = net.qdq(&sum, Q);
    let y = net.node("LRN", &[&sum], vec![int("size", 3)]);
    net.output(&q);
    net.output(&y);
    let found = reasons(&net);
    // An Add of one tensor to itself is a function of it; with a second reader it stays one of floats.
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], format!("Add (f32): output not quantized: node `{y}.node` reads it as f32"));
}

/// Weights with a scale for each block have no integer form here: they are exact in f32, and listed.
#[test]
fn blocks_of_weights_run_in_f32_and_say_so() {
    let mut net = Builder::new(21);
    let x = net.input("x", &[1, 4]);
    let x = net.qdq(&x, Q);
    let w = net.constant(&Tensor::new([4, 2], Data::I8(vec![1, 2, 3, 4, 5, 6, 7, 8])).unwrap());
    let scales = net.constant(&Tensor::f32([2, 2], vec![1.0, 0.5, 0.25, 2.0]).unwrap());
    let w = net.node("DequantizeLinear", &[&w, &scales], vec![int("axis", 0), int("block_size", 2)]);
    let y = net.node("MatMul", &[&x, &w], vec![]);
    let y = net.qdq(&y, Q);
    net.output(&y);
    let found = reasons(&net);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("MatMul (f32): ") && found[0].contains("one scale or one per output channel")
    );
    let graph = import(&net.encode()).unwrap();
    let input = Tensor::f32([1, 4], vec![1.0, 0.5, -1.0, 2.0]).unwrap();
    let y = tilemark_model::reference::run(&graph, vec![input]).unwrap();
    let y = graph.declared(&graph.outputs[0], &y[0]).unwrap();
    // [1 + 1.5 - 1.25 + 3.5, 1 + 1 - 12 + 32], the second beyond the last step: 127 * 0.05.
    assert_eq!(y.as_f32().unwrap(), [95.0 * 0.05, 127.0 * 0.05]);
}
