//! Each QOperator node against the QDQ form of the same operation: one meaning, one graph, the same bytes.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use tilemark_model::{DType, Data, Graph, Op, Tensor, import::import_model, onnx::AttributeProto, reference};
use tilemark_testkit::onnx::{Builder, Quantization, float, int, ints};
use tilemark_testkit::random::SplitMix64;

const X: Quantization = Quantization::u8(0.02, 120);
const Y: Quantization = Quantization::u8(0.05, 7);
const SHAPE: [usize; 4] = [1, 6, 5, 7];

/// Names of a scale and a zero point.
fn parameters(net: &mut Builder, q: Quantization) -> [String; 2] {
    let zero = Tensor::u8([], vec![u8::try_from(q.zero_point).unwrap()]).unwrap();
    [net.scalar(q.scale), net.constant(&zero)]
}

/// A model whose input is u8 `[1, 6, 5, 7]`, with the names of that input and of its scale and zero point.
fn net() -> (Builder, [String; 3]) {
    let mut net = Builder::new(13);
    let x = net.typed_input("x", DType::U8, &SHAPE);
    let [scale, zero] = parameters(&mut net, X);
    (net, [x, scale, zero])
}

fn finish(mut net: Builder, output: &str, microsoft: bool) -> Graph {
    net.output(output);
    let mut model = net.model();
    if microsoft {
        for node in &mut model.graph.as_mut().unwrap().node {
            node.domain = "com.microsoft".into();
        }
    }
    import_model(&model).unwrap().graph
}

fn run(graph: &Graph) -> Vec<u8> {
    let n = SHAPE.iter().product();
    let x = Tensor::u8(SHAPE, SplitMix64::new(3).bytes(n)).unwrap();
    reference::run(graph, vec![x]).unwrap()[0].to_bytes()
}

fn names(strings: &[String]) -> Vec<&str> {
    strings.iter().map(String::as_str).collect()
}

/// `QLinear*` of one or two inputs: the QOperator node, and the same operation between Dequantize and Quantize.
fn pair(qop: &str, op: &str, operands: usize, attributes: &[AttributeProto]) -> [Graph; 2] {
    let (mut spelled, x) = net();
    let y = parameters(&mut spelled, Y);
    let inputs = [vec![x.as_slice(); operands].concat(), y.to_vec()].concat();
    let output = spelled.node(qop, &names(&inputs), attributes.to_vec());

    let (mut qdq, x) = net();
    let real = qdq.node("DequantizeLinear", &names(&x), Vec::new());
    let real = qdq.node(op, &vec![real.as_str(); operands], attributes.to_vec());
    let [scale, zero] = parameters(&mut qdq, Y);
    let quantized = qdq.node("QuantizeLinear", &[&real, &scale, &zero], Vec::new());
    [finish(spelled, &output, true), finish(qdq, &quantized, false)]
}

#[test]
fn microsoft_operators_mean_what_their_qdq_form_means() {
    let pool = [ints("kernel_shape", [3, 3]), ints("pads", [1, 1, 1, 1]), int("count_include_pad", 1)];
    let cases: [(&str, &str, usize, &[AttributeProto]); 8] = [
        ("QLinearAdd", "Add", 2, &[]),
        ("QLinearMul", "Mul", 2, &[]),
        ("QLinearSigmoid", "Sigmoid", 1, &[]),
        ("QLinearLeakyRelu", "LeakyRelu", 1, &[float("alpha", 0.2)]),
        ("QLinearGlobalAveragePool", "GlobalAveragePool", 1, &[]),
        ("QLinearAveragePool", "AveragePool", 1, &pool),
        ("QLinearReduceMean", "ReduceMean", 1, &[ints("axes", [2, 3])]),
        ("QLinearSoftmax", "Softmax", 1, &[int("axis", 1)]),
    ];
    for (qop, op, operands, attributes) in cases {
        let [spelled, qdq] = pair(qop, op, operands, attributes);
        let operations = |graph: &Graph| graph.nodes.iter().map(|node| node.op.name()).collect::<Vec<_>>();
        assert_eq!(operations(&spelled), operations(&qdq), "{qop}");
        assert_eq!(run(&spelled), run(&qdq), "{qop}");
    }
}

