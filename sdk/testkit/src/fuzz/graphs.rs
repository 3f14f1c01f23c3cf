//! Targets over models: the ONNX reader, and graphs as bundles hold them. Whatever comes through is run by the
//! reference interpreter and by the engine at every level of this CPU, and must give the same bytes.

use std::sync::Arc;

use tilemark_bundle::codec;
use tilemark_engine::{Compiled, CpuLevel, Device};
use tilemark_model::import::import_model;
use tilemark_model::numerics::narrow::{Number, collect};
use tilemark_model::{DType, Data, Graph, Port, Tensor, onnx as format, reference, shape};

use super::End;
use crate::random::SplitMix64;

/// Multiply-accumulates and elements beyond which a graph is not run: some ten milliseconds of the interpreter.
const MAX_WORK: u64 = 1 << 18;
/// Steps beyond which a graph is not run: planning and looking at each costs more than its elements.
const MAX_STEPS: usize = 256;

/// An ONNX file: read, imported, stored as a bundle would, and run.
///
/// # Panics
/// If an imported graph cannot be stored and read again, or backends disagree about it.
pub fn onnx(bytes: &[u8]) -> End {
    let Ok(model) = format::decode(bytes) else { return End::Refused };
    let graph = match import_model(&model) {
        Ok(imported) => imported.graph,
        Err(error) => {
            assert!(!error.to_string().is_empty() && error.code().starts_with("TM02"));
            return End::Refused;
        }
    };
    let Ok(record) = codec::encode(&graph) else { return End::Costly };
    let again: Graph = codec::decode(&record).expect("an imported graph is read again");
    let again = again.with_weights(graph.weights().clone()).expect("an imported graph is valid");
    assert_eq!(codec::encode(&again).ok().as_ref(), Some(&record), "reading a graph changed it");
    run(again)
}

/// A graph: the length of its record in 4 bytes, the record, the weights; decoded, checked, and run.
///
/// # Panics
/// If two records mean one graph, or backends disagree about it.
pub fn graph(bytes: &[u8]) -> End {
    let Some((record, weights)) = split(bytes) else { return End::Refused };
    let Ok(graph) = codec::decode::<Graph>(record) else { return End::Refused };
    assert_eq!(
        codec::encode(&graph).ok().as_deref(),
        Some(record),
        "a record that is not canonical was read"
    );
    match graph.with_weights(weights.to_vec()) {
        Ok(graph) => run(graph),
        Err(_) => End::Refused,
    }
}

/// A graph in one file: the record's length in 4 bytes, the record, the weights.
pub(super) fn join(record: &[u8], weights: &[u8]) -> Vec<u8> {
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), record, weights].concat()
}

pub(super) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

/// Runs a graph with its dynamic axes at 1, then at 3.
fn run(graph: Graph) -> End {
    let graph = Arc::new(graph);
    match run_at(&graph, 1) {
        End::Used if shape::declared(&graph, 1) != shape::declared(&graph, 3) => {
            run_at(&graph, 3);
            End::Used
        }
        end => end,
    }
}

fn run_at(graph: &Arc<Graph>, dynamic: usize) -> End {
    let shapes = shape::declared(graph, dynamic);
    let Ok(inferred) = shape::infer(graph, &shapes) else { return End::Refused };
    let elements = |shape: &Vec<usize>| shape.iter().fold(1u64, |n, &d| n.saturating_mul(d as u64));
    let work = shapes.iter().map(elements).fold(shape::work(graph, &inferred), u64::saturating_add);
    if work > MAX_WORK || graph.nodes.len() > MAX_STEPS {
        return End::Costly;
    }
    let mut random = SplitMix64::new(dynamic as u64);
    let inputs: Vec<Tensor> =
        graph.inputs.iter().zip(shapes).map(|(port, shape)| input(graph, port, shape, &mut random)).collect();
    let expected = reference::run(graph, inputs.clone());
    for level in CpuLevel::ALL.into_iter().filter(|level| level.usable().is_ok()) {
        compare(graph, level, &inputs, &expected);
    }
    let Ok(outputs) = expected else { return End::Refused };
    for (port, output) in graph.outputs.iter().zip(&outputs) {
        let _ = graph.declared(port, output);
    }
    End::Used
}

/// The engine may refuse a graph that needs too much memory; otherwise it must equal the reference. Both refuse what only the
/// inputs show: an index beyond an axis, or an element type that a port cannot take.
fn compare(
    graph: &Arc<Graph>,
    level: CpuLevel,
    inputs: &[Tensor],
    expected: &Result<Vec<Tensor>, tilemark_model::Error>,
) {
    let device = Device::host().with_threads(1).expect("one thread is possible").with_level(level);
    let run = || Compiled::new(Arc::clone(graph), &device)?.session()?.run(inputs);
    let (outputs, expected) = match (run(), expected) {
        (Err(tilemark_engine::Error::TooLarge { .. }), _) | (Err(_), Err(_)) => return,
        (Ok(outputs), Ok(expected)) => (outputs, expected),
        (Err(error), Ok(_)) => panic!("the reference runs it, level {level} refuses: {error}"),
        (Ok(_), Err(error)) => panic!("level {level} runs it, the reference refuses: {error}"),
    };
    assert_eq!(outputs.len(), expected.len());
    for ((port, found), expected) in graph.outputs.iter().zip(&outputs).zip(expected) {
        assert_eq!(found.shape(), expected.shape(), "shape of `{}` at level {level}", port.name);
        assert_eq!(bits(found), bits(expected), "`{}` at level {level}", port.name);
    }
}

/// The bytes, every NaN the same: which one an operation gives is left open by Rust, and by the contract.
fn bits(tensor: &Tensor) -> Vec<u8> {
    match tensor.data() {
        Data::F32(reals) => {
            let quiet = |x: &f32| if x.is_nan() { f32::NAN } else { *x };
            reals.iter().flat_map(|x| quiet(x).to_le_bytes()).collect()
        }
        _ => tensor.to_bytes(),
    }
}

/// Values of the declared type, the extreme ones among them.
fn input(graph: &Graph, port: &Port, shape: Vec<usize>, random: &mut SplitMix64) -> Tensor {
    let n = shape.iter().product();
    // Every other time what the graph holds behind the port, which is accepted too.
    let dtype = if random.below(2) == 0 { port.dtype } else { graph.value(port.value).dtype };
    let data = match dtype {
        DType::F32 => Data::F32((0..n).map(|_| real(random)).collect()),
        DType::U8 => Data::U8(random.bytes(n)),
        DType::I8 => Data::I8(random.bytes(n).into_iter().map(u8::cast_signed).collect()),
        DType::I32 => Data::I32((0..n).map(|_| random.int(i32::MIN, i32::MAX)).collect()),
        DType::I64 => Data::I64((0..n).map(|_| integer(random)).collect()),
        other => {
            let bytes = random.bytes(n);
            let small = |i: usize| Number::Int((bytes[i] % 2).into());
            collect(other, n, true, &small).expect("0 and 1 are elements of every type")
        }
    };
    Tensor::new(shape, data).expect("as many elements as the shape says")
}

/// Mostly what can be an index.
fn integer(random: &mut SplitMix64) -> i64 {
    match random.below(4) {
        0 => random.bits().cast_signed(),
        _ => random.int(-3, 3).into(),
    }
}

fn real(random: &mut SplitMix64) -> f32 {
    const EDGES: [f32; 8] = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, 1e-40, -0.5];
    match random.below(16) {
        0 => EDGES[random.below(EDGES.len())],
        _ => random.unit() * 8.0 - 4.0,
    }
}
