//! The operations of a graph. Each says which inputs it reads and under which types.

use serde::{Deserialize, Serialize};

use super::functions::{BinaryOp, ReduceOp, UnaryOp};
use super::general::GeneralOp;
use super::moves::MoveOp;
use super::spatial::{ConvTranspose, PoolNd, Recurrent, Resize, RoiAlign, WindowNd};

/// A sliding 2-D window; `[vertical, horizontal]` everywhere.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Window {
    /// Taps.
    pub kernel: [usize; 2],
    /// Step between outputs, at least 1.
    pub strides: [usize; 2],
    /// Step between taps, at least 1.
    pub dilations: [usize; 2],
    /// Padding: top, left, bottom, right (ONNX order).
    pub pads: Pads,
}

/// How a window's padding is found.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Pads {
    /// These many rows and columns: top, left, bottom, right.
    Explicit([usize; 4]),
    /// Output size is `ceil(input / stride)`; an odd pad goes to the bottom right.
    SameUpper,
    /// The same, but an odd pad goes to the top left.
    SameLower,
}

/// A convolution's geometry.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Conv {
    /// The window.
    pub window: Window,
    /// Groups: input channel block `g` feeds output channel block `g`.
    pub groups: usize,
}

/// Inclusive bounds, in quantized units, that a fused Relu or Clip leaves of the output's range.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bounds {
    /// Smallest output.
    pub lo: i32,
    /// Largest output.
    pub hi: i32,
}

/// A pooling operation's geometry.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Pool {
    /// The window.
    pub window: Window,
    /// Round the output size up instead of down.
    pub ceil_mode: bool,
    /// Average pooling: whether padding counts as elements.
    pub count_include_pad: bool,
}

/// A float matrix product `alpha * op(a) @ op(b) + beta * c`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct MatMul {
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of the third input, where there is one.
    pub beta: f32,
    /// Whether `a` is transposed (rank 2 only).
    pub trans_a: bool,
    /// Whether `b` is transposed (rank 2 only).
    pub trans_b: bool,
}

/// What a node computes. Shapes follow ONNX (NCHW); "quantized" means an 8-bit value with a [`crate::Quant`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Op {
    /// Quantized convolution. Inputs: x `[N,C,H,W]` quantized; weights i8 `[O,C/groups,KH,KW]`; bias i32 `[O]`;
    /// multipliers f32 `[O]`. Output quantized, clamped to the bounds.
    Conv(Conv, Bounds),
    /// Quantized matrix product with constant weights. Inputs: x `[..., K]` quantized; weights i8 `[N, K]`; bias i32
    /// `[N]`; multipliers f32 `[N]`. Output `[..., N]` quantized, clamped to the bounds.
    FullyConnected(Bounds),
    /// Quantized matrix product of two activations, as NumPy's `matmul`. Inputs: a `[..., M, K]`, b `[..., K, N]`,
    /// quantized. Output clamped to the bounds.
    MatMul(Bounds),
    /// Quantized addition with broadcasting. Inputs: a, b, quantized.
    Add(Bounds),
    /// Quantized product with broadcasting. Inputs: a, b, quantized.
    Mul(Bounds),
    /// Quantized average over a window, rounded once. Input: x `[N,C,H,W]`.
    AveragePool(Pool),
    /// Quantized mean over all axes after the second, kept as ones. Input: x `[N,C,...]`.
    GlobalAveragePool,
    /// Quantized mean over axes (negative counts from the end; none named: all). Input: x.
    ReduceMean {
        /// The axes.
        axes: Vec<i64>,
        /// Whether reduced axes stay as ones.
        keep_dims: bool,
    },
    /// Any function of one 8-bit value. Inputs: x; table of 256 entries of the output's type, indexed by the byte
    /// pattern of x.
    Table,
    /// Largest element of a window; padding never wins. Any type but i64; the quantization is kept.
    MaxPool(Pool),
    /// Joins the inputs along an axis (negative counts from the end). Any type; one quantization for all.
    Concat {
        /// The axis.
        axis: i64,
    },
    /// Another shape for the same elements: ONNX's rules for 0 and -1.
    Reshape {
        /// The new shape.
        shape: Vec<i64>,
        /// Whether 0 means zero instead of "as in the input".
        allow_zero: bool,
    },
    /// `[product of axes before axis, product of the rest]`.
    Flatten {
        /// The axis.
        axis: i64,
    },
    /// Drops axes of size 1; all of them if none is named.
    Squeeze {
        /// The axes.
        axes: Vec<i64>,
    },
    /// Inserts axes of size 1.
    Unsqueeze {
        /// The axes, in the output's numbering.
        axes: Vec<i64>,
    },
    /// Permutes axes: output axis `i` is input axis `perm[i]`.
    Transpose {
        /// The permutation.
        perm: Vec<usize>,
    },
    /// f32 to 8 bits by the output's quantization; with an axis, by f32 scales and i32 zero points given as the
    /// second and third input.
    Quantize {
        /// The axis along which scales vary.
        axis: Option<i64>,
    },
    /// 8 bits (or an i32 bias) to f32 by the input's quantization; with an axis, by f32 scales and i32 zero points
    /// given as the second and third input.
    Dequantize {
        /// The axis along which scales vary.
        axis: Option<i64>,
    },
    /// An operation in f32, run on the host in one fixed order.
    Float(FloatOp),
    /// Moves or selects elements of any type.
    Move(MoveOp),
    /// An operation on other element types, or on shapes and indices.
    General(GeneralOp),
}

