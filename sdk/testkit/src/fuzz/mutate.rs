//! Changes inputs in the terms of their formats, so that most of what comes out gets past the first check.

use std::sync::LazyLock;

use prost::Message;
use tilemark_bundle::{Envelope, PayloadType, codec};
use tilemark_model::graph::{Dim, Op};
use tilemark_model::import::import;
use tilemark_model::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto};
use tilemark_model::{DType, Graph, Quant, ValueId};

use super::seeds::models;
use super::{files, graphs, json, seeds};
use crate::random::SplitMix64;

/// Numbers that break careless arithmetic.
const EDGES: [i64; 13] =
    [0, -1, -2, 64, 127, 255, 65_536, 65_537, 1 << 31, (1 << 31) - 1, 1 << 40, i64::MAX, i64::MIN];
const SCALES: [f32; 12] =
    [0.0, -0.5, f32::NAN, f32::INFINITY, 1e-44, f32::MAX, 1e-20, 1e20, 0.02, 0.5, 1.0, 100.0];
const ATTRIBUTES: [&str; 24] = [
    "strides",
    "pads",
    "dilations",
    "kernel_shape",
    "axis",
    "perm",
    "group",
    "axes",
    "transB",
    "alpha",
    "to",
    "ceil_mode",
    "count_include_pad",
    "keepdims",
    "blocksize",
    "batch_dims",
    "output_padding",
    "output_shape",
    "hidden_size",
    "size",
    "sampling_ratio",
    "antialias",
    "num_outputs",
    "exclusive",
];

/// Changes one to four bytes, or drops or repeats a few.
pub(super) fn flip(bytes: &[u8], random: &mut SplitMix64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let end = bytes.len().min(at + 1 + random.below(8));
        match random.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let repeated = bytes[at..end].to_vec();
                bytes.splice(at..at, repeated);
            }
            2 => bytes[at..end].fill([0, 0x7f, 0x80, 0xff][random.below(4)]),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    bytes
}

/// Changes the envelope of a bundle, what it signs, or its blobs, under a right header.
pub(super) fn bundle(bytes: &[u8], random: &mut SplitMix64) -> Vec<u8> {
    let Some((envelope, blobs)) = files::parts(bytes) else { return flip(bytes, random) };
    match random.below(8) {
        0 => files::around(envelope, &flip(blobs, random)),
        1 => files::around(&flip(envelope, random), blobs),
        2 => files::around(&json::mutate(envelope, random), blobs),
        _ => {
            let Ok(envelope) = Envelope::parse(envelope, PayloadType::MANIFEST) else {
                return flip(bytes, random);
            };
            let payload = json::mutate(envelope.payload(), random);
            match Envelope::seal(PayloadType::MANIFEST, payload, &[&files::key()]) {
                Ok(envelope) => files::around(&envelope.to_json(), blobs),
                Err(_) => flip(bytes, random),
            }
        }
    }
}

/// Puts another number into one of a header's fields.
pub(super) fn header(bytes: &[u8], random: &mut SplitMix64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = [8, 12, 16, 24, 32, 56, files::HEADER][random.below(7)];
    if at + 8 > bytes.len() {
        bytes.resize(at + 8, 0);
    }
    let field = &mut bytes[at..at + 8];
    let there = field.first_chunk().map_or(0, |number| i64::from_le_bytes(*number));
    let number = match random.below(3) {
        0 => EDGES[random.below(EDGES.len())],
        1 => i64::from(random.int(0, 8192)),
        _ => there.wrapping_add(i64::from(random.int(-1, 1))),
    };
    field.copy_from_slice(&number.to_le_bytes());
    bytes
}

/// Changes the JSON of an envelope, or signs what it holds again, changed or not.
pub(super) fn envelope(bytes: &[u8], random: &mut SplitMix64) -> Vec<u8> {
    let Ok(mut envelope) = Envelope::parse(bytes, PayloadType::MANIFEST) else {
        return json::mutate(bytes, random);
    };
    match random.below(4) {
        0 => {
            let payload = flip(envelope.payload(), random);
            Envelope::seal(PayloadType::MANIFEST, payload, &[&files::key()])
                .map_or_else(|_| flip(bytes, random), |envelope| envelope.to_json())
        }
        1 if envelope.sign(&seeds::second_key()).is_ok() => envelope.to_json(),
        _ => json::mutate(bytes, random),
    }
}

/// Changes one to three things in an ONNX model.
pub(super) fn onnx(bytes: &[u8], random: &mut SplitMix64) -> Vec<u8> {
    let Ok(mut model) = ModelProto::decode(bytes) else { return flip(bytes, random) };
    for _ in 0..=random.below(3) {
        if random.below(16) == 0
            && let Some(opset) = model.opset_import.first_mut()
        {
            opset.version = number(random);
        }
        if let Some(graph) = model.graph.as_mut().filter(|graph| !graph.node.is_empty()) {
            change_onnx(graph, random);
        }
    }
    model.encode_to_vec()
}

