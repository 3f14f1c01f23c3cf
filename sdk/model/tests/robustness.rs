//! Hostile and damaged models, each named after what is wrong with it: an error, or a result within limits.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use common::{SCALES, exercise, run, small_net};
use prost::Message;
use tilemark_model::onnx::{AttributeProto, from_tensor};
use tilemark_model::{Data, Error, Tensor, import, shape};
use tilemark_testkit::onnx::{Builder, Quantization, float, int, ints, string};
use tilemark_testkit::random::SplitMix64;
use tilemark_testkit::tagger;

#[test]
fn the_small_net_runs() {
    let graph = import(&small_net().encode()).unwrap();
    let y = run(&graph).unwrap();
    assert_eq!(y[0].shape(), [1, 5]);
    let integer = graph.nodes.iter().filter(|node| !node.op.is_float()).count();
    assert!(integer > 10, "most of it is in integers: {integer}");
}

#[test]
fn the_tagger_cut_at_every_kilobyte_is_an_error() {
    let bytes = tagger::model();
    for length in (0..bytes.len()).step_by(1024) {
        let error = import(&bytes[..length]).unwrap_err();
        let cut = matches!(error, Error::NotOnnx { .. });
        assert!(cut, "cut at {length}: {error}");
    }
}

#[test]
fn a_small_model_cut_anywhere_is_an_error_or_runs() {
    let bytes = small_net().encode();
    let whole = import(&bytes).unwrap().nodes.len();
    for length in 0..bytes.len() {
        // A cut between fields can leave a model that is whole but for its opset, which is read as none.
        if let Ok(graph) = import(&bytes[..length]) {
            panic!("cut at {length} of {}: {} of {whole} nodes", bytes.len(), graph.nodes.len());
        }
    }
}

/// One QDQ convolution of an 8 x 8 image with the attributes given.
fn conv(attributes: Vec<AttributeProto>) -> Result<Vec<Tensor>, Error> {
    let mut net = Builder::new(13);
    let q = Quantization::u8(0.02, 128);
    let x = net.input("x", &[1, 4, 8, 8]);
    let x = net.qdq(&x, q);
    let weights = net.weights(&mut SplitMix64::new(1), &[4, 4, 3, 3], &[0.01]);
    let y = net.node("Conv", &[&x, &weights], attributes);
    let y = net.qdq(&y, q);
    net.output(&y);
    exercise(&net.encode())
}

#[test]
fn impossible_windows_are_refused() {
    assert!(conv(vec![]).is_ok());
    for (what, attribute) in [
        ("stride 0", ints("strides", [0, 1])),
        ("negative stride", ints("strides", [-1, 1])),
        ("huge stride", ints("strides", [i64::MAX, 1])),
        ("huge dilation", ints("dilations", [i64::MAX, 1])),
        ("dilation beyond the image", ints("dilations", [4, 4])),
        ("huge pads", ints("pads", [i64::MAX, 0, i64::MAX, 0])),
        ("large pads", ints("pads", [65_536, 65_536, 65_536, 65_536])),
        ("negative pads", ints("pads", [-1, 0, 0, 0])),
        ("groups that do not divide", int("group", 3)),
        ("no group", int("group", 0)),
        ("huge group", int("group", i64::MAX)),
        ("negative group", int("group", -1)),
        ("one stride", ints("strides", [1])),
        ("another kernel than the weights", ints("kernel_shape", [5, 5])),
        ("unknown padding", string("auto_pad", "SIDEWAYS")),
        ("unknown attribute", float("alpha", 1.0)),
    ] {
        assert!(conv(vec![attribute]).is_err(), "{what}");
    }
    let twice = vec![ints("strides", [1, 1]), ints("strides", [2, 2])];
    assert!(matches!(conv(twice), Err(Error::MalformedNode { .. })));
}

#[test]
fn a_kernel_larger_than_the_image_is_refused() {
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 1, 4, 4]);
    let y = net.pool("MaxPool", &x, [5, 5], [1, 1], [0; 4]);
    net.output(&y);
    assert!(matches!(exercise(&net.encode()), Err(Error::Shape { op, .. }) if op == "MaxPool"));
}

#[test]
fn a_window_of_impossible_work_is_refused_before_it_runs() {
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 1, 16_384, 16_384]);
    let y = net.pool("MaxPool", &x, [16_384, 16_384], [1, 1], [8192, 8192, 8191, 8191]);
    net.output(&y);
    let graph = import(&net.encode()).unwrap();
    let error = shape::infer(&graph, &shape::declared(&graph, 1)).unwrap_err();
    assert!(matches!(error, Error::LimitExceeded { .. }), "{error}");
}

