//! Operations without a kernel run as the reference does, whatever their element types; what follows from shapes alone is
//! no step of a plan.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use tilemark_engine::{Compiled, Device};
use tilemark_model::{DType, Data, Graph, Tensor, import, reference};
use tilemark_testkit::onnx::{Builder, float, int, ints, string};

fn compile(net: &Builder) -> (std::sync::Arc<Graph>, Compiled) {
    let graph = std::sync::Arc::new(import(&net.encode()).unwrap());
    let device = Device::host().with_threads(2).unwrap();
    let compiled = Compiled::new(std::sync::Arc::clone(&graph), &device).unwrap();
    (graph, compiled)
}

fn ramp(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    Tensor::f32(shape, (0..n).map(|i| (i as f32 * 0.37).sin() * 3.0).collect()).unwrap()
}

fn equal(net: &Builder, inputs: &[Tensor]) -> Vec<Tensor> {
    let (graph, compiled) = compile(net);
    let found = compiled.session().unwrap().run(inputs).unwrap();
    assert_eq!(found, reference::run(&graph, inputs.to_vec()).unwrap());
    found
}

/// `reshape(x, concat(gather(shape(x), 0), [-1]))`: how exporters flatten all but the batch.
#[test]
fn a_shape_that_is_computed_follows_each_input() {
    let mut net = Builder::new(13);
    let x = net.batched_input("x", &[3, 2, 5]);
    let shape = net.node("Shape", &[&x], vec![]);
    let zero = net.constant(&Tensor::new([1], Data::I64(vec![0])).unwrap());
    let batch = net.node("Gather", &[&shape, &zero], vec![int("axis", 0)]);
    let rest = net.constant(&Tensor::new([1], Data::I64(vec![-1])).unwrap());
    let target = net.node("Concat", &[&batch, &rest], vec![int("axis", 0)]);
    let y = net.node("Reshape", &[&x, &target], vec![]);
    net.output(&y);
    net.output(&target);
    let (graph, compiled) = compile(&net);
    let mut session = compiled.session().unwrap();
    for shape in [[1, 3, 2, 5], [4, 3, 2, 5]] {
        let x = ramp(&shape);
        let found = session.run(std::slice::from_ref(&x)).unwrap();
        assert_eq!(found, reference::run(&graph, vec![x]).unwrap());
        let inner = shape[1..].iter().product::<usize>();
        assert_eq!(found[0].shape(), [shape[0], inner]);
        assert_eq!(found[1].as_i64().unwrap(), [shape[0] as i64, -1]);
        let steps = session.plan().unwrap().steps().count();
        assert_eq!(steps, 1, "only the Reshape remains");
    }
}

#[test]
fn every_element_type_passes_through_the_arena() {
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 2, 3, 4]);
    for to in [DType::Bool, DType::I16, DType::U32, DType::U64, DType::F16, DType::Bf16, DType::F64] {
        let code = i64::from(tilemark_model::onnx::code(to));
        let y = net.node("Cast", &[&x], vec![int("to", code)]);
        let y = net.node("Transpose", &[&y], vec![ints("perm", [0, 2, 3, 1])]);
        net.output(&y);
    }
    let found = equal(&net, &[ramp(&[1, 2, 3, 4])]);
    assert_eq!(found[0].dtype(), DType::Bool);
    assert_eq!(found[6].shape(), [1, 3, 4, 2]);
}

#[test]
fn hosted_operations_equal_the_reference() {
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 4, 6, 6]);
    let scales = net.constant(&Tensor::f32([4], vec![1.0, 1.0, 2.0, 1.5]).unwrap());
    let linear = net.node("Resize", &[&x, "", &scales], vec![string("mode", "linear")]);
    let nearest = net.node("Resize", &[&x, "", &scales], vec![string("mode", "nearest")]);
    let w = net.constant(&ramp(&[4, 2, 3, 3]));
    let transposed = net.node("ConvTranspose", &[&x, &w], vec![ints("strides", [2, 2])]);
    let deep = net.node("SpaceToDepth", &[&x], vec![int("blocksize", 2)]);
    let lrn = net.node("LRN", &[&x], vec![int("size", 3), float("alpha", 0.5)]);
    let best = net.node("ArgMax", &[&x], vec![int("axis", 1)]);
    let pads = net.constant(&Tensor::new([8], Data::I64(vec![0, 0, 1, 2, 0, 0, 2, 1])).unwrap());
    let padded = net.node("Pad", &[&x, &pads], vec![string("mode", "reflect")]);
    for y in [linear, nearest, transposed, deep, lrn, best, padded] {
        net.output(&y);
    }
    let shapes: Vec<_> = equal(&net, &[ramp(&[1, 4, 6, 6])]).iter().map(|t| t.shape().to_vec()).collect();
    let expected: [&[usize]; 7] = [
        &[1, 4, 12, 9],
        &[1, 4, 12, 9],
        &[1, 2, 13, 13],
        &[1, 16, 3, 3],
        &[1, 4, 6, 6],
        &[1, 1, 6, 6],
        &[1, 4, 9, 9],
    ];
    assert_eq!(shapes, expected);
}

