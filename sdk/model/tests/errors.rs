//! Every error of the crate, met by the fault it is for and compared whole.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;

use tilemark_model::error::CODES;
use tilemark_model::graph::{Draft, Op, Port};
use tilemark_model::limits::{MAX_ONNX_BYTES, MAX_PORTS, MAX_TENSOR_BYTES};
use tilemark_model::quantize::{FloatModel, Placement};
use tilemark_model::{DType, Data, Error, Tensor, ValueId, import, reference};
use tilemark_testkit::onnx::{Builder, Quantization, int};

/// A model of one f32 input `x` and what `build` makes of it.
fn model(shape: &[usize], build: impl FnOnce(&mut Builder, String) -> String) -> Vec<u8> {
    let mut net = Builder::new(13);
    let x = net.input("x", shape);
    let y = build(&mut net, x);
    net.output(&y);
    net.encode()
}

fn relu(shape: &[usize]) -> Vec<u8> {
    model(shape, |net, x| net.unary("Relu", &x))
}

/// Every case: what happened, and what it must say.
fn cases() -> Vec<(Error, Error)> {
    let mut cases = import_cases();
    cases.extend(run_cases());
    cases
}

fn import_cases() -> Vec<(Error, Error)> {
    let refused = |bytes: &[u8]| import(bytes).unwrap_err();
    let long = vec![0; MAX_ONNX_BYTES + 1];
    let mut old = Builder::new(99);
    let x = old.input("x", &[1]);
    old.output(&x);
    let mut ports = Builder::new(13);
    let x = ports.input("x", &[1]);
    (0..=MAX_PORTS).for_each(|_| ports.output(&x));
    vec![
        (
            refused(&[0xff; 4]),
            Error::NotOnnx { reason: "it ends inside a field: it may be cut short".into() },
        ),
        (refused(&long), Error::OnnxTooLarge { found: MAX_ONNX_BYTES + 1, limit: MAX_ONNX_BYTES }),
        (
            refused(&old.encode()),
            Error::UnsupportedOpset { domain: "ai.onnx".into(), found: 99, lowest: 1, highest: 21 },
        ),
        (
            refused(&model(&[1, 2, 3], |net, x| net.node("GlobalAveragePool", &[&x], vec![int("p", 1)]))),
            Error::UnsupportedOp {
                node: "globalaveragepool_1.node".into(),
                op: "GlobalAveragePool".into(),
                reason: "attribute `p`".into(),
                supported: "no attributes".into(),
            },
        ),
        (
            refused(&model(&[1], |net, _| net.node("Relu", &["nowhere"], vec![]))),
            Error::MalformedNode {
                node: "relu_1.node".into(),
                op: "Relu".into(),
                reason: "it reads `nowhere`, which nothing before it writes".into(),
            },
        ),
        (
            refused(&short_constant()),
            Error::MalformedTensor { name: "w".into(), reason: "2 bytes for 3 elements of u8".into() },
        ),
        (
            refused(&ports.encode()),
            Error::LimitExceeded {
                what: "inputs or outputs",
                found: MAX_PORTS as u64 + 1,
                limit: MAX_PORTS as u64,
            },
        ),
        (
            refused(&wide_layer()),
            Error::AccumulatorOverflow { node: "gemm_11.node".into(), channel: 1, found: 255 * 127 * 70_000 },
        ),
        (refused(&text_input()), Error::UnsupportedType { name: "x".into(), found: "text".into() }),
    ]
}

/// Two bytes that are said to be three elements.
fn short_constant() -> Vec<u8> {
    let mut net = Builder::new(13).model();
    net.graph = Some(Default::default());
    let graph = net.graph.as_mut().unwrap();
    let mut tensor = tilemark_model::onnx::from_tensor("w", &Tensor::u8([2], vec![1, 2]).unwrap());
    tensor.dims = vec![3];
    graph.initializer.push(tensor);
    graph.output.push(tilemark_testkit::onnx::port("w", DType::U8, vec![]));
    prost::Message::encode_to_vec(&net)
}

/// An input whose elements are strings.
fn text_input() -> Vec<u8> {
    let mut net = Builder::new(13).model();
    let graph = net.graph.as_mut().unwrap();
    let mut port = tilemark_testkit::onnx::port("x", DType::F32, vec![]);
    port.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 8;
    graph.input.push(port.clone());
    graph.output.push(port);
    prost::Message::encode_to_vec(&net)
}

