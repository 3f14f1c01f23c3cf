//! What can be wrong with a model, a graph or a tensor.

use crate::tensor::DType;

/// Every refusal of this crate. Messages say what, where, found and expected; [`Error::hint`] what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not an ONNX model.
    #[error("not a readable ONNX file: {reason}")]
    NotOnnx {
        /// What the reader met.
        reason: String,
    },
    /// The file is larger than [`crate::limits::MAX_ONNX_BYTES`].
    #[error("the ONNX file has {found} bytes, the limit is {limit}")]
    OnnxTooLarge {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The opset is outside the range that import knows.
    #[error("the model uses opset {found} of domain `{domain}`; opsets {lowest} to {highest} are supported")]
    UnsupportedOpset {
        /// The operator-set domain; empty for ONNX's own.
        domain: String,
        /// Version found.
        found: i64,
        /// Lowest version supported.
        lowest: i64,
        /// Highest version supported.
        highest: i64,
    },
    /// An operation, or a form of one, that import does not know.
    #[error("node `{node}`: {op} is not supported here: {reason}; supported: {supported}")]
    UnsupportedOp {
        /// The node's name.
        node: String,
        /// The operation.
        op: String,
        /// What about it.
        reason: String,
        /// What would be accepted.
        supported: String,
    },
    /// A node breaks ONNX's own rules.
    #[error("node `{node}` ({op}) is malformed: {reason}")]
    MalformedNode {
        /// The node's name.
        node: String,
        /// The operation.
        op: String,
        /// The broken rule.
        reason: String,
    },
    /// An initializer or constant cannot be read.
    #[error("tensor `{name}` is malformed: {reason}")]
    MalformedTensor {
        /// The tensor's name.
        name: String,
        /// The broken rule.
        reason: String,
    },
    /// Weights so large that a 32-bit accumulator could overflow.
    #[error(
        "node `{node}`: output channel {channel} can reach an accumulator of {found}, beyond 2^31 - 1: 32-bit \
         accumulation would overflow"
    )]
    AccumulatorOverflow {
        /// The node's name.
        node: String,
        /// The output channel.
        channel: usize,
        /// The bound found.
        found: u64,
    },
    /// A graph that cannot be run: a damaged or hostile one, or an internal error of import.
    #[error("the graph is invalid at `{at}`: {reason}")]
    InvalidGraph {
        /// The node or value.
        at: String,
        /// The broken rule.
        reason: String,
    },
    /// Shapes that do not fit an operation.
    #[error("node `{node}` ({op}): {reason}")]
    Shape {
        /// The node's name.
        node: String,
        /// The operation.
        op: String,
        /// What does not fit.
        reason: String,
    },
    /// A tensor given for an input has the wrong shape.
    #[error("input `{input}` has shape {found:?}, the model takes {expected}")]
    InputShape {
        /// The input's name.
        input: String,
        /// Shape found.
        found: Vec<usize>,
        /// Shape expected, dynamic axes by name.
        expected: String,
    },
    /// The number of tensors given is not the number of inputs.
    #[error("{found} input tensors were given, the model takes {expected}")]
    InputCount {
        /// Tensors found.
        found: usize,
        /// Tensors expected.
        expected: usize,
    },
    /// A tensor has another element type than needed.
    #[error("{what} has type {found}, expected {expected}")]
    DTypeMismatch {
        /// Which tensor.
        what: String,
        /// Types that would do.
        expected: String,
        /// Type found.
        found: DType,
    },
    /// Shape and data disagree.
    #[error("a tensor of shape {shape:?} has {expected} elements, {found} were given")]
    ElementCount {
        /// The shape.
        shape: Vec<usize>,
        /// Elements it implies.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// A tensor beyond the limit.
    #[error("a tensor of shape {shape:?} is beyond the limit of {limit} elements")]
    TensorTooLarge {
        /// The shape.
        shape: Vec<usize>,
        /// Elements allowed.
        limit: usize,
    },
    /// A tensor of an element type that no operation computes in.
    #[error("tensor `{name}` is of {found}; numbers and truth values are supported")]
    UnsupportedType {
        /// The tensor's name.
        name: String,
        /// What it holds.
        found: String,
    },
    /// A model given to the quantizer has integers in it.
    #[error("the model is quantized already: node `{node}` is {op}")]
    AlreadyQuantized {
        /// The first such node.
        node: String,
        /// Its operator.
        op: String,
    },
    /// A model given to the quantizer has no operation with an integer form.
    #[error("the model has nothing to quantize: no operation of it has an integer form; {reasons}")]
    NothingToQuantize {
        /// The first nodes and why each stays in float.
        reasons: String,
    },
    /// Weights that are no numbers.
    #[error("element {element} of `{tensor}` is NaN or infinite")]
    NotFinite {
        /// The constant.
        tensor: String,
        /// Which element.
        element: usize,
    },
    /// A whole model beyond a limit.
    #[error("the model has {found} {what}, the limit is {limit}")]
    LimitExceeded {
        /// Which count.
        what: &'static str,
        /// Count found.
        found: u64,
        /// Count allowed.
        limit: u64,
    },
}

