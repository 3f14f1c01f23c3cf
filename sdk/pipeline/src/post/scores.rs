//! Scores: probabilities, the best classes, and what is dropped for a low one.

use std::collections::BTreeSet;

use tilemark_model::numerics::{exp, softmax};

use super::outputs::{Dequantize, Reads};
use super::{Checks, Stage, State};
use crate::error::{Error, Result};
use crate::interface::{Interface, TensorInfo};
use crate::labels::Labels;
use crate::limits::MAX_TOP_K;
use crate::outcome::Label;
use crate::parameters::Settable;
use crate::place::Place;
use crate::spec;
use crate::value::Made;

/// Scores of classes to probabilities.
#[derive(Debug)]
pub(super) struct Softmax(Reads);

impl Softmax {
    /// Where it is not enabled, the scores are only dequantized.
    pub(super) fn prepared(stage: &spec::Softmax, checks: &Checks) -> Result<Box<dyn Stage>> {
        let (reads, _) = scores_of(checks)?;
        let enabled = checks.settings.get(&format!("{}.enabled", checks.at), &stage.enabled)?;
        Ok(if enabled { Box::new(Self(reads)) } else { Box::new(Dequantize) })
    }
}

impl Stage for Softmax {
    fn run(&self, state: &mut State, interface: &Interface, _place: Option<&Place>) -> Result<()> {
        let mut scores = scores(&self.0, interface, state)?;
        softmax(&mut scores);
        self.0.replace(&mut state.outputs, scores)
    }
}

/// Each element to `1 / (1 + e^-x)`: the exponential of the contract, then two f32 operations.
#[derive(Debug)]
pub(super) struct Sigmoid(Reads);

impl Sigmoid {
    pub(super) fn new(stage: &spec::Sigmoid, checks: &Checks) -> Result<Self> {
        Reads::new(checks, stage.output.as_deref()).map(Self)
    }
}

impl Stage for Sigmoid {
    fn run(&self, state: &mut State, interface: &Interface, _place: Option<&Place>) -> Result<()> {
        let (_, values) = self.0.real(interface, &state.outputs)?;
        let values = values.iter().map(|&x| 1.0 / (1.0 + exp(-x))).collect();
        self.0.replace(&mut state.outputs, values)
    }
}

/// The best classes and their names.
#[derive(Debug)]
pub(super) struct TopK {
    reads: Reads,
    file: String,
    best: Best,
}

/// Which labels are returned.
#[derive(Debug)]
struct Best {
    k: usize,
    threshold: Option<f64>,
    /// Whether each class may be returned; all may where there is no list.
    classes: Option<Vec<bool>>,
    labels: Labels,
}

impl TopK {
    pub(super) fn new(stage: &spec::TopK, checks: &Checks) -> Result<Self> {
        let spec::TopK { k, labels: file, threshold, classes } = stage;
        let (reads, count) = scores_of(checks)?;
        let labels = checks.lines(file)?;
        if let Some(count) = count {
            check_label_count(file, &labels, reads.info(checks.interface)?, count)?;
        }
        let most = MAX_TOP_K.min(u32::try_from(labels.len()).unwrap_or(u32::MAX));
        let at = |field: &str| format!("{}.{field}", checks.at);
        if let Some(bad) =
            checks.settings.extremes(&at("k"), k)?.into_iter().find(|k| !(1..=most).contains(k))
        {
            return Err(checks.wrong("k", bad, format!("1 to {most}, for {} labels", labels.len())));
        }
        let threshold = threshold.as_ref().map(|field| checks.settings.get(&at("threshold"), field));
        let best = Best {
            k: checks.settings.get(&at("k"), k)? as usize,
            threshold: threshold.transpose()?,
            classes: classes.as_ref().map(|field| chosen(field, checks, &labels)).transpose()?.flatten(),
            labels,
        };
        Ok(Self { reads, file: file.clone(), best })
    }
}

impl Stage for TopK {
    fn run(&self, state: &mut State, interface: &Interface, _place: Option<&Place>) -> Result<()> {
        let scores = scores(&self.reads, interface, state)?;
        check_label_count(&self.file, &self.best.labels, self.reads.info(interface)?, scores.len())?;
        state.made = Some(Made::Labels(self.best.of(&scores)));
        Ok(())
    }
}

impl Best {
    /// The best `k` scores, best first. Equal scores in the order of the classes; NaN after everything else.
    fn of(&self, scores: &[f32]) -> Vec<Label> {
        let asked = |i: usize| self.classes.as_ref().is_none_or(|classes| classes.get(i) == Some(&true));
        let enough = |i: usize| self.threshold.is_none_or(|least| f64::from(scores[i]) >= least);
        let mut order: Vec<usize> = (0..scores.len()).filter(|&i| asked(i) && enough(i)).collect();
        order.sort_by(|&a, &b| best_first(scores[a], scores[b]).then(a.cmp(&b)));
        let label = |index: usize| {
            let name = self.labels.name(index).to_owned();
            Label { name, index, score: scores[index] }
        };
        order.into_iter().take(self.k).map(label).collect()
    }
}

/// Which classes have one of the names; `None` where no name is given.
fn chosen(field: &Settable<Vec<String>>, checks: &Checks, labels: &Labels) -> Result<Option<Vec<bool>>> {
    let at = format!("{}.classes", checks.at);
    let names = checks.settings.get(&at, field)?;
    let known: BTreeSet<&str> = (0..labels.len()).map(|index| labels.name(index)).collect();
    if let Some(found) = names.iter().find(|name| !known.contains(name.as_str())) {
        let (found, expected) = (found.clone(), "labels of the app".to_owned());
        return Err(match field.parameter() {
            Some(name) => Error::ParameterValue { name: name.to_owned(), found, expected },
            None => Error::Value { at, found, expected },
        });
    }
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let chosen = || (0..labels.len()).map(|index| names.contains(labels.name(index))).collect();
    Ok((!names.is_empty()).then(chosen))
}

