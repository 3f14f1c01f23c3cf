//! Ten thousand damaged models, and as many damaged graphs: an error or a result, never a panic.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use common::{EDGES, SCALES, assert_little_memory, exercise, run, seed, small_net};
use prost::Message;
use tilemark_model::graph::{Bounds, Conv, Dim, FloatOp, Op, Pads, Pool, ValueId, Window};
use tilemark_model::onnx::{AttributeProto, ModelProto, NodeProto};
use tilemark_model::{Graph, import};
use tilemark_testkit::onnx::int;
use tilemark_testkit::random::SplitMix64;

#[test]
fn ten_thousand_mutations_do_not_panic() {
    let whole = small_net().model();
    let bytes = whole.encode_to_vec();
    let mut random = SplitMix64::new(seed());
    let (mut refused, mut ran) = (0, 0);
    for _ in 0..10_000 {
        let mutated = if random.below(3) == 0 {
            flip(&bytes, &mut random)
        } else {
            let mut model = whole.clone();
            for _ in 0..=random.below(2) {
                mutate(&mut model, &mut random);
            }
            model.encode_to_vec()
        };
        match exercise(&mutated) {
            Ok(_) => ran += 1,
            Err(error) => {
                assert!(!error.to_string().is_empty() && error.code().starts_with("TM02"));
                refused += 1;
            }
        }
    }
    println!("{refused} refused, {ran} ran");
    assert!(refused > 3_000 && ran > 500, "the mutations are neither all fatal nor all harmless");
    assert_little_memory();
}

fn flip(bytes: &[u8], random: &mut SplitMix64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }
    bytes
}

fn mutate(model: &mut ModelProto, random: &mut SplitMix64) {
    let graph = model.graph.as_mut().unwrap();
    let edge = EDGES[random.below(EDGES.len())];
    let node_at = random.below(graph.node.len());
    let tensor_at = random.below(graph.initializer.len());
    let other = random.below(graph.node.len());
    match random.below(14) {
        0 => attribute(&mut graph.node[node_at], edge, random),
        1 => graph.initializer[tensor_at].dims = vec![edge],
        2 => graph.initializer[tensor_at].dims.push(edge),
        3 => graph.initializer[tensor_at].data_type = random.int(-1, 24),
        4 => {
            let length = random.below(graph.initializer[tensor_at].raw_data.len() + 8);
            graph.initializer[tensor_at].raw_data.resize(length, 0x7f);
        }
        5 => {
            // Any scale among the f32 constants.
            let scales = graph.initializer.iter_mut().filter(|t| t.data_type == 1 && t.raw_data.len() >= 4);
            let mut scales: Vec<_> = scales.collect();
            let at = random.below(scales.len());
            let scale = SCALES[random.below(SCALES.len())].to_le_bytes();
            scales
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|tensor| tensor.raw_data[..4].copy_from_slice(&scale));
        }
        6 => {
            let output = graph.node[other].output[0].clone();
            let inputs = &mut graph.node[node_at].input;
            let at = random.below(inputs.len());
            inputs.iter_mut().skip(at).take(1).for_each(|input| input.clone_from(&output)); // forwards: a cycle or a value not yet written; backwards: another shape or type
        }
        7 => graph.node[node_at].output[0] = graph.node[other].output[0].clone(),
        8 => graph.node[node_at].op_type = graph.node[other].op_type.clone(),
        9 => drop(graph.node.remove(node_at)),
        10 => graph.output[0].name = graph.node[other].output[0].clone(),
        11 => {
            let shape = graph.input[0].r#type.as_mut().and_then(|t| t.tensor_type.as_mut()).unwrap();
            let dims = &mut shape.shape.as_mut().unwrap().dim;
            let at = random.below(dims.len());
            dims[at].dim_value = Some(edge);
        }
        12 => {
            let name = graph.initializer[random.below(graph.initializer.len())].name.clone();
            graph.initializer[tensor_at].name = name;
        }
        _ => {
            let inputs = &mut graph.node[node_at].input;
            inputs.truncate(random.below(inputs.len() + 1));
        }
    }
}

