//! Runs ONNX's own single-operator cases (`onnx/backend/test/data/node` of the `onnx` package) on the reference
//! interpreter.
//!
//! A case is a folder: `model.onnx`, and `test_data_set_0/input_K.pb` and `output_K.pb` in the order of the graph's
//! ports. Exporters write scales, axes, shapes and bounds as constants, and import needs them so; the cases give
//! them as inputs, so [`run`] binds those inputs as initializers first.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use prost::Message;
use tilemark_model::import::import_model;
use tilemark_model::onnx::{self, GraphProto, ModelProto, TensorProto, ValueInfoProto};
use tilemark_model::{Data, Error, Tensor, reference};

/// ONNX's own tolerance for floats; integers must be equal.
const RELATIVE: f64 = 1e-3;
/// The absolute part of it.
const ABSOLUTE: f64 = 1e-7;

/// Inputs that import reads as constants: operator and the positions.
const CONSTANT_INPUTS: &[(&str, &[usize])] = &[
    ("BatchNormalization", &[1, 2, 3, 4]),
    ("Clip", &[1, 2]),
    ("ConvInteger", &[1, 2, 3]),
    ("ConvTranspose", &[1, 2]),
    ("DequantizeLinear", &[1, 2]),
    ("Dropout", &[1, 2]),
    ("MatMulInteger", &[1, 2, 3]),
    ("NonMaxSuppression", &[2, 3, 4]),
    ("Pad", &[1, 2, 3]),
    ("QLinearConv", &[1, 2, 3, 4, 5, 6, 7, 8]),
    ("QLinearMatMul", &[1, 2, 3, 4, 5, 6, 7]),
    ("QuantizeLinear", &[1, 2]),
    ("ReduceL1", &[1]),
    ("ReduceL2", &[1]),
    ("ReduceLogSum", &[1]),
    ("ReduceLogSumExp", &[1]),
    ("ReduceMax", &[1]),
    ("ReduceMean", &[1]),
    ("ReduceMin", &[1]),
    ("ReduceProd", &[1]),
    ("ReduceSum", &[1]),
    ("ReduceSumSquare", &[1]),
    ("Resize", &[1, 2, 3]),
    ("Slice", &[1, 2, 3, 4]),
    ("Split", &[1]),
    ("Squeeze", &[1]),
    ("Unsqueeze", &[1]),
    ("Upsample", &[1]),
];

/// Operators that quantized CNNs are made of, with what stands around them.
const BEARING: &[&str] = &[
    "Add",
    "ArgMax",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "DepthToSpace",
    "DequantizeLinear",
    "Div",
    "DynamicQuantizeLinear",
    "Elu",
    "Expand",
    "Flatten",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LeakyRelu",
    "MatMul",
    "MatMulInteger",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "NonMaxSuppression",
    "PRelu",
    "Pad",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
    "ReduceMax",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Resize",
    "RoiAlign",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Sub",
    "Tanh",
    "TopK",
    "Transpose",
    "Unsqueeze",
    "Upsample",
];

/// Cases whose files expect something else than the operator's definition, and why they are not followed.
const EXPECTED_OTHERWISE: &[(&str, &str)] = &[
    (
        "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
        "the file counts what a window covers beyond the padding; later versions of ONNX do not",
    ),
    ("test_cast_FLOAT_to_BFLOAT16", "the file cuts bits off; the nearest bf16 is another"),
    ("test_castlike_FLOAT_to_BFLOAT16_expanded", "the file cuts bits off; the nearest bf16 is another"),
    (
        "test_resize_downsample_scales_cubic_align_corners",
        "the file aligns the corners of an output of fractional size; ONNX Runtime too aligns those of the real one",
    ),
    (
        "test_resize_downsample_scales_linear_align_corners",
        "the file aligns the corners of an output of fractional size; ONNX Runtime too aligns those of the real one",
    ),
];

