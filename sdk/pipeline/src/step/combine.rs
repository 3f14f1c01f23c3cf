//! A step without a model: what several steps made becomes one value.

use super::{Known, StepValue};
use crate::combine::Rule;
use crate::error::{Error, Result};
use crate::limits::MAX_STEPS;
use crate::post::best_first;
use crate::spec::{INPUT, StepSpec};
use crate::value::{Detection, Kind, Made};

/// The declared combination.
#[derive(Debug)]
pub(super) struct Combining {
    pub(super) sources: Vec<usize>,
    rule: Rule,
    weights: Vec<f64>,
    pub(super) makes: Kind,
}

impl Combining {
    /// Checks what the step combines: labels of other steps, or their detections one after the other.
    pub(super) fn new(spec: &StepSpec, before: &[Known]) -> Result<Option<Self>> {
        let Some(combine) = &spec.combine else { return Ok(None) };
        let other =
            spec.model.is_some() || spec.for_each.is_some() || spec.of != INPUT || !spec.pre.is_empty();
        if other {
            let why = "a step that combines has no model, no crops and no stages before";
            return Err(Error::StageOrder { at: "combine".to_owned(), why });
        }
        let wrong = |field: &str, found: String, expected: String| {
            Err(Error::Value { at: format!("combine.{field}"), found, expected })
        };
        let count = combine.steps.len();
        if !(2..=MAX_STEPS).contains(&count) {
            return wrong("steps", format!("{count} steps"), format!("2 to {MAX_STEPS}"));
        }
        let usable = |weight: &&f32| !(weight.is_finite() && **weight > 0.0);
        if let Some(bad) = combine.weights.iter().find(usable) {
            return wrong("weights", bad.to_string(), "numbers above 0".to_owned());
        }
        if !matches!(combine.weights.len(), 0) && combine.weights.len() != count {
            return wrong(
                "weights",
                format!("{} numbers", combine.weights.len()),
                format!("{count}, one a step"),
            );
        }
        let source = |name: &String| {
            let expected = before.iter().map(|step| step.name.clone()).collect();
            let unknown =
                Error::UnknownName { at: "combine", name: name.chars().take(64).collect(), expected };
            before.iter().position(|step| step.name == *name).ok_or(unknown)
        };
        let sources = combine.steps.iter().map(source).collect::<Result<Vec<usize>>>()?;
        let kinds = || sources.iter().filter_map(|&i| before[i].makes);
        let makes = kinds().next().unwrap_or(Kind::Labels);
        let fits = makes == Kind::Labels || (makes == Kind::Detections && combine.rule == Rule::Concat);
        if let Some(found) = kinds().find(|kind| *kind != makes || !fits) {
            let expected = "labels of every step, or with rule = \"concat\" detections of every step";
            return Err(Error::ValueKind {
                at: "combine".to_owned(),
                found: found.words().to_owned(),
                expected,
            });
        }
        let weights = match combine.weights.as_slice() {
            [] => vec![1.0; count],
            weights => weights.iter().map(|&weight| f64::from(weight)).collect(),
        };
        Ok(Some(Self { sources, rule: combine.rule, weights, makes }))
    }

    pub(super) fn run(&self, values: &[StepValue]) -> Made {
        let made = |&i: &usize| values.get(i).and_then(|value| value.made.as_ref());
        if self.makes == Kind::Detections {
            let detections = |i: &usize| match made(i) {
                Some(Made::Detections(found)) => found.clone(),
                _ => Vec::new(),
            };
            let mut found: Vec<Detection> = self.sources.iter().flat_map(detections).collect();
            found.sort_by(|a, b| best_first(a.score, b.score)); // stable: equal ones in the order of the steps
            return Made::Detections(found);
        }
        let labels = |i: &usize| match made(i) {
            Some(Made::Labels(labels)) => labels.clone(),
            _ => Vec::new(),
        };
        let lists: Vec<_> = self.sources.iter().map(labels).collect();
        let lists: Vec<_> = lists.iter().map(Vec::as_slice).collect();
        Made::Labels(self.rule.labels(&lists, &self.weights))
    }
}