fn attribute(node: &mut NodeProto, edge: i64, random: &mut SplitMix64) {
    let names = ["strides", "pads", "dilations", "kernel_shape", "axis", "perm", "group", "axes", "transB"];
    if node.attribute.is_empty() || random.below(4) == 0 {
        node.attribute.push(int(names[random.below(names.len())], edge));
        return;
    }
    let at = random.below(node.attribute.len());
    let attribute: &mut AttributeProto = &mut node.attribute[at];
    match (random.below(3), attribute.ints.len()) {
        (0, n) if n > 0 => attribute.ints[random.below(n)] = edge,
        (1, n) if n > 0 => attribute.ints.truncate(random.below(n)),
        (2, _) => attribute.r#type = random.int(0, 10),
        _ => attribute.i = edge,
    }
}

/// A graph comes out of a bundle; whatever it says, checking it must make it safe to run.
#[test]
fn ten_thousand_damaged_graphs_do_not_panic() {
    let whole = import(&small_net().encode()).unwrap();
    let mut random = SplitMix64::new(seed());
    let (mut refused, mut ran) = (0, 0);
    for _ in 0..10_000 {
        let mut graph = whole.clone();
        for _ in 0..=random.below(2) {
            damage(&mut graph, &mut random);
        }
        let weights = graph.weights().clone();
        match graph.with_weights(weights).and_then(|graph| run(&graph)) {
            Ok(_) => ran += 1,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
        }
    }
    println!("{refused} refused, {ran} ran");
    assert!(refused > 3_000 && ran > 1_000, "the mutations are neither all fatal nor all harmless");
    assert_little_memory();
}

fn damage(graph: &mut Graph, random: &mut SplitMix64) {
    let edge = EDGES[random.below(EDGES.len())];
    let size = usize::try_from(edge).unwrap_or(usize::MAX);
    let (node, other) = (random.below(graph.nodes.len()), random.below(graph.nodes.len()));
    let value = random.below(graph.values.len());
    let any_value = ValueId(u32::try_from(random.below(graph.values.len() + 2)).unwrap());
    match random.below(12) {
        0 => {
            let inputs = &mut graph.nodes[node].inputs;
            let at = random.below(inputs.len());
            inputs.iter_mut().skip(at).take(1).for_each(|input| *input = any_value);
        }
        1 => graph.nodes[node].output = any_value,
        2 => graph.nodes[node].op = graph.nodes[other].op.clone(),
        3 => graph.nodes[node].op = damaged_op(edge, size, random),
        4 => graph.nodes.swap(node, other),
        5 => {
            if let Some(quant) = &mut graph.values[value].quant {
                quant.scale = SCALES[random.below(SCALES.len())];
            }
        }
        6 => {
            if let Some(quant) = &mut graph.values[value].quant {
                quant.zero_point = i32::try_from(edge).unwrap_or(i32::MIN);
            }
        }
        7 => graph.values[value].dtype = graph.values[random.below(value + 1)].dtype,
        8 => {
            if let Some(constant) = &mut graph.values[value].constant {
                constant.offset = edge.unsigned_abs();
            }
        }
        9 => {
            if let Some(constant) = &mut graph.values[value].constant {
                constant.shape.push(size);
                constant.shape.rotate_right(1);
            }
        }
        10 => graph.inputs[0].shape[random.below(3)] = Dim::Fixed(size),
        _ => graph.nodes[node].inputs.truncate(random.below(4)),
    }
}

fn damaged_op(edge: i64, size: usize, random: &mut SplitMix64) -> Op {
    let window = Window {
        kernel: [size, 1 + random.below(3)],
        strides: [1 + random.below(3), size],
        dilations: [1, 1 + random.below(2)],
        pads: Pads::Explicit([size, 0, random.below(4), 0]),
    };
    let pool = Pool { window: window.clone(), ceil_mode: edge % 2 == 0, count_include_pad: edge % 3 == 0 };
    let byte = i32::try_from(edge).unwrap_or(255);
    match random.below(11) {
        0 => Op::Conv(Conv { window, groups: size }, Bounds { lo: 0, hi: byte }),
        1 => Op::FullyConnected(Bounds { lo: byte, hi: 255 }),
        2 => Op::MaxPool(pool),
        3 => Op::AveragePool(pool),
        4 => Op::Concat { axis: edge },
        5 => Op::Reshape { shape: vec![edge, -1], allow_zero: edge % 2 == 0 },
        6 => Op::Transpose { perm: vec![size, 0, 1, 2] },
        7 => Op::Unsqueeze { axes: vec![edge; 3] },
        8 => Op::ReduceMean { axes: vec![edge], keep_dims: false },
        9 => Op::Quantize { axis: Some(edge) },
        _ => Op::Float(FloatOp::Conv(Conv { window, groups: size })),
    }
}
