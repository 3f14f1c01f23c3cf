//! Sessions, plans and what they refuse.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::process::Command;
use std::sync::Arc;

use tilemark_engine::limits::{MAX_PAIR_TABLES, MAX_PLANS};
use tilemark_engine::{Compiled, CpuLevel, Device, LEVEL_VARIABLE, Session, all_kernels};
use tilemark_model::graph::{Bounds, Conv, Dim, Draft, FloatOp, Pads, UnaryOp, Window};
use tilemark_model::{DType, Data, Graph, Op, Port, Quant, Tensor, ValueId, reference};

/// `[batch, 3, 6, 6]` u8, declared as f32 -> 3x3 convolution to 4 channels -> table -> flatten.
fn network(pads: [usize; 4]) -> Graph {
    strided(pads, 1)
}

fn strided(pads: [usize; 4], stride: usize) -> Graph {
    let mut draft = Draft::default();
    let quant = |zero_point| Some(Quant { scale: 0.5, zero_point });
    let x = draft.activation("x", DType::U8, quant(3));
    let weights = Data::I8((0..4 * 3 * 9).map(|i| (i * 37 % 255 - 127) as i8).collect());
    let w = draft.constant("w", Tensor::new([4, 3, 3, 3], weights).unwrap());
    let b = draft.constant("b", Tensor::new([4], Data::I32(vec![5, -5, 900, 0])).unwrap());
    let m = draft.constant("m", Tensor::f32([4], vec![0.01, 0.02, 0.005, 0.5]).unwrap());
    let y = draft.activation("y", DType::U8, quant(100));
    let window =
        Window { kernel: [3, 3], strides: [stride; 2], dilations: [1, 1], pads: Pads::Explicit(pads) };
    draft.node("conv", Op::Conv(Conv { window, groups: 1 }, Bounds { lo: 0, hi: 255 }), vec![x, w, b, m], y);
    let table = draft.constant("t", Tensor::u8([256], (0..=255).rev().collect::<Vec<u8>>()).unwrap());
    let z = draft.activation("z", DType::U8, quant(7));
    draft.node("table", Op::Table, vec![y, table], z);
    let flat = draft.activation("flat", DType::U8, quant(7));
    draft.node("flatten", Op::Flatten { axis: 1 }, vec![z], flat);
    let dims = vec![Dim::Dynamic("batch".into()), Dim::Fixed(3), Dim::Fixed(6), Dim::Fixed(6)];
    draft.inputs.push(Port { name: "x".into(), value: x, dtype: DType::F32, shape: dims });
    let shape = vec![Dim::Dynamic("batch".into()), Dim::Fixed(144)];
    draft.outputs.push(Port { name: "flat".into(), value: flat, dtype: DType::F32, shape });
    draft.freeze().unwrap()
}

fn photo(batch: usize, seed: usize) -> Tensor {
    let bytes = (0..batch * 108).map(|i| ((i + seed) * 73 % 256) as u8).collect();
    Tensor::u8([batch, 3, 6, 6], bytes).unwrap()
}

fn device(threads: usize) -> Device {
    Device::host().with_level(CpuLevel::Scalar).with_threads(threads).unwrap()
}

#[test]
fn sessions_move_between_threads_and_share_what_is_compiled() {
    fn is_send<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    is_send::<Session>();
    is_shared::<Compiled>();

    let graph = Arc::new(network([1; 4]));
    let compiled = Compiled::new(Arc::clone(&graph), &device(2)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let mut session = compiled.session().unwrap();
            let graph = &graph;
            scope.spawn(move || {
                for seed in 0..20 {
                    let inputs = vec![photo(1 + (seed + thread) % 3, seed)];
                    let expected = reference::run(graph, inputs.clone()).unwrap();
                    assert_eq!(session.run(&inputs).unwrap(), expected, "thread {thread}, seed {seed}");
                }
            });
        }
    });
    let plans: Vec<_> = (1..=3).map(|n| compiled.plan(&[vec![n, 3, 6, 6]]).unwrap()).collect();
    assert!(
        plans.iter().all(|plan| Arc::strong_count(plan) == 2),
        "sessions still hold plans after they ended"
    );
}

