//! One model with every operation, and every variant of their parts, that a graph can hold.

use prost::Message;
use tilemark::Tensor;
use tilemark_model::Data;
use tilemark_model::onnx::AttributeProto;
use tilemark_testkit::onnx::{Builder, Quantization, float, int, ints, string};
use tilemark_testkit::random::SplitMix64;

/// The model, and its input `x`.
pub(crate) fn model() -> (Vec<u8>, Tensor) {
    let mut net =
        Net { builder: Builder::new(21), random: SplitMix64::new(21), named: 0, constants: Vec::new() };
    let x = net.builder.batched_input("x", &[2, 4, 4]);
    let (rows, whole, scales) = derived(&mut net, &x);
    integers(&mut net, &x);
    signed(&mut net, &rows);
    unary(&mut net, &rows);
    binary(&mut net, &rows);
    windows(&mut net, &x);
    resizes(&mut net, &x, &scales);
    layers(&mut net, &x, &rows);
    movement(&mut net, &x, &whole);
    general(&mut net, &rows, &whole);
    shapes(&mut net, &x, &rows, &whole);
    types(&mut net, &rows);
    // Above zero, so that no logarithm or root is NaN, whose bits are nobody's promise.
    let values = SplitMix64::new(1).floats(32, 0.25, 1.75);
    let mut model = net.builder.model();
    model.graph.iter_mut().flat_map(|graph| &mut graph.node).for_each(|node| node.name.clear());
    (model.encode_to_vec(), Tensor::f32([1, 2, 4, 4], values).expect("32 elements"))
}

/// Of the input: a row for each picture; the integers 2 and 3, and factors of sizes, which nobody can know before it runs.
fn derived(net: &mut Net, x: &str) -> (String, String, String) {
    let spatial = net.ints(&[2, 3]);
    let rows = net.add("ReduceMean", &[x, &spatial], vec![int("keepdims", 0)]);
    let mean = net.add("ReduceMean", &[x], vec![int("keepdims", 0)]);
    let zero = net.builder.scalar(0.0);
    let nothing = net.add("Mul", &[&mean, &zero], vec![]);
    let mut late = |values: &[f32]| {
        let values = Tensor::f32([values.len()], values.to_vec()).expect("a vector");
        let values = net.builder.constant(&values);
        net.add("Add", &[&nothing, &values], vec![])
    };
    let (whole, scales) = (late(&[2.0, 3.0]), late(&[1.0, 1.0, 1.5, 2.0]));
    let whole = net.add("Cast", &[&whole], vec![int("to", 7)]);
    (rows, whole, scales)
}

/// A model whose every node is an output, so that none is folded away.
struct Net {
    builder: Builder,
    random: SplitMix64,
    named: usize,
    constants: Vec<(Tensor, String)>,
}

impl Net {
    fn add(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let name = self.builder.node(op, inputs, attributes);
        self.output(&name)
    }

    /// An output, under a short name: the bundle is to be small.
    fn output(&mut self, name: &str) -> String {
        self.named += 1;
        let name = self.builder.rename(name, &format!("{:x}", self.named));
        self.builder.output(&name);
        name
    }

    /// A node whose shape is known when it has run: its sum is an output, since ports have ranks.
    fn late(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) {
        let name = self.builder.node(op, inputs, attributes);
        self.add("ReduceSum", &[&name], vec![int("keepdims", 0)]);
    }

    fn add_all<const N: usize>(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) {
        for name in self.builder.outputs_of::<N>(op, inputs, attributes) {
            self.output(&name);
        }
    }

    /// Real numbers; of one shape always the same.
    fn reals(&mut self, shape: &[usize]) -> String {
        let values = SplitMix64::new(7).floats(shape.iter().product(), 0.25, 1.0);
        self.constant(&Tensor::f32(shape, values).expect("as many as the shape says"))
    }

    fn ints(&mut self, values: &[i64]) -> String {
        self.constant(&Tensor::new([values.len()], Data::I64(values.to_vec())).expect("a vector"))
    }

    /// A constant, once.
    fn constant(&mut self, tensor: &Tensor) -> String {
        if let Some((_, name)) = self.constants.iter().find(|(known, _)| known == tensor) {
            return name.clone();
        }
        let name = self.builder.constant(tensor);
        self.constants.push((tensor.clone(), name.clone()));
        name
    }

    fn qdq(&mut self, x: &str) -> String {
        self.builder.qdq(x, Quantization::u8(0.02, 100))
    }

