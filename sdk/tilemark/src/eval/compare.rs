//! Two apps on the same samples: which is better, as far as the samples tell.

use std::sync::Arc;

use serde::Serialize;

use super::item::{self, Item};
use super::metric::Metric;
use super::report::{Measured, Report};
use super::stats::{self, Extremes, McNemar};
use super::{Evaluation, Plan};
use crate::error::Error;

/// What two evaluations of the same samples say of each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The first app's evaluation, on the first of the devices.
    pub first: Report,
    /// The second app's.
    pub second: Report,
    /// Lengths of the bundles: the first's and the second's.
    pub bundle_bytes: [u64; 2],
    /// Each app on each device: what is to be had for what.
    pub points: Vec<Point>,
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

/// One app on one device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The app's name.
    pub app: String,
    /// Its version.
    pub version: String,
    /// Where it ran.
    pub device: String,
    /// How good it is: the metric, and its interval.
    pub value: f64,
    /// The interval's least value.
    pub low: f64,
    /// And its largest.
    pub high: f64,
    /// Half of the samples took no longer, in milliseconds.
    pub median_ms: f64,
    /// Samples a second, of the app's time alone.
    pub samples_per_second: f64,
    /// The bundle's length.
    pub bundle_bytes: u64,
    /// Whether it is on the Pareto front: no other is as good, as fast and as small, and better in one of the three. By the numbers that were found.
    pub on_front: bool,
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
    /// Compares two apps by the reports of one evaluation: of each app one for each device, at least one.
    ///
    /// # Errors
    /// [`Error::NotReproduced`] if they are not of the same samples, [`Error::DevicesDiffer`] if an app gives another result on one of the devices;
    /// [`Error::Metric`] of no report.
    pub fn of(evaluation: &Evaluation, first: &[Report], second: &[Report]) -> Result<Self, Error> {
        let points = points(evaluation.metric, first.iter().chain(second));
        let [first, second] = [same_bits(evaluation, first)?, same_bits(evaluation, second)?];
        if first.data != second.data || first.kept.done.len() != second.kept.done.len() {
            let [claimed, found] = [&first, &second].map(|report| report.data.root.to_string());
            return Err(Error::NotReproduced { what: "data", claimed, found });
        }
        let failed = |item: &Item| matches!(item, Item::Failed(_));
        let kept = [Arc::clone(&first.kept), Arc::clone(&second.kept)];
        let pairs = kept[0].items().zip(kept[1].items());
        let pairs: Vec<(&Item, &Item)> =
            pairs.filter(|(first, second)| !failed(first) && !failed(second)).collect();
        let difference = difference(evaluation, &pairs);
        if !difference.value.is_finite() {
            return Err(evaluation.wrong("no sample that both apps could evaluate has what it is of"));
        }
        let mcnemar = evaluation.metric.is_share().then(|| paired(evaluation.metric, &pairs));
        let better = better(evaluation, &difference, mcnemar.as_ref());
        let classes = classes(&first, &pairs);
        let samples = pairs.len() as u64;
        let found = Found { samples, difference: &difference, mcnemar: mcnemar.as_ref(), better };
        let conclusion = conclusion(evaluation, [&first, &second], &found);
        let bundle_bytes = [first.bundle_bytes, second.bundle_bytes];
        Ok(Self {
            samples,
            difference,
            mcnemar,
            classes,
            better,
            conclusion,
            bundle_bytes,
            points,
            first,
            second,
        })
    }
}

/// The report of the first device, once every other one gives the same bits for every sample.
fn same_bits(evaluation: &Evaluation, reports: &[Report]) -> Result<Report, Error> {
    let reason = || "no device to compare on".to_owned();
    let none = || Error::Metric { metric: evaluation.metric.name().to_owned(), reason: reason() };
    let first = reports.first().ok_or_else(none)?;
    let result = |report: &Report, at: usize| report.kept.done.get(at).map(|done| done.result);
    for other in reports {
        let length = first.kept.done.len().max(other.kept.done.len());
        let differs = (0..length).find(|at| result(first, *at) != result(other, *at));
        if let Some(at) = differs {
            let sample = first.kept.dataset.samples().get(at).map(|sample| sample.name.to_string());
            return Err(Error::DevicesDiffer {
                app: first.app.clone(),
                devices: [first.device.clone(), other.device.clone()],
                sample: sample.unwrap_or_default(),
            });
        }
    }
    Ok(first.clone())
}

fn points<'r>(metric: Metric, reports: impl Iterator<Item = &'r Report>) -> Vec<Point> {
    let point = |report: &Report| {
        let [value, low, high] =
            report.metrics.first().map_or([f64::NAN; 3], |found| [found.value, found.low, found.high]);
        Point {
            app: report.app.clone(),
            version: report.version.clone(),
            device: report.device.clone(),
            value,
            low,
            high,
            median_ms: report.latency_ms.median,
            samples_per_second: report.samples_per_second,
            bundle_bytes: report.bundle_bytes,
            on_front: true,
        }
    };
    let mut points: Vec<Point> = reports.map(point).collect();
    let costs = |point: &Point| {
        let loss = if metric.more_is_better() { -point.value } else { point.value };
        [loss, point.median_ms, point.bundle_bytes as f64]
    };
    let all: Vec<[f64; 3]> = points.iter().map(costs).collect();
    let beats = |one: &[f64; 3], other: &[f64; 3]| {
        one.iter().zip(other).all(|(a, b)| a <= b) && one.iter().zip(other).any(|(a, b)| a < b)
    };
    for (point, own) in points.iter_mut().zip(&all) {
        point.on_front = !all.iter().any(|other| beats(other, own));
    }
    points
}

