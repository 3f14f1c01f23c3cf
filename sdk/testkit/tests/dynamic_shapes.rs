//! One session, inputs of many shapes: each is planned for once, and gives the reference's bytes.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;

use tilemark_engine::{Compiled, Device};
use tilemark_model::{Data, Graph, Tensor, import, reference};
use tilemark_testkit::onnx::{Builder, Quantization, int, string};
use tilemark_testkit::random::SplitMix64;

/// A fully convolutional network in 8 bits that computes with its own shape, as exporters write it: one branch at half the
/// size is resized back to `Shape(x)[2..]`, and the end is flattened by `Concat(Shape(x)[0], -1)`.
fn network() -> Builder {
    let (narrow, wide) = (Quantization::u8(0.02, 120), Quantization::u8(0.02, 3));
    let mut random = SplitMix64::new(9);
    let mut net = Builder::new(13);
    let x = net.dynamic_input("x", &[1, 3, 8, 8], &[(0, "batch"), (2, "height"), (3, "width")]);
    let shape = net.node("Shape", &[&x], vec![]);
    let x = net.qdq(&x, narrow);
    let y = net.conv(&x, &mut random, [8, 3, 3, 3]).pads([1; 4]).add();
    let y = net.unary("Relu", &y);
    let y = net.qdq(&y, wide);
    let half = net.conv(&y, &mut random, [8, 8, 3, 3]).pads([1; 4]).strides([2, 2]).add();
    let half = net.qdq(&half, wide);
    let index = |net: &mut Builder, values: &[i64]| {
        net.constant(&Tensor::new([values.len()], Data::I64(values.to_vec())).unwrap())
    };
    let image = index(&mut net, &[2, 3]);
    let image = net.node("Gather", &[&shape, &image], vec![int("axis", 0)]);
    let channels = index(&mut net, &[0, 1]);
    let inner = net.node("Shape", &[&half], vec![]);
    let channels = net.node("Gather", &[&inner, &channels], vec![int("axis", 0)]);
    let sizes = net.node("Concat", &[&channels, &image], vec![int("axis", 0)]);
    let nearest = vec![string("mode", "nearest"), string("coordinate_transformation_mode", "asymmetric")];
    let back = net.node("Resize", &[&half, "", "", &sizes], nearest);
    let joined = net.node("Concat", &[&y, &back], vec![int("axis", 1)]);
    let joined = net.qdq(&joined, wide);
    let y = net.conv(&joined, &mut random, [2, 16, 1, 1]).add();
    let y = net.qdq(&y, wide);
    let (first, rest) = (index(&mut net, &[0]), index(&mut net, &[-1]));
    let batch = net.node("Gather", &[&shape, &first], vec![int("axis", 0)]);
    let flat = net.node("Concat", &[&batch, &rest], vec![int("axis", 0)]);
    let y = net.node("Reshape", &[&y, &flat], vec![]);
    net.output(&y);
    net
}

fn compile() -> (Arc<Graph>, Compiled) {
    let graph = Arc::new(import(&network().encode()).unwrap());
    let device = Device::host().with_threads(2).unwrap();
    (Arc::clone(&graph), Compiled::new(graph, &device).unwrap())
}

fn picture([n, h, w]: [usize; 3]) -> Tensor {
    let reals = (0..n * 3 * h * w).map(|i| (i as f32 * 0.37).sin() * 5.0).collect();
    Tensor::f32([n, 3, h, w], reals).unwrap()
}

const SHAPES: [[usize; 3]; 7] =
    [[1, 8, 8], [1, 9, 7], [2, 8, 8], [1, 1, 1], [3, 5, 16], [1, 32, 3], [1, 8, 8]];

#[test]
fn every_shape_gives_the_bytes_of_the_reference() {
    let (graph, compiled) = compile();
    assert!(graph.nodes.iter().all(|node| !node.op.is_float()), "{:?}", graph.nodes);
    let mut session = compiled.session().unwrap();
    for [n, h, w] in SHAPES {
        let x = picture([n, h, w]);
        let found = session.run(std::slice::from_ref(&x)).unwrap();
        assert_eq!(found[0].shape(), [n, 2 * h * w]);
        assert_eq!(found, reference::run(&graph, vec![x]).unwrap(), "{n} x {h} x {w}");
        let steps: Vec<_> = session.plan().unwrap().steps().map(|step| step.op.clone()).collect();
        for folded in ["Shape", "Gather"] {
            assert!(!steps.iter().any(|op| op == folded), "{folded} is computed with the plan: {steps:?}");
        }
        assert_eq!(
            steps.iter().filter(|op| *op == "Concat").count(),
            1,
            "that of the channels alone: {steps:?}"
        );
    }
}

/// A session that another one has planned for shares the plan, and going back and forth costs nothing new.
#[test]
fn sessions_share_plans() {
    let (graph, compiled) = compile();
    let mut sessions = [compiled.session().unwrap(), compiled.session().unwrap()];
    for shape in [[1, 8, 8], [2, 4, 4], [1, 8, 8], [2, 4, 4]] {
        let x = picture(shape);
        let expected = reference::run(&graph, vec![x.clone()]).unwrap();
        let plans = sessions.each_mut().map(|session| {
            assert_eq!(session.run(std::slice::from_ref(&x)).unwrap(), expected);
            session.prepare(&[x.shape().to_vec()]).unwrap()
        });
        assert!(Arc::ptr_eq(&plans[0], &plans[1]), "{shape:?} was planned for twice");
    }
}