    /// A quantized operation: its output, quantized, which is one of the model's.
    fn quantized(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let y = self.builder.node(op, inputs, attributes);
        let y = self.qdq(&y);
        self.output(&y)
    }
}

/// What runs on bytes.
fn integers(net: &mut Net, x: &str) {
    let x = net.qdq(x);
    for (name, value) in [("NOTSET", Some([1i64, 0, 0, 1])), ("SAME_UPPER", None), ("SAME_LOWER", None)] {
        let mut attributes = vec![string("auto_pad", name), int("group", 2)];
        attributes.extend(value.map(|pads| ints("pads", pads)));
        let weights = net.builder.weights(&mut net.random, &[2, 1, 2, 2], &[0.01]);
        net.quantized("Conv", &[&x, &weights], attributes);
    }
    let window = || vec![ints("kernel_shape", [2, 2]), ints("strides", [2, 2])];
    net.quantized("AveragePool", &[&x], window());
    let most = net.quantized("MaxPool", &[&x], window());
    let mean = net.quantized("GlobalAveragePool", &[&x], vec![]);
    let axes = net.ints(&[2]);
    net.quantized("ReduceMean", &[&x, &axes], vec![int("keepdims", 0)]);
    net.quantized("Add", &[&x, &mean], vec![]);
    net.quantized("Mul", &[&x, &mean], vec![]);
    net.quantized("MatMul", &[&x, &x], vec![]);
    net.quantized("Sigmoid", &[&x], vec![]);
    net.quantized("Concat", &[&most, &most], vec![int("axis", 1)]);
    let flat = net.quantized("Flatten", &[&most], vec![int("axis", 1)]);
    let weights = net.builder.weights(&mut net.random, &[8, 3], &[0.01]);
    net.quantized("MatMul", &[&flat, &weights], vec![]);
    let shape = net.ints(&[2, 4]);
    net.quantized("Reshape", &[&flat, &shape], vec![]);
    let first = net.ints(&[0]);
    net.quantized("Squeeze", &[&most, &first], vec![]);
    net.quantized("Unsqueeze", &[&flat, &first], vec![]);
    net.quantized("Transpose", &[&flat], vec![ints("perm", [1, 0])]);
}

/// s8, and quantization along an axis.
fn signed(net: &mut Net, rows: &str) {
    let y = net.builder.quantize(rows, Quantization::i8(0.05, -3));
    net.output(&y);
    let scales = net.reals(&[2]);
    let zeros = net.builder.constant(&Tensor::u8([2], vec![3, 4]).expect("a vector"));
    let y = net.add("QuantizeLinear", &[rows, &scales, &zeros], vec![int("axis", 1)]);
    net.add("DequantizeLinear", &[&y, &scales, &zeros], vec![int("axis", 1)]);
}

fn unary(net: &mut Net, x: &str) {
    for op in [
        "Relu",
        "Sigmoid",
        "Tanh",
        "HardSwish",
        "Neg",
        "Abs",
        "Reciprocal",
        "Sqrt",
        "Exp",
        "Log",
        "Erf",
        "Sin",
        "Cos",
        "Floor",
        "Ceil",
        "Round",
        "Sign",
        "Softplus",
        "Softsign",
        "Gelu",
        "Mish",
        "LeakyRelu",
        "HardSigmoid",
        "Elu",
        "Selu",
        "Celu",
        "ThresholdedRelu",
    ] {
        net.add(op, &[x], vec![]);
    }
    net.add("Gelu", &[x], vec![string("approximate", "tanh")]);
    let clipped = net.builder.clip(x, 0.5, 1.5);
    net.output(&clipped);
}

fn binary(net: &mut Net, x: &str) {
    let other = net.reals(&[2]);
    for op in ["Add", "Sub", "Mul", "Div", "Pow", "PRelu", "Min", "Max"] {
        net.add(op, &[x, &other], vec![]);
    }
    net.add("Mod", &[x, &other], vec![int("fmod", 1)]);
    let axes = net.ints(&[1]);
    for op in [
        "ReduceMean",
        "ReduceMax",
        "ReduceSum",
        "ReduceMin",
        "ReduceProd",
        "ReduceL1",
        "ReduceL2",
        "ReduceSumSquare",
        "ReduceLogSum",
        "ReduceLogSumExp",
    ] {
        net.add(op, &[x, &axes], vec![]);
    }
    net.add("Softmax", &[x], vec![int("axis", 1)]);
    net.add("LogSoftmax", &[x], vec![int("axis", 1)]);
    for op in ["Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"] {
        net.add(op, &[x, &other], vec![]);
    }
}

