//! What a run gives to a user: the result object of `tilemark run --json`.

use std::collections::BTreeMap;

use serde::Serialize;
use tilemark_model::Tensor;

/// The result for one input. As JSON it has the keys that the pipeline produces, and no others.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Labels, best first, where the pipeline ends in `top_k`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<Label>>,
    /// Elements, row-major, of each output that became no label and has at most
    /// [`MAX_RESULT_VALUES`](crate::limits::MAX_RESULT_VALUES) of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Vec<f64>>,
    /// Files written, by output; for whoever writes them to fill in.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// The model's outputs after the post stages, by name.
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
    /// The labels, best first; none where the pipeline has no `top_k`.
    pub fn labels(&self) -> &[Label] {
        self.labels.as_deref().unwrap_or_default()
    }
}
