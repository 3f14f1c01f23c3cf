//! The part of quantization that needs no data: preparation, placement, equalization, and files that import as integers.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeSet, HashMap};

use prost::Message;
use tilemark_model::graph::{FloatOp, Op};
use tilemark_model::onnx::NodeProto;
use tilemark_model::quantize::{FloatModel, Parameters, Placement, Range, equalize, write};
use tilemark_model::{DType, Error, Graph, Tensor, ValueId, import, reference};
use tilemark_testkit::onnx::float_net::{classifier, pictures};
use tilemark_testkit::onnx::{Builder, float, int, ints, port, string};
use tilemark_testkit::random::SplitMix64;

fn read(net: &Builder) -> FloatModel {
    FloatModel::read(&net.encode()).unwrap()
}

fn place(model: &FloatModel) -> Placement {
    Placement::of(model.graph(), &BTreeSet::new()).unwrap()
}

/// Scales from the extremes over some inputs, as the reference computes them.
fn calibrated(model: &FloatModel, placement: &Placement, dtype: DType, inputs: &[Tensor]) -> Parameters {
    let mut ranges = vec![Range::new(0.0, 0.0); placement.groups];
    let mut see = |id: ValueId, tensor: &Tensor| {
        for found in placement.tensors.iter().filter(|found| found.value == id) {
            for &x in tensor.as_f32().unwrap() {
                let range = &mut ranges[found.group];
                *range = Range::new(range.lo.min(x), range.hi.max(x));
            }
        }
    };
    for found in &placement.tensors {
        if let Some(constant) = model.graph().constant(found.value) {
            see(found.value, &constant);
        }
    }
    for input in inputs {
        reference::run_observed(model.graph(), vec![input.clone()], &mut see).unwrap();
    }
    let quants = ranges.into_iter().map(|range| range.quant(dtype).unwrap()).collect();
    Parameters { dtype, quants, biases: HashMap::new() }
}

fn quantized(model: &FloatModel, dtype: DType, inputs: &[Tensor]) -> Graph {
    let placement = place(model);
    let parameters = calibrated(model, &placement, dtype, inputs);
    import(&write(model, &placement, &parameters).unwrap()).unwrap()
}

fn outputs(graph: &Graph, input: &Tensor) -> Vec<f32> {
    let found = reference::run(graph, vec![input.clone()]).unwrap();
    graph.declared(&graph.outputs[0], &found[0]).unwrap().as_f32().unwrap().to_vec()
}

/// Signal over noise, in dB.
fn snr(expected: &[f32], found: &[f32]) -> f32 {
    let energy: f32 = expected.iter().map(|x| x * x).sum();
    let error: f32 = expected.iter().zip(found).map(|(a, b)| (a - b).powi(2)).sum();
    10.0 * (energy / error.max(1e-20)).log10()
}

fn operations(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|node| node.op.name()).collect()
}

#[test]
fn a_whole_network_becomes_integers_and_stays_near() {
    let (model, inputs) = (read(&classifier()), pictures(12, 1));
    for dtype in [DType::U8, DType::I8] {
        let graph = quantized(&model, dtype, &inputs);
        let float: Vec<&str> = operations(&graph).into_iter().filter(|op| op.contains("f32")).collect();
        assert!(float.is_empty(), "{dtype}: {float:?}");
        assert!(
            graph.nodes.iter().all(|node| !matches!(node.op, Op::Quantize { .. } | Op::Dequantize { .. }))
        );
        for input in &inputs {
            let (expected, found) = (outputs(model.graph(), input), outputs(&graph, input));
            assert!(snr(&expected, &found) > 20.0, "{dtype}: {expected:?} {found:?}");
        }
    }
}

