//! What a vendor should know before shipping, though it keeps nothing from working.

use std::fmt;

use serde::Serialize;
use tilemark_model::{Graph, Op, shape};

use super::Package;

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

impl Package {
    /// What should be known before this app is shipped; nothing in it keeps the app from being packed.
    pub fn findings(&self) -> Vec<Finding> {
        let of_models = self.models.iter().flat_map(|(name, imported)| {
            let found = [float_work(&imported.graph), wrapping_bias(&imported.graph)];
            found.into_iter().flatten().map(move |finding| self.of_model(name, finding))
        });
        let of_app = [self.golden_made_by_rule(), self.unspecified_license()];
        of_models.chain(of_app.into_iter().flatten()).collect()
    }

    /// The finding with the model's name, where there are several.
    fn of_model(&self, name: &str, finding: Finding) -> Finding {
        match self.models.len() {
            1 => finding,
            _ => Finding { message: format!("model {name}: {}", finding.message), ..finding },
        }
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
