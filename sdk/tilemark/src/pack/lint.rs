//! What a vendor should know before shipping, though it keeps nothing from working.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use tilemark_engine::{HostLayers, Refusal, Target};
use tilemark_model::import::Imported;
use tilemark_model::{Graph, Op, shape};
use tilemark_pipeline::{Pipeline, Requantized, Saturation};

use super::Package;
use super::draft::{Draft, Sample};
use crate::contents::AppModel;
use crate::error::Error;
use crate::targets::Packed;

/// The share of a sample's pixels that may saturate: a few highlights, but not what the normalization is wrong about.
const MOST_SATURATED: f64 = 0.01;
/// The share of an output's range that the next model's input may cut off: calibration rarely meets the extremes.
const MOST_LOST: f64 = 0.1;
/// The share of an input's range that must be reached: a quarter costs two of its eight bits.
const LEAST_USED: f64 = 0.25;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The app cannot be packed.
    Error,
    /// The app can be packed, but something is probably not as meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// One thing found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How serious.
    pub severity: Severity,
    /// An error's code, or a word for the rule.
    pub code: &'static str,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// Everything to be said about the app that an `app.toml` describes: each error that would keep it from being packed, and what
/// should be known before it is shipped.
///
/// # Errors
/// [`Error::Io`] if the file itself cannot be read.
pub fn check(path: impl AsRef<Path>) -> Result<Vec<Finding>, Error> {
    let path = path.as_ref();
    let draft = match Draft::read(path) {
        Ok(draft) => draft,
        Err(Error::Io { path: missing, source }) if missing == path => {
            return Err(Error::Io { path: missing, source });
        }
        Err(error) => return Ok(vec![Finding::from(error)]),
    };
    if !draft.errors.is_empty() {
        let models = of_models(&draft.models);
        return Ok(draft.errors.into_iter().map(Finding::from).chain(models).collect());
    }
    Ok(match Package::build(draft) {
        Ok(package) => package.findings(),
        Err(errors) => errors.into_iter().map(Finding::from).collect(),
    })
}

impl From<Error> for Finding {
    /// What keeps an app from being packed.
    fn from(error: Error) -> Self {
        let (code, message, help) = (error.code(), error.to_string(), error.hint());
        Self { severity: Severity::Error, code, message, help }
    }
}

impl Package {
    /// What should be known before this app is shipped; nothing in it keeps the app from being packed.
    pub fn findings(&self) -> Vec<Finding> {
        let of_app = [self.golden_made_by_rule(), self.unspecified_license()];
        of_models(&self.models)
            .chain(self.noted.iter().cloned())
            .chain(of_app.into_iter().flatten())
            .collect()
    }

    fn golden_made_by_rule(&self) -> Option<Finding> {
        let message = "no [golden] inputs: the golden vector is made by rule".to_owned();
        let help = "name real inputs under [golden]; they prove more to a buyer";
        self.synthetic_golden.then(|| finding(Severity::Note, "golden-by-rule", message, help))
    }

    fn unspecified_license(&self) -> Option<Finding> {
        let unspecified = self.identity.license == "LicenseRef-unspecified";
        let message = "no licence is named".to_owned();
        let help = "name one as an SPDX expression; buyers and stores need it";
        unspecified.then(|| finding(Severity::Warning, "license", message, help))
    }
}

fn of_models(models: &[(String, Imported)]) -> impl Iterator<Item = Finding> {
    let several = models.len() > 1;
    models.iter().flat_map(move |(name, imported)| {
        let found = [float_work(&imported.graph), wrapping_bias(&imported.graph)];
        found.into_iter().flatten().map(move |finding| match several {
            true => Finding { message: format!("model {name}: {}", finding.message), ..finding },
            false => finding,
        })
    })
}

/// What shows only when the parts meet: samples in the pipeline, tensors from model to model, models on targets.
pub(super) fn of_parts(
    golden: &[Sample],
    models: &[AppModel],
    pipeline: &Pipeline,
    targets: &Packed,
) -> Result<Vec<Finding>, Error> {
    let mut found = Vec::new();
    for sample in golden {
        if let Some(image) = sample.input.picture() {
            let all = pipeline.saturation(image)?;
            found.extend(all.iter().filter(|s| s.share > MOST_SATURATED).map(|s| saturated(&sample.name, s)));
        }
    }
    found.extend(pipeline.requantized().iter().filter_map(mismatched));
    for (target, model) in targets.targets.iter().flat_map(|t| models.iter().map(move |model| (t, model))) {
        found.extend(refused_layers(target, model, targets.targets.host_layers())?);
    }
    Ok(found)
}