#[test]
fn preparation_changes_no_function() {
    let mut net = classifier();
    let prepared = read(&net);
    // What import itself would fold stays apart where the convolution's result is an output too.
    for node in net.model().graph.unwrap().node {
        if node.op_type == "BatchNormalization" {
            net.output(&node.input[0]);
        }
    }
    let plain = import(&net.encode()).unwrap();
    let count = |graph: &Graph, name: &str| operations(graph).iter().filter(|op| **op == name).count();
    assert_eq!((count(&plain, "ScaleShift (f32)"), count(prepared.graph(), "ScaleShift (f32)")), (2, 0));
    assert_eq!(count(prepared.graph(), "Conv (f32)"), 6);
    for input in pictures(4, 2) {
        assert!(snr(&outputs(&plain, &input), &outputs(prepared.graph(), &input)) > 110.0);
    }
}

/// A normalization with nothing to fold it into is a convolution of its own, and so an integer operation.
#[test]
fn normalization_alone_becomes_a_convolution() {
    let mut random = SplitMix64::new(4);
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 3, 16, 16]);
    let a = net.batch_normalization(&x, &mut random, 3);
    let b = net.float_conv(&a, &mut random, [4, 3, 3, 3], 1, 1);
    let c = net.batch_normalization(&b, &mut random, 4); // b has another reader
    let y = net.node("Add", &[&b, &c], vec![]);
    net.output(&y);
    let model = read(&net);
    assert_eq!(operations(model.graph()), ["Conv (f32)", "Conv (f32)", "Conv (f32)", "Add (f32)"]);
    let plain = import(&net.encode()).unwrap();
    let input = &pictures(1, 3)[0];
    assert!(snr(&outputs(&plain, input), &outputs(model.graph(), input)) > 110.0);
}

/// Attributes that became inputs between opsets 10 and 13, and what reads them the same before and after.
#[test]
fn opset_10_is_raised_to_13() {
    let mut random = SplitMix64::new(5);
    let mut net = Builder::new(10);
    let x = net.input("x", &[1, 3, 16, 16]);
    let a = net.with("Pad", &x, vec![ints("pads", [0, 0, 1, 1, 0, 0, 1, 1]), float("value", 0.0)]);
    let a = net.float_conv(&a, &mut random, [4, 3, 3, 3], 1, 2);
    let a = net.with("Clip", &a, vec![float("min", 0.0), float("max", 2.0)]);
    let scales = Tensor::f32([4], vec![1.0, 1.0, 2.0, 2.0]).unwrap();
    let scales = net.constant(&scales);
    let a = net.node("Resize", &[&a, &scales], vec![string("mode", "nearest")]);
    let a = net.unary("GlobalAveragePool", &a);
    let a = net.with("Squeeze", &a, vec![ints("axes", [2, 3])]);
    let a = net.float_gemm(&a, &mut random, 6, 4);
    let a = net.with("Unsqueeze", &a, vec![ints("axes", [2])]);
    let a = net.with("ReduceSum", &a, vec![ints("axes", [2]), int("keepdims", 0)]);
    let y = net.with("Softmax", &a, vec![]);
    net.output(&y);
    let plain = import(&net.encode()).unwrap();
    let model = read(&net);
    let inputs = pictures(6, 6);
    let graph = quantized(&model, DType::U8, &inputs);
    let float: Vec<&str> = operations(&graph).into_iter().filter(|op| op.contains("f32")).collect();
    assert_eq!(float, ["ReduceSum (f32)", "Softmax (f32)"]);
    for input in &inputs {
        assert_eq!(outputs(&plain, input), outputs(model.graph(), input));
        assert!(snr(&outputs(&plain, input), &outputs(&graph, input)) > 25.0);
    }
}

/// Softmax took all axes from its own to the end together before opset 13.
#[test]
fn a_form_that_changed_its_meaning_is_refused() {
    let mut random = SplitMix64::new(6);
    let mut net = Builder::new(11);
    let x = net.input("x", &[1, 3, 16, 16]);
    let a = net.float_conv(&x, &mut random, [4, 3, 3, 3], 1, 2);
    let y = net.with("Softmax", &a, vec![int("axis", 1)]);
    net.output(&y);
    let error = FloatModel::read(&net.encode()).unwrap_err();
    assert!(matches!(&error, Error::UnsupportedOp { op, .. } if op == "Softmax"), "{error}");
}

