//! Operations that run on the host, damaged ten thousand times over: an error or a result, never a panic. And models that
//! are refused by the name of the node that is the reason.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use common::{EDGES, assert_little_memory, exercise, run, seed};
use prost::Message;
use tilemark_model::graph::{MoveOp, Op, ValueId};
use tilemark_model::onnx::{AttributeProto, GraphProto, attribute_type};
use tilemark_model::{DType, Data, Error, Tensor, import};
use tilemark_testkit::onnx::{Builder, float, int, ints, string, tensor};
use tilemark_testkit::random::SplitMix64;

fn indices(values: &[i64]) -> Tensor {
    Tensor::new([values.len()], Data::I64(values.to_vec())).unwrap()
}

fn floats(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    Tensor::f32(shape, (0..n).map(|i| i as f32 * 0.1 - 0.5).collect()).unwrap()
}

/// Movements, resizing and convolutions of an image.
fn images(net: &mut Builder, x: &str) {
    let pads = net.constant(&indices(&[0, 0, 1, 1, 0, 0, 1, 1]));
    let padded = net.node("Pad", &[x, &pads], vec![string("mode", "reflect")]);
    let ends: Vec<String> =
        [&[0, 1][..], &[-1, 9], &[2, 3], &[1, 2]].map(|v| net.constant(&indices(v))).into();
    let sliced = net.node("Slice", &[&padded, &ends[0], &ends[1], &ends[2], &ends[3]], vec![]);
    let gathered = net.node("Gather", &[&sliced, &ends[0]], vec![int("axis", 1)]);
    let sizes = net.constant(&indices(&[1, 2, 5, 3]));
    let nearest = net.node("Resize", &[&gathered, "", "", &sizes], vec![string("mode", "nearest")]);
    let scales = net.constant(&Tensor::f32([4], vec![1.0, 1.0, 1.5, 2.0]).unwrap());
    let cubic = net.node("Resize", &[&nearest, "", &scales], vec![string("mode", "cubic")]);
    let w = net.constant(&floats(&[2, 2, 3, 3]));
    let strides = vec![ints("strides", [2, 1]), ints("dilations", [1, 2]), ints("pads", [1, 0, 0, 1])];
    let spread = net.node("ConvTranspose", &[&cubic, &w], strides);
    let blocks = net.node("DepthToSpace", &[x], vec![int("blocksize", 2), string("mode", "CRD")]);
    let regions = net.constant(&Tensor::f32([1, 4], vec![0.0, 0.0, 3.0, 3.0]).unwrap());
    let batch = net.constant(&indices(&[0]));
    let bins = vec![int("output_height", 2), int("output_width", 2), int("sampling_ratio", 1)];
    let aligned = net.node("RoiAlign", &[x, &regions, &batch], bins);
    let lrn = net.node("LRN", &[x], vec![int("size", 3)]);
    for y in [&spread, &blocks, &aligned, &lrn] {
        net.output(y);
    }
}

/// Shapes that are computed, rankings and casts.
fn numbers(net: &mut Builder, x: &str) {
    let shape = net.node("Shape", &[x], vec![]);
    let first = net.constant(&indices(&[0]));
    let batch = net.node("Gather", &[&shape, &first], vec![int("axis", 0)]);
    let rest = net.constant(&indices(&[-1]));
    let target = net.node("Concat", &[&batch, &rest], vec![int("axis", 0)]);
    let flat = net.node("Reshape", &[x, &target], vec![]);
    let k = net.constant(&indices(&[3]));
    let top = net.node("TopK", &[&flat, &k], vec![int("axis", 1)]);
    let best = net.node("ArgMax", &[&flat], vec![int("axis", 1)]);
    let half = net.node("Cast", &[&flat], vec![int("to", 10)]);
    let wide = net.node("Expand", &[&best, &shape], vec![]);
    let filled = net.node("ConstantOfShape", &[&batch], vec![tensor("value", &indices(&[7]))]);
    let power = net.node("Mul", &[&filled, &batch], vec![]);
    let more = net.node("Greater", &[&best, &power], vec![]);
    let chosen = net.node("Where", &[&more, &best, &power], vec![]);
    for y in [&top, &half, &wide, &chosen] {
        net.output(y);
    }
}