/// Over resamples of pairs: what varies is which samples there are, not which app sees which.
fn difference(evaluation: &Evaluation, pairs: &[(&Item, &Item)]) -> Measured {
    let metric = evaluation.metric;
    let over = |picks: &[usize]| {
        let first = item::value(metric, picks.iter().map(|at| pairs[*at].0));
        let second = item::value(metric, picks.iter().map(|at| pairs[*at].1));
        second - first
    };
    let interval = evaluation.bootstrap().widened(pairs.len(), &extremes(metric, pairs), over);
    let everything: Vec<usize> = (0..pairs.len()).collect();
    Measured {
        name: metric.name(),
        value: over(&everything),
        low: interval.low,
        high: interval.high,
        confidence: evaluation.confidence,
        method: "widened paired bootstrap",
    }
}

/// On what was not seen one app may be all wrong and the other all right.
fn extremes(metric: Metric, pairs: &[(&Item, &Item)]) -> Extremes {
    let first: Vec<&Item> = pairs.iter().map(|pair| pair.0).collect();
    let second: Vec<&Item> = pairs.iter().map(|pair| pair.1).collect();
    let [first, second] = [first, second].map(|items| item::extremes(metric, &items));
    let most = (first.high.max(second.high)) - first.low.min(second.low);
    // Of a class that one app finds and the other does not, the fewer samples say less.
    let fewer = if first.groups.iter().sum::<u64>() <= second.groups.iter().sum() { first } else { second };
    Extremes { low: -most, high: most, groups: fewer.groups }
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
    let more = match mcnemar {
        Some(test) => test.only_second > test.only_first,
        None => difference.low > 0.0,
    };
    match (apart, more == evaluation.metric.more_is_better()) {
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
            let class = report.kept.dataset.classes().told(*truth);
            ClassDifference { class, samples: 0, first: 0, second: 0 }
        });
        class.samples += 1;
        class.first += u64::from(first.is_hit(Metric::Accuracy) == Some(true));
        class.second += u64::from(second.is_hit(Metric::Accuracy) == Some(true));
    }
    classes.into_values().collect()
}

/// What there is to conclude from.
struct Found<'f> {
    samples: u64,
    difference: &'f Measured,
    mcnemar: Option<&'f McNemar>,
    better: Better,
}

/// A sentence that holds: no difference that is not shown, and no equality either. One test is made, whatever the number of devices is: all of
/// them give the same answers.
fn conclusion(evaluation: &Evaluation, reports: [&Report; 2], found: &Found) -> String {
    let Found { samples, difference, mcnemar, better } = *found;
    let [one, other] = reports;
    let metric = evaluation.metric;
    if one.identity == other.identity && one.parameters == other.parameters {
        return format!("Both are {} {}: one app is as good as itself in {metric}.", one.app, one.version);
    }
    let names = told_apart(reports);
    let level = stats::percent(1.0 - evaluation.confidence);
    let failed = one.samples.saturating_sub(samples);
    let over = match failed {
        0 => format!("over {samples} samples"),
        _ => format!("over the {samples} samples that both could evaluate, of {}", one.samples),
    };
    let facts = match mcnemar {
        Some(test) => format!(
            "{over} {} alone is right on {}, {} alone on {}; McNemar's exact test, {}",
            names[0],
            test.only_first,
            names[1],
            test.only_second,
            test.written()
        ),
        None => format!(
            "{over} {metric} of {} less that of {} is {}, {} to {} with {} % confidence",
            names[1],
            names[0],
            difference.written(difference.value),
            difference.written(difference.low),
            difference.written(difference.high),
            stats::percent(difference.confidence)
        ),
    };
    match better {
        Better::First | Better::Second => {
            let (winner, loser) = if better == Better::First { (0, 1) } else { (1, 0) };
            format!(
                "{} is better than {} in {metric} on data like this, at a level of {level} %: {facts}.",
                names[winner], names[loser]
            )
        }
        Better::Unknown => {
            let more = mcnemar.and_then(|test| needed(evaluation, test, samples));
            let more = more.map(|samples| {
                format!(" If they differ as they seem to, about {samples} samples tell, four times of five.")
            });
            format!(
                "These samples do not tell which is better in {metric}, at a level of {level} %: {facts}. That is no proof that they are equally \
                 good.{}",
                more.unwrap_or_default()
            )
        }
    }
}

/// Names and versions; where these are the same, by their places.
fn told_apart(reports: [&Report; 2]) -> [String; 2] {
    let names = reports.map(|report| format!("{} {}", report.app, report.version));
    if names[0] != names[1] {
        return names;
    }
    let [one, other] = names;
    [format!("the first ({one})"), format!("the second ({other})")]
}

/// The samples to plan for, if the shares are what they seem to be.
fn needed(evaluation: &Evaluation, test: &McNemar, samples: u64) -> Option<u64> {
    let share = |count: u64| count as f64 / samples.max(1) as f64;
    let (difference, discordant) =
        (share(test.only_first.abs_diff(test.only_second)), share(test.only_first + test.only_second));
    (difference > 0.0).then(|| {
        let (confidence, power) = (evaluation.confidence, 0.8);
        let planned = Plan::Difference { difference, discordant, confidence, power }.samples();
        // So many did not tell.
        planned.max(samples + 1)
    })
}

#[cfg(test)]
mod tests;