#[test]
fn what_is_moved_shares_one_scale() {
    let model = read(&classifier());
    let placement = place(&model);
    let group = |op: &str, input: Option<usize>| {
        let node = model.graph().nodes.iter().find(|node| node.op.name() == op).unwrap();
        let value = input.map_or(node.output, |i| node.inputs[i]);
        placement.tensors.iter().find(|tensor| tensor.value == value).unwrap().group
    };
    let joined = group("Concat", None);
    assert_eq!([group("Concat", Some(0)), group("Concat", Some(1)), group("MaxPool", Some(0))], [joined; 3]);
    assert_ne!(group("AveragePool (f32)", Some(0)), group("GlobalAveragePool (f32)", None));
    // Nothing is quantized between a convolution and its Clip.
    let clip = model.graph().nodes.iter().find(|node| node.op.name() == "Clip (f32)").unwrap();
    assert!(placement.tensors.iter().all(|tensor| tensor.value != clip.inputs[0]));
    assert!(placement.tensors.iter().any(|tensor| tensor.value == clip.output));
}

/// A node can write several tensors, each of which is quantized.
#[test]
fn both_halves_of_a_split_are_integers() {
    let mut random = SplitMix64::new(14);
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 3, 16, 16]);
    let a = net.float_conv(&x, &mut random, [4, 3, 3, 3], 1, 1);
    let mut model = net.model();
    let graph = model.graph.as_mut().unwrap();
    let halves = vec!["left".to_owned(), "right".to_owned()];
    graph.node.push(NodeProto {
        name: "split".into(),
        op_type: "Split".into(),
        input: vec![a],
        output: halves.clone(),
        attribute: vec![int("axis", 1)],
        domain: String::new(),
    });
    let product = NodeProto {
        name: "product".into(),
        op_type: "Mul".into(),
        input: halves,
        output: vec!["y".into()],
        attribute: vec![],
        domain: String::new(),
    };
    graph.node.push(product);
    graph.output.push(port("y", DType::F32, vec![]));
    let model = FloatModel::read(&model.encode_to_vec()).unwrap();
    let inputs = pictures(4, 15);
    let graph = quantized(&model, DType::U8, &inputs);
    assert!(operations(&graph).iter().all(|op| !op.contains("f32")), "{:?}", operations(&graph));
    assert!(snr(&outputs(model.graph(), &inputs[0]), &outputs(&graph, &inputs[0])) > 25.0);
}

#[test]
fn a_layer_that_is_kept_has_float_weights() {
    let (model, inputs) = (read(&classifier()), pictures(4, 7));
    let name = place(&model).layers[2].name.clone();
    let placement = Placement::of(model.graph(), &BTreeSet::from([name.clone()])).unwrap();
    let parameters = calibrated(&model, &placement, DType::U8, &inputs);
    let graph = import(&write(&model, &placement, &parameters).unwrap()).unwrap();
    let float: Vec<&str> =
        graph.nodes.iter().filter(|node| node.op.is_float()).map(|node| node.name.as_str()).collect();
    assert_eq!(float, [name.as_str()]);
    assert_eq!(placement.float[0].reason, "kept in float");
}

/// The largest weights of the first layer's outputs and of the second one's inputs, channel by channel.
fn largest_around(model: &FloatModel) -> Vec<(f32, f32)> {
    let weights: Vec<Tensor> = model
        .graph()
        .nodes
        .iter()
        .filter(|node| matches!(node.op, Op::Float(FloatOp::Conv(_))))
        .map(|node| model.graph().constant(node.inputs[1]).unwrap())
        .collect();
    let most = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0f32, |most, w| most.max(w.abs()));
    let (first, second) = (weights[0].as_f32().unwrap(), weights[1].as_f32().unwrap());
    (0..6)
        .map(|c| {
            let of_first = most(&mut first[c * 27..(c + 1) * 27].iter().copied());
            let of_second =
                most(&mut second.iter().copied().enumerate().filter(|(i, _)| i / 9 % 6 == c).map(|w| w.1));
            (of_first, of_second)
        })
        .collect()
}