fn saturated(sample: &str, saturation: &Saturation) -> Finding {
    let Saturation { step, input, share } = saturation;
    let message = format!(
        "{:.1}% of the pixels of {sample} are beyond what input {input:?} of step {step} can hold after normalize",
        100.0 * share
    );
    let help = "compare mean, std and divide with what the model was trained with; or calibrate it with such pictures";
    finding(Severity::Warning, "normalize-saturates", message, help)
}

/// A join at which much of the numbers or of their precision is lost.
fn mismatched(join: &Requantized) -> Option<Finding> {
    let Requantized { output, input, made: [least, most], taken: [from, to] } = join;
    let what = if join.lost() > MOST_LOST {
        format!("{:.0}% of what the first can be is lost", 100.0 * join.lost())
    } else if join.used() < LEAST_USED {
        format!("{:.0}% of the second's range is used", 100.0 * join.used())
    } else {
        return None;
    };
    let message =
        format!("{output} holds {least:.4} to {most:.4}, {input} takes {from:.4} to {to:.4}: {what}");
    let help = "calibrate the second model with what the first one makes";
    Some(finding(Severity::Warning, "join-scale", message, help))
}

/// The layers that a target leaves to the host, or for which it is refused where the app does not allow that.
fn refused_layers(target: &Target, model: &AppModel, host: HostLayers) -> Result<Option<Finding>, Error> {
    let refusals = target.refusals(&model.graph)?;
    let Some(Refusal { node, operation, reason }) = refusals.first() else { return Ok(None) };
    let (target, name, count) = (target.id(), &model.name, refusals.len());
    let message = format!(
        "target {target} cannot run {count} layer{} of model {name}, the first is `{node}` ({operation}): {reason}",
        if count == 1 { "" } else { "s" },
    );
    Ok(Some(match host {
        HostLayers::Allowed => {
            finding(Severity::Note, "target-layers", message, "the host runs them, as the app allows")
        }
        HostLayers::Refused => {
            let help = "change the layers, ship another target, or set host_layers = true: devices would refuse the app";
            finding(Severity::Error, "target-layers", message, help)
        }
    }))
}

/// Float operations run on the host alone, and slowly.
fn float_work(graph: &Graph) -> Option<Finding> {
    let shapes = shape::infer(graph, &shape::declared(graph, 1)).ok()?;
    let floats: Vec<_> = graph.nodes.iter().filter(|node| node.op.is_float()).collect();
    let first = floats.first()?;
    let work = |nodes: &mut dyn Iterator<Item = &tilemark_model::Node>| {
        nodes.map(|node| shape::macs(node, &shapes)).sum::<u64>() as f64
    };
    let share = 100.0 * work(&mut floats.iter().copied()) / work(&mut graph.nodes.iter()).max(1.0);
    let message = format!(
        "{} of {} nodes run in f32 on the host ({share:.1}% of the multiply-accumulates), the first is `{}` ({})",
        floats.len(),
        graph.nodes.len(),
        first.name,
        first.op.name(),
    );
    Some(finding(
        Severity::Warning,
        "float-nodes",
        message,
        "quantize them if an accelerator should run them",
    ))
}

/// A bias next to +-2^31 could wrap. Quantizers write such biases into dead channels, where it never happens.
fn wrapping_bias(graph: &Graph) -> Option<Finding> {
    let mut channels = 0;
    let mut first = None;
    for node in graph.nodes.iter().filter(|node| matches!(node.op, Op::Conv(..) | Op::FullyConnected(_))) {
        let weights = graph.constant(node.inputs[1])?.widened().ok()?;
        let bias = graph.constant(node.inputs[2])?.widened().ok()?;
        let rows = weights.chunks(weights.len() / bias.len().max(1));
        let wraps = |(row, bias): (&[i32], &i32)| {
            let products = 255 * row.iter().map(|w| u64::from(w.unsigned_abs())).sum::<u64>();
            products + u64::from(bias.unsigned_abs()) > i32::MAX as u64
        };
        let found = rows.zip(&bias).filter(|&(row, bias)| wraps((row, bias))).count();
        if found > 0 {
            first.get_or_insert(&node.name);
        }
        channels += found;
    }
    let message = format!(
        "{channels} output channels have a bias so near +-2^31 that an extreme input could wrap the accumulator, the \
         first in `{}`",
        first?,
    );
    let help = "nothing where a channel is dead (weights next to zero), as quantizers leave it; else quantize it again";
    Some(finding(Severity::Note, "bias-near-limit", message, help))
}

fn finding(severity: Severity, code: &'static str, message: String, help: &str) -> Finding {
    Finding { severity, code, message, help: help.to_owned() }
}