fn change_onnx(graph: &mut GraphProto, random: &mut SplitMix64) {
    let (node, other) = (random.below(graph.node.len()), random.below(graph.node.len()));
    let written = graph.node[other].output.first().cloned().unwrap_or_default();
    match random.below(12) {
        0..=2 => attribute(&mut graph.node[node], random),
        3 | 4 => initializer(graph, random),
        5 => {
            let constants = graph.initializer.iter().map(|tensor| tensor.name.clone());
            let names: Vec<String> = constants.chain([written, String::new()]).collect();
            if let Some(input) = any(&mut graph.node[node].input, random) {
                input.clone_from(&names[random.below(names.len())]);
            }
        }
        6 => graph.node[node].output = vec![written],
        7 => {
            let NodeProto { op_type, attribute, domain, .. } = node_of_seeds(random);
            let node = &mut graph.node[node];
            *node = NodeProto { op_type, attribute, domain, ..std::mem::take(node) };
        }
        8 => drop(graph.node.remove(node)),
        9 => {
            if let Some(port) = any(&mut graph.output, random) {
                port.name = written;
            }
        }
        10 => {
            let port = any(&mut graph.input, random).and_then(|port| port.r#type.as_mut());
            let Some(tensor) = port.and_then(|port| port.tensor_type.as_mut()) else { return };
            if random.below(4) == 0 {
                tensor.elem_type = random.int(0, 12);
            }
            let dims = tensor.shape.get_or_insert_default();
            if let Some(dim) = any(&mut dims.dim, random) {
                dim.dim_value = (random.below(4) > 0).then(|| number(random));
            }
        }
        _ => {
            let inputs = &mut graph.node[node].input;
            inputs.truncate(random.below(inputs.len() + 1));
        }
    }
}

fn attribute(node: &mut NodeProto, random: &mut SplitMix64) {
    if node.attribute.is_empty() || random.below(6) == 0 {
        let name = ATTRIBUTES[random.below(ATTRIBUTES.len())].to_owned();
        let ints = (0..random.below(5)).map(|_| number(random)).collect::<Vec<_>>();
        let (i, r#type) = (number(random), if ints.is_empty() { 2 } else { 7 });
        node.attribute.push(AttributeProto { name, i, ints, r#type, ..AttributeProto::default() });
        return;
    }
    let Some(attribute) = any(&mut node.attribute, random) else { return };
    attribute.f = SCALES[random.below(SCALES.len())];
    match (random.below(4), attribute.ints.is_empty()) {
        (0, false) => drop(attribute.ints.pop()),
        (1, _) => attribute.r#type = random.int(0, 10),
        (_, false) => *any(&mut attribute.ints, random).expect("it is not empty") = number(random),
        _ => attribute.i = number(random),
    }
}

fn initializer(graph: &mut GraphProto, random: &mut SplitMix64) {
    let Some(tensor) = any(&mut graph.initializer, random) else { return };
    match random.below(6) {
        0 => tensor.dims.push(number(random)),
        1 => drop(tensor.dims.pop()),
        2 => tensor.data_type = random.int(-1, 24),
        3 => tensor.raw_data.resize(random.below(tensor.raw_data.len() + 8), 0x7f),
        4 if tensor.data_type == 1 && tensor.raw_data.len() >= 4 => {
            tensor.raw_data[..4].copy_from_slice(&SCALES[random.below(SCALES.len())].to_le_bytes());
        }
        _ => {
            if let Some(byte) = any(&mut tensor.raw_data, random) {
                *byte = random.bits() as u8;
            }
        }
    }
}

/// Changes one to three things in a graph's record, or the record of an imported ONNX file.
pub(super) fn graph(bytes: &[u8], random: &mut SplitMix64) -> Vec<u8> {
    let parts = graphs::split(bytes);
    let decoded = parts.and_then(|(record, weights)| Some((codec::decode(record).ok()?, weights.to_vec())));
    let imported = || import(bytes).ok().map(|graph| (graph.clone(), graph.weights().to_vec()));
    let Some((mut graph, mut weights)) = decoded.or_else(imported) else { return flip(bytes, random) };
    for _ in 0..=random.below(3) {
        if random.below(6) == 0 {
            weights = flip(&weights, random);
        } else if !graph.nodes.is_empty() && !graph.values.is_empty() {
            change_graph(&mut graph, random);
        }
    }
    let record = codec::encode(&graph).unwrap_or_default();
    graphs::join(&record, &weights)
}

fn change_graph(graph: &mut Graph, random: &mut SplitMix64) {
    let (node, other) = (random.below(graph.nodes.len()), random.below(graph.nodes.len()));
    let value = random.below(graph.values.len());
    let any_value = ValueId(random.below(graph.values.len() + 1) as u32);
    match random.below(14) {
        0 | 1 => {
            if let Some(input) = any(&mut graph.nodes[node].inputs, random) {
                *input = any_value;
            }
        }
        2 => graph.nodes[node].output = any_value,
        3 => graph.nodes[node].op = graph.nodes[other].op.clone(),
        4 => graph.nodes[node].op = operation(random),
        5 | 6 => change_operation(&mut graph.nodes[node].op, random),
        7 => graph.nodes.swap(node, other),
        8 => {
            let scale = SCALES[random.below(SCALES.len())];
            let zero_point = [0, 1, 128, 255, -128, 256][random.below(6)];
            graph.values[value].quant = (random.below(4) > 0).then_some(Quant { scale, zero_point });
        }
        9 => graph.values[value].dtype = dtype(random),
        10 => {
            if let Some(constant) = &mut graph.values[value].constant {
                constant.offset = number(random).cast_unsigned();
            }
        }
        11 => {
            if let Some(constant) = &mut graph.values[value].constant {
                match random.below(3) {
                    0 => constant.shape.push(1),
                    1 => drop(constant.shape.pop()),
                    _ => constant.shape.fill(size(random)),
                }
            }
        }
        12 => ports(graph, any_value, random),
        _ => {
            let inputs = &mut graph.nodes[node].inputs;
            inputs.truncate(random.below(inputs.len() + 1));
        }
    }
}

fn ports(graph: &mut Graph, value: ValueId, random: &mut SplitMix64) {
    if let Some(port) = any(&mut graph.outputs, random).filter(|_| random.below(3) == 0) {
        port.value = value;
    } else if let Some(port) = any(&mut graph.inputs, random) {
        match random.below(4) {
            0 => port.dtype = dtype(random),
            1 => port.shape.push(Dim::Fixed(size(random))),
            _ => {
                if let Some(dim) = any(&mut port.shape, random) {
                    *dim = if random.below(3) == 0 {
                        Dim::Dynamic("n".into())
                    } else {
                        Dim::Fixed(size(random))
                    };
                }
            }
        }
    }
}

/// Writes a number over one of an operation's fields: a record has them at full width, so that most places of it are one.
fn change_operation(op: &mut Op, random: &mut SplitMix64) {
    let Ok(record) = codec::encode(op) else { return };
    for _ in 0..8 {
        let mut record = record.clone();
        let at = random.below(record.len());
        let field = number(random).to_le_bytes();
        let end = record.len().min(at + [1, 4, 8][random.below(3)]);
        record[at..end].copy_from_slice(&field[..end - at]);
        if let Ok(changed) = codec::decode(&record)
            && changed != *op
        {
            *op = changed;
            return;
        }
    }
}

/// Some operation of the seeds.
fn operation(random: &mut SplitMix64) -> Op {
    static OPERATIONS: LazyLock<Vec<Op>> = LazyLock::new(|| {
        let graphs = models().into_iter().filter_map(|(_, model)| import(&model).ok());
        graphs.flat_map(|graph| graph.nodes.into_iter().map(|node| node.op)).collect()
    });
    OPERATIONS[random.below(OPERATIONS.len())].clone()
}

/// Some node of the seeds.
fn node_of_seeds(random: &mut SplitMix64) -> NodeProto {
    static NODES: LazyLock<Vec<NodeProto>> = LazyLock::new(|| {
        let models = models().into_iter().filter_map(|(_, model)| ModelProto::decode(&*model).ok());
        models.filter_map(|model| model.graph).flat_map(|graph| graph.node).collect()
    });
    NODES[random.below(NODES.len())].clone()
}

/// One of `items`, if there is any.
fn any<'a, T>(items: &'a mut [T], random: &mut SplitMix64) -> Option<&'a mut T> {
    let at = random.below(items.len());
    items.get_mut(at)
}

/// Mostly a small number, as attributes hold them; now and then one that breaks careless arithmetic.
fn number(random: &mut SplitMix64) -> i64 {
    match random.below(5) {
        0 => EDGES[random.below(EDGES.len())],
        _ => i64::from(random.int(-2, 6)),
    }
}

fn size(random: &mut SplitMix64) -> usize {
    match random.below(12) {
        0 => usize::try_from(EDGES[random.below(EDGES.len())]).unwrap_or(usize::MAX),
        1 => random.below(70),
        _ => 1 + random.below(6),
    }
}

fn dtype(random: &mut SplitMix64) -> DType {
    [DType::U8, DType::I8, DType::I32, DType::I64, DType::F32][random.below(5)]
}
