//! Geometry of operations over any number of spatial axes, of resizing, and of recurrent layers.

use serde::{Deserialize, Serialize};

use super::moves::Ints;

/// A sliding window over one to three spatial axes; one entry an axis everywhere.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct WindowNd {
    /// Taps.
    pub kernel: Vec<usize>,
    /// Step between outputs, at least 1.
    pub strides: Vec<usize>,
    /// Step between taps, at least 1.
    pub dilations: Vec<usize>,
    /// Padding before each axis, then after each; not looked at unless `auto_pad` is explicit.
    pub pads: Vec<usize>,
    /// How padding is found.
    pub auto_pad: AutoPad,
}

/// How a window's padding is found.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum AutoPad {
    /// As written.
    Explicit,
    /// Output size is `ceil(input / stride)` (of a transposed convolution `input * stride`); an odd pad goes to the end.
    SameUpper,
    /// The same, but an odd pad goes to the start.
    SameLower,
}

/// What a pooling window keeps.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum PoolKind {
    /// The largest element; padding never wins.
    Max,
    /// The mean; whether padding counts as elements.
    Average {
        /// Whether it does.
        count_include_pad: bool,
    },
}

/// A pooling operation over one to three spatial axes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PoolNd {
    /// What is kept.
    pub kind: PoolKind,
    /// The window.
    pub window: WindowNd,
    /// Round the output size up instead of down.
    pub ceil_mode: bool,
}

/// A transposed convolution's geometry.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ConvTranspose {
    /// The window.
    pub window: WindowNd,
    /// Groups: input channel block `g` feeds output channel block `g`.
    pub groups: usize,
    /// Rows, columns... added at the end of the output.
    pub output_padding: Vec<usize>,
    /// The output's spatial size, if the model gives it; the padding then follows from it.
    pub output_size: Option<Vec<usize>>,
}

/// How many elements a resized tensor has.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Target {
    /// This many times as many: `floor(n * scale)`.
    Scales(Vec<f32>),
    /// Scales that are computed at run time: the second input, f32.
    ScalesInput,
    /// Exactly as many.
    Sizes(Ints, Policy),
}

/// Whether a resized tensor keeps its aspect ratio.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Policy {
    /// No.
    Stretch,
    /// It does, and fits in the sizes.
    NotLarger,
    /// It does, and covers the sizes.
    NotSmaller,
}

/// Which place in the input an output element is taken from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Coordinates {
    /// `(i + 0.5) / scale - 0.5`
    HalfPixel,
    /// The same around the centre of an output whose size was rounded.
    HalfPixelSymmetric,
    /// The same, but 0 where the output has one element.
    PytorchHalfPixel,
    /// `i * (in - 1) / (out - 1)`
    AlignCorners,
    /// `i / scale`
    Asymmetric,
    /// Between the corners of a region.
    Crop,
}

/// Which element nearest-neighbour resizing takes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Nearest {
    /// The nearest, of two the lower.
    RoundPreferFloor,
    /// The nearest, of two the upper.
    RoundPreferCeil,
    /// The one below.
    Floor,
    /// The one above.
    Ceil,
}

/// How elements between places are computed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub enum Interpolation {
    /// One element is taken.
    Nearest(Nearest),
    /// Weights fall linearly over one element.
    Linear,
    /// Weights follow a cubic over two elements.
    Cubic {
        /// The cubic's coefficient.
        a: f32,
    },
}

/// A resizing operation. Inputs: x, and what [`Target`] says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Resize {
    /// The size.
    pub target: Target,
    /// The axes that change; `None`: all.
    pub axes: Option<Vec<i64>>,
    /// Where elements are taken from.
    pub coordinates: Coordinates,
    /// How.
    pub interpolation: Interpolation,
    /// Whether weights widen with a scale below 1, so that every input element counts.
    pub antialias: bool,
    /// Whether weights outside the tensor count as zero and the others are scaled up.
    pub exclude_outside: bool,
    /// With [`Coordinates::Crop`]: the region's start along each axis, then its end, 0 to 1.
    pub region: Vec<f32>,
    /// With [`Coordinates::Crop`]: the value outside the tensor.
    pub outside: f32,
}

/// In which order a recurrent layer reads its sequence.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Direction {
    /// From the start.
    Forward,
    /// From the end.
    Reverse,
    /// Both, as two directions.
    Both,
}

/// What a recurrent layer writes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum State {
    /// The hidden state after every step: `[steps, directions, batch, hidden]`.
    Sequence,
    /// The hidden state after the last step: `[directions, batch, hidden]`.
    Hidden,
    /// The cell state after the last step (LSTM).
    Cell,
}

/// A recurrent layer with ONNX's default activations.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Recurrent {
    /// Number of hidden units.
    pub hidden: usize,
    /// The order of steps.
    pub direction: Direction,
    /// What is written.
    pub state: State,
    /// GRU: whether the reset gate is applied after the recurrent product instead of before.
    pub linear_before_reset: bool,
}

impl Recurrent {
    /// One or two.
    pub fn directions(&self) -> usize {
        if self.direction == Direction::Both { 2 } else { 1 }
    }
}

/// How RoiAlign joins the samples of a bin.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct RoiAlign {
    /// Output rows and columns of each region.
    pub output: [usize; 2],
    /// Samples along each axis of a bin; 0: one for each input pixel.
    pub sampling: usize,
    /// From region coordinates to pixels.
    pub scale: f32,
    /// Whether pixels have their centre at a half.
    pub half_pixel: bool,
    /// The largest sample instead of the mean.
    pub max: bool,
}