/// Cases whose files wrap around where QLinearMatMul saturates (an error of this release of the package), and the values
/// that the reference of onnx 1.23.2 and ONNX Runtime 1.31.1 both compute from the files' own inputs.
const CORRECTED: &[(&str, &[i8])] = &[
    ("test_qlinearmatmul_2D_int8_float16", &[41, -12, -9, 1, -75, -128]),
    ("test_qlinearmatmul_2D_int8_float32", &[41, -12, -9, 1, -75, -128]),
    ("test_qlinearmatmul_3D_int8_float16", &[-86, -128, -128, 115, 39, -121, -86, -128, -128, 115, 39, -121]),
    ("test_qlinearmatmul_3D_int8_float32", &[-86, -128, -128, 115, 39, -121, -86, -128, -128, 115, 39, -121]),
];

/// What became of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The outputs are those that the case expects.
    Passed,
    /// Import refused it as something it does not support; the reason, without names.
    Unsupported(String),
    /// Another result than the file expects, for this reason.
    Differs(&'static str),
    /// A wrong result, or a valid model refused as a broken one.
    Failed(String),
}

/// One case and what became of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Name of the case's folder.
    pub name: String,
    /// The operators of its model: one, or for an expanded function several joined by `+`.
    pub op: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// Runs every case below `folder`, in the order of their names.
///
/// # Errors
/// Those of listing the folder.
pub fn run_all(folder: &Path) -> std::io::Result<Vec<Report>> {
    let mut cases = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<PathBuf>, _>>()?;
    cases.retain(|path| path.join("model.onnx").is_file());
    cases.sort();
    Ok(cases.iter().map(|path| run(path)).collect())
}

/// Runs the case in `folder`.
#[must_use]
pub fn run(folder: &Path) -> Report {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (op, outcome) = match std::fs::read(folder.join("model.onnx")) {
        Err(error) => (String::new(), Outcome::Failed(error.to_string())),
        // The file's own words, before any limit or check of import: a case must be listed under its operator.
        Ok(bytes) => match ModelProto::decode(&*bytes) {
            Err(error) => (String::new(), Outcome::Failed(error.to_string())),
            Ok(model) => (operators(&model), outcome(folder, model).unwrap_or_else(|outcome| outcome)),
        },
    };
    let known = EXPECTED_OTHERWISE.iter().find(|entry| entry.0 == name);
    let outcome = match (outcome, known) {
        (Outcome::Failed(_), Some(&(_, reason))) => Outcome::Differs(reason),
        (outcome, _) => outcome,
    };
    Report { name, op, outcome }
}

impl Report {
    /// Whether the case bears on quantized CNNs.
    #[must_use]
    pub fn bears(&self) -> bool {
        BEARING.contains(&self.op.as_str())
    }
}

/// One line for each case that bears on quantized CNNs and does not pass, and their number.
#[must_use]
pub fn missing(reports: &[Report]) -> String {
    let bearing = reports.iter().filter(|report| report.bears());
    let mut out = String::new();
    let (mut all, mut passed) = (0, 0);
    for report in bearing {
        all += 1;
        let reason = match &report.outcome {
            Outcome::Passed => {
                passed += 1;
                continue;
            }
            Outcome::Unsupported(reason) | Outcome::Failed(reason) => reason.as_str(),
            Outcome::Differs(reason) => reason,
        };
        let _ = writeln!(out, "{}: {reason}", report.name);
    }
    format!("{out}{passed} of {all} cases that bear on quantized CNNs pass\n")
}

