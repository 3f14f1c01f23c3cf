//! `[[post]]`: the stages after a model.

use serde::{Deserialize, Serialize};

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
    /// Scores to the best labels.
    TopK(TopK),
    /// Drops what has a low score.
    Threshold(Threshold),
    /// Offsets from anchors to boxes.
    Anchors(Anchors),
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
            Self::TopK(_) => "top_k",
            Self::Threshold(_) => "threshold",
            Self::Anchors(_) => "anchors",
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

fn hundred() -> u32 {
    100
}

fn thousand() -> u32 {
    1000
}
