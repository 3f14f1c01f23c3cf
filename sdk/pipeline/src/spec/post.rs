//! `[[post]]`: the stages after a model.

use serde::{Deserialize, Serialize};

use super::{Channels, one};
use crate::parameters::Settable;

/// One of `[[post]]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PostStage {
    /// Quantized outputs to real numbers.
    Dequantize(Dequantize),
    /// Scores to probabilities.
    Softmax(Softmax),
    /// Each number to a probability of its own.
    Sigmoid(Sigmoid),
    /// Numbers to their mean with those of the frames before.
    Smooth(Smooth),
    /// Scores to the best labels.
    TopK(TopK),
    /// Drops what has a low score.
    Threshold(Threshold),
    /// Offsets from anchors to boxes.
    Anchors(Anchors),
    /// Rows of a YOLO head to boxes.
    Grid(Grid),
    /// Heat maps to what stands out of them.
    Peaks(Peaks),
    /// Heat maps to the key points of one thing.
    Points(Points),
    /// The output itself to a picture.
    Image(ImageOutput),
    /// Boxes of one thing to one.
    Nms(Nms),
    /// Scores of pixels to a picture of classes.
    Mask(Mask),
    /// A map of text to regions.
    Regions(Regions),
    /// Scores of symbols, column by column, to text.
    Ctc(Ctc),
    /// Turns the region upside down if its crop is.
    Turn(Turn),
    /// Salience of bins to the pitch of a frame.
    Pitch(Pitch),
}

impl PostStage {
    /// The stage's name in `app.toml`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dequantize(_) => "dequantize",
            Self::Softmax(_) => "softmax",
            Self::Sigmoid(_) => "sigmoid",
            Self::Smooth(_) => "smooth",
            Self::TopK(_) => "top_k",
            Self::Threshold(_) => "threshold",
            Self::Anchors(_) => "anchors",
            Self::Grid(_) => "grid",
            Self::Peaks(_) => "peaks",
            Self::Points(_) => "points",
            Self::Image(_) => "image",
            Self::Nms(_) => "nms",
            Self::Mask(_) => "mask",
            Self::Regions(_) => "regions",
            Self::Ctc(_) => "ctc",
            Self::Turn(_) => "turn",
            Self::Pitch(_) => "pitch",
        }
    }

    /// Names of the parameters that it takes.
    pub(crate) fn parameters(&self) -> Vec<&str> {
        let names = match self {
            Self::Softmax(softmax) => vec![softmax.enabled.parameter()],
            Self::TopK(TopK { k, threshold, classes, .. }) => {
                let threshold = threshold.as_ref().and_then(Settable::parameter);
                vec![k.parameter(), threshold, classes.as_ref().and_then(Settable::parameter)]
            }
            Self::Threshold(threshold) => vec![threshold.min_score.parameter()],
            _ => vec![],
        };
        names.into_iter().flatten().collect()
    }

    /// The file that it names, and in which field.
    pub(crate) fn file(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::TopK(stage) => Some(("labels", &stage.labels)),
            Self::Grid(stage) => Some(("labels", &stage.labels)),
            Self::Peaks(stage) => Some(("labels", &stage.labels)),
            Self::Ctc(stage) => Some(("symbols", &stage.symbols)),
            _ => None,
        }
    }
}

/// `dequantize = {}`: every quantized output becomes f32.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dequantize {}

/// `softmax = {}`: probabilities from the model's only output, dequantized first where it is quantized.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Softmax {
    /// Whether it is done; else the scores stay as the model gives them, dequantized.
    #[serde(skip_serializing_if = "is_true")]
    pub enabled: Settable<bool>,
}

impl Default for Softmax {
    fn default() -> Self {
        Self { enabled: Settable::Fixed(true) }
    }
}

/// `sigmoid = { output = "scores" }`: `1 / (1 + e^-x)` of every element.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sigmoid {
    /// Which output; the only one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// `smooth = { weight = 0.3 }`: in a stream, each number becomes `weight * x + (1 - weight) * y`, `y` being what it was for the frame
/// before. It does nothing to the first frame, and to inputs that are run by themselves.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Smooth {
    /// Which output; the only one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// How much the newest frame counts: above 0, to 1.
    pub weight: f32,
}

/// `top_k = { k = 5, labels = "labels.txt" }`: the best scores with their names.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TopK {
    /// Labels returned, at most.
    pub k: Settable<u32>,
    /// Text file, one label a line, in the order of the classes.
    pub labels: String,
    /// Scores below are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Settable<f64>>,
    /// Only these labels; none stands for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Settable<Vec<String>>>,
}

impl TopK {
    /// The best `k` of all labels, whatever their scores.
    pub fn new(k: u32, labels: &str) -> Self {
        Self { k: k.into(), labels: labels.into(), threshold: None, classes: None }
    }
}

/// `threshold = { min_score = 0.5 }`: keeps the labels, detections, regions or lines with this score or a higher one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The lowest score that is kept.
    pub min_score: Settable<f64>,
}

/// `anchors = { levels = [{ stride = 8, per_cell = 2 }], scale = 128, points = 6, min_score = 0.5, label = "face" }`:
/// offsets from the middles of a grid of cells to boxes, as SSD and BlazeFace have them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Anchors {
    /// The output of boxes, `[1, anchors, 4 + 2 * points]`: middle (x, y), width, height, and points (x, y).
    pub boxes: String,
    /// The output of scores, `[1, anchors, 1]`.
    pub scores: String,
    /// The grids, in the order of the anchors.
    pub levels: Vec<Level>,
    /// How many key points follow each box.
    #[serde(default)]
    pub points: u32,
    /// Units of the offsets that make the side of the model's picture.
    pub scale: f32,
    /// The lowest score that is kept.
    pub min_score: f32,
    /// What the boxes show.
    pub label: String,
}