/// A table of operators with what passed and what was refused, the refusals' reasons, and the failures.
#[must_use]
pub fn table(reports: &[Report]) -> String {
    let mut ops: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures = String::new();
    for report in reports {
        let counts = ops.entry(if report.op.contains('+') { "(several)" } else { &report.op }).or_default();
        match &report.outcome {
            Outcome::Passed => counts[0] += 1,
            Outcome::Unsupported(reason) => {
                counts[1] += 1;
                *reasons.entry(reason).or_default() += 1;
            }
            Outcome::Differs(reason) => {
                counts[1] += 1;
                *reasons.entry(reason).or_default() += 1;
            }
            Outcome::Failed(reason) => {
                counts[2] += 1;
                let _ = writeln!(failures, "FAILED {} ({}): {reason}", report.name, report.op);
            }
        }
    }
    let mut out = format!("{:<28}{:>7}{:>13}{:>8}\n", "operator", "passed", "unsupported", "failed");
    for (op, [passed, unsupported, failed]) in &ops {
        let _ = writeln!(out, "{op:<28}{passed:>7}{unsupported:>13}{failed:>8}");
    }
    let total = |i: usize| ops.values().map(|counts| counts[i]).sum::<usize>();
    let _ = writeln!(out, "{:<28}{:>7}{:>13}{:>8}\n", "all", total(0), total(1), total(2));
    for (reason, count) in reasons {
        let _ = writeln!(out, "{count:>5} unsupported: {reason}");
    }
    out + &failures
}

/// The case's outcome; the error side is an outcome too, of a case that ended early.
fn outcome(folder: &Path, mut model: ModelProto) -> Result<Outcome, Outcome> {
    let Some(mut graph) = model.graph.take() else { return Err(Outcome::Failed("no graph".into())) };
    let given = bind(&mut graph, folder)?;
    let expected = graph.output.len();
    let ports = graph.output.clone();
    model.graph = Some(graph);
    let imported = import_model(&model).map_err(refusal)?.graph;
    let failed = |error: Error| Outcome::Failed(error.to_string());
    let refused_or_failed = |error: Error| match refusal(error.clone()) {
        unsupported @ Outcome::Unsupported(_) => unsupported,
        _ => failed(error),
    };
    let inputs = given.iter().map(onnx::to_tensor).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let outputs = reference::run(&imported, inputs).map_err(refused_or_failed)?;
    for (k, (port, output)) in imported.outputs.iter().zip(&outputs).enumerate().take(expected) {
        let found = imported.declared(port, output).map_err(failed)?;
        let wanted = onnx::to_tensor(&declared(&ports[k], pb(folder, "output", k)?)).map_err(failed)?;
        let wanted = corrected(folder, wanted).map_err(failed)?;
        compare(&found, &wanted).map_err(|reason| Outcome::Failed(format!("output {k}: {reason}")))?;
    }
    Ok(Outcome::Passed)
}

/// What the case expects, or what it should.
fn corrected(folder: &Path, wanted: Tensor) -> Result<Tensor, Error> {
    let name = folder.file_name().unwrap_or_default();
    match CORRECTED.iter().find(|entry| name == entry.0) {
        Some((_, values)) => Tensor::new(wanted.shape(), Data::I8(values.to_vec())),
        None => Ok(wanted),
    }
}

/// Moves inputs that import needs as constants to the initializers; returns the tensors of the others.
fn bind(graph: &mut GraphProto, folder: &Path) -> Result<Vec<TensorProto>, Outcome> {
    let constant = |name: &str| {
        graph.node.iter().any(|node| {
            let positions =
                CONSTANT_INPUTS.iter().find(|(op, _)| *op == node.op_type).map_or(&[][..], |e| e.1);
            positions.iter().any(|&i| node.input.get(i).is_some_and(|input| input == name))
        })
    };
    let bound: Vec<bool> = graph.input.iter().map(|port| constant(&port.name)).collect();
    let mut given = Vec::new();
    for (k, port) in graph.input.iter().enumerate() {
        let is_tensor = port.r#type.as_ref().is_some_and(|t| t.tensor_type.is_some());
        if !is_tensor {
            return Err(Outcome::Unsupported("an input that is no tensor".into()));
        }
        let tensor = declared(port, pb(folder, "input", k)?);
        if bound[k] {
            graph.initializer.push(TensorProto { name: port.name.clone(), ..tensor });
        } else {
            given.push(tensor);
        }
    }
    let mut k = bound.into_iter();
    graph.input.retain(|_| k.next() == Some(false));
    Ok(given)
}

