//! Two apps on the same samples: which is better, as far as the samples tell.

use serde::Serialize;

use super::item::{self, Item};
use super::metric::Metric;
use super::report::{Measured, Report};
use super::stats::{self, Bootstrap, McNemar};
use super::{Evaluation, Plan};
use crate::error::Error;

/// What two evaluations of the same samples say of each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The first app's evaluation.
    pub first: Report,
    /// The second app's.
    pub second: Report,
    /// Samples that both could evaluate.
    pub samples: u64,
    /// The second's number less the first's, paired.
    pub difference: Measured,
    /// Samples that one of them alone gets right, where a sample is right or wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcnemar: Option<McNemar>,
    /// How many of each class each gets right, where classes are named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassDifference>,
    /// Whether one is better at the evaluation's confidence.
    pub better: Better,
    /// What can be said, in a sentence.
    pub conclusion: String,
}

/// Which is better.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// The first.
    First,
    /// The second.
    Second,
    /// The samples do not tell.
    Unknown,
}

/// One class of the data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassDifference {
    /// What the data calls it.
    pub class: String,
    /// How many samples it has.
    pub samples: u64,
    /// How many of them the first gets right.
    pub first: u64,
    /// And the second.
    pub second: u64,
}

impl Comparison {
    /// Compares two reports of one evaluation, of two apps.
    ///
    /// # Errors
    /// [`Error::NotReproduced`] if they are not of the same samples.
    pub fn of(evaluation: &Evaluation, first: Report, second: Report) -> Result<Self, Error> {
        if first.data != second.data || first.items.len() != second.items.len() {
            let [claimed, found] = [&first, &second].map(|report| report.data.root.to_string());
            return Err(Error::NotReproduced { what: "data", claimed, found });
        }
        let failed = |item: &Item| matches!(item, Item::Failed(_));
        let pairs: Vec<(&Item, &Item)> = first
            .items
            .iter()
            .zip(&second.items)
            .filter(|(first, second)| !failed(first) && !failed(second))
            .collect();
        let difference = difference(evaluation, &pairs);
        let mcnemar = evaluation.metric.is_share().then(|| paired(evaluation.metric, &pairs));
        let better = better(evaluation, &difference, mcnemar.as_ref());
        let classes = classes(&first, &pairs);
        let conclusion = conclusion(evaluation, [&first, &second], &difference, mcnemar.as_ref(), better);
        let samples = pairs.len() as u64;
        Ok(Self { samples, difference, mcnemar, classes, better, conclusion, first, second })
    }
}

/// Over resamples of pairs: what varies is which samples there are, not which app sees which.
fn difference(evaluation: &Evaluation, pairs: &[(&Item, &Item)]) -> Measured {
    let metric = evaluation.metric;
    let over = |picks: &[usize]| {
        let first = item::value(metric, picks.iter().map(|at| pairs[*at].0));
        let second = item::value(metric, picks.iter().map(|at| pairs[*at].1));
        second - first
    };
    let (resamples, seed, confidence) = (evaluation.resamples, evaluation.seed, evaluation.confidence);
    let interval = Bootstrap { resamples, seed, confidence }.interval_of(pairs.len(), over);
    let everything: Vec<usize> = (0..pairs.len()).collect();
    Measured {
        name: metric.name(),
        value: over(&everything),
        low: interval.low,
        high: interval.high,
        confidence,
        method: "paired bootstrap",
    }
}

fn paired(metric: Metric, pairs: &[(&Item, &Item)]) -> McNemar {
    let hits = pairs.iter().map(|(first, second)| (first.is_hit(metric), second.is_hit(metric)));
    let (mut only_first, mut only_second) = (0, 0);
    for pair in hits {
        only_first += u64::from(pair == (Some(true), Some(false)));
        only_second += u64::from(pair == (Some(false), Some(true)));
    }
    stats::mcnemar(only_first, only_second)
}

/// Shares are told apart by the exact test, all else by the interval of the difference.
fn better(evaluation: &Evaluation, difference: &Measured, mcnemar: Option<&McNemar>) -> Better {
    let apart = match mcnemar {
        Some(test) => test.p_exact <= 1.0 - evaluation.confidence,
        None => difference.low > 0.0 || difference.high < 0.0,
    };
    match (apart, (difference.value > 0.0) == evaluation.metric.more_is_better()) {
        (false, _) => Better::Unknown,
        (true, true) => Better::Second,
        (true, false) => Better::First,
    }
}

fn classes(report: &Report, pairs: &[(&Item, &Item)]) -> Vec<ClassDifference> {
    let mut classes: std::collections::BTreeMap<u32, ClassDifference> = std::collections::BTreeMap::new();
    for (first, second) in pairs {
        let Item::Class { truth, .. } = first else { continue };
        let class = classes.entry(*truth).or_insert_with(|| {
            let class = report.class_names.name(*truth);
            ClassDifference { class, samples: 0, first: 0, second: 0 }
        });
        class.samples += 1;
        class.first += u64::from(first.is_hit(Metric::Accuracy) == Some(true));
        class.second += u64::from(second.is_hit(Metric::Accuracy) == Some(true));
    }
    classes.into_values().collect()
}

/// A sentence that holds: no difference that is not shown, and no equality either.
fn conclusion(
    evaluation: &Evaluation,
    reports: [&Report; 2],
    difference: &Measured,
    mcnemar: Option<&McNemar>,
    better: Better,
) -> String {
    let names = reports.map(|report| format!("{} {}", report.app, report.version));
    let level = 100.0 * (1.0 - evaluation.confidence);
    let metric = evaluation.metric;
    let facts = match mcnemar {
        Some(test) => format!(
            "{} alone is right on {} samples, {} alone on {}; McNemar's exact p = {:.3}",
            names[0], test.only_first, names[1], test.only_second, test.p_exact
        ),
        None => format!(
            "the difference in {metric} is {:.4}, {:.4} to {:.4}",
            difference.value, difference.low, difference.high
        ),
    };
    match better {
        Better::First | Better::Second => {
            let (winner, loser) = if better == Better::First { (0, 1) } else { (1, 0) };
            format!(
                "{} is better than {} in {metric}, at a level of {level:.0} %: {facts}.",
                names[winner], names[loser]
            )
        }
        Better::Unknown => {
            let more = mcnemar.and_then(|test| needed(evaluation, test, reports[0].samples));
            let more = more.map(|samples| {
                format!(" If they differ as they seem to, it takes about {samples} samples to tell.")
            });
            format!(
                "These samples do not tell which is better in {metric}, at a level of {level:.0} %: {facts}. That is no proof that they are equally \
                 good.{}",
                more.unwrap_or_default()
            )
        }
    }
}

/// The samples to plan for, if the shares are what they seem to be.
fn needed(evaluation: &Evaluation, test: &McNemar, samples: u64) -> Option<u64> {
    let share = |count: u64| count as f64 / samples.max(1) as f64;
    let (difference, discordant) =
        (share(test.only_first.abs_diff(test.only_second)), share(test.only_first + test.only_second));
    (difference > 0.0).then(|| {
        Plan::Difference { difference, discordant, confidence: evaluation.confidence, power: 0.8 }.samples()
    })
}