/// `[N,5,6,3]` turned to channels second -> padded 3x3 convolution -> turned back -> flattened: as converters from
/// TensorFlow write it. The turned input, the turned result and its flattened form are outputs too.
fn channels_last() -> Graph {
    let mut draft = Draft::default();
    let quant = Some(Quant { scale: 0.5, zero_point: 3 });
    let x = draft.activation("x", DType::I8, quant);
    let turned = draft.activation("turned", DType::I8, quant);
    draft.node("turn", Op::Transpose { perm: vec![0, 3, 1, 2] }, vec![x], turned);
    let weights = Data::I8((0..4 * 3 * 9).map(|i| (i * 37 % 255 - 127) as i8).collect());
    let w = draft.constant("w", Tensor::new([4, 3, 3, 3], weights).unwrap());
    let b = draft.constant("b", Tensor::new([4], Data::I32(vec![5, -5, 900, 0])).unwrap());
    let m = draft.constant("m", Tensor::f32([4], vec![0.01, 0.02, 0.005, 0.5]).unwrap());
    let y = draft.activation("y", DType::I8, quant);
    let pads = Pads::Explicit([1, 1, 1, 1]);
    let window = Window { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads };
    let bounds = Bounds { lo: -128, hi: 127 };
    draft.node("conv", Op::Conv(Conv { window, groups: 1 }, bounds), vec![turned, w, b, m], y);
    let back = draft.activation("back", DType::I8, quant);
    draft.node("turn back", Op::Transpose { perm: vec![0, 2, 3, 1] }, vec![y], back);
    let flat = draft.activation("flat", DType::I8, quant);
    draft.node("flatten", Op::Flatten { axis: 1 }, vec![back], flat);
    let dims = |shape: &[usize]| {
        let fixed = shape.iter().map(|&n| Dim::Fixed(n));
        std::iter::once(Dim::Dynamic("batch".into())).chain(fixed).collect()
    };
    draft.inputs.push(Port { name: "x".into(), value: x, dtype: DType::F32, shape: dims(&[5, 6, 3]) });
    for (value, shape) in [(turned, &[3, 5, 6][..]), (back, &[5, 6, 4]), (flat, &[120])] {
        draft.outputs.push(Port { name: "y".into(), value, dtype: DType::I8, shape: dims(shape) });
    }
    draft.freeze().unwrap()
}

#[test]
fn turning_channels_at_the_edges_of_a_graph_moves_nothing() {
    let graph = channels_last();
    for (level, batch) in [(CpuLevel::Scalar, 1), (CpuLevel::Scalar, 2), (Device::host().level().unwrap(), 3)]
    {
        let reals = (0..batch * 90).map(|i| (i * 29 % 251) as f32 * 0.5 - 60.0).collect();
        let reals = Tensor::f32([batch, 5, 6, 3], reals).unwrap();
        let accepted = graph.accept(&graph.inputs[0], reals.clone()).unwrap();
        let expected = reference::run(&graph, vec![accepted.clone()]).unwrap();
        let compiled = Compiled::new(graph.clone(), &Device::host().with_level(level)).unwrap();
        let mut session = compiled.session().unwrap();
        assert_eq!(session.run(&[reals]).unwrap(), expected);
        assert_eq!(session.run(&[accepted]).unwrap(), expected);
        let kernels = session.plan().unwrap().steps().map(|step| step.kernel.clone());
        assert_eq!(kernels.filter(|kernel| kernel == "alias").count(), 3);
    }
}

#[test]
fn only_so_many_plans_are_kept() {
    let compiled = Compiled::new(network([1; 4]), &device(1)).unwrap();
    let plan = |batch: usize| compiled.plan(&[vec![batch, 3, 6, 6]]).unwrap();
    let (first, second) = (plan(1), plan(2));
    assert!(Arc::ptr_eq(&first, &plan(1)), "a known shape is planned again");
    (3..=MAX_PLANS + 1).for_each(|batch| drop(plan(batch)));
    assert!(Arc::ptr_eq(&first, &plan(1)), "1 was used after 2, so it is kept");
    assert!(!Arc::ptr_eq(&second, &plan(2)), "2 was used longest ago, so it is dropped");
}