fn two_convolutions(between: impl Fn(&mut Builder, &str) -> String) -> FloatModel {
    let mut random = SplitMix64::new(8);
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 3, 16, 16]);
    let a = net.float_conv(&x, &mut random, [6, 3, 3, 3], 1, 1);
    let a = between(&mut net, &a);
    let y = net.float_conv(&a, &mut random, [4, 6, 3, 3], 1, 1);
    net.output(&y);
    read(&net)
}

#[test]
fn equalization_balances_weights_and_changes_no_function() {
    let model = two_convolutions(|net, x| net.unary("Relu", x));
    let (changed, pairs) = equalize(&model, &place(&model), &HashMap::new()).unwrap();
    assert_eq!(pairs, 1);
    assert!(largest_around(&model).iter().any(|(a, b)| (a / b - 1.0).abs() > 0.2));
    assert!(largest_around(&changed).iter().all(|(a, b)| (a / b - 1.0).abs() < 1e-4));
    for input in pictures(3, 9) {
        assert!(snr(&outputs(model.graph(), &input), &outputs(changed.graph(), &input)) > 110.0);
    }
}

/// Through Clip a channel is scaled only if what it was seen to reach stays clear of the bound, before and after.
#[test]
fn equalization_passes_clip_only_where_it_is_safe() {
    let model = two_convolutions(|net, x| net.clip(x, 0.0, 6.0));
    let placement = place(&model);
    let sum = placement.layers[0].sum;
    let mut seen = vec![f32::MIN; 6];
    let inputs = pictures(6, 10);
    for input in &inputs {
        reference::run_observed(model.graph(), vec![input.clone()], |id, tensor| {
            if id == sum {
                let values = tensor.as_f32().unwrap().chunks(256);
                values.zip(&mut seen).for_each(|(v, most)| *most = v.iter().fold(*most, |m, x| m.max(*x)));
            }
        })
        .unwrap();
    }
    let (changed, _) = equalize(&model, &placement, &HashMap::from([(sum, seen)])).unwrap();
    for input in &inputs {
        assert!(snr(&outputs(model.graph(), input), &outputs(changed.graph(), input)) > 100.0);
    }
    let nothing_known = equalize(&model, &placement, &HashMap::new()).unwrap().0;
    assert_eq!(largest_around(&nothing_known), largest_around(&model));
    let near = HashMap::from([(sum, vec![5.0; 6])]);
    assert_eq!(largest_around(&equalize(&model, &placement, &near).unwrap().0), largest_around(&model));
}

#[test]
fn what_cannot_be_quantized_is_refused_by_name() {
    let model = read(&classifier());
    let placement = place(&model);
    let parameters = calibrated(&model, &placement, DType::U8, &pictures(1, 1));
    let twice = FloatModel::read(&write(&model, &placement, &parameters).unwrap()).unwrap_err();
    assert_eq!(twice.code(), "TM0240");

    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 4]);
    let y = net.with("Softmax", &x, vec![int("axis", -1)]);
    net.output(&y);
    let nothing = Placement::of(read(&net).graph(), &BTreeSet::new()).unwrap_err();
    assert_eq!(nothing.code(), "TM0241");
    assert!(nothing.to_string().contains("Softmax has no integer form"), "{nothing}");

    for bad in [f32::NAN, f32::INFINITY] {
        let mut net = Builder::new(13);
        let x = net.input("x", &[1, 1, 2, 2]);
        let weights = net.constant(&Tensor::f32([1, 1, 1, 2], vec![1.0, bad]).unwrap());
        let y = net.node("Conv", &[&x, &weights], vec![]);
        net.output(&y);
        let error = Placement::of(read(&net).graph(), &BTreeSet::new()).unwrap_err();
        assert_eq!(error, Error::NotFinite { tensor: "const_1".into(), element: 1 });
    }
}
