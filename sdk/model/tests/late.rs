//! Values that decide shapes: what follows from them is found out while the model runs, within limits.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use tilemark_model::{DType, Data, Error, Tensor, import, limits, reference, shape};
use tilemark_testkit::onnx::{Builder, int};

fn ints(values: &[i64]) -> Tensor {
    Tensor::new([values.len()], Data::I64(values.to_vec())).unwrap()
}

fn run(net: &Builder, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, Error> {
    reference::run(&import(&net.encode()).unwrap(), inputs)
}

/// The rows of x that hold anything: `Gather(x, Squeeze(NonZero(ReduceMax(x))))`.
fn rows_that_hold_anything() -> Builder {
    let mut net = Builder::new(17);
    let x = net.batched_input("x", &[2]);
    let most =
        net.node("ReduceMax", &[&x], vec![tilemark_testkit::onnx::ints("axes", [1]), int("keepdims", 0)]);
    let places = net.node("NonZero", &[&most], vec![]);
    let axis = net.constant(&ints(&[0]));
    let places = net.node("Squeeze", &[&places, &axis], vec![]);
    let rows = net.node("Gather", &[&x, &places], vec![]);
    net.output(&rows);
    net
}

#[test]
fn as_many_rows_as_the_values_say() {
    let net = rows_that_hold_anything();
    let of = |x: Vec<f32>| {
        let rows = x.len() / 2;
        run(&net, vec![Tensor::f32([rows, 2], x).unwrap()]).unwrap().remove(0)
    };
    assert_eq!(of(vec![0.0, 0.0, 3.0, 1.0, 0.0, 0.0, 0.0, 7.0]).as_f32().unwrap(), [3.0, 1.0, 0.0, 7.0]);
    assert_eq!(of(vec![0.0, 0.0]).shape(), [0, 2]);
}

/// What does not depend on the values is inferred as ever, and the rest says so.
#[test]
fn only_what_follows_from_values_is_late() {
    let graph = import(&rows_that_hold_anything().encode()).unwrap();
    let shapes = shape::infer(&graph, &[vec![4, 2]]).unwrap();
    let late: Vec<_> =
        graph.nodes.iter().filter(|node| shapes.is_late(node.output)).map(|node| node.op.name()).collect();
    assert_eq!(late, ["NonZero", "Squeeze", "Gather"]);
    assert!(shapes.has_late());
    assert_eq!(graph.nodes.iter().map(|node| shape::macs(node, &shapes)).sum::<u64>(), 0);
}

#[test]
fn the_first_k_where_k_is_computed() {
    let mut net = Builder::new(17);
    let x = net.input("x", &[5]);
    let k = net.typed_input("k", DType::I64, &[1]);
    let y = net.node("TopK", &[&x, &k], vec![]);
    net.output(&y);
    let x = Tensor::f32([5], vec![2.0, 9.0, 4.0, 7.0, 1.0]).unwrap();
    let first = |k: i64| run(&net, vec![x.clone(), ints(&[k])]);
    assert_eq!(first(2).unwrap()[0].as_f32().unwrap(), [9.0, 7.0]);
    assert_eq!(first(5).unwrap()[0].len(), 5);
    for k in [6, -1, i64::MAX, i64::MIN] {
        assert!(matches!(first(k), Err(Error::Shape { .. })), "{k}");
    }
}

/// What a caller gives decides how much memory is asked for: beyond the limits it is refused, not allocated.
#[test]
fn hostile_sizes_are_refused() {
    let mut net = Builder::new(17);
    let sizes = net.typed_input("sizes", DType::I64, &[2]);
    let one = net.constant(&Tensor::f32([1], vec![1.0]).unwrap());
    let y = net.node("Expand", &[&one, &sizes], vec![]);
    net.output(&y);
    assert_eq!(run(&net, vec![ints(&[2, 3])]).unwrap()[0].shape(), [2, 3]);
    let most = i64::try_from(limits::MAX_LATE_BYTES / 4).unwrap();
    let refusal = |sizes: &[i64]| run(&net, vec![ints(sizes)]).unwrap_err();
    assert!(matches!(refusal(&[most + 1, 1]), Error::LimitExceeded { limit: limits::MAX_LATE_BYTES, .. }));
    assert!(matches!(refusal(&[i64::MAX, i64::MAX]), Error::TensorTooLarge { .. }));
    assert!(matches!(refusal(&[-1, 2]), Error::Shape { .. }));
}

/// Many tensors, each within the limit, are beyond it together.
#[test]
fn the_limit_is_on_all_of_them() {
    let mut net = Builder::new(17);
    let sizes = net.typed_input("sizes", DType::I64, &[1]);
    let one = net.constant(&Tensor::f32([1], vec![1.0]).unwrap());
    let mut y = net.node("Expand", &[&one, &sizes], vec![]);
    for _ in 0..40 {
        y = net.unary("Relu", &y);
    }
    let last = net.constant(&ints(&[0]));
    let y = net.node("Gather", &[&y, &last], vec![]);
    net.output(&y);
    let n = i64::try_from(limits::MAX_LATE_BYTES / 4 / 30).unwrap();
    let error = run(&net, vec![ints(&[n])]).unwrap_err();
    assert!(matches!(error, Error::LimitExceeded { limit: limits::MAX_LATE_BYTES, .. }), "{error}");
    assert!(run(&net, vec![ints(&[1000])]).is_ok());
}
