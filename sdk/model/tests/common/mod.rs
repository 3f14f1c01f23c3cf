//! A small network of every kind of layer, and running whatever imports.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "test code of which each file uses a part"
)]

use peak_alloc::PeakAlloc;
use tilemark_model::numerics::narrow::{Number, collect};
use tilemark_model::{Data, Error, Graph, Tensor, import, reference, shape};
use tilemark_testkit::onnx::{Builder, Quantization, int};
use tilemark_testkit::random::SplitMix64;

/// Work above which a damaged model is inferred but not run: it is the reference interpreter, run ten thousand times.
const RUN_AT_MOST: u64 = 2_000_000;

/// The most memory that a small model may take whatever is done to it.
const MEMORY_AT_MOST: usize = 256 << 20;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Fails if this process ever held more than a small model may take.
#[allow(clippy::print_stdout, reason = "how far below the limit it stayed")]
pub fn assert_little_memory() {
    let peak = MEMORY.peak_usage();
    println!("{:.1} MiB at most", peak as f64 / f64::from(1 << 20));
    assert!(peak <= MEMORY_AT_MOST, "{peak} bytes were allocated at once, at most {MEMORY_AT_MOST} may be");
}

/// Numbers that break careless arithmetic.
pub const EDGES: [i64; 14] =
    [0, 1, -1, 2, 3, 7, 255, 65_536, 65_537, 1 << 31, (1 << 31) - 1, i64::MAX, i64::MIN, -2];

/// Scales that cannot be, or almost.
pub const SCALES: [f32; 10] =
    [0.0, -0.5, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE, 1e-44, f32::MAX, 1e-20, 1e20, -0.0];

/// Layers of every kind, small enough to run ten thousand times.
pub fn small_net() -> Builder {
    let mut random = SplitMix64::new(3);
    let mut net = Builder::new(13);
    let act = Quantization::u8(0.02, 128);
    let x = net.batched_input("x", &[3, 8, 8]);
    let x = net.qdq(&x, act);
    let a = net.conv(&x, &mut random, [4, 3, 3, 3]).pads([1, 1, 1, 1]).strides([2, 2]).add();
    let a = net.clip(&a, 0.0, 6.0);
    let a = net.qdq(&a, act);
    let b = net.conv(&a, &mut random, [4, 1, 3, 3]).groups(4).pads([1; 4]).add();
    let b = net.unary("HardSwish", &b);
    let b = net.qdq(&b, act);
    let sum = net.node("Add", &[&a, &b], vec![]);
    let sum = net.qdq(&sum, Quantization::u8(0.04, 120));
    let pooled = net.pool("MaxPool", &sum, [2, 2], [2, 2], [0; 4]);
    let mean = net.pool("AveragePool", &sum, [2, 2], [2, 2], [0; 4]);
    let mean = net.qdq(&mean, Quantization::u8(0.04, 120));
    let both = net.concat(&[&pooled, &mean], 1);
    let both = net.transpose(&both, &[0, 2, 3, 1]);
    let both = net.transpose(&both, &[0, 3, 1, 2]);
    let both = net.qdq(&both, act);
    let flat = net.node("GlobalAveragePool", &[&both], vec![]);
    let flat = net.qdq(&flat, act);
    let flat = net.reshape(&flat, &[0, -1]);
    let y = net.gemm(&flat, &mut random, 5, 8);
    let y = net.qdq(&y, Quantization::u8(0.1, 100));
    let y = net.node("Softmax", &[&y], vec![int("axis", -1)]);
    net.output(&y);
    net
}

/// Always the same mutations; `TILEMARK_MUTATION_SEED=17 cargo test` looks at others.
pub fn seed() -> u64 {
    let given = std::env::var("TILEMARK_MUTATION_SEED").ok();
    given.map_or(2026, |seed| seed.parse().expect("TILEMARK_MUTATION_SEED is a number"))
}

/// Imports and, if that is cheap, runs on dynamic axes of 1. What it says does not matter; that it returns does.
pub fn exercise(bytes: &[u8]) -> Result<Vec<Tensor>, Error> {
    run(&import(bytes)?)
}

pub fn run(graph: &Graph) -> Result<Vec<Tensor>, Error> {
    let shapes = shape::declared(graph, 1);
    let inferred = shape::infer(graph, &shapes)?;
    let cost = |node| {
        let node: &tilemark_model::Node = node;
        shape::macs(node, &inferred) + inferred.of(node.output).iter().product::<usize>() as u64
    };
    let input: u64 = shapes.iter().map(|shape| shape.iter().product::<usize>() as u64).sum();
    let looked_at = shape::work(graph, &inferred) / 16;
    if (graph.nodes.iter().map(cost).sum::<u64>() + input).max(looked_at) > RUN_AT_MOST {
        return Ok(Vec::new());
    }
    let mut random = SplitMix64::new(9);
    let tensor = |(port, shape): (&tilemark_model::graph::Port, Vec<usize>)| {
        let n = shape.iter().product();
        let data = match port.dtype {
            tilemark_model::DType::F32 => Data::F32(random.floats(n, -2.0, 2.0)),
            tilemark_model::DType::U8 => Data::U8(random.bytes(n)),
            tilemark_model::DType::I8 => Data::I8(random.weights(n)),
            tilemark_model::DType::I32 => Data::I32(vec![1; n]),
            tilemark_model::DType::I64 => Data::I64(vec![1; n]),
            other => collect(other, n, true, &|_| Number::Int(1))?,
        };
        Tensor::new(shape, data)
    };
    let inputs = graph.inputs.iter().zip(shapes).map(tensor).collect::<Result<Vec<_>, _>>()?;
    reference::run(graph, inputs)
}