#[test]
fn qlinear_concat_requantizes_each_input() {
    let (mut net, x) = net();
    let y = parameters(&mut net, Y);
    let inputs = [y.to_vec(), x.to_vec(), x.to_vec()].concat();
    let joined = net.node("QLinearConcat", &names(&inputs), vec![int("axis", 1)]);
    let graph = finish(net, &joined, true);
    let bytes = run(&graph);
    assert_eq!(bytes.len(), 2 * SHAPE.iter().product::<usize>());
    assert_eq!(bytes[..bytes.len() / 2], bytes[bytes.len() / 2..]);
}

#[test]
fn qlinear_conv_becomes_one_integer_convolution() {
    let mut random = SplitMix64::new(11);
    let (mut net, x) = net();
    let weights = Data::I8(random.weights(4 * 6 * 9));
    let weights = net.constant(&Tensor::new([4, 6, 3, 3], weights).unwrap());
    let scales = Tensor::f32([4], random.floats(4, 0.001, 0.01)).unwrap();
    let scales = net.constant(&scales);
    let zeros = net.constant(&Tensor::new([4], Data::I8(vec![0; 4])).unwrap());
    let bias = net.constant(&Tensor::new([4], Data::I32(vec![5, -700, 0, 90])).unwrap());
    let y = parameters(&mut net, Y);
    let inputs = [x.to_vec(), vec![weights, scales, zeros], y.to_vec(), vec![bias]].concat();
    let output = net.node("QLinearConv", &names(&inputs), vec![ints("pads", [1, 0, 1, 2])]);
    let graph = finish(net, &output, false);
    assert!(matches!(&graph.nodes[..], [node] if matches!(node.op, Op::Conv(..))), "{:?}", graph.nodes);
    assert_eq!(graph.constant(graph.nodes[0].inputs[2]).unwrap().data(), &Data::I32(vec![5, -700, 0, 90]));
    assert_eq!(run(&graph).len(), 4 * 5 * 7);
}

#[test]
fn what_is_not_spelled_out_is_refused_by_name() {
    let (mut net, x) = net();
    let output = net.node("QAttention", &names(&x), Vec::new());
    net.output(&output);
    let mut model = net.model();
    model.graph.as_mut().unwrap().node[0].domain = "com.microsoft".into();
    let error = import_model(&model).unwrap_err();
    assert_eq!(error.code(), "TM0204");
    assert!(error.to_string().contains("com.microsoft.QAttention"), "{error}");
}

#[test]
fn qlinear_matmul_of_two_activations_accumulates_integers() {
    let mut net = Builder::new(13);
    let (a, b) = (net.typed_input("a", DType::U8, &[2, 3]), net.typed_input("b", DType::U8, &[3, 2]));
    let q = |scale, zero_point| Quantization::u8(scale, zero_point);
    let [pa, pb, py] = [q(0.5, 2), q(0.25, 10), q(1.0, 3)].map(|q| parameters(&mut net, q));
    let inputs = [vec![a], pa.to_vec(), vec![b], pb.to_vec(), py.to_vec()].concat();
    let output = net.node("QLinearMatMul", &names(&inputs), Vec::new());
    let graph = finish(net, &output, false);
    assert!(matches!(&graph.nodes[..], [node] if matches!(node.op, Op::MatMul(_))), "{:?}", graph.nodes);
    let tensor = |shape: [usize; 2], data: &[u8]| Tensor::u8(shape, data.to_vec()).unwrap();
    let inputs = vec![tensor([2, 3], &[2, 3, 4, 0, 255, 2]), tensor([3, 2], &[10, 11, 14, 9, 20, 0])];
    // Rows less 2: [0 1 2], [-2 253 0]; columns less 10: [0 4 10], [1 -1 -10]. Sums 24, -21, 1012, -255; an eighth of
    // each, rounded, plus 3.
    assert_eq!(reference::run(&graph, inputs).unwrap()[0].to_bytes(), [6, 0, 129, 0]);
}