/// A model that quantizes its input by one scale and zero point and dequantizes it again.
fn quantized_by(scale: f32, zero: Tensor) -> Result<Vec<Tensor>, Error> {
    let mut net = Builder::new(13);
    let x = net.input("x", &[4]);
    let names = [net.scalar(scale), net.constant(&zero)];
    let q = net.node("QuantizeLinear", &[&x, &names[0], &names[1]], vec![]);
    let y = net.node("DequantizeLinear", &[&q, &names[0], &names[1]], vec![]);
    net.output(&y);
    exercise(&net.encode())
}

#[test]
fn scales_that_cannot_be_are_refused() {
    let zero = || Tensor::u8([], vec![3]).unwrap();
    assert!(quantized_by(0.5, zero()).is_ok());
    for scale in SCALES.into_iter().filter(|&scale| scale != 1e20 && scale != 1e-20) {
        let error = quantized_by(scale, zero()).unwrap_err();
        assert!(matches!(error, Error::MalformedNode { .. }), "scale {scale:e}: {error}");
    }
}

#[test]
fn zero_points_of_another_type_or_number_are_refused() {
    let wide = Tensor::new([], Data::I32(vec![300])).unwrap();
    assert!(quantized_by(0.5, wide).is_err());
    let several = Tensor::u8([2], vec![1, 2]).unwrap();
    assert!(quantized_by(0.5, several).is_err());
}

#[test]
fn per_axis_scales_must_have_the_axis_length() {
    for (axis, n) in [(0, 3), (1, 4), (7, 4), (-9, 4)] {
        let mut net = Builder::new(13);
        let x = net.typed_input("x", tilemark_model::DType::U8, &[4, 3]);
        let scales = net.constant(&Tensor::f32([n], vec![0.5; n]).unwrap());
        let y = net.node("DequantizeLinear", &[&x, &scales], vec![int("axis", axis)]);
        net.output(&y);
        assert!(matches!(exercise(&net.encode()), Err(Error::Shape { .. })), "{n} scales on axis {axis}");
    }
}

#[test]
fn ports_may_be_joined_directly() {
    let mut net = Builder::new(13);
    let x = net.input("x", &[2]);
    let c = net.scalar(7.0);
    net.output(&x);
    net.output(&c);
    let y = exercise(&net.encode()).unwrap();
    assert_eq!((y[0].shape(), y[1].as_f32().unwrap()), (&[2][..], &[7.0][..]));
}

#[test]
fn a_graph_without_nodes_or_outputs_is_refused() {
    let mut net = Builder::new(13);
    net.input("x", &[2]);
    assert!(matches!(exercise(&net.encode()), Err(Error::NotOnnx { .. })));
}

#[test]
fn a_cycle_is_refused() {
    let mut net = Builder::new(13);
    let x = net.input("x", &[2]);
    let a = net.node("Add", &[&x, "later"], vec![]);
    let b = net.unary("Relu", &a);
    net.rename(&b, "later");
    net.output("later");
    let error = exercise(&net.encode()).unwrap_err();
    assert!(matches!(&error, Error::MalformedNode { reason, .. } if reason.contains("later")), "{error}");
}

#[test]
fn nested_messages_end() {
    // An attribute that holds a graph that holds a node that holds an attribute ...: field 6 is a subgraph.
    let mut inner = vec![];
    for _ in 0..100_000 {
        let mut outer = vec![0x32];
        prost::encode_length_delimiter(inner.len(), &mut outer).unwrap();
        outer.append(&mut inner);
        inner = outer;
        if inner.len() > 1 << 20 {
            break;
        }
    }
    let mut model = small_net().encode();
    model.extend(inner);
    let _ = exercise(&model); // unknown fields are skipped unread; what counts is that it ends
    let groups = vec![0x0b; 1 << 20];
    assert!(matches!(exercise(&groups), Err(Error::NotOnnx { .. })));
}

#[test]
fn huge_and_empty_axes() {
    for (dims, ok) in [
        (vec![1usize << 40], false),
        (vec![0, usize::MAX >> 2, 8], false),
        (vec![1 << 20, 1 << 20], false),
        (vec![0], true),
        (vec![1; 8], true),
        (vec![1; 9], false),
    ] {
        let mut net = Builder::new(13);
        let x = net.input("x", &dims);
        let y = net.unary("Relu", &x);
        net.output(&y);
        let found = exercise(&net.encode());
        assert_eq!(found.is_ok(), ok, "{dims:?}: {found:?}");
    }
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 3, 0, 4]);
    let y = net.node("GlobalAveragePool", &[&x], vec![]);
    net.output(&y);
    assert!(matches!(exercise(&net.encode()), Err(Error::Shape { .. })));
}

#[test]
fn constants_that_multiply_are_refused_before_memory_runs_out() {
    // Each addition makes a gigabyte of 128 KiB. Import leaves them for the run, which refuses them all together.
    let mut net = Builder::new(13);
    let row = net.constant(&Tensor::f32([1, 1 << 14], vec![1.0; 1 << 14]).unwrap());
    let column = net.constant(&Tensor::f32([1 << 14, 1], vec![1.0; 1 << 14]).unwrap());
    for _ in 0..100 {
        let sum = net.node("Add", &[&row, &column], vec![]);
        net.output(&sum);
    }
    let graph = import(&net.encode()).unwrap();
    assert_eq!((graph.nodes.len(), graph.weights().len()), (100, 2 << 16));
    assert!(matches!(run(&graph), Err(Error::LimitExceeded { .. })));
}