/// Convolutions and pooling in f32.
fn windows(net: &mut Net, x: &str) {
    let weights = net.reals(&[2, 2, 2, 2]);
    net.add("Conv", &[x, &weights], vec![]);
    net.add("ConvTranspose", &[x, &weights], vec![ints("strides", [2, 2])]);
    net.add("ConvTranspose", &[x, &weights], vec![ints("output_shape", [5, 5])]);
    net.add("AveragePool", &[x], vec![ints("kernel_shape", [2, 2])]);
    net.add("GlobalAveragePool", &[x], vec![]);
    net.add("GlobalMaxPool", &[x], vec![]);
    net.add_all::<2>("MaxPool", &[x], vec![ints("kernel_shape", [2, 2])]);
    let shape = net.ints(&[1, 1, 2, 4, 4]);
    let solid = net.add("Reshape", &[x, &shape], vec![]);
    let weights = net.reals(&[1, 1, 2, 2, 2]);
    for auto_pad in ["NOTSET", "SAME_UPPER", "SAME_LOWER"] {
        net.add("Conv", &[&solid, &weights], vec![string("auto_pad", auto_pad)]);
    }
    net.add("AveragePool", &[&solid], vec![ints("kernel_shape", [2, 2, 2])]);
    net.add("MaxPool", &[&solid], vec![ints("kernel_shape", [2, 2, 2])]);
    let boxes = net.builder.constant(&Tensor::f32([1, 4], vec![0.0, 0.0, 3.0, 3.0]).expect("a box"));
    let batch = net.ints(&[0]);
    let size = || vec![int("output_height", 2), int("output_width", 2)];
    net.add("RoiAlign", &[x, &boxes, &batch], size());
}

fn resizes(net: &mut Net, x: &str, scales: &str) {
    let sizes = net.ints(&[1, 2, 3, 6]);
    let spatial = net.ints(&[3, 6]);
    let region = net.builder.constant(
        &Tensor::f32([8], vec![0.0, 0.0, 0.25, 0.0, 1.0, 1.0, 0.75, 1.0]).expect("starts, then ends"),
    );
    let fixed = net.builder.constant(&Tensor::f32([4], vec![1.0, 1.0, 0.75, 1.5]).expect("a vector"));
    for coordinates in [
        "half_pixel",
        "half_pixel_symmetric",
        "pytorch_half_pixel",
        "align_corners",
        "asymmetric",
        "tf_crop_and_resize",
    ] {
        let attributes =
            vec![string("mode", "linear"), string("coordinate_transformation_mode", coordinates)];
        net.add("Resize", &[x, &region, "", &sizes], attributes);
    }
    for nearest in ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] {
        let attributes = vec![string("mode", "nearest"), string("nearest_mode", nearest)];
        net.add("Resize", &[x, "", &fixed], attributes);
    }
    net.late("Resize", &[x, "", scales], vec![string("mode", "cubic")]);
    for policy in ["not_larger", "not_smaller"] {
        let axes = ints("axes", [2, 3]);
        let attributes = vec![string("mode", "linear"), axes, string("keep_aspect_ratio_policy", policy)];
        net.add("Resize", &[x, "", "", &spatial], attributes);
    }
}

fn layers(net: &mut Net, x: &str, rows: &str) {
    let matrix = net.reals(&[2, 2]);
    net.add("Gemm", &[rows, &matrix], vec![float("alpha", 0.5)]);
    let (scale, shift) = (net.reals(&[2]), net.reals(&[2]));
    net.add("BatchNormalization", &[x, &scale, &shift, &shift, &scale], vec![]);
    net.add("InstanceNormalization", &[x, &scale, &shift], vec![]);
    let (scale, shift) = (net.reals(&[4]), net.reals(&[4]));
    net.add("LayerNormalization", &[x, &scale, &shift], vec![]);
    net.add("LRN", &[x], vec![int("size", 3)]);
    let one = net.ints(&[1]);
    let sequence = net.add("Unsqueeze", &[rows, &one], vec![]);
    for (direction, count) in [("forward", 1), ("reverse", 1), ("bidirectional", 2)] {
        let (w, r) = (net.reals(&[count, 8, 2]), net.reals(&[count, 8, 2]));
        let attributes = vec![int("hidden_size", 2), string("direction", direction)];
        net.add_all::<3>("LSTM", &[&sequence, &w, &r], attributes);
    }
    let (w, r) = (net.reals(&[1, 6, 2]), net.reals(&[1, 6, 2]));
    net.add("GRU", &[&sequence, &w, &r], vec![int("hidden_size", 2)]);
}

