//! What an app gives back.

use std::collections::BTreeMap;

use ndarray::ArrayViewD;
use serde::Serialize;
use tilemark_model::Tensor;
use tilemark_pipeline::{Detection, Label, Line, Outcome, StageTime, Times};

/// The result for one input.
#[derive(Clone, Debug)]
pub struct Output {
    pub(crate) outcome: Outcome,
    pub(crate) tensors: BTreeMap<String, Tensor>,
    pub(crate) ms: Milliseconds,
    pub(crate) times: Times,
}

/// Wall-clock milliseconds of the three parts of a run.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Milliseconds {
    /// Decoded picture to model input. Decoding happens in [`crate::Input`].
    pub pre: f64,
    /// The model.
    pub infer: f64,
    /// Model output to result.
    pub post: f64,
}

impl std::ops::AddAssign for Milliseconds {
    fn add_assign(&mut self, other: Self) {
        self.pre += other.pre;
        self.infer += other.infer;
        self.post += other.post;
    }
}

impl Output {
    /// A result whose stages were not measured one by one.
    pub(crate) fn new(outcome: Outcome, tensors: BTreeMap<String, Tensor>, ms: Milliseconds) -> Self {
        Self { outcome, tensors, ms, times: Times::default() }
    }

    /// The named classes, best first; empty if the app has no such stage.
    pub fn labels(&self) -> &[Label] {
        self.outcome.labels()
    }

    /// What was found, best first; empty if the app has no such stage.
    pub fn detections(&self) -> &[Detection] {
        self.outcome.detections.as_deref().unwrap_or_default()
    }

    /// What is written, in reading order; empty if the app has no such stage.
    pub fn lines(&self) -> &[Line] {
        self.outcome.lines.as_deref().unwrap_or_default()
    }

    /// Everything that the app's pipeline produced.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// How long each stage took, in order; empty for inputs that ran as one batch.
    pub fn stages(&self) -> &[StageTime] {
        &self.times.0
    }

    /// The model's outputs by name (`STEP.NAME` where there are several steps), as the model declares them (f32 where it dequantizes), before post-processing.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// A float output of the model as an array; `None` if there is none of this name or it holds integers.
    pub fn array(&self, name: &str) -> Option<ArrayViewD<'_, f32>> {
        let tensor = self.tensors.get(name)?;
        ArrayViewD::from_shape(tensor.shape(), tensor.as_f32().ok()?).ok()
    }

    /// How long it took.
    pub fn ms(&self) -> Milliseconds {
        self.ms
    }
}
