//! Post-training quantization: a float model and data to calibrate it with become an int8 model that Tilemark and ONNX
//! Runtime run, and a report of what that cost.
//!
//! ```no_run
//! use tilemark::quantize::{FloatModel, Options, Samples, quantize};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = FloatModel::read(&std::fs::read("float.onnx")?)?;
//! let calibration = Samples::open("calibration".as_ref(), model.graph(), None)?;
//! let quantized = quantize(model, &calibration, None, &Options::default(), &())?;
//! std::fs::write("int8.onnx", &quantized.onnx)?;
//! println!("{:.1} dB", quantized.report.quality.snr_db);
//! # Ok(())
//! # }
//! ```
//! What is decided by choice (how ranges are found, whether biases are corrected) is decided by measuring: candidates are
//! simulated on calibration data, and the one whose outputs are nearest to the float model's is taken.

mod calibrate;
mod correct;
mod data;
mod evaluate;
mod html;
mod likeness;
mod progress;
mod report;
mod search;
mod simulate;
mod steps;

pub use data::{Samples, read_labels};
pub use html::html;
pub use progress::{Progress, Stage};
pub use report::{Accuracy, Candidate, FloatNode, LayerReport, Quality, Report};
pub use steps::{Pixels, steps_of_app};
pub use tilemark_model::quantize::{FloatModel, Method};
pub use tilemark_pipeline::{Channels, Fit, Spec as Steps};

use std::collections::{BTreeSet, HashMap};

use tilemark_model::quantize::{Parameters, Placement, equalize, write};
use tilemark_model::{DType, ValueId};

use crate::error::Error;
use calibrate::Extremes;
use search::Search;
use simulate::Decisions;

/// The integer type of activations. Weights are always i8, symmetric, with one scale a channel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Activations {
    /// 0 to 255 with a zero point.
    #[default]
    U8,
    /// -128 to 127 with a zero point.
    S8,
}

/// How ranges of activations are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Ranges {
    /// Every method is tried; the one with the least output error on calibration data is taken.
    #[default]
    Auto,
    /// This one.
    Method(Method),
}

/// Which layers stay in float: those that alone cost the outputs most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum KeepFloat {
    /// None.
    #[default]
    None,
    /// This many.
    Layers(usize),
    /// As few as bring the outputs' signal-to-noise ratio on calibration data to this many dB.
    UntilSnr(f64),
}

/// How to quantize.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Type of activations.
    pub activations: Activations,
    /// Ranges of activations.
    pub ranges: Ranges,
    /// Whether biases are corrected, where that brings the outputs nearer.
    pub bias_correction: bool,
    /// Whether pairs of convolutions are equalized first.
    pub equalize: bool,
    /// Layers that stay in float.
    pub keep_float: KeepFloat,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            activations: Activations::default(),
            ranges: Ranges::default(),
            bias_correction: true,
            equalize: false,
            keep_float: KeepFloat::default(),
        }
    }
}

/// What the quantized model is measured with, other than calibration data.
#[derive(Debug)]
pub struct Evaluation {
    /// The samples.
    pub samples: Samples,
    /// The class of each, for a classifier.
    pub labels: Option<Vec<usize>>,
}

/// A quantized model.
#[derive(Debug)]
pub struct Quantized {
    /// The ONNX file: QDQ form, opset 13 or that of the float model if it is later.
    pub onnx: Vec<u8>,
    /// What was done and what it cost.
    pub report: Report,
}

/// Quantizes a model.
///
/// # Errors
/// [`Error::Model`] for a model that cannot be quantized, [`Error::Samples`] and [`Error::Calibration`] for data that do not
/// fit it.
pub fn quantize(
    model: FloatModel,
    calibration: &Samples,
    evaluation: Option<&Evaluation>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Quantized, Error> {
    let (mut model, mut equalized) = (model, None);
    let mut placement = Placement::of(model.graph(), &BTreeSet::new())?;
    let mut extremes = Extremes::find(&model, &placement, calibration, progress)?;
    if options.equalize {
        let (changed, pairs) = equalize(&model, &placement, &extremes.largest_sums)?;
        (model, equalized) = (changed, Some(pairs));
        placement = Placement::of(model.graph(), &BTreeSet::new())?;
        extremes = Extremes::find(&model, &placement, calibration, progress)?;
    }
    let search = Search { model: &model, samples: calibration, options, progress };
    let found = search.decide(&placement, &extremes)?;
    let onnx = write(&model, &found.placement, &parameters(&model, &found.placement, &found.decisions)?)?;
    let report =
        evaluate::report(&model, &placement, found, equalized, &onnx, calibration, evaluation, progress)?;
    Ok(Quantized { onnx, report })
}

/// What the writer needs of the decisions.
fn parameters(model: &FloatModel, placement: &Placement, decisions: &Decisions) -> Result<Parameters, Error> {
    let mut quants = vec![None; placement.groups];
    for tensor in &placement.tensors {
        quants[tensor.group] = decisions.quants.get(&tensor.value).copied();
    }
    let missing = || Error::Calibration { tensor: "a group".into(), reason: "it has no scale".into() };
    let quants = quants.into_iter().map(|quant| quant.ok_or_else(missing)).collect::<Result<_, _>>()?;
    let mut biases = HashMap::new();
    for layer in &placement.layers {
        let Some(correction) = decisions.corrections.get(&layer.sum) else { continue };
        let bias = layer.bias.and_then(|bias: ValueId| model.graph().constant(bias));
        let bias = match &bias {
            Some(bias) => likeness::reals(bias).iter().zip(correction).map(|(b, c)| b + c).collect(),
            None => correction.clone(),
        };
        biases.insert(layer.name.clone(), bias);
    }
    Ok(Parameters { dtype: decisions.dtype, quants, biases })
}

impl Activations {
    fn dtype(self) -> DType {
        match self {
            Activations::U8 => DType::U8,
            Activations::S8 => DType::I8,
        }
    }
}
