//! `[[step]]`: one model, or one join of values, of an app of several.

use serde::{Deserialize, Serialize};

use super::{ImageInput, PostStage, PreStage};
use crate::combine::Rule;

/// The name by which steps refer to what the user gives.
pub(crate) const INPUT: &str = "input";

/// One step: what it reads, what it does to it, and under which name later steps find the result.
///
/// ```toml
/// [[step]]
/// name = "lines"
/// for_each = "regions"                 # crops of `of`, one for each region, each through this step
/// model = "reader"
/// pre = [{ resize = { width = 320, height = 48 } }]
/// post = [{ ctc = { symbols = "symbols.txt" } }]
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    /// Under which later steps find the value; small letters, digits and `_`.
    pub name: String,
    /// What it reads: `input`, or the name of an earlier step.
    #[serde(default = "input")]
    pub of: String,
    /// The name of an earlier step that makes boxes or regions: each is cut out of `of` and goes through this step alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// With `for_each`: crops at least this many times as high as wide are turned by a quarter, to the left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_tall: Option<f32>,
    /// Instead of a model: what earlier steps made, as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combine: Option<Combine>,
    /// The model, as `[models.NAME]` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How this model wants the channels, where it differs from `[input]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageInput>,
    /// Stages before the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre: Vec<PreStage>,
    /// Stages after the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post: Vec<PostStage>,
}

/// `combine = { steps = ["a", "b"], rule = "mean", weights = [2, 1] }`: the labels of several steps as one list, or their detections.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Combine {
    /// Earlier steps that make labels, or detections.
    pub steps: Vec<String>,
    /// How they become one.
    pub rule: Rule,
    /// How much each counts, above 0; the same if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<f32>,
}

impl Default for StepSpec {
    /// The only step of a pipeline that is written without steps, but for its stages.
    fn default() -> Self {
        Self {
            name: "result".to_owned(),
            of: input(),
            for_each: None,
            turn_tall: None,
            combine: None,
            model: None,
            image: None,
            pre: Vec::new(),
            post: Vec::new(),
        }
    }
}

fn input() -> String {
    INPUT.to_owned()
}