fn movement(net: &mut Net, x: &str, whole: &str) {
    let pads = net.ints(&[0, 0, 1, 0, 0, 0, 0, 1]);
    for mode in ["constant", "reflect", "edge", "wrap"] {
        net.add("Pad", &[x, &pads], vec![string("mode", mode)]);
    }
    let (one, two) = (net.ints(&[1]), net.ints(&[2]));
    net.add("Slice", &[x, &one, &two, &two], vec![]);
    net.add_all::<2>("Split", &[x], vec![int("axis", 2), int("num_outputs", 2)]);
    net.add("Gather", &[x, &one], vec![int("axis", 3)]);
    net.add("GatherElements", &[whole, &one], vec![]);
    net.add("GatherND", &[whole, &one], vec![]);
    let repeats = net.ints(&[1, 1, 2, 1]);
    net.add("Tile", &[x, &repeats], vec![]);
    net.add("SpaceToDepth", &[x], vec![int("blocksize", 2)]);
    let deep = net.add("Concat", &[x, x], vec![int("axis", 1)]);
    net.add("DepthToSpace", &[&deep], vec![int("blocksize", 2)]);
}

fn general(net: &mut Net, rows: &str, whole: &str) {
    let other = net.ints(&[3, 2]);
    for op in ["Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Mod"] {
        net.add(op, &[whole, &other], vec![]);
    }
    net.add("Neg", &[whole], vec![]);
    net.add("Abs", &[whole], vec![]);
    let axes = net.ints(&[0]);
    net.add("ReduceProd", &[whole, &axes], vec![]);
    let half = net.reals(&[2]);
    let bigger = net.add("Greater", &[rows, &half], vec![]);
    let smaller = net.add("Not", &[&bigger], vec![]);
    for op in ["And", "Or", "Xor"] {
        net.add(op, &[&bigger, &smaller], vec![]);
    }
    net.add("Where", &[&bigger, rows, &half], vec![]);
    net.add("ArgMax", &[rows], vec![int("axis", 1)]);
    let k = net.ints(&[2]);
    net.add_all::<2>("TopK", &[rows, &k], vec![]);
    net.add_all::<3>("DynamicQuantizeLinear", &[rows], vec![]);
}

/// What the values of inputs decide the shape of, and integer products.
fn shapes(net: &mut Net, x: &str, rows: &str, whole: &str) {
    net.add("Shape", &[rows], vec![]);
    net.add("Size", &[rows], vec![]);
    net.late("ConstantOfShape", &[whole], vec![]);
    let one = net.reals(&[1]);
    net.late("Expand", &[&one, whole], vec![]);
    let six = net.reals(&[6]);
    net.late("Reshape", &[&six, whole], vec![]);
    let scalar =
        |net: &mut Net, n| net.builder.constant(&Tensor::new([], Data::I64(vec![n])).expect("a scalar"));
    let (start, step) = (scalar(net, 0), scalar(net, 1));
    let end = net.add("ReduceSum", &[whole], vec![int("keepdims", 0)]);
    net.late("Range", &[&start, &end, &step], vec![]);
    net.late("NonZero", &[whole], vec![]);
    let shape = net.ints(&[1, 8, 4]);
    let boxes = net.add("Reshape", &[x, &shape], vec![]);
    let scores = net.reals(&[1, 1, 8]);
    let most = net.ints(&[2]);
    net.late("NonMaxSuppression", &[&boxes, &scores, &most], vec![]);
    let bytes = net.builder.quantize(x, Quantization::u8(0.02, 3));
    let weights = net.builder.constant(&Tensor::u8([1, 2, 2, 2], (0..8).collect()).expect("8 weights"));
    net.add("ConvInteger", &[&bytes, &weights], vec![]);
    let weights = net.builder.constant(&Tensor::u8([4, 1], (0..4).collect()).expect("4 weights"));
    net.add("MatMulInteger", &[&bytes, &weights], vec![]);
}

/// The element types that nothing else has.
fn types(net: &mut Net, rows: &str) {
    // ONNX's numbers: u16, i16, f16, f64, u32, u64, bf16, four of 8 bits, u4, i4.
    for code in [4, 5, 10, 11, 12, 13, 16, 17, 18, 19, 20, 21, 22] {
        net.add("Cast", &[rows], vec![int("to", code)]);
    }
}