/// Sequences and normalizations.
fn sequences(net: &mut Builder) {
    let x = net.input("sequence", &[3, 1, 2]);
    let [w, r] = [[2, 8, 2], [2, 8, 2]].map(|shape| net.constant(&floats(&shape)));
    let both = vec![int("hidden_size", 2), string("direction", "bidirectional")];
    let lstm = net.node("LSTM", &[&x, &w, &r], both);
    let scale = net.constant(&floats(&[2]));
    let normal =
        net.node("LayerNormalization", &[&lstm, &scale], vec![int("axis", -1), float("epsilon", 0.1)]);
    let line = net.constant(&floats(&[1, 1, 2]));
    let conv = net.node("Conv", &[&x, &line], vec![ints("pads", [1, 0])]);
    let pooled = net.node("AveragePool", &[&conv], vec![ints("kernel_shape", [2]), int("ceil_mode", 1)]);
    for y in [&normal, &pooled] {
        net.output(y);
    }
}

fn net() -> Builder {
    let mut net = Builder::new(17);
    let x = net.batched_input("x", &[4, 4, 4]);
    images(&mut net, &x);
    numbers(&mut net, &x);
    sequences(&mut net);
    net
}

#[test]
fn ten_thousand_damaged_models_do_not_panic() {
    let whole = net().model();
    exercise(&whole.encode_to_vec()).unwrap();
    let mut random = SplitMix64::new(seed());
    let (mut refused, mut ran) = (0, 0);
    for _ in 0..10_000 {
        let mut model = whole.clone();
        for _ in 0..=random.below(2) {
            damage_model(model.graph.as_mut().unwrap(), &mut random);
        }
        match exercise(&model.encode_to_vec()) {
            Ok(_) => ran += 1,
            Err(error) => {
                assert!(error.code().starts_with("TM02"));
                refused += 1;
            }
        }
    }
    println!("{refused} refused, {ran} ran");
    assert!(refused > 3_000 && ran > 500, "{refused} refused, {ran} ran");
    assert_little_memory();
}

fn damage_model(graph: &mut GraphProto, random: &mut SplitMix64) {
    let edge = EDGES[random.below(EDGES.len())];
    let (at, other) = (random.below(graph.node.len()), random.below(graph.node.len()));
    let tensor = random.below(graph.initializer.len());
    match random.below(8) {
        0 | 1 => {
            let attributes = &mut graph.node[at].attribute;
            let n = attributes.len().max(1);
            attributes
                .iter_mut()
                .skip(random.below(n))
                .take(1)
                .for_each(|a| damage_attribute(a, edge, random));
        }
        2 => graph.initializer[tensor].dims = vec![edge],
        3 => graph.initializer[tensor].data_type = random.int(0, 23),
        4 => {
            let bytes = &mut graph.initializer[tensor].raw_data;
            let words = (bytes.len() / 8).max(1);
            let word = random.below(words) * 8;
            bytes.iter_mut().skip(word).zip(edge.to_le_bytes()).for_each(|(byte, new)| *byte = new);
        }
        5 => {
            let output = graph.node[other].output[0].clone();
            let inputs = &mut graph.node[at].input;
            let n = inputs.len();
            inputs.iter_mut().skip(random.below(n)).take(1).for_each(|input| input.clone_from(&output));
        }
        6 => graph.node[at].op_type = graph.node[other].op_type.clone(),
        _ => {
            let inputs = &mut graph.node[at].input;
            inputs.truncate(random.below(inputs.len() + 1));
        }
    }
}

