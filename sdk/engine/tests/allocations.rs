//! A run allocates nothing once plan and memory are made. A test binary of its own: its allocator counts for everyone.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(unsafe_code, reason = "an allocator is unsafe by nature; this one only counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use tilemark_engine::{Compiled, CpuLevel, Device};
use tilemark_model::graph::{Bounds, Conv, Dim, Draft, Pads, Window};
use tilemark_model::{DType, Data, Graph, Op, Port, Quant, Tensor, ValueId, reference};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's duty.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's duty.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// `[1, 3, 17, 19]`, declared as f32 -> convolution -> depthwise -> 1x1 -> addition -> table -> joined with the first ->
/// mean -> fully connected; the joined value is an output too, channels first.
fn network() -> Graph {
    let mut draft = Draft::default();
    let quant = Some(Quant { scale: 0.05, zero_point: 9 });
    let dims = |shape: &[usize]| shape.iter().map(|&n| Dim::Fixed(n)).collect();
    let bounds = Bounds { lo: 0, hi: 255 };
    let first = draft.activation("x", DType::U8, quant);
    draft.inputs.push(Port {
        name: "x".into(),
        value: first,
        dtype: DType::F32,
        shape: dims(&[1, 3, 17, 19]),
    });
    let conv = |draft: &mut Draft, x: ValueId, shape: [usize; 4], groups: usize| {
        let n = shape.iter().product::<usize>();
        let weights = Data::I8((0..n).map(|i| (i * 37 % 31) as i8 - 15).collect());
        let w = draft.constant("w", Tensor::new(shape, weights).unwrap());
        let b = draft.constant("b", Tensor::new([shape[0]], Data::I32(vec![77; shape[0]])).unwrap());
        let m = draft.constant("m", Tensor::f32([shape[0]], vec![0.01; shape[0]]).unwrap());
        let y = draft.activation("y", DType::U8, quant);
        let [_, _, height, width] = shape;
        let pads = Pads::Explicit([height / 2, width / 2, height / 2, width / 2]);
        let window = Window { kernel: [height, width], strides: [1, 1], dilations: [1, 1], pads };
        draft.node("conv", Op::Conv(Conv { window, groups }, bounds), vec![x, w, b, m], y);
        y
    };
    let stem = conv(&mut draft, first, [24, 3, 3, 3], 1);
    let deep = conv(&mut draft, stem, [24, 1, 3, 3], 24);
    let flat = conv(&mut draft, deep, [24, 24, 1, 1], 1);
    let sum = draft.activation("sum", DType::U8, quant);
    draft.node("add", Op::Add(bounds), vec![flat, stem], sum);
    let table = draft.constant("t", Tensor::u8([256], (0..=255).rev().collect::<Vec<u8>>()).unwrap());
    let curved = draft.activation("curved", DType::U8, quant);
    draft.node("table", Op::Table, vec![sum, table], curved);
    let joined = draft.activation("joined", DType::U8, quant);
    draft.node("concat", Op::Concat { axis: 1 }, vec![curved, deep], joined);
    let mean = draft.activation("mean", DType::U8, quant);
    draft.node("mean", Op::GlobalAveragePool, vec![joined], mean);
    let line = draft.activation("line", DType::U8, quant);
    draft.node("flatten", Op::Flatten { axis: 1 }, vec![mean], line);
    let w = draft.constant("w", Tensor::new([10, 48], Data::I8(vec![3; 480])).unwrap());
    let b = draft.constant("b", Tensor::new([10], Data::I32(vec![5; 10])).unwrap());
    let m = draft.constant("m", Tensor::f32([10], vec![0.02; 10]).unwrap());
    let logits = draft.activation("logits", DType::U8, quant);
    draft.node("fully connected", Op::FullyConnected(bounds), vec![line, w, b, m], logits);
    for (name, value, shape) in [("logits", logits, &[1, 10][..]), ("joined", joined, &[1, 48, 17, 19])] {
        draft.outputs.push(Port { name: name.into(), value, dtype: DType::U8, shape: dims(shape) });
    }
    draft.freeze().unwrap()
}

/// Allocations of the quietest of some rounds of ten calls: the test's own threads may allocate once in a while.
fn allocations(mut call: impl FnMut()) -> usize {
    let round = |_| {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        (0..10).for_each(|_| call());
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    (0..5).map(round).min().unwrap()
}

#[test]
fn runs_after_the_first_allocate_nothing() {
    assert!(allocations(|| drop(std::hint::black_box(vec![1]))) >= 10, "the allocator does not count");
    let graph = network();
    let reals = Tensor::f32([1, 3, 17, 19], (0..969).map(|i| (i % 83) as f32 * 0.1).collect()).unwrap();
    let bytes = graph.accept(&graph.inputs[0], reals.clone()).unwrap();
    let expected = reference::run(&graph, vec![bytes.clone()]).unwrap();
    for level in CpuLevel::ALL.into_iter().filter(|&level| level.usable().is_ok()) {
        for threads in [1, 2] {
            let device = Device::host().with_level(level).with_threads(threads).unwrap();
            let mut session = Compiled::new(graph.clone(), &device).unwrap().session().unwrap();
            for input in [&reals, &bytes] {
                let input = std::slice::from_ref(input);
                let mut outputs = Vec::new();
                session.run_into(input, &mut outputs).unwrap();
                let count = allocations(|| session.run_into(input, &mut outputs).unwrap());
                assert_eq!(count, 0, "{level}, {threads} threads, {}", input[0].dtype());
                assert_eq!(outputs, expected, "{level}, {threads} threads");
            }
        }
    }
}
