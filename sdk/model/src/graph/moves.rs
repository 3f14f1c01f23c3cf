//! Operations that move or select elements without changing them.

use serde::{Deserialize, Serialize};

use super::spatial::Resize;

/// Integers that decide a shape.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Ints {
    /// Written in the graph.
    Given(Vec<i64>),
    /// The elements of the node's input of this number, i64. Where they do not follow from the shapes of the graph's inputs,
    /// the output's shape is found when they are computed.
    Input(usize),
}

/// What stands around a padded tensor.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum PadMode {
    /// One value: zero (the zero point of a quantized tensor), or the second input's only element.
    Constant,
    /// The elements next to the edge, mirrored at it; the edge itself is not repeated.
    Reflect,
    /// The edge's elements.
    Edge,
    /// The elements from the other end.
    Wrap,
}

/// Operations that move or select elements of their first input. Type and quantization are kept; the elements of every
/// other input are indices or sizes, except for the fill of [`MoveOp::Pad`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum MoveOp {
    /// Inputs: x of any type; with `filled` the fill, one element of the same type and quantization. Negative pads cut
    /// elements off.
    Pad {
        /// What the new elements are.
        mode: PadMode,
        /// How many elements before each axis, then how many after each.
        pads: Ints,
        /// The axes that the pads are for; `None`: all.
        axes: Option<Vec<i64>>,
        /// Whether the second input is the fill.
        filled: bool,
    },
    /// NumPy's `x[start:end:step]` along axes. Inputs: x.
    Slice {
        /// First index of each axis; negative counts from the end.
        starts: Ints,
        /// Index after the last one; clamped to the axis.
        ends: Ints,
        /// The axes; `None`: the first ones.
        axes: Option<Vec<i64>>,
        /// Steps, not 0; `None`: 1.
        steps: Option<Vec<i64>>,
    },
    /// One of equal parts along an axis; the last one is shorter where the length does not divide. Input: x.
    Part {
        /// The axis.
        axis: i64,
        /// Which part.
        index: usize,
        /// Number of parts.
        count: usize,
    },
    /// The elements along an axis at the given indices. Inputs: x; indices i64 or i32, negative counts from the end.
    Gather {
        /// The axis.
        axis: i64,
    },
    /// For each index the element at it along the axis and at the index's own place along the others. Inputs: x;
    /// indices of x's rank.
    GatherElements {
        /// The axis.
        axis: i64,
    },
    /// The slices at the given index tuples. Inputs: x; indices `[..., tuple]`.
    GatherNd {
        /// Leading axes that both inputs share.
        batch_dims: usize,
    },
    /// Broadcasts to at least this shape. Input: x.
    Expand {
        /// The shape.
        shape: Ints,
    },
    /// Repeats the whole along each axis. Input: x.
    Tile {
        /// How often along each axis.
        repeats: Ints,
    },
    /// Another shape for the same elements, computed at run time: ONNX's rules for 0 and -1. Inputs: x, shape i64.
    Reshape {
        /// Whether 0 means zero instead of "as in the input".
        allow_zero: bool,
    },
    /// Blocks of channels become blocks of pixels. Input: x `[N,C,H,W]`.
    DepthToSpace {
        /// Side of a block.
        block: usize,
        /// Whether the channel is the outer part of a channel's index and the place in the block the inner one.
        column_row_depth: bool,
    },
    /// Blocks of pixels become channels, the place in the block being the outer part. Input: x `[N,C,H,W]`.
    SpaceToDepth {
        /// Side of a block.
        block: usize,
    },
    /// Nearest-neighbour resizing. Inputs: x; scales or sizes where [`Resize`] says.
    Resize(Resize),
}

impl MoveOp {
    /// The name that messages and plans show.
    pub fn name(&self) -> &'static str {
        match self {
            MoveOp::Pad { .. } => "Pad",
            MoveOp::Slice { .. } => "Slice",
            MoveOp::Part { .. } => "Split",
            MoveOp::Gather { .. } => "Gather",
            MoveOp::GatherElements { .. } => "GatherElements",
            MoveOp::GatherNd { .. } => "GatherND",
            MoveOp::Expand { .. } => "Expand",
            MoveOp::Tile { .. } => "Tile",
            MoveOp::Reshape { .. } => "Reshape",
            MoveOp::DepthToSpace { .. } => "DepthToSpace",
            MoveOp::SpaceToDepth { .. } => "SpaceToDepth",
            MoveOp::Resize(_) => "Resize",
        }
    }

    /// How many of the first inputs carry elements that come out; the others are indices and sizes.
    pub fn carried(&self) -> usize {
        if matches!(self, MoveOp::Pad { filled: true, .. }) { 2 } else { 1 }
    }
}