#[test]
fn one_tensor_named_many_times_is_refused_before_memory_runs_out() {
    let mut net = Builder::new(13);
    let x = net.typed_input("x", tilemark_model::DType::U8, &[1 << 20]);
    let scales = net.constant(&Tensor::f32([1 << 20], vec![1.0; 1 << 20]).unwrap());
    for _ in 0..1000 {
        let y = net.node("DequantizeLinear", &[&x, &scales], vec![int("axis", 0)]);
        net.output(&y);
    }
    assert!(matches!(import(&net.encode()), Err(Error::LimitExceeded { what: "bytes of constants", .. })));
}

/// The largest graphs allowed, in the shapes that make a careless pass quadratic.
#[test]
fn sixty_thousand_nodes_take_seconds() {
    let start = std::time::Instant::now();
    let q = Quantization::u8(0.5, 0);
    for op in ["Relu", "Identity", "Add", "Flatten"] {
        let mut net = Builder::new(13);
        let x = net.input("x", &[1, 4]);
        let mut y = net.qdq(&x, q);
        for _ in 0..60_000 {
            y = if op == "Add" { net.node(op, &[&y, &y], vec![]) } else { net.unary(op, &y) };
        }
        let y = net.qdq(&y, q);
        net.output(&y);
        exercise(&net.encode()).unwrap();
    }
    // A bound on growth, not on speed: quadratic passes would need hours.
    assert!(start.elapsed().as_secs() < 120, "{:?}", start.elapsed());
}

/// Many readers of one value, and one reader of many.
#[test]
fn a_graph_as_wide_as_allowed_takes_seconds() {
    let start = std::time::Instant::now();
    let q = Quantization::u8(0.5, 0);
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 2]);
    let mut real = net.qdq(&x, q);
    for _ in 0..12 {
        real = net.unary("Tanh", &real);
    }
    let (scale, zero) = (net.scalar(0.01), net.constant(&Tensor::u8([], vec![3]).unwrap()));
    let parts: Vec<String> =
        (0..30_000).map(|_| net.node("QuantizeLinear", &[&real, &scale, &zero], vec![])).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let y = net.concat(&parts, 1);
    net.output(&y);
    assert_eq!(exercise(&net.encode()).unwrap()[0].shape(), [1, 60_000]);
    assert!(start.elapsed().as_secs() < 120, "{:?}", start.elapsed());
}

#[test]
fn too_many_nodes_or_ports_are_refused() {
    let mut net = Builder::new(13);
    let mut y = net.input("x", &[1]);
    for _ in 0..=tilemark_model::limits::MAX_NODES {
        y = net.unary("Relu", &y);
    }
    net.output(&y);
    assert!(matches!(import(&net.encode()), Err(Error::LimitExceeded { what: "nodes", .. })));
    let mut net = Builder::new(13);
    let x = net.input("x", &[1]);
    (0..=tilemark_model::limits::MAX_PORTS).for_each(|_| net.output(&x));
    assert!(matches!(import(&net.encode()), Err(Error::LimitExceeded { .. })));
}

#[test]
fn names_that_import_makes_do_not_collide() {
    let mut model = small_net().model();
    for node in &mut model.graph.as_mut().unwrap().node {
        node.name = "same".into();
    }
    assert!(exercise(&model.encode_to_vec()).is_ok());
    for node in &mut model.graph.as_mut().unwrap().node {
        node.name = "long".repeat(100_000);
    }
    assert!(exercise(&model.encode_to_vec()).is_ok());
}

#[test]
fn weights_that_could_overflow_are_refused() {
    let k = 70_000;
    let mut net = Builder::new(13);
    let q = Quantization::u8(0.02, 0);
    let x = net.input("x", &[1, k]);
    let x = net.qdq(&x, q);
    let weights = Tensor::new([1, k], Data::I8(vec![127; k])).unwrap();
    let weights = net.dequantized(&weights, &[0.01]);
    let y = net.node("Gemm", &[&x, &weights], vec![int("transB", 1)]);
    let y = net.qdq(&y, q);
    net.output(&y);
    let error = import(&net.encode()).unwrap_err();
    assert!(matches!(error, Error::AccumulatorOverflow { channel: 0, found: 2_266_950_000, .. }), "{error}");
}

#[test]
fn constants_are_read_whatever_the_builder_writes() {
    let proto = from_tensor("c", &Tensor::u8([3], vec![1, 2, 3]).unwrap());
    assert_eq!(tilemark_model::onnx::to_tensor(&proto).unwrap().to_bytes(), [1, 2, 3]);
}
