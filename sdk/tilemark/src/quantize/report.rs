//! What a quantization did and what it cost.

use serde::Serialize;

/// A whole report; its JSON is what `tilemark quantize --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The model's name for itself.
    pub model: String,
    /// Samples that were calibrated with.
    pub calibration_samples: usize,
    /// Type of activations: `u8` or `i8`.
    pub activations: String,
    /// How ranges were chosen.
    pub ranges: String,
    /// Whether biases were corrected.
    pub bias_corrected: bool,
    /// Pairs of layers that were equalized; `None` if that was not asked for.
    pub equalized_pairs: Option<usize>,
    /// What was compared on calibration data, with the signal-to-noise ratio of the outputs.
    pub candidates: Vec<Candidate>,
    /// Every layer, in execution order.
    pub layers: Vec<LayerReport>,
    /// Layers kept in float for what they cost, the most sensitive first.
    pub kept_float: Vec<String>,
    /// Everything that runs in float, and why.
    pub float_nodes: Vec<FloatNode>,
    /// Multiply-accumulates of one sample.
    pub macs: u64,
    /// Those of them in integers.
    pub integer_macs: u64,
    /// Bytes of the float model's constants.
    pub float_bytes: usize,
    /// Bytes of the quantized file.
    pub int8_bytes: usize,
    /// How like the quantized model's outputs are to the float model's.
    pub quality: Quality,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// One way to quantize that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    /// Which.
    pub name: String,
    /// Signal-to-noise ratio of the outputs, in dB.
    pub snr_db: f64,
}

/// A convolution or matrix product.
#[derive(Clone, Debug, Serialize)]
pub struct LayerReport {
    /// The node's name.
    pub name: String,
    /// Its operation and weights.
    pub what: String,
    /// Multiply-accumulates of one sample.
    pub macs: u64,
    /// Whether it runs in integers.
    pub quantized: bool,
    /// Signal-to-noise ratio of its output, in dB, with everything before it quantized too.
    pub snr_db: f64,
    /// Signal-to-noise ratio of its weights, in dB.
    pub weights_snr_db: f64,
    /// Signal-to-noise ratio of the model's outputs, in dB, with this layer alone quantized; if that was measured.
    pub alone_snr_db: Option<f64>,
    /// Smallest real of its output that is told apart.
    pub lo: f32,
    /// Largest.
    pub hi: f32,
}

/// A node that runs in float.
#[derive(Clone, Debug, Serialize)]
pub struct FloatNode {
    /// Its name.
    pub node: String,
    /// Its operation.
    pub op: String,
    /// Why.
    pub reason: String,
}

/// The quantized model, run in integers on this machine, against the float model.
#[derive(Clone, Debug, Serialize)]
pub struct Quality {
    /// `evaluation`, or `calibration` where no other data was given.
    pub data: &'static str,
    /// Samples compared.
    pub samples: usize,
    /// Signal-to-noise ratio of the outputs, in dB, over all samples.
    pub snr_db: f64,
    /// Mean cosine of the first output.
    pub cosine: f64,
    /// Share of samples with the same largest element, where the first output is a list of scores.
    pub top1_agreement: Option<f64>,
    /// Against labels, where some were given.
    pub accuracy: Option<Accuracy>,
}

/// Shares of samples whose largest score is the label's.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Accuracy {
    /// Of the float model.
    pub float: f64,
    /// Of the quantized model.
    pub int8: f64,
}
