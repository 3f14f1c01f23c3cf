//! Who watches a quantization, and what of.

/// What is being done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Stage {
    /// The smallest and largest element of each tensor.
    Ranges,
    /// The distribution of each tensor.
    Distributions,
    /// Ways to choose ranges are compared.
    Comparison,
    /// Layers are quantized one at a time.
    Sensitivity,
    /// Biases are corrected.
    Correction,
    /// The noise of each layer.
    Noise,
    /// The quantized model runs against the float one.
    Evaluation,
}

impl Stage {
    /// What people are shown.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Ranges => "ranges",
            Stage::Distributions => "distributions",
            Stage::Comparison => "comparing ranges",
            Stage::Sensitivity => "sensitivity of layers",
            Stage::Correction => "correcting biases",
            Stage::Noise => "noise of layers",
            Stage::Evaluation => "evaluating",
        }
    }
}

/// Is told how far a quantization has come; from several threads.
pub trait Progress: Sync {
    /// A stage of `steps` steps begins.
    fn begin(&self, stage: Stage, steps: usize);
    /// One step is done.
    fn advance(&self);
    /// The stage is over.
    fn end(&self);
}

/// Nobody watches.
impl Progress for () {
    fn begin(&self, _: Stage, _: usize) {}
    fn advance(&self) {}
    fn end(&self) {}
}