fn damage_attribute(attribute: &mut AttributeProto, edge: i64, random: &mut SplitMix64) {
    match attribute.r#type {
        attribute_type::INT => attribute.i = edge,
        attribute_type::FLOAT => attribute.f = edge as f32,
        attribute_type::INTS if random.below(3) == 0 => attribute.ints.push(edge),
        attribute_type::INTS => {
            let n = attribute.ints.len().max(1);
            attribute.ints.iter_mut().skip(random.below(n)).take(1).for_each(|i| *i = edge);
        }
        _ => attribute.name = "mode".into(),
    }
}

#[test]
fn ten_thousand_damaged_graphs_do_not_panic() {
    let whole = import(&net().encode()).unwrap();
    let mut random = SplitMix64::new(seed() + 1);
    let types = [DType::F32, DType::I64, DType::Bool, DType::F16, DType::U8, DType::I4, DType::F64];
    let (mut refused, mut ran) = (0, 0);
    for _ in 0..10_000 {
        let mut graph = whole.clone();
        let (at, other) = (random.below(graph.nodes.len()), random.below(graph.nodes.len()));
        let value = random.below(graph.values.len());
        match random.below(5) {
            0 => graph.nodes[at].op = graph.nodes[other].op.clone(),
            1 => {
                let n = graph.nodes[at].inputs.len();
                graph.nodes[at].inputs[random.below(n)] = ValueId(u32::try_from(value).unwrap());
            }
            2 => graph.values[value].dtype = types[random.below(types.len())],
            3 => drop(graph.nodes[at].inputs.pop()),
            _ => {
                if let Some(constant) = &mut graph.values[value].constant {
                    constant.shape.reverse();
                    constant.shape.pop();
                }
            }
        }
        let weights = graph.weights().clone();
        match graph.with_weights(weights).and_then(|graph| run(&graph)) {
            Ok(_) => ran += 1,
            Err(_) => refused += 1,
        }
    }
    println!("{refused} refused, {ran} ran");
    assert!(refused > 3_000 && ran > 500, "{refused} refused, {ran} ran");
    assert_little_memory();
}

/// Control flow and spectra are not half-run: the message names the node.
#[test]
fn what_is_outside_the_range_is_refused_by_the_name_of_its_node() {
    for op in ["If", "Loop", "Scan", "STFT", "Einsum", "SequenceAt"] {
        let mut net = Builder::new(17);
        let x = net.input("x", &[2, 2]);
        let x = net.unary("Relu", &x);
        let y = net.node(op, &[&x], vec![]);
        net.output(&y);
        let Error::UnsupportedOp { node, op: named, .. } = import(&net.encode()).unwrap_err() else {
            panic!("{op} is refused as something else");
        };
        assert_eq!((node, named.as_str()), (format!("{y}.node"), op));
    }
}

