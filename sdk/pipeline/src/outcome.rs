//! What a run gives to a user: the result object of `tilemark run --json`.

use std::collections::BTreeMap;

use serde::Serialize;
use tilemark_model::Tensor;

use crate::value::{Detection, FoundRegion, Line, Picture};

/// The result for one input. Positions are in pixels of the user's picture. As JSON it has the keys that the pipeline produces, and no others.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Labels, best first, where the pipeline ends in `top_k`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<Label>>,
    /// Things found, best first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detections: Option<Vec<Detection>>,
    /// Regions found, in reading order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<FoundRegion>>,
    /// Lines of text, in reading order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<Line>>,
    /// Elements, row-major, of each output that became no label and has at most
    /// [`MAX_RESULT_VALUES`](crate::limits::MAX_RESULT_VALUES) of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Vec<f64>>,
    /// Files written, by output; for whoever writes them to fill in.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Pictures that the app made, by the name of the step or stage.
    #[serde(skip)]
    pub pictures: BTreeMap<String, Picture>,
    /// The model's outputs after the post stages, by name; of several steps, those of the last that makes nothing of them.
    #[serde(skip)]
    pub outputs: BTreeMap<String, Tensor>,
}

/// A class that the model found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Label {
    /// Its line in the labels file.
    pub name: String,
    /// Its position there and in the model's output, from 0.
    pub index: usize,
    /// The model's score; a probability after `softmax`.
    pub score: f32,
}

impl Outcome {
    /// Whether the stages made something of the model's outputs.
    pub fn is_made(&self) -> bool {
        self.labels.is_some()
            || self.detections.is_some()
            || self.regions.is_some()
            || self.lines.is_some()
            || !self.pictures.is_empty()
            || self.values.contains_key("hz")
    }

    /// The labels, best first; none where the pipeline has no `top_k`.
    pub fn labels(&self) -> &[Label] {
        self.labels.as_deref().unwrap_or_default()
    }
}
