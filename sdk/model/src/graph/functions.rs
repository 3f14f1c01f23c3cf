//! Functions of one and two elements, and reductions.

use serde::{Deserialize, Serialize};

/// Two-input element-wise functions, with NumPy broadcasting.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum BinaryOp {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    /// `a` to the power of `b`
    Pow,
    /// `a < 0 ? a * b : a`
    PRelu,
    /// The smaller; NaN if one is.
    Min,
    /// The larger; NaN if one is.
    Max,
    /// The remainder with the sign of the divisor `b`.
    Mod,
    /// The remainder with the sign of `a`.
    Remainder,
}

impl BinaryOp {
    /// ONNX's name.
    pub fn name(self) -> &'static str {
        match self {
            BinaryOp::Add => "Add",
            BinaryOp::Sub => "Sub",
            BinaryOp::Mul => "Mul",
            BinaryOp::Div => "Div",
            BinaryOp::Pow => "Pow",
            BinaryOp::PRelu => "PRelu",
            BinaryOp::Min => "Min",
            BinaryOp::Max => "Max",
            BinaryOp::Mod | BinaryOp::Remainder => "Mod",
        }
    }
}

/// One-input element-wise functions of f32. Transcendental ones are evaluated in f64 and rounded once.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub enum UnaryOp {
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, lo), hi)`
    Clip {
        /// Lower bound.
        lo: f32,
        /// Upper bound.
        hi: f32,
    },
    /// `x < 0 ? alpha * x : x`
    LeakyRelu {
        /// Slope below zero.
        alpha: f32,
    },
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `tanh(x)`
    Tanh,
    /// `max(0, min(1, alpha * x + beta))`
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// `x * max(0, min(1, x / 6 + 0.5))`
    HardSwish,
    /// `-x`
    Neg,
    /// `|x|`
    Abs,
    /// `1 / x`
    Reciprocal,
    /// Square root.
    Sqrt,
    /// `e^x`
    Exp,
    /// Natural logarithm.
    Log,
    /// Error function.
    Erf,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Rounded down.
    Floor,
    /// Rounded up.
    Ceil,
    /// Rounded to the nearest integer, halves to the even one.
    Round,
    /// -1, 0 or 1; NaN stays.
    Sign,
    /// `x < 0 ? alpha * (exp(x) - 1) : x`
    Elu {
        /// Factor below zero.
        alpha: f32,
    },
    /// `gamma * (x > 0 ? x : alpha * (exp(x) - 1))`
    Selu {
        /// Factor below zero.
        alpha: f32,
        /// Factor of the whole.
        gamma: f32,
    },
    /// `max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`
    Celu {
        /// Factor below zero.
        alpha: f32,
    },
    /// `ln(1 + exp(x))`
    Softplus,
    /// `x / (1 + |x|)`
    Softsign,
    /// `x > alpha ? x : 0`
    ThresholdedRelu {
        /// The threshold.
        alpha: f32,
    },
    /// `x * (1 + erf(x / sqrt(2))) / 2`
    Gelu,
    /// `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2`
    GeluTanh,
    /// `x * tanh(ln(1 + exp(x)))`
    Mish,
}

impl UnaryOp {
    /// The name that messages and plans show.
    pub fn name(self) -> &'static str {
        match self {
            UnaryOp::Relu => "Relu (f32)",
            UnaryOp::Clip { .. } => "Clip (f32)",
            UnaryOp::LeakyRelu { .. } => "LeakyRelu (f32)",
            UnaryOp::Sigmoid => "Sigmoid (f32)",
            UnaryOp::Tanh => "Tanh (f32)",
            UnaryOp::HardSigmoid { .. } => "HardSigmoid (f32)",
            UnaryOp::HardSwish => "HardSwish (f32)",
            UnaryOp::Neg => "Neg (f32)",
            UnaryOp::Abs => "Abs (f32)",
            UnaryOp::Reciprocal => "Reciprocal (f32)",
            UnaryOp::Sqrt => "Sqrt (f32)",
            UnaryOp::Exp => "Exp (f32)",
            UnaryOp::Log => "Log (f32)",
            UnaryOp::Erf => "Erf (f32)",
            UnaryOp::Sin => "Sin (f32)",
            UnaryOp::Cos => "Cos (f32)",
            UnaryOp::Floor => "Floor (f32)",
            UnaryOp::Ceil => "Ceil (f32)",
            UnaryOp::Round => "Round (f32)",
            UnaryOp::Sign => "Sign (f32)",
            UnaryOp::Elu { .. } => "Elu (f32)",
            UnaryOp::Selu { .. } => "Selu (f32)",
            UnaryOp::Celu { .. } => "Celu (f32)",
            UnaryOp::Softplus => "Softplus (f32)",
            UnaryOp::Softsign => "Softsign (f32)",
            UnaryOp::ThresholdedRelu { .. } => "ThresholdedRelu (f32)",
            UnaryOp::Gelu | UnaryOp::GeluTanh => "Gelu (f32)",
            UnaryOp::Mish => "Mish (f32)",
        }
    }
}

/// Reductions over axes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ReduceOp {
    /// Arithmetic mean.
    Mean,
    /// Largest element.
    Max,
    /// Sum.
    Sum,
    /// Smallest element.
    Min,
    /// Product, in order.
    Prod,
    /// Sum of magnitudes.
    L1,
    /// Square root of the sum of squares.
    L2,
    /// Sum of squares.
    SumSquare,
    /// Logarithm of the sum.
    LogSum,
    /// Logarithm of the sum of exponentials.
    LogSumExp,
}

impl ReduceOp {
    /// ONNX's name.
    pub fn name(self) -> &'static str {
        match self {
            ReduceOp::Mean => "ReduceMean",
            ReduceOp::Max => "ReduceMax",
            ReduceOp::Sum => "ReduceSum",
            ReduceOp::Min => "ReduceMin",
            ReduceOp::Prod => "ReduceProd",
            ReduceOp::L1 => "ReduceL1",
            ReduceOp::L2 => "ReduceL2",
            ReduceOp::SumSquare => "ReduceSumSquare",
            ReduceOp::LogSum => "ReduceLogSum",
            ReduceOp::LogSumExp => "ReduceLogSumExp",
        }
    }
}
