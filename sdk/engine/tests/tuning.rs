//! Kernels timed when a graph is compiled: once, within limits, and without a change of results.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints what it skips"
)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tilemark_engine::{Basis, Compiled, CpuLevel, Device, Tuning, TuningRecord, TuningStore, all_kernels};
use tilemark_model::graph::{Bounds, Conv, Dim, Draft, Pads, Window};
use tilemark_model::{DType, Data, Graph, Op, Port, Quant, Tensor, reference};

const CHANNELS: usize = 24;

/// A store in memory that counts what is asked of it.
#[derive(Debug, Default)]
struct Shelf {
    record: Mutex<TuningRecord>,
    is_locked: AtomicBool,
    loads: AtomicUsize,
    adds: AtomicUsize,
}

impl TuningStore for Shelf {
    fn load(&self) -> TuningRecord {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.record.lock().unwrap().clone()
    }

    fn is_writable(&self) -> bool {
        !self.is_locked.load(Ordering::Relaxed)
    }

    fn add(&self, record: &TuningRecord) {
        self.adds.fetch_add(1, Ordering::Relaxed);
        self.record.lock().unwrap().merge(record);
    }
}

/// Two convolutions of one geometry and a third that differs in the halo of its output, `[1, 24, rows, 20]`.
fn network() -> Arc<Graph> {
    let mut draft = Draft::default();
    let quant = Some(Quant { scale: 0.5, zero_point: 3 });
    let mut value = draft.activation("x", DType::U8, quant);
    let dims = vec![Dim::Fixed(1), Dim::Fixed(CHANNELS), Dim::Dynamic("rows".into()), Dim::Fixed(20)];
    draft.inputs.push(Port { name: "x".into(), value, dtype: DType::U8, shape: dims });
    for (i, side) in [3; 3].into_iter().enumerate() {
        let weights =
            (0..CHANNELS * CHANNELS * side * side).map(|k| (k * 37 % 255) as i8).map(|w| w.max(-127));
        let shape = [CHANNELS, CHANNELS, side, side];
        let weights = draft.constant("w", Tensor::new(shape, Data::I8(weights.collect())).unwrap());
        let bias = draft.constant("b", Tensor::new([CHANNELS], Data::I32(vec![5; CHANNELS])).unwrap());
        let scale = draft.constant("m", Tensor::f32([CHANNELS], vec![2e-3; CHANNELS]).unwrap());
        let pads = Pads::Explicit([side / 2; 4]);
        let window = Window { kernel: [side; 2], strides: [1; 2], dilations: [1; 2], pads };
        let output = draft.activation(format!("y{i}"), DType::U8, quant);
        let op = Op::Conv(Conv { window, groups: 1 }, Bounds { lo: 0, hi: 255 });
        draft.node(format!("conv{i}"), op, vec![value, weights, bias, scale], output);
        value = output;
    }
    draft.outputs.push(Port { name: "y".into(), value, dtype: DType::U8, shape: Vec::new() });
    Arc::new(draft.freeze().unwrap())
}

fn photo(rows: usize) -> Tensor {
    let bytes = (0..CHANNELS * rows * 20).map(|i| (i * 73 % 251) as u8).collect();
    Tensor::u8([1, CHANNELS, rows, 20], bytes).unwrap()
}

/// Enough on any machine, however busy.
const PATIENT: Tuning = Tuning::Within(Duration::from_secs(60));

fn device() -> Device {
    Device::host().with_level(CpuLevel::detected()).with_threads(1).unwrap().with_tuning(PATIENT)
}

fn bases(compiled: &Compiled, rows: usize) -> Vec<Basis> {
    let plan = compiled.plan(&[photo(rows).shape().to_vec()]).unwrap();
    plan.steps().filter_map(|step| step.basis).collect()
}

/// Whether the level of this machine has variants of convolutions; says so if not.
fn has_variants() -> bool {
    let level = CpuLevel::detected();
    let found =
        all_kernels().filter(|kernel| kernel.level == level && kernel.operation == "conv").count() > 1;
    if !found {
        println!("skipped: {level} has one kernel for convolutions, there is nothing to time");
    }
    found
}

#[test]
fn layers_are_timed_once_and_results_stay() {
    let (graph, shelf) = (network(), Arc::new(Shelf::default()));
    let expected = reference::run(&graph, vec![photo(40)]).unwrap();
    for round in 0..3 {
        let compiled = Compiled::tuned(Arc::clone(&graph), &device(), shelf.clone()).unwrap();
        let outputs = compiled.session().unwrap().run(&[photo(40)]).unwrap();
        assert_eq!(outputs, expected, "round {round}");
        if has_variants() {
            assert_eq!(bases(&compiled, 40), [Basis::Measured; 3], "round {round}");
            assert_eq!((shelf.adds.load(Ordering::Relaxed), shelf.record.lock().unwrap().len()), (1, 2));
        }
    }
    assert_eq!(shelf.loads.load(Ordering::Relaxed), 3);
}

#[test]
fn new_shapes_are_timed_beside_what_is_known() {
    let shelf = Arc::new(Shelf::default());
    let compiled = Compiled::tuned(network(), &device(), shelf.clone()).unwrap();
    for (rows, layers) in [(20, 2), (60, 4), (20, 4)] {
        let bases = bases(&compiled, rows);
        if has_variants() {
            assert_eq!(bases, [Basis::Measured; 3]);
            assert_eq!(shelf.record.lock().unwrap().len(), layers);
        }
    }
}

#[test]
fn nothing_is_timed_where_it_is_off_or_cannot_be_kept() {
    let shelf = Arc::new(Shelf::default());
    let is_untimed = |device: &Device| {
        let compiled = Compiled::tuned(network(), device, shelf.clone()).unwrap();
        let bases = bases(&compiled, 20);
        bases.iter().all(|&basis| basis != Basis::Measured) && shelf.adds.load(Ordering::Relaxed) == 0
    };
    assert!(is_untimed(&device().with_tuning(Tuning::Within(Duration::ZERO))), "no time");
    assert_eq!(shelf.loads.load(Ordering::Relaxed), 1);
    assert!(is_untimed(&device().with_tuning(Tuning::Off)), "off");
    assert_eq!(shelf.loads.load(Ordering::Relaxed), 1, "off, and yet something was read");
    shelf.is_locked.store(true, Ordering::Relaxed);
    assert!(is_untimed(&device()), "a store that keeps nothing");
    let plain = Compiled::new(network(), &device()).unwrap();
    assert!(bases(&plain, 1).iter().all(|&basis| basis != Basis::Measured), "no store");
}

#[test]
fn a_forced_variant_is_taken_whatever_was_measured() {
    let shelf = Arc::new(Shelf::default());
    for kernel in
        all_kernels().filter(|kernel| kernel.level == CpuLevel::detected() && kernel.operation == "conv")
    {
        let device = device().with_variant(kernel.variant);
        let compiled = Compiled::tuned(network(), &device, shelf.clone()).unwrap();
        let plan = compiled.plan(&[photo(20).shape().to_vec()]).unwrap();
        for step in plan.steps() {
            assert_eq!((step.basis, step.variant.as_str()), (Some(Basis::Forced), kernel.variant));
            assert!(step.predicted_ms.is_some_and(|ms| ms > 0.0) && step.measured_ms.is_none());
        }
    }
    assert_eq!(shelf.adds.load(Ordering::Relaxed), 0);
}