#[test]
fn inputs_are_taken_in_the_declared_type_too() {
    let graph = network([1; 4]);
    let (port, bytes) = (&graph.inputs[0], photo(2, 9));
    let Data::U8(q) = bytes.data() else { unreachable!() };
    let reals = Tensor::f32(bytes.shape(), q.iter().map(|&q| (f32::from(q) - 3.0) * 0.5).collect()).unwrap();
    assert_eq!(graph.accept(port, reals.clone()).unwrap(), bytes);
    let mut session = Compiled::new(graph, &device(1)).unwrap().session().unwrap();
    assert_eq!(session.run(&[reals]).unwrap(), session.run(&[bytes]).unwrap());
}

#[test]
fn a_fleet_answers_every_request_in_its_place() {
    let graph = network([1; 4]);
    for threads in [1, 3] {
        let mut fleet = Compiled::new(graph.clone(), &device(threads)).unwrap().fleet().unwrap();
        assert_eq!(fleet.width(), threads);
        for count in [0, 1, 7, 20] {
            let requests: Vec<Vec<Tensor>> = (0..count).map(|i| vec![photo(1 + i % 3, i)]).collect();
            let expected: Vec<_> =
                requests.iter().map(|inputs| reference::run(&graph, inputs.clone()).unwrap()).collect();
            assert_eq!(fleet.run_many(&requests).unwrap(), expected, "{count} on {threads} threads");
        }
        let bad = [vec![photo(1, 1)], vec![Tensor::u8([1], vec![1]).unwrap()], vec![photo(1, 2)]];
        assert_eq!(fleet.run_many(&bad).unwrap_err().code(), "TM0210");
        assert_eq!(fleet.run_many(&bad[..1]).unwrap().len(), 1);
    }
}

#[test]
fn outputs_of_any_kind_can_be_reused() {
    let mut session = Compiled::new(network([1; 4]), &device(1)).unwrap().session().unwrap();
    let nothing = || Tensor::f32([0], vec![]).unwrap();
    let mut outputs = vec![nothing(), nothing(), nothing()];
    for batch in [2, 1, 3] {
        let inputs = [photo(batch, batch)];
        session.run_into(&inputs, &mut outputs).unwrap();
        assert_eq!(outputs, session.run(&inputs).unwrap(), "batch {batch}");
    }
}

#[test]
fn a_plan_explains_itself() {
    let compiled = Compiled::new(network([0, 1, 2, 3]), &device(1)).unwrap();
    let plan = compiled.plan(&[vec![2, 3, 6, 6]]).unwrap();
    let steps: Vec<_> = plan.steps().collect();
    assert_eq!(steps.len(), 2);
    assert_eq!((steps[0].kernel.as_str(), steps[0].op.as_str()), ("conv/scalar", "Conv"));
    assert_eq!(
        (steps[0].node.as_str(), steps[0].output.as_str(), &steps[0].fused[..]),
        ("conv", "z", &["table".to_owned()][..])
    );
    assert_eq!((steps[0].shape.as_slice(), steps[0].float), (&[2, 4, 6, 8][..], false));
    assert_eq!(plan.macs(), 2 * 4 * 6 * 8 * 27);
    assert_eq!(plan.integer_macs(), plan.macs());
    assert_eq!(steps[1].kernel, "movement/scalar", "channels-last bytes cannot be flattened in place");
    assert!(plan.arena_bytes() >= 2 * (8 * 10 * 3 + 4 * 6 * 8));
}

#[test]
fn wrong_inputs_are_refused_and_leave_the_session_usable() {
    let mut session = Compiled::new(network([1; 4]), &device(2)).unwrap().session().unwrap();
    let good = photo(1, 1);
    let expected = session.run(std::slice::from_ref(&good)).unwrap();
    let code = |result: Result<Vec<Tensor>, tilemark_engine::Error>| result.unwrap_err().code();
    assert_eq!(code(session.run(&[])), "TM0211");
    assert_eq!(code(session.run(&[good.clone(), good.clone()])), "TM0211");
    assert_eq!(code(session.run(&[Tensor::u8([1, 3, 6, 7], vec![0; 126]).unwrap()])), "TM0210");
    assert_eq!(code(session.run(&[Tensor::u8([0, 3, 6, 6], vec![]).unwrap()])), "TM0210");
    let wrong = Tensor::new([1, 3, 6, 6], Data::I64(vec![0; 108])).unwrap();
    assert_eq!(code(session.run(&[wrong])), "TM0212");
    assert_eq!(session.run(&[good]).unwrap(), expected);
}