/// Higher scores first, NaN last; 0 and -0 are equal.
pub(crate) fn best_first(a: f32, b: f32) -> std::cmp::Ordering {
    let rank = |x: f32| if x.is_nan() { f32::NEG_INFINITY } else { x };
    // `+ 0.0` makes -0 equal to 0, which `total_cmp` would tell apart.
    a.is_nan().cmp(&b.is_nan()).then((rank(b) + 0.0).total_cmp(&(rank(a) + 0.0)))
}

/// Drops what has a low score, and what has none (NaN).
#[derive(Debug)]
pub(super) struct Threshold {
    min_score: f64,
}

impl Threshold {
    pub(super) fn new(stage: &spec::Threshold, checks: &Checks) -> Result<Self> {
        let min_score = checks.settings.get(&format!("{}.min_score", checks.at), &stage.min_score)?;
        if !min_score.is_finite() {
            return Err(checks.wrong("min_score", min_score, "a finite number"));
        }
        Ok(Self { min_score })
    }
}

impl Stage for Threshold {
    fn run(&self, state: &mut State, _interface: &Interface, _place: Option<&Place>) -> Result<()> {
        let enough = |score: f32| f64::from(score) >= self.min_score;
        match &mut state.made {
            Some(Made::Labels(labels)) => labels.retain(|label| enough(label.score)),
            Some(Made::Detections(found)) => found.retain(|detection| enough(detection.score)),
            Some(Made::Regions(regions)) => regions.retain(|region| enough(region.score)),
            Some(Made::Text(text)) => *text = text.take().filter(|(_, score)| enough(*score)),
            _ => {}
        }
        Ok(())
    }
}

/// Whether a crop is upside down: its best class says so, with enough of a score.
#[derive(Debug)]
pub(super) struct Turn {
    reads: Reads,
    class: usize,
    min_score: f32,
}

impl Turn {
    pub(super) fn new(stage: &spec::Turn, checks: &Checks) -> Result<Self> {
        let (reads, classes) = scores_of(checks)?;
        let class = stage.class as usize;
        if let Some(classes) = classes.filter(|&classes| class >= classes) {
            return Err(checks.wrong("class", class, format!("0 to {}", classes - 1)));
        }
        let min_score = checks.within("min_score", stage.min_score, [f32::MIN, f32::MAX])?;
        Ok(Self { reads, class, min_score })
    }
}

impl Stage for Turn {
    fn run(&self, state: &mut State, interface: &Interface, _place: Option<&Place>) -> Result<()> {
        let scores = scores(&self.reads, interface, state)?;
        let best = (0..scores.len()).min_by(|&a, &b| best_first(scores[a], scores[b]).then(a.cmp(&b)));
        let turned = best == Some(self.class) && scores[self.class] >= self.min_score;
        state.made = Some(Made::Turn(turned));
        Ok(())
    }
}

/// The model's only output, and its number of classes where the shape tells.
fn scores_of(checks: &Checks) -> Result<(Reads, Option<usize>)> {
    let reads = Reads::new(checks, None)?;
    let info = reads.info(checks.interface)?;
    // A dynamic batch is 1 for one input; any other unknown axis is seen when the model has run.
    let shape = match info.shape.as_slice() {
        [None, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    let Some(shape) = shape.iter().copied().collect::<Option<Vec<usize>>>() else { return Ok((reads, None)) };
    let classes = class_count(&checks.at, info, &shape)?;
    Ok((reads, Some(classes)))
}

/// One axis may be longer than 1; its length is the number of classes.
fn class_count(at: &str, info: &TensorInfo, shape: &[usize]) -> Result<usize> {
    let mut long = shape.iter().copied().filter(|&size| size != 1);
    match (long.next(), long.next()) {
        (Some(classes), None) if classes > 0 => Ok(classes),
        (None, None) if !shape.is_empty() => Ok(1),
        _ => Err(Error::ScoreShape {
            at: at.to_owned(),
            output: info.name.clone(),
            shape: format!("{shape:?}"),
        }),
    }
}

/// One real score per class.
fn scores(reads: &Reads, interface: &Interface, state: &State) -> Result<Vec<f32>> {
    class_count(&reads.at, reads.info(interface)?, reads.tensor(&state.outputs)?.shape())?;
    Ok(reads.real(interface, &state.outputs)?.1.into_owned())
}

fn check_label_count(file: &str, labels: &Labels, info: &TensorInfo, classes: usize) -> Result<()> {
    if labels.len() == classes {
        return Ok(());
    }
    let (file, output) = (file.to_owned(), info.name.clone());
    Err(Error::LabelCount { file, labels: labels.len(), output, classes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_first_class_and_nan_to_the_end() {
        let labels = Labels::parse("l", b"a\nb\nc\nd\ne\nf").unwrap();
        let scores = [0.0, f32::NAN, 2.0, -0.0, 2.0, f32::NEG_INFINITY];
        let best = Best { k: 6, threshold: None, classes: None, labels };
        let order = |best: &Best| best.of(&scores).iter().map(|l| l.index).collect::<Vec<usize>>();
        assert_eq!(order(&best), [2, 4, 0, 3, 5, 1]);
        let best = Best { k: 1, ..best };
        assert_eq!(best.of(&scores)[0].name, "c");
        let best = Best { k: 6, threshold: Some(0.0), ..best };
        assert_eq!(order(&best), [2, 4, 0, 3]);
        let best = Best { classes: Some(vec![true, true, false, true, true, true]), ..best };
        assert_eq!(order(&best), [4, 0, 3]);
    }
}