/// One grid of anchors.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Pixels of the model's picture from cell to cell.
    pub stride: u32,
    /// Anchors in each cell.
    pub per_cell: u32,
}

/// `grid = { labels = "labels.txt", min_score = 0.25, objectness = true, strides = [8, 16, 32] }`: boxes from the rows of a YOLO
/// head: middle (x, y), width, height, objectness if there is one, a score for each label.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Which output; the only one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Text file, one label a line, in the order of the classes.
    pub labels: String,
    /// The lowest score that is kept.
    pub min_score: f32,
    /// Whether the fifth number multiplies the scores.
    #[serde(default)]
    pub objectness: bool,
    /// Whether the output is `[1, numbers, boxes]` instead of `[1, boxes, numbers]`.
    #[serde(default)]
    pub transposed: bool,
    /// Pixels from cell to cell of each level, where boxes are offsets from cells; none where they are in pixels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strides: Vec<u32>,
}

/// `peaks = { labels = "labels.txt", min_score = 0.3 }`: the cells of heat maps that are higher than those around them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peaks {
    /// Which output; the only one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Text file, one label a line, in the order of the maps.
    pub labels: String,
    /// The lowest score that is kept.
    pub min_score: f32,
    /// Whether points move by a quarter of a cell towards the higher neighbour.
    #[serde(default)]
    pub refine: bool,
    /// Most peaks kept, of all labels together.
    #[serde(default = "hundred")]
    pub most: u32,
}

/// `points = { label = "person", min_score = 0.2 }`: the highest cell of each heat map, together one thing.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Points {
    /// Which output; the only one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// What the points are of.
    pub label: String,
    /// The lowest mean of the maps' highest scores.
    pub min_score: f32,
    /// Whether points move by a quarter of a cell towards the higher neighbour.
    #[serde(default)]
    pub refine: bool,
}

/// `image = { divide = 255 }`: the output is a picture, `(v * std + mean) * divide`: what `normalize` does, undone.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ImageOutput {
    /// Which output; the only one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Number and order of its channels.
    #[serde(default)]
    pub channels: Channels,
    /// Added, after `std`.
    #[serde(default = "zeros")]
    pub mean: Vec<f32>,
    /// Multiplied by, first.
    #[serde(default = "ones")]
    pub std: Vec<f32>,
    /// Multiplied by, last.
    #[serde(default = "one")]
    pub divide: f32,
}

/// `nms = { iou = 0.3, kind = "weighted", most = 100 }`: where boxes of one label overlap, one is kept.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Nms {
    /// Boxes whose intersection over union is above this show the same thing.
    pub iou: f32,
    /// What becomes of them.
    #[serde(default)]
    pub kind: NmsKind,
    /// Most boxes kept, of all labels together.
    #[serde(default = "hundred")]
    pub most: u32,
}

/// What becomes of boxes of the same thing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NmsKind {
    /// The one with the best score stays as it is.
    #[default]
    Classic,
    /// Their mean, weighted with their scores, gets the best score.
    Weighted,
}

/// `mask = { threshold = 0.5 }`: a picture of the pixels whose score is above; without `threshold`, of the best class.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// Which output; the only one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Scores above it are of the thing; for models with one class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
}

/// `regions = { threshold = 0.3, min_score = 0.5, unclip = 1.6 }`: regions of text from a map of probabilities, as
/// Differentiable Binarization makes them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Regions {
    /// Pixels above it are text.
    pub threshold: f32,
    /// The lowest mean probability of a region.
    pub min_score: f32,
    /// How far regions grow, since the model shrinks them: by area * unclip / circumference on each side.
    pub unclip: f32,
    /// Whether pixels grow by one to the right and down before they are joined.
    #[serde(default)]
    pub dilate: bool,
    /// Most regions returned.
    #[serde(default = "thousand")]
    pub most: u32,
}

/// `ctc = { symbols = "symbols.txt", space = true }`: the text that the best symbol of each column spells: repeated
/// symbols once, blanks dropped.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ctc {
    /// Text file, one symbol a line, in the order of the classes after the blank, which is the first.
    pub symbols: String,
    /// Whether a space follows the symbols of the file as the last class.
    #[serde(default)]
    pub space: bool,
}

/// `turn = { class = 1, min_score = 0.9 }`: a region is turned by half if the best class of its crop is this one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// The class of crops that are upside down.
    pub class: u32,
    /// The lowest score at which it is believed.
    pub min_score: f32,
}

/// `pitch = { first_cents = 1997.3794, step_cents = 20, min_confidence = 0.5 }`: the pitch of each frame of a sound.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pitch {
    /// The pitch of the first bin, in cents above 10 Hz.
    pub first_cents: f32,
    /// Cents from bin to bin.
    pub step_cents: f32,
    /// The lowest salience at which a frame has a pitch.
    pub min_confidence: f32,
}

fn is_true(value: &Settable<bool>) -> bool {
    *value == Settable::Fixed(true)
}

fn zeros() -> Vec<f32> {
    vec![0.0]
}

fn ones() -> Vec<f32> {
    vec![1.0]
}

fn hundred() -> u32 {
    100
}

fn thousand() -> u32 {
    1000
}