/// A model whose second node holds a graph with an LSTM, as Silero's voice detector is: message types with a graph for an
/// attribute, which import's own do not have.
mod branches {
    use tilemark_model::onnx::{GraphProto, OperatorSetIdProto};

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Model {
        #[prost(message, optional, tag = "7")]
        pub(crate) graph: Option<Graph>,
        #[prost(message, repeated, tag = "8")]
        pub(crate) opset_import: Vec<OperatorSetIdProto>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Graph {
        #[prost(message, repeated, tag = "1")]
        pub(crate) node: Vec<Node>,
        #[prost(message, repeated, tag = "11")]
        pub(crate) input: Vec<tilemark_model::onnx::ValueInfoProto>,
        #[prost(message, repeated, tag = "12")]
        pub(crate) output: Vec<tilemark_model::onnx::ValueInfoProto>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Node {
        #[prost(string, repeated, tag = "1")]
        pub(crate) input: Vec<String>,
        #[prost(string, repeated, tag = "2")]
        pub(crate) output: Vec<String>,
        #[prost(string, tag = "3")]
        pub(crate) name: String,
        #[prost(string, tag = "4")]
        pub(crate) op_type: String,
        #[prost(message, repeated, tag = "5")]
        pub(crate) attribute: Vec<Attribute>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Attribute {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(message, optional, tag = "6")]
        pub(crate) g: Option<GraphProto>,
        #[prost(int32, tag = "20")]
        pub(crate) r#type: i32,
    }
}

#[test]
fn a_branch_with_a_recurrent_layer_is_refused_by_its_node() {
    let mut inner = Builder::new(16);
    let x = inner.input("x", &[3, 1, 2]);
    let [w, r] = [[1, 8, 2], [1, 8, 2]].map(|shape| inner.constant(&floats(&shape)));
    let y = inner.node("LSTM", &[&x, &w, &r], vec![int("hidden_size", 2)]);
    inner.output(&y);
    let mut outer = Builder::new(16);
    let x = outer.input("x", &[3, 1, 2]);
    let rate = outer.typed_input("rate", DType::Bool, &[]);
    let y = outer.unary("Relu", &x);
    outer.output("y");
    let model = outer.model();
    let graph = model.graph.unwrap();
    let branch = |name: &str| branches::Attribute {
        name: name.into(),
        g: inner.model().graph,
        r#type: 5, // GRAPH
    };
    let node = |op: &str, name: &str, input: &str, output: &str, attribute| branches::Node {
        input: vec![input.into()],
        output: vec![output.into()],
        name: name.into(),
        op_type: op.into(),
        attribute,
    };
    let whole = branches::Model {
        graph: Some(branches::Graph {
            node: vec![
                node("Relu", "first", &x, &y, vec![]),
                node("If", "by_rate", &rate, "y", vec![branch("then_branch"), branch("else_branch")]),
            ],
            input: graph.input,
            output: graph.output,
        }),
        opset_import: model.opset_import,
    };
    let Error::UnsupportedOp { node, op, .. } = import(&whole.encode_to_vec()).unwrap_err() else {
        panic!("refused as something else");
    };
    assert_eq!((node.as_str(), op.as_str()), ("by_rate", "If"));
}

#[test]
fn a_recurrent_layer_of_another_kind_is_refused() {
    for (attribute, says) in [
        (float("clip", 1.0), "clip"),
        (int("layout", 1), "batches first"),
        (int("input_forget", 1), "coupled"),
    ] {
        let mut net = Builder::new(17);
        let x = net.input("x", &[3, 1, 2]);
        let [w, r] = [[1, 8, 2], [1, 8, 2]].map(|shape| net.constant(&floats(&shape)));
        let y = net.node("LSTM", &[&x, &w, &r], vec![int("hidden_size", 2), attribute]);
        net.output(&y);
        let error = import(&net.encode()).unwrap_err();
        assert!(matches!(&error, Error::UnsupportedOp { .. }) && error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_part_beyond_the_last_is_refused() {
    let mut net = Builder::new(17);
    let x = net.input("x", &[6, 2]);
    let y = net.unary("Relu", &x);
    net.output(&y);
    let graph = import(&net.encode()).unwrap();
    for (index, count, fits) in [(1, 2, true), (2, 2, false), (usize::MAX - 1, 2, false), (0, 0, false)] {
        let mut graph = graph.clone();
        graph.nodes[0].op = Op::Move(MoveOp::Part { axis: 0, index, count });
        let weights = graph.weights().clone();
        let checked = graph.with_weights(weights).and_then(|graph| run(&graph));
        assert_eq!(checked.is_ok(), fits, "part {index} of {count}: {checked:?}");
    }
}

/// Backends have no work for it, and must not differ in what they refuse.
#[test]
fn an_output_without_elements_is_not_computed() {
    let mut net = Builder::new(17);
    let x = net.input("x", &[1, 0, 2, 2]);
    let regions = net.constant(&floats(&[2, 4]));
    let images = net.constant(&indices(&[0, 9]));
    let y = net.node("RoiAlign", &[&x, &regions, &images], vec![]);
    net.output(&y);
    assert_eq!(run(&import(&net.encode()).unwrap()).unwrap()[0].shape(), [2, 0, 1, 1]);
}