/// Operations in f32. Their results are part of the contract too: same bits on every host.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum FloatOp {
    /// Inputs: x `[N,C,H,W]`, weights `[O,C/groups,KH,KW]`, optional bias `[O]`. Products are added to the bias one
    /// by one in the order channel, row, column.
    Conv(Conv),
    /// Inputs: a, b, optional c. Rank 2 with the transposes and factors; any rank with batch broadcasting without.
    MatMul(MatMul),
    /// Inputs: a, b, with NumPy broadcasting.
    Binary(BinaryOp),
    /// Input: x.
    Unary(UnaryOp),
    /// Input: x `[N,C,H,W]`.
    AveragePool(Pool),
    /// Mean over all axes after the second, kept as ones. Input: x `[N,C,...]`.
    GlobalAveragePool,
    /// Input: x. Empty axes: all of them.
    Reduce {
        /// The reduction.
        op: ReduceOp,
        /// The axes.
        axes: Vec<i64>,
        /// Whether reduced axes stay as ones.
        keep_dims: bool,
    },
    /// Input: x. Along one axis, or over all elements from that axis to the end together (ONNX before opset 13).
    Softmax {
        /// The axis.
        axis: i64,
        /// Whether the axes after it belong to it.
        to_end: bool,
    },
    /// `x - max - ln(sum(exp(x - max)))`. Input: x. Axes as for [`FloatOp::Softmax`].
    LogSoftmax {
        /// The axis.
        axis: i64,
        /// Whether the axes after it belong to it.
        to_end: bool,
    },
    /// `x * scale[c] + shift[c]`, two roundings. Inputs: x `[N,C,...]`, scale `[C]`, shift `[C]`.
    ScaleShift,
    /// A convolution over one to three axes other than two. Inputs: x `[N,C,...]`, weights `[O,C/groups,...]`, optional
    /// bias `[O]`. Products are added to the bias one by one: channel, then the window's taps in order.
    ConvNd {
        /// The window.
        window: WindowNd,
        /// Groups.
        groups: usize,
    },
    /// Inputs: x `[N,C,...]`, weights `[C,O/groups,...]`, optional bias `[O]`. Products that meet in one output are added
    /// to the bias one by one: channel, then the window's taps in order.
    ConvTranspose(ConvTranspose),
    /// Pooling over one to three axes. Input: x `[N,C,...]`.
    PoolNd(PoolNd),
    /// Largest element of all axes after the second, kept as ones. Input: x `[N,C,...]`.
    GlobalMaxPool,
    /// Linear or cubic resizing, one axis after the other; or any with a value outside. Inputs: x; what it says.
    Resize(Resize),
    /// `(x - mean) / sqrt(variance + epsilon) * scale + bias` over the axes from `axis` to the end. Inputs: x; scale, and
    /// optionally bias, that broadcast to x.
    LayerNorm {
        /// The first axis.
        axis: i64,
        /// Keeps the divisor above zero.
        epsilon: f32,
    },
    /// The same over all axes after the second. Inputs: x `[N,C,...]`, scale `[C]`, bias `[C]`.
    InstanceNorm {
        /// Keeps the divisor above zero.
        epsilon: f32,
    },
    /// `x / (bias + alpha / size * sum of squares of size neighbouring channels)^beta`. Input: x `[N,C,...]`.
    Lrn {
        /// Number of channels summed.
        size: usize,
        /// Factor of the sum.
        alpha: f32,
        /// Exponent.
        beta: f32,
        /// Offset.
        bias: f32,
    },
    /// Inputs: x `[steps,B,I]`, weights `[D,4H,I]`, recurrent weights `[D,4H,H]`, bias `[D,8H]`, first hidden and cell
    /// state `[D,B,H]`, peepholes `[D,3H]`; gates in the order input, output, forget, cell.
    Lstm(Recurrent),
    /// Inputs: x `[steps,B,I]`, weights `[D,3H,I]`, recurrent weights `[D,3H,H]`, bias `[D,6H]`, first hidden state
    /// `[D,B,H]`; gates in the order update, reset, hidden.
    Gru(Recurrent),
    /// Inputs: x `[N,C,H,W]`, regions `[R,4]` f32, batch indices `[R]` i64.
    RoiAlign(RoiAlign),
}