#[test]
fn a_graph_that_wants_too_much_memory_is_refused() {
    // A valid graph of few outputs, with 60,000 rows and columns of padding on every side of a small image.
    let compiled = Compiled::new(strided([60_000; 4], 50_000), &device(1)).unwrap();
    let error = compiled.plan(&[vec![1, 3, 6, 6]]).unwrap_err();
    assert_eq!(error.code(), "TM0406", "{error}");
}

#[test]
fn additions_without_number_do_not_fill_memory_with_tables() {
    let mut draft = Draft::default();
    let quant = Some(Quant { scale: 0.5, zero_point: 3 });
    let first = draft.activation("x", DType::U8, quant);
    let mut last = first;
    for i in 0..MAX_PAIR_TABLES + 6 {
        let next = draft.activation(format!("y{i}"), DType::U8, quant);
        draft.node(format!("add{i}"), Op::Add(Bounds { lo: 0, hi: 200 }), vec![last, first], next);
        last = next;
    }
    let port =
        |name: &str, value| Port { name: name.into(), value, dtype: DType::U8, shape: vec![Dim::Fixed(2)] };
    draft.inputs.push(port("x", first));
    draft.outputs.push(port("y", last));
    let graph = draft.freeze().unwrap();
    let inputs = vec![Tensor::u8([2], vec![2, 4]).unwrap()];
    let expected = reference::run(&graph, inputs.clone()).unwrap();
    let mut session = Compiled::new(graph, &device(1)).unwrap().session().unwrap();
    assert_eq!(session.run(&inputs).unwrap(), expected);
    let kernels: Vec<&str> = session.plan().unwrap().steps().map(|step| step.kernel.as_str()).collect();
    assert_eq!(kernels.iter().filter(|&&kernel| kernel == "pairwise/scalar").count(), MAX_PAIR_TABLES);
    assert_eq!(kernels.iter().filter(|&&kernel| kernel == "reference").count(), 6);
}

#[test]
fn an_output_may_be_an_input_or_a_constant() {
    let mut draft = Draft::default();
    let x = draft.activation("x", DType::F32, None);
    let c = draft.constant("c", Tensor::f32([2], vec![1.5, 2.5]).unwrap());
    let y = draft.activation("y", DType::F32, None);
    draft.node("relu", Op::Float(FloatOp::Unary(UnaryOp::Relu)), vec![x], y);
    let port = |name: &str, value: ValueId| {
        let shape = vec![Dim::Fixed(2)];
        Port { name: name.into(), value, dtype: DType::F32, shape }
    };
    draft.inputs.push(port("x", x));
    draft.outputs = vec![port("y", y), port("x", x), port("c", c), port("again", y)];
    let graph = draft.freeze().unwrap();
    let inputs = vec![Tensor::f32([2], vec![-1.0, 3.0]).unwrap()];
    let expected = reference::run(&graph, inputs.clone()).unwrap();
    for threads in 1..=2 {
        let compiled = Compiled::new(graph.clone(), &device(threads)).unwrap();
        assert_eq!(compiled.session().unwrap().run(&inputs).unwrap(), expected);
    }
}

#[test]
fn a_level_without_kernels_is_refused() {
    for level in CpuLevel::ALL.into_iter().filter(|&level| all_kernels().all(|kernel| kernel.level != level))
    {
        let error = Compiled::new(network([1; 4]), &Device::host().with_level(level)).unwrap_err();
        assert_eq!(error.code(), "TM0405", "{error}");
    }
}

/// Prints the level; run as a child by the test below, with the environment that it is about.
#[test]
fn print_level() {
    match Device::host().level() {
        Ok(level) => println!("level: {level};"),
        Err(error) => println!("level: {};", error.code()),
    }
}

#[test]
fn the_environment_forces_a_level() {
    let level = |word: &str| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "print_level", "--nocapture"]).env(LEVEL_VARIABLE, word);
        String::from_utf8(child.output().unwrap().stdout).unwrap()
    };
    assert!(level("scalar").contains("level: scalar;"));
    assert!(level("").contains("level: TM0403;"));
    assert!(level("AVX2").contains("level: TM0403;"));
    let other_architecture = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
    assert!(level(other_architecture).contains("level: TM040"), "{}", level(other_architecture));
}