/// A detector's end: boxes and scores are computed, suppression says how many survive, and their scores are gathered.
fn detector(net: &mut Builder) {
    let x = net.input("x", &[1, 6, 5]);
    let part = |net: &mut Builder, from: i64, to: i64| {
        let ends = [from, to].map(|i| net.constant(&Tensor::new([1], Data::I64(vec![i])).unwrap()));
        let axis = net.constant(&Tensor::new([1], Data::I64(vec![2])).unwrap());
        net.node("Slice", &[&x, &ends[0], &ends[1], &axis], vec![])
    };
    let boxes = part(net, 0, 4);
    let boxes = net.unary("Abs", &boxes);
    let scores = part(net, 4, 5);
    let scores = net.unary("Sigmoid", &scores);
    let scores = net.node("Transpose", &[&scores], vec![ints("perm", [0, 2, 1])]);
    let most = net.constant(&Tensor::new([1], Data::I64(vec![4])).unwrap());
    let overlap = net.constant(&Tensor::f32([1], vec![0.4]).unwrap());
    let least = net.constant(&Tensor::f32([1], vec![0.5]).unwrap());
    let kept = net.node("NonMaxSuppression", &[&boxes, &scores, &most, &overlap, &least], vec![]);
    let best = net.node("GatherND", &[&scores, &kept], vec![]);
    let doubled = net.node("Add", &[&best, &best], vec![]);
    for y in [&kept, &doubled, &boxes] {
        net.output(y);
    }
}

/// The plan covers all up to the suppression; what depends on its result runs behind, and says why.
#[test]
fn what_depends_on_values_runs_behind_the_plan() {
    let mut net = Builder::new(17);
    detector(&mut net);
    let (graph, compiled) = compile(&net);
    let mut session = compiled.session().unwrap();
    let mut counts = std::collections::BTreeSet::new();
    for seed in 0..6 {
        let x = (0..30).map(|i| ((i * 7 + seed * 11) as f32 * 0.61).sin() * 2.0).collect();
        let x = Tensor::f32([1, 6, 5], x).unwrap();
        let found = session.run(std::slice::from_ref(&x)).unwrap();
        assert_eq!(found, reference::run(&graph, vec![x.clone()]).unwrap());
        counts.insert(found[0].shape()[0]);
        let mut observed = Vec::new();
        let again = session
            .run_observed(std::slice::from_ref(&x), |id, tensor| observed.push((id, tensor.clone())))
            .unwrap();
        assert_eq!(again, found);
        let mut expected = Vec::new();
        reference::run_observed(&graph, vec![x.clone()], |id, tensor| expected.push((id, tensor.clone())))
            .unwrap();
        assert!(observed.iter().all(|value| expected.contains(value)));
        assert_eq!(observed.len(), graph.nodes.len() + 1, "nothing is fused here");
        let (timed, times) = session.run_timed(&[x]).unwrap();
        assert_eq!((timed, times.len()), (found, session.plan().unwrap().steps().count()));
    }
    assert!(counts.len() > 1, "the number of boxes follows the values: {counts:?}");
    let tail: Vec<_> = session
        .plan()
        .unwrap()
        .steps()
        .filter(|step| step.tail)
        .map(|step| (step.op.as_str(), step.why.as_str()))
        .collect();
    assert_eq!(tail[0], ("NonMaxSuppression", "host tail: the shape of its output depends on values"));
    assert_eq!(
        tail.iter().map(|step| step.0).collect::<Vec<_>>(),
        ["NonMaxSuppression", "GatherND", "Add (f32)"]
    );
    assert!(tail[1].1.starts_with("host tail: the shape of `nonmaxsuppression"), "{tail:?}");
}

/// A size that a caller gives as a value is refused by the engine as by the reference.
#[test]
fn a_hostile_size_is_refused_behind_the_plan() {
    let mut net = Builder::new(17);
    let sizes = net.typed_input("sizes", DType::I64, &[1]);
    let one = net.constant(&Tensor::f32([1], vec![1.0]).unwrap());
    let y = net.node("Expand", &[&one, &sizes], vec![]);
    net.output(&y);
    let (graph, compiled) = compile(&net);
    let mut session = compiled.session().unwrap();
    for (n, fits) in [(7, true), (1 << 40, false), (-1, false), (0, true)] {
        let sizes = Tensor::new([1], Data::I64(vec![n])).unwrap();
        let found = session.run(std::slice::from_ref(&sizes));
        assert_eq!(found.is_ok(), fits, "{n}");
        assert_eq!(found.ok(), reference::run(&graph, vec![sizes]).ok());
    }
}
