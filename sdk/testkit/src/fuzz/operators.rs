//! One small model for each operator that the networks of [`super::nets`] lack.

use prost::Message;
use tilemark_model::onnx::{AttributeProto, NodeProto};
use tilemark_model::{DType, Data, Tensor};

use crate::onnx::{Builder, Quantization, float, int, ints, string};
use crate::random::SplitMix64;

/// What a node reads.
enum Operand {
    /// An f32 input of the model.
    Real(&'static [usize]),
    /// An i64 input of the model.
    Whole(&'static [usize]),
    /// f32 numbers.
    Reals(&'static [usize]),
    /// A vector of i64.
    Ints(&'static [i64]),
    /// Nothing.
    Absent,
}

use Operand::{Absent, Ints, Real, Reals, Whole};

/// An operator, what it reads, how many outputs it writes, and its attributes.
type Case = (&'static str, Vec<Operand>, usize, Vec<AttributeProto>);

/// Each model's name and ONNX file.
pub(super) fn all() -> Vec<(String, Vec<u8>)> {
    let cases = spatial().into_iter().chain(moves()).chain(general()).chain(normalizing());
    let mut models: Vec<(String, Vec<u8>)> = cases
        .enumerate()
        .map(|(i, case)| (format!("{i:02}-{}", case.0.to_lowercase()), single(case)))
        .collect();
    models.push(("shape-arithmetic".into(), shape_arithmetic().encode()));
    models.push(("moved-bytes".into(), moved_bytes().encode()));
    models
}

fn spatial() -> Vec<Case> {
    let resized = |mode: &str, coordinates: &str| {
        vec![string("mode", mode), string("coordinate_transformation_mode", coordinates)]
    };
    vec![
        ("ConvTranspose", vec![Real(&[1, 2, 3, 3]), Reals(&[2, 2, 3, 3])], 1, vec![ints("strides", [2, 2])]),
        ("Conv", vec![Real(&[1, 2, 9]), Reals(&[2, 2, 3])], 1, vec![ints("pads", [1, 1])]),
        ("Conv", vec![Real(&[1, 1, 3, 4, 3]), Reals(&[2, 1, 2, 2, 2])], 1, vec![]),
        ("MaxPool", vec![Real(&[1, 2, 5, 5])], 2, vec![ints("kernel_shape", [2, 2]), int("ceil_mode", 1)]),
        ("AveragePool", vec![Real(&[1, 2, 8])], 1, vec![ints("kernel_shape", [3]), ints("strides", [2])]),
        ("GlobalMaxPool", vec![Real(&[1, 3, 4, 4])], 1, vec![]),
        (
            "Resize",
            vec![Real(&[1, 1, 3, 4]), Absent, Absent, Ints(&[1, 1, 5, 7])],
            1,
            resized("linear", "half_pixel"),
        ),
        (
            "Resize",
            vec![Real(&[1, 1, 4, 4]), Absent, Absent, Ints(&[1, 1, 3, 6])],
            1,
            resized("cubic", "align_corners"),
        ),
        (
            "Resize",
            vec![Real(&[1, 2, 3, 3]), Absent, Absent, Ints(&[1, 2, 6, 6])],
            1,
            resized("nearest", "asymmetric"),
        ),
        (
            "RoiAlign",
            vec![Real(&[1, 1, 6, 6]), Reals(&[2, 4]), Ints(&[0, 0])],
            1,
            vec![int("output_height", 2), int("output_width", 2), int("sampling_ratio", 2)],
        ),
    ]
}

fn moves() -> Vec<Case> {
    vec![
        ("Pad", vec![Real(&[2, 4]), Ints(&[1, 2, 0, 1])], 1, vec![string("mode", "reflect")]),
        (
            "Slice",
            vec![Real(&[4, 5]), Ints(&[-1, 0]), Ints(&[-9, 4]), Ints(&[0, 1]), Ints(&[-1, 2])],
            1,
            vec![],
        ),
        ("Split", vec![Real(&[6, 2])], 2, vec![int("axis", 0)]),
        ("Gather", vec![Real(&[3, 4]), Ints(&[2, -1, 0])], 1, vec![int("axis", 1)]),
        ("GatherElements", vec![Real(&[3]), Ints(&[2, 0])], 1, vec![]),
        ("GatherND", vec![Real(&[2, 3]), Ints(&[1])], 1, vec![]),
        ("Expand", vec![Real(&[3, 1]), Ints(&[2, 1, 4])], 1, vec![]),
        ("Tile", vec![Real(&[2, 3]), Ints(&[2, 2])], 1, vec![]),
        ("DepthToSpace", vec![Real(&[1, 8, 2, 3])], 1, vec![int("blocksize", 2), string("mode", "CRD")]),
        ("SpaceToDepth", vec![Real(&[1, 2, 4, 6])], 1, vec![int("blocksize", 2)]),
        ("Concat", vec![Whole(&[2]), Ints(&[7])], 1, vec![int("axis", 0)]),
    ]
}

fn general() -> Vec<Case> {
    vec![
        ("Cast", vec![Real(&[5])], 1, vec![int("to", 7)]),
        ("Cast", vec![Whole(&[5])], 1, vec![int("to", 10)]),
        ("Mod", vec![Whole(&[4]), Ints(&[3, -3, 1, 7])], 1, vec![]),
        ("Div", vec![Whole(&[4]), Ints(&[0, -1, 2, 5])], 1, vec![]),
        ("Pow", vec![Real(&[3]), Reals(&[3])], 1, vec![]),
        ("Max", vec![Real(&[3]), Reals(&[2, 1]), Reals(&[1])], 1, vec![]),
        ("Greater", vec![Real(&[3]), Reals(&[2, 1])], 1, vec![]),
        ("Neg", vec![Whole(&[3])], 1, vec![]),
        ("Where", vec![Absent, Real(&[3]), Reals(&[1])], 1, vec![]),
        ("ReduceProd", vec![Whole(&[2, 3])], 1, vec![ints("axes", [1])]),
        ("ReduceLogSumExp", vec![Real(&[2, 3])], 1, vec![ints("axes", [-1])]),
        ("ArgMax", vec![Real(&[3, 4])], 1, vec![int("axis", 1), int("select_last_index", 1)]),
        ("TopK", vec![Real(&[2, 6]), Ints(&[3])], 2, vec![]),
        ("ConstantOfShape", vec![Ints(&[2, 3])], 1, vec![]),
        ("NonZero", vec![Ints(&[0, 3, 0, 1])], 1, vec![]),
        ("Gelu", vec![Real(&[7])], 1, vec![]),
        ("Erf", vec![Real(&[7])], 1, vec![]),
        ("NonMaxSuppression", vec![Reals(&[1, 4, 4]), Reals(&[1, 2, 4]), Ints(&[2])], 1, vec![]),
    ]
}

fn normalizing() -> Vec<Case> {
    vec![
        ("LayerNormalization", vec![Real(&[2, 6]), Reals(&[6]), Reals(&[6])], 1, vec![]),
        ("InstanceNormalization", vec![Real(&[1, 2, 3, 3]), Reals(&[2]), Reals(&[2])], 1, vec![]),
        (
            "BatchNormalization",
            vec![Real(&[1, 2, 3]), Reals(&[2]), Reals(&[2]), Reals(&[2]), Reals(&[2])],
            1,
            vec![],
        ),
        ("LRN", vec![Real(&[1, 4, 2, 2])], 1, vec![int("size", 3)]),
        ("LogSoftmax", vec![Real(&[2, 5])], 1, vec![int("axis", 1)]),
        ("PRelu", vec![Real(&[1, 3, 2]), Reals(&[3, 1])], 1, vec![]),
        (
            "LSTM",
            vec![Real(&[3, 1, 2]), Reals(&[1, 8, 2]), Reals(&[1, 8, 2])],
            3,
            vec![int("hidden_size", 2)],
        ),
        (
            "GRU",
            vec![Real(&[3, 1, 2]), Reals(&[1, 6, 2]), Reals(&[1, 6, 2])],
            2,
            vec![int("hidden_size", 2), int("linear_before_reset", 1)],
        ),
    ]
}

/// A model of one node.
fn single((op, operands, outputs, attribute): Case) -> Vec<u8> {
    let mut random = SplitMix64::new(12);
    // The newest set: what older ones wrote otherwise is refused by it, which is a seed too.
    let mut net = Builder::new(if op == "Gelu" { 20 } else { 17 });
    let mut input = Vec::new();
    for (i, operand) in operands.into_iter().enumerate() {
        let name = format!("x{i}");
        input.push(match operand {
            Real(shape) => net.input(&name, shape),
            Whole(shape) => net.typed_input(&name, DType::I64, shape),
            Reals(shape) => {
                let reals = random.floats(shape.iter().product(), 0.1, 1.0);
                net.constant(&Tensor::f32(shape, reals).expect("as many as the shape says"))
            }
            Ints(values) => {
                let tensor = Tensor::new([values.len()], Data::I64(values.to_vec()));
                net.constant(&tensor.expect("a vector"))
            }
            Absent if op == "Where" => {
                let zero = net.scalar(0.5);
                net.node("Greater", &["x1", &zero], vec![])
            }
            Absent => String::new(),
        });
    }
    let output: Vec<String> = (0..outputs).map(|i| format!("y{i}")).collect();
    output.iter().for_each(|name| net.output(name));
    let mut model = net.model();
    let node =
        NodeProto { op_type: op.into(), name: op.into(), input, output, attribute, ..NodeProto::default() };
    if let Some(graph) = &mut model.graph {
        graph.node.push(node);
    }
    model.encode_to_vec()
}

/// "Flatten all but the batch", as exporters spell it.
fn shape_arithmetic() -> Builder {
    let mut net = Builder::new(13);
    let x = net.batched_input("x", &[2, 3]);
    let shape = net.node("Shape", &[&x], vec![]);
    let zero = net.constant(&Tensor::new([1], Data::I64(vec![0])).expect("a vector"));
    let batch = net.node("Gather", &[&shape, &zero], vec![]);
    let rest = net.constant(&Tensor::new([1], Data::I64(vec![-1])).expect("a vector"));
    let target = net.concat(&[&batch, &rest], 0);
    let y = net.node("Reshape", &[&x, &target], vec![]);
    net.output(&y);
    net
}

/// Bytes that are moved as they are.
fn moved_bytes() -> Builder {
    let act = Quantization::u8(0.02, 100);
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 4, 3, 3]);
    let x = net.qdq(&x, act);
    let pads = net.constant(&Tensor::new([8], Data::I64(vec![0, 0, 1, 0, 0, 0, 0, 2])).expect("a vector"));
    let y = net.node("Pad", &[&x, &pads], vec![]);
    let y = net.qdq(&y, act);
    let y = net.node("DepthToSpace", &[&y], vec![int("blocksize", 2)]);
    let y = net.qdq(&y, act);
    let sizes = net.constant(&Tensor::f32([4], vec![1.0, 1.0, 2.0, 1.5]).expect("a vector"));
    let y = net.node("Resize", &[&y, "", &sizes], vec![string("mode", "nearest")]);
    let y = net.qdq(&y, act);
    let y = net.node("LeakyRelu", &[&y], vec![float("alpha", 0.25)]);
    let y = net.qdq(&y, act);
    net.output(&y);
    net
}