/// What the quantizer refuses, and the errors expected.
fn quantizing() -> Vec<(Error, Error)> {
    let read = |bytes: &[u8]| FloatModel::read(bytes);
    let place = |bytes: &[u8]| Placement::of(read(bytes).unwrap().graph(), &BTreeSet::new()).unwrap_err();
    let quantized = model(&[1, 4], |net, x| net.qdq(&x, Quantization::u8(0.02, 0)));
    let softmax = model(&[1, 4], |net, x| net.node("Softmax", &[&x], vec![int("axis", -1)]));
    let reasons = "`softmax_1.node`: Softmax has no integer form".into();
    let infinite = model(&[1, 2], |net, x| {
        let weights = net.constant(&Tensor::f32([2, 1], vec![1.0, f32::INFINITY]).unwrap());
        net.node("MatMul", &[&x, &weights], vec![])
    });
    vec![
        (
            read(&quantized).unwrap_err(),
            Error::AlreadyQuantized { node: "quantizelinear_3.node".into(), op: "QuantizeLinear".into() },
        ),
        (place(&softmax), Error::NothingToQuantize { reasons }),
        (place(&infinite), Error::NotFinite { tensor: "const_1".into(), element: 1 }),
    ]
}

/// Two outputs of 70,000 products each; the second could overflow.
fn wide_layer() -> Vec<u8> {
    let k = 70_000;
    model(&[1, k], |net, x| {
        let q = Quantization::u8(0.02, 0);
        let x = net.qdq(&x, q);
        let rows = [vec![1; k], vec![127; k]].concat();
        let weights = net.dequantized(&Tensor::new([2, k], Data::I8(rows)).unwrap(), &[0.01]);
        let y = net.node("Gemm", &[&x, &weights], vec![int("transB", 1)]);
        net.qdq(&y, q)
    })
}

fn run_cases() -> Vec<(Error, Error)> {
    let graph = import(&relu(&[1, 2])).unwrap();
    let run = |inputs: Vec<Tensor>| reference::run(&graph, inputs).unwrap_err();
    let pool = import(&model(&[1, 2], |net, x| net.node("GlobalAveragePool", &[&x], vec![]))).unwrap();
    let floats = |shape: &[usize]| Tensor::f32(shape, vec![0.0; shape.iter().product()]).unwrap();
    let mut cycle = Draft::default();
    let a = cycle.activation("a", DType::F32, None);
    cycle.node("again", Op::Flatten { axis: 1 }, vec![a], a);
    cycle.outputs.push(Port { name: "a".into(), value: ValueId(0), dtype: DType::F32, shape: vec![] });
    vec![
        (
            cycle.freeze().unwrap_err(),
            Error::InvalidGraph { at: "again".into(), reason: "takes part in a cycle".into() },
        ),
        (
            reference::run(&pool, vec![floats(&[1, 2])]).unwrap_err(),
            Error::Shape {
                node: "globalaveragepool_1.node".into(),
                op: "GlobalAveragePool (f32)".into(),
                reason: "takes [N, C, ...], got [1, 2]".into(),
            },
        ),
        (
            run(vec![floats(&[1, 3])]),
            Error::InputShape { input: "x".into(), found: vec![1, 3], expected: "[1, 2]".into() },
        ),
        (run(vec![]), Error::InputCount { found: 0, expected: 1 }),
        (
            run(vec![Tensor::u8([1, 2], vec![0; 2]).unwrap()]),
            Error::DTypeMismatch { what: "input `x`".into(), expected: "f32".into(), found: DType::U8 },
        ),
        (
            Tensor::u8([2, 2], vec![0; 3]).unwrap_err(),
            Error::ElementCount { shape: vec![2, 2], expected: 4, found: 3 },
        ),
        (
            Tensor::u8([1 << 20, 1 << 20], vec![]).unwrap_err(),
            Error::TensorTooLarge { shape: vec![1 << 20, 1 << 20], limit: MAX_TENSOR_BYTES },
        ),
    ]
}

#[test]
fn every_error_says_what_it_is_for() {
    let mut met = BTreeSet::new();
    for (found, expected) in cases().into_iter().chain(quantizing()) {
        assert_eq!(found, expected);
        assert!(!found.hint().is_empty());
        met.insert(found.code());
    }
    let listed: BTreeSet<&str> = CODES.iter().map(|(code, _)| *code).collect();
    assert_eq!(met, listed, "a code without a case, or a case without a code");
    assert_eq!(CODES.len(), listed.len(), "a code is listed twice");
}