/// Every code of this crate and what it stands for; the source of `docs/errors.md`.
pub const CODES: &[(&str, &str)] = &[
    ("TM0201", "the file is not a readable ONNX model"),
    ("TM0202", "the ONNX file is too large"),
    ("TM0203", "the model's opset is outside the supported range"),
    ("TM0204", "an operation, or this form of it, is not supported"),
    ("TM0205", "a node breaks ONNX's rules"),
    ("TM0206", "a constant tensor cannot be read"),
    ("TM0207", "weights could overflow a 32-bit accumulator"),
    ("TM0208", "the graph is invalid"),
    ("TM0209", "shapes do not fit an operation"),
    ("TM0210", "an input tensor has the wrong shape"),
    ("TM0211", "the wrong number of input tensors"),
    ("TM0212", "a tensor has the wrong element type"),
    ("TM0213", "a tensor's shape and data disagree"),
    ("TM0214", "a tensor is too large"),
    ("TM0215", "the model exceeds a limit"),
    ("TM0216", "a tensor's element type is not supported"),
    ("TM0240", "a model to quantize is quantized already"),
    ("TM0241", "a model to quantize has nothing to quantize"),
    ("TM0242", "weights to quantize are NaN or infinite"),
];

impl Error {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Error::NotOnnx { .. } => "TM0201",
            Error::OnnxTooLarge { .. } => "TM0202",
            Error::UnsupportedOpset { .. } => "TM0203",
            Error::UnsupportedOp { .. } => "TM0204",
            Error::MalformedNode { .. } => "TM0205",
            Error::MalformedTensor { .. } => "TM0206",
            Error::AccumulatorOverflow { .. } => "TM0207",
            Error::InvalidGraph { .. } => "TM0208",
            Error::Shape { .. } => "TM0209",
            Error::InputShape { .. } => "TM0210",
            Error::InputCount { .. } => "TM0211",
            Error::DTypeMismatch { .. } => "TM0212",
            Error::ElementCount { .. } => "TM0213",
            Error::TensorTooLarge { .. } => "TM0214",
            Error::LimitExceeded { .. } => "TM0215",
            Error::UnsupportedType { .. } => "TM0216",
            Error::AlreadyQuantized { .. } => "TM0240",
            Error::NothingToQuantize { .. } => "TM0241",
            Error::NotFinite { .. } => "TM0242",
        }
    }

    /// What the reader of the message can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Error::NotOnnx { .. } => "check that the file is an .onnx model and was copied whole",
            Error::OnnxTooLarge { .. } | Error::LimitExceeded { .. } | Error::TensorTooLarge { .. } => {
                "use a smaller model or input; the limits protect the machines it runs on"
            }
            Error::UnsupportedOpset { .. } => {
                "convert the model with onnx.version_converter, or export it again"
            }
            Error::UnsupportedOp { .. } => {
                "export the model without this operation, or in one of the supported forms"
            }
            Error::MalformedNode { .. } | Error::MalformedTensor { .. } => {
                "check the model with onnx.checker.check_model and export it again"
            }
            Error::AccumulatorOverflow { .. } => "quantize the layer per channel, or split it",
            Error::InvalidGraph { .. } => "pack the app again with this version of tilemark",
            Error::Shape { .. } => {
                "give inputs of a shape that the model can take; `tilemark inspect` lists them"
            }
            Error::InputShape { .. } | Error::InputCount { .. } | Error::DTypeMismatch { .. } => {
                "`tilemark inspect` lists the inputs with their shapes and types"
            }
            Error::UnsupportedType { .. } => "export the model with f32 or quantized tensors",
            Error::AlreadyQuantized { .. } => {
                "quantize the float model that it was made from, or use it as it is"
            }
            Error::NothingToQuantize { .. } => {
                "`tilemark inspect` lists the model's operations; convolutions and matrix products with constant \
                 weights are what is quantized"
            }
            Error::NotFinite { .. } => "the training or the export went wrong: export the model again",
            Error::ElementCount { .. } => "give as many elements as the shape says",
        }
    }

    pub(crate) fn invalid_graph(at: &str, reason: impl Into<String>) -> Self {
        Error::InvalidGraph { at: at.to_owned(), reason: reason.into() }
    }
}