/// The files hold bf16 tensors as the u16 that their bits are.
fn declared(port: &ValueInfoProto, tensor: TensorProto) -> TensorProto {
    let port = port.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).map(|t| t.elem_type);
    let is_bits = port == Some(onnx::data_type::BFLOAT16) && tensor.data_type == onnx::data_type::UINT16;
    if is_bits { TensorProto { data_type: onnx::data_type::BFLOAT16, ..tensor } } else { tensor }
}

fn pb(folder: &Path, what: &str, k: usize) -> Result<TensorProto, Outcome> {
    let path = folder.join(format!("test_data_set_0/{what}_{k}.pb"));
    let bytes = std::fs::read(&path).map_err(|error| Outcome::Failed(format!("{what}_{k}.pb: {error}")))?;
    TensorProto::decode(&*bytes).map_err(|error| Outcome::Failed(format!("{what}_{k}.pb: {error}")))
}

/// Every case is valid ONNX, so only an error that says "not supported" may refuse it.
fn refusal(error: Error) -> Outcome {
    match error {
        Error::UnsupportedOp { reason, .. } if reason.contains("does not know this operator") => {
            Outcome::Unsupported("operator".into())
        }
        Error::UnsupportedOp { op, reason, .. } => Outcome::Unsupported(format!("{op}: {reason}")),
        Error::UnsupportedType { found, .. } => Outcome::Unsupported(format!("type {found}")),
        Error::UnsupportedOpset { domain, found, .. } => {
            Outcome::Unsupported(format!("opset {found} of {domain}"))
        }
        other => Outcome::Failed(format!("refused as broken: {other}")),
    }
}

fn operators(model: &ModelProto) -> String {
    let nodes = model.graph.as_ref().map_or(&[][..], |graph| &graph.node);
    let mut ops: Vec<&str> = nodes.iter().map(|node| node.op_type.as_str()).collect();
    ops.dedup();
    ops.join("+")
}

fn compare(found: &Tensor, wanted: &Tensor) -> Result<(), String> {
    if found.shape() != wanted.shape() {
        return Err(format!("shape {:?}, expected {:?}", found.shape(), wanted.shape()));
    }
    let (Data::F32(ours), Data::F32(theirs)) = (found.data(), wanted.data()) else {
        return if found.data() == wanted.data() {
            Ok(())
        } else {
            Err(format!("{:?}, expected {:?}", found.data(), wanted.data()))
        };
    };
    let near = |(a, b): (&f32, &f32)| {
        let (a, b) = (f64::from(*a), f64::from(*b));
        a == b
            || (a.is_nan() && b.is_nan())
            || (b.is_finite() && (a - b).abs() <= ABSOLUTE + RELATIVE * b.abs())
    };
    match ours.iter().zip(theirs).position(|pair| !near(pair)) {
        None => Ok(()),
        Some(i) => Err(format!("element {i} is {}, expected {}", ours[i], theirs[i])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_compared_as_onnx_does() {
        let tensor = |x: f32| Tensor::f32([1], vec![x]).unwrap();
        assert!(compare(&tensor(1.0009), &tensor(1.0)).is_ok());
        assert!(compare(&tensor(1.0011), &tensor(1.0)).is_err());
        assert!(compare(&tensor(f32::NAN), &tensor(f32::NAN)).is_ok());
        assert!(compare(&tensor(f32::INFINITY), &tensor(f32::NEG_INFINITY)).is_err());
        let byte = |x: u8| Tensor::u8([1], vec![x]).unwrap();
        assert!(compare(&byte(1), &byte(2)).is_err());
        assert!(compare(&byte(1), &tensor(1.0)).is_err());
    }

    #[test]
    fn a_broken_refusal_of_a_valid_case_is_a_failure() {
        let node = || ("n".to_owned(), "Conv".to_owned());
        let (name, op) = node();
        let malformed = Error::MalformedNode { node: name, op, reason: "r".into() };
        assert!(matches!(refusal(malformed), Outcome::Failed(_)));
        let (name, op) = node();
        let supported = String::new();
        let unsupported = Error::UnsupportedOp { node: name, op, reason: "1-D".into(), supported };
        assert_eq!(refusal(unsupported), Outcome::Unsupported("Conv: 1-D".into()));
    }
}