impl Op {
    /// The name that messages and plans show: ONNX's where there is one.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Conv(..) => "Conv",
            Op::FullyConnected(_) => "FullyConnected",
            Op::MatMul(_) => "MatMul",
            Op::Add(_) => "Add",
            Op::Mul(_) => "Mul",
            Op::AveragePool(_) => "AveragePool",
            Op::GlobalAveragePool => "GlobalAveragePool",
            Op::ReduceMean { .. } => "ReduceMean",
            Op::Table => "Table",
            Op::MaxPool(_) => "MaxPool",
            Op::Concat { .. } => "Concat",
            Op::Reshape { .. } => "Reshape",
            Op::Flatten { .. } => "Flatten",
            Op::Squeeze { .. } => "Squeeze",
            Op::Unsqueeze { .. } => "Unsqueeze",
            Op::Transpose { .. } => "Transpose",
            Op::Quantize { .. } => "Quantize",
            Op::Dequantize { .. } => "Dequantize",
            Op::Float(op) => op.name(),
            Op::Move(op) => op.name(),
            Op::General(op) => op.name(),
        }
    }

    /// Whether the elements are only moved, never changed: such an operation keeps type and quantization.
    pub fn is_movement(&self) -> bool {
        matches!(
            self,
            Op::Concat { .. }
                | Op::Reshape { .. }
                | Op::Flatten { .. }
                | Op::Squeeze { .. }
                | Op::Unsqueeze { .. }
                | Op::Transpose { .. }
                | Op::Move(_)
        )
    }

    /// How many of `inputs` inputs carry elements that a movement moves; the others are indices and sizes.
    pub fn carried(&self, inputs: usize) -> usize {
        if let Op::Move(op) = self { op.carried().min(inputs) } else { inputs }
    }

    /// Whether each output element depends on the elements at the same place alone (and, broadcast, on constants).
    pub fn is_elementwise(&self) -> bool {
        matches!(
            self,
            Op::Add(_)
                | Op::Mul(_)
                | Op::Table
                | Op::Quantize { axis: None }
                | Op::Dequantize { axis: None }
                | Op::Float(FloatOp::Unary(_) | FloatOp::Binary(_))
        )
    }

    /// Whether this runs in f32.
    pub fn is_float(&self) -> bool {
        matches!(self, Op::Float(_))
    }
}

impl FloatOp {
    /// The name that messages and plans show.
    pub fn name(&self) -> &'static str {
        match self {
            FloatOp::Conv(_) => "Conv (f32)",
            FloatOp::MatMul(_) => "MatMul (f32)",
            FloatOp::Binary(BinaryOp::Add) => "Add (f32)",
            FloatOp::Binary(BinaryOp::Sub) => "Sub (f32)",
            FloatOp::Binary(BinaryOp::Mul) => "Mul (f32)",
            FloatOp::Binary(BinaryOp::Div) => "Div (f32)",
            FloatOp::Binary(BinaryOp::Pow) => "Pow (f32)",
            FloatOp::Binary(BinaryOp::PRelu) => "PRelu (f32)",
            FloatOp::Binary(BinaryOp::Min) => "Min (f32)",
            FloatOp::Binary(BinaryOp::Max) => "Max (f32)",
            FloatOp::Binary(BinaryOp::Mod | BinaryOp::Remainder) => "Mod (f32)",
            FloatOp::Unary(op) => op.name(),
            FloatOp::AveragePool(_) => "AveragePool (f32)",
            FloatOp::GlobalAveragePool => "GlobalAveragePool (f32)",
            FloatOp::Reduce { op: ReduceOp::Mean, .. } => "ReduceMean (f32)",
            FloatOp::Reduce { op: ReduceOp::Max, .. } => "ReduceMax (f32)",
            FloatOp::Reduce { op: ReduceOp::Sum, .. } => "ReduceSum (f32)",
            FloatOp::Reduce { op, .. } => op.name(),
            FloatOp::Softmax { .. } => "Softmax (f32)",
            FloatOp::LogSoftmax { .. } => "LogSoftmax (f32)",
            FloatOp::ScaleShift => "ScaleShift (f32)",
            FloatOp::ConvNd { .. } => "Conv (f32)",
            FloatOp::ConvTranspose(_) => "ConvTranspose (f32)",
            FloatOp::PoolNd(PoolNd { kind: super::spatial::PoolKind::Max, .. }) => "MaxPool (f32)",
            FloatOp::PoolNd(_) => "AveragePool (f32)",
            FloatOp::GlobalMaxPool => "GlobalMaxPool (f32)",
            FloatOp::Resize(_) => "Resize (f32)",
            FloatOp::LayerNorm { .. } => "LayerNormalization (f32)",
            FloatOp::InstanceNorm { .. } => "InstanceNormalization (f32)",
            FloatOp::Lrn { .. } => "LRN (f32)",
            FloatOp::Lstm(_) => "LSTM (f32)",
            FloatOp::Gru(_) => "GRU (f32)",
            FloatOp::RoiAlign(_) => "RoiAlign (f32)",
        }
    }
}
