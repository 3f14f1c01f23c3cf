//! Operations on element types other than f32 and quantized bytes, run on the host.

use serde::{Deserialize, Serialize};

use super::functions::{BinaryOp, ReduceOp};
use super::moves::Ints;
use super::spatial::WindowNd;

/// Comparisons of two elements.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Comparison {
    /// `a == b`
    Equal,
    /// `a > b`
    Greater,
    /// `a >= b`
    GreaterOrEqual,
    /// `a < b`
    Less,
    /// `a <= b`
    LessOrEqual,
}

/// Functions of two truth values.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum LogicOp {
    /// Both.
    And,
    /// At least one.
    Or,
    /// Exactly one.
    Xor,
}

/// The largest or smallest elements.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ranking {
    /// Along this axis.
    pub axis: i64,
    /// The largest, or the smallest.
    pub largest: bool,
}

/// One of the three things that quantizing a tensor by its own range gives.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum DynamicPart {
    /// The integers, u8, in x's shape.
    Integers,
    /// Real units per step, an f32 scalar.
    Scale,
    /// The integer that stands for 0.0, a u8 scalar.
    ZeroPoint,
}

/// Operations on any element type. Integers wrap around; floats other than f32 are computed in f64 and rounded once.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum GeneralOp {
    /// Another element type: the output's. Input: x.
    Cast {
        /// Whether 8-bit floats saturate.
        saturate: bool,
    },
    /// Inputs: a, b of one type, with NumPy broadcasting. Integers divide towards zero; a divisor of 0 gives 0.
    Binary(BinaryOp),
    /// Inputs: a, b of one type, with NumPy broadcasting. Output bool.
    Compare(Comparison),
    /// Inputs: a, b, bool, with NumPy broadcasting.
    Logic(LogicOp),
    /// Input: x bool.
    Not,
    /// `-x` for integers.
    Neg,
    /// `|x|` for integers.
    Abs,
    /// Inputs: condition bool; a, b of one type: all broadcast together.
    Where,
    /// The shape of x, from axis `start` up to before `end`. Output i64 `[axes]`.
    Shape {
        /// First axis; negative counts from the end.
        start: i64,
        /// Axis after the last one.
        end: Option<i64>,
    },
    /// Number of elements of x. Output i64, a scalar.
    Size,
    /// A reduction of integers or truth values. Empty axes: all of them.
    Reduce {
        /// The reduction.
        op: ReduceOp,
        /// The axes.
        axes: Vec<i64>,
        /// Whether reduced axes stay as ones.
        keep_dims: bool,
    },
    /// Index of the largest or smallest element. NaN is never it. Output i64.
    ArgExtreme {
        /// Which.
        ranking: Ranking,
        /// Whether the axis stays as one.
        keep_dims: bool,
        /// Of equal ones the last instead of the first.
        last: bool,
    },
    /// The first `k` elements in descending (or ascending) order, of equal ones the first. Input: x; `k` where it says.
    TopK {
        /// Which.
        ranking: Ranking,
        /// How many: one integer.
        k: Ints,
        /// Their indices (i64) instead of themselves.
        indices: bool,
    },
    /// Repeats the only element of the first input.
    Fill {
        /// The shape.
        shape: Ints,
    },
    /// Inputs: start, limit, delta, one element each of one type.
    Range,
    /// Indices of the elements that are not zero: `[rank, count]` i64.
    NonZero,
    /// Boxes that survive suppression: `[count, 3]` i64 (batch, class, box). Inputs: boxes `[B, N, 4]`, scores
    /// `[B, C, N]`, f32.
    NonMaxSuppression {
        /// Whether boxes are centre and size instead of two corners.
        center: bool,
        /// Most boxes of a class; 0 keeps none.
        most: usize,
        /// Boxes that overlap a better one by more are dropped.
        iou: f32,
        /// Boxes below are dropped.
        score: Option<f32>,
    },
    /// Largest element of each window of any number of axes, as an index into the whole input. Input: x `[N,C,...]` f32.
    ArgMaxPool {
        /// The window.
        pool: super::spatial::PoolNd,
        /// Whether indices count columns first.
        column_major: bool,
    },
    /// Sums of `(x - x_zero) * (w - w_zero)` in 32 bits that wrap around; padding adds nothing. Inputs: x `[N,C,...]` and
    /// weights `[O,C/groups,...]`, u8 or i8; the zero points of x (one) and of the weights (one or `[O]`), each of the
    /// type that it belongs to. Output i32.
    ConvInteger {
        /// The window.
        window: WindowNd,
        /// Groups.
        groups: usize,
    },
    /// The same for matrices, as NumPy's `matmul`. Inputs: a `[..., M, K]` and b `[..., K, N]`, u8 or i8; the zero points of
    /// a (one or `[M]`) and of b (one or `[N]`). Output i32.
    MatMulInteger,
    /// A part of ONNX's DynamicQuantizeLinear: quantization to u8 by the tensor's own range. Input: x f32.
    DynamicQuantize(DynamicPart),
}

impl GeneralOp {
    /// The name that messages and plans show.
    pub fn name(&self) -> &'static str {
        match self {
            GeneralOp::Cast { .. } => "Cast",
            GeneralOp::Binary(op) => op.name(),
            GeneralOp::Compare(Comparison::Equal) => "Equal",
            GeneralOp::Compare(Comparison::Greater) => "Greater",
            GeneralOp::Compare(Comparison::GreaterOrEqual) => "GreaterOrEqual",
            GeneralOp::Compare(Comparison::Less) => "Less",
            GeneralOp::Compare(Comparison::LessOrEqual) => "LessOrEqual",
            GeneralOp::Logic(LogicOp::And) => "And",
            GeneralOp::Logic(LogicOp::Or) => "Or",
            GeneralOp::Logic(LogicOp::Xor) => "Xor",
            GeneralOp::Not => "Not",
            GeneralOp::Neg => "Neg",
            GeneralOp::Abs => "Abs",
            GeneralOp::Where => "Where",
            GeneralOp::Shape { .. } => "Shape",
            GeneralOp::Size => "Size",
            GeneralOp::Reduce { op, .. } => op.name(),
            GeneralOp::ArgExtreme { ranking: Ranking { largest: true, .. }, .. } => "ArgMax",
            GeneralOp::ArgExtreme { .. } => "ArgMin",
            GeneralOp::TopK { .. } => "TopK",
            GeneralOp::Fill { .. } => "ConstantOfShape",
            GeneralOp::Range => "Range",
            GeneralOp::NonZero => "NonZero",
            GeneralOp::NonMaxSuppression { .. } => "NonMaxSuppression",
            GeneralOp::ArgMaxPool { .. } => "MaxPool (indices)",
            GeneralOp::ConvInteger { .. } => "ConvInteger",
            GeneralOp::MatMulInteger => "MatMulInteger",
            GeneralOp::DynamicQuantize(_) => "DynamicQuantizeLinear",
        }
    }
}
