//! Shapes of every operation that computes them, and what each refuses.

use super::*;
use crate::graph::{BinaryOp, Draft, MatMul, Pads, Pool, ReduceOp, Window};
use crate::tensor::DType;

/// The output shape of one f32 operation under these input shapes.
fn output(op: Op, inputs: &[&[usize]]) -> Result<Vec<usize>, Error> {
    let mut draft = Draft::default();
    let mut ids = Vec::new();
    for (i, shape) in inputs.iter().enumerate() {
        let value = draft.activation(format!("x{i}"), DType::F32, None);
        let shape = shape.iter().map(|&n| Dim::Fixed(n)).collect();
        draft.inputs.push(Port { name: format!("x{i}"), value, dtype: DType::F32, shape });
        ids.push(value);
    }
    let y = draft.activation("y", DType::F32, None);
    draft.node("node", op, ids, y);
    draft.outputs.push(Port { name: "y".into(), value: y, dtype: DType::F32, shape: Vec::new() });
    let graph = draft.freeze()?;
    let shapes: Vec<Vec<usize>> = inputs.iter().map(|shape| shape.to_vec()).collect();
    Ok(infer(&graph, &shapes)?.of(graph.outputs[0].value).to_vec())
}

fn refused(op: Op, inputs: &[&[usize]]) -> String {
    match output(op, inputs) {
        Err(Error::Shape { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

fn pool(kernel: [usize; 2], strides: [usize; 2], pads: Pads, ceil_mode: bool) -> Op {
    let window = Window { kernel, strides, dilations: [1, 1], pads };
    Op::MaxPool(Pool { window, ceil_mode, count_include_pad: false })
}

fn conv(groups: usize, kernel: [usize; 2]) -> Op {
    let window = Window { kernel, strides: [2, 1], dilations: [1, 2], pads: Pads::Explicit([0, 1, 1, 2]) };
    Op::Float(FloatOp::Conv(crate::graph::Conv { window, groups }))
}

#[test]
fn windows() {
    // Height (9 + 0 + 1 - 3) / 2 + 1; width (10 + 1 + 2 - 5) / 1 + 1.
    assert_eq!(output(conv(2, [3, 3]), &[&[5, 4, 9, 10], &[6, 2, 3, 3]]).unwrap(), [5, 6, 4, 9]);
    assert!(refused(conv(2, [3, 3]), &[&[1, 3, 9, 9], &[6, 2, 3, 3]]).contains("2 groups"));
    assert!(refused(conv(1, [3, 3]), &[&[1, 2, 9, 9], &[6, 2, 5, 3]]).contains("does not fit"));
    assert!(refused(conv(1, [3, 3]), &[&[1, 2, 9], &[6, 2, 3, 3]]).contains("[N, C, H, W]"));
    let same = |pads| pool([3, 3], [2, 2], pads, false);
    assert_eq!(output(same(Pads::SameUpper), &[&[1, 1, 7, 8]]).unwrap(), [1, 1, 4, 4]);
    assert_eq!(
        output(pool([2, 2], [2, 2], Pads::Explicit([0; 4]), true), &[&[1, 1, 5, 4]]).unwrap(),
        [1, 1, 3, 2]
    );
    assert!(
        refused(pool([6, 1], [1, 1], Pads::Explicit([0; 4]), false), &[&[1, 1, 5, 5]])
            .contains("does not fit")
    );
}

#[test]
fn joining_and_reshaping() {
    let concat = |axis| Op::Concat { axis };
    assert_eq!(output(concat(-1), &[&[2, 3], &[2, 5]]).unwrap(), [2, 8]);
    assert!(refused(concat(0), &[&[2, 3], &[2, 5]]).contains("cannot join"));
    assert!(refused(concat(2), &[&[2, 3], &[2, 5]]).contains("axis 2"));
    let reshape = |shape: &[i64]| Op::Reshape { shape: shape.to_vec(), allow_zero: false };
    assert_eq!(output(reshape(&[0, -1]), &[&[2, 3, 4]]).unwrap(), [2, 12]);
    for bad in [&[5, -1][..], &[-1, -1], &[-2, 12], &[2, 2], &[0, 0, 0, 0]] {
        assert!(refused(reshape(bad), &[&[2, 3, 4]]).contains("cannot become"), "{bad:?}");
    }
    assert_eq!(output(Op::Flatten { axis: 3 }, &[&[2, 3, 4]]).unwrap(), [24, 1]);
    assert_eq!(output(Op::Flatten { axis: -1 }, &[&[2, 3, 4]]).unwrap(), [6, 4]);
    assert!(refused(Op::Flatten { axis: 4 }, &[&[2, 3, 4]]).contains("axis 4"));
}

#[test]
fn axes_of_one() {
    let squeeze = |axes: &[i64]| Op::Squeeze { axes: axes.to_vec() };
    assert_eq!(output(squeeze(&[]), &[&[1, 3, 1]]).unwrap(), [3]);
    assert_eq!(output(squeeze(&[-1]), &[&[1, 3, 1]]).unwrap(), [1, 3]);
    assert!(refused(squeeze(&[1]), &[&[1, 3, 1]]).contains("not all 1"));
    let unsqueeze = |axes: &[i64]| Op::Unsqueeze { axes: axes.to_vec() };
    assert_eq!(output(unsqueeze(&[0, -1]), &[&[3, 4]]).unwrap(), [1, 3, 4, 1]);
    assert!(refused(unsqueeze(&[0, 0]), &[&[3]]).contains("twice"));
    assert!(refused(unsqueeze(&[0, 1, 2]), &[&[1; 7]]).contains("rank 10"));
    assert!(refused(Op::Transpose { perm: vec![1, 0] }, &[&[1, 2, 3]]).contains("permutes 2"));
}

#[test]
fn products_reductions_and_broadcasts() {
    let product =
        |trans_b| Op::Float(FloatOp::MatMul(MatMul { alpha: 1.0, beta: 1.0, trans_a: false, trans_b }));
    assert_eq!(output(product(true), &[&[2, 3], &[5, 3], &[5]]).unwrap(), [2, 5]);
    assert!(refused(product(true), &[&[2, 3], &[3, 5]]).contains("multiplied"));
    assert!(refused(product(false), &[&[2, 3], &[3, 5], &[2]]).contains("broadcast"));
    let reduce = |axes: &[i64], keep_dims| {
        Op::Float(FloatOp::Reduce { op: ReduceOp::Sum, axes: axes.to_vec(), keep_dims })
    };
    assert_eq!(output(reduce(&[-1, 0], false), &[&[2, 3, 4]]).unwrap(), [3]);
    assert_eq!(output(reduce(&[], true), &[&[2, 3]]).unwrap(), [1, 1]);
    let add = Op::Float(FloatOp::Binary(BinaryOp::Add));
    assert!(refused(add, &[&[2, 3], &[2]]).contains("do not broadcast"));
}

#[test]
fn dynamic_axes_take_any_number_but_none() {
    let port = Port {
        name: "x".into(),
        value: ValueId(0),
        dtype: DType::F32,
        shape: vec![Dim::Dynamic("batch".into()), Dim::Fixed(3)],
    };
    assert!(check_input(&port, &[7, 3]).is_ok());
    for bad in [&[0, 3][..], &[7, 4], &[3], &[1, 3, 1]] {
        let error = check_input(&port, bad).unwrap_err();
        assert!(matches!(error, Error::InputShape { expected, .. } if expected == "[batch, 3]"));
    }
}

#[test]
fn broadcasting_follows_numpy() {
    assert_eq!(broadcast(&[2, 3, 1], &[4]), Some(vec![2, 3, 4]));
    assert_eq!(broadcast(&[], &[5]), Some(vec![5]));
    assert_eq!(broadcast(&[2], &[3]), None);
}

#[test]
fn matmul_handles_vectors_and_batches() {
    assert_eq!(matmul_shape(&[3], &[3, 4]), Some(vec![4]));
    assert_eq!(matmul_shape(&[2, 3], &[3]), Some(vec![2]));
    assert_eq!(matmul_shape(&[3], &[3]), Some(vec![]));
    assert_eq!(matmul_shape(&[5, 1, 2, 3], &[7, 3, 4]), Some(vec![5, 7, 2, 4]));
    assert_eq!(matmul_shape(&[2, 3], &[4, 5]), None);
}

#[test]
fn axes_may_count_from_the_end() {
    assert_eq!(normalize_axis(-1, 4), Some(3));
    assert_eq!(normalize_axis(4, 4), None);
    assert_eq!(normalize_axis(-5, 4), None);
}
