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
    for other in reports {
        let length = first.results.len().max(other.results.len());
        let differs = (0..length).find(|at| first.results.get(*at) != other.results.get(*at));
        if let Some(at) = differs {
            let sample = first.dataset.samples().get(at).map(|sample| sample.name.clone());
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
            let class = report.dataset.classes().name(*truth);
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

#[cfg(test)]
mod tests {
    use std::slice::from_ref;
    use std::sync::Arc;

    use tilemark_bundle::sha256;

    use super::super::data::{Dataset, Kind};
    use super::super::html::tests::report;
    use super::*;
    use crate::eval::Classes;

    fn evaluation() -> Evaluation {
        Evaluation::new(Metric::Accuracy)
    }

    /// A report of three samples with these results.
    fn of(device: &str, results: [&str; 3]) -> Report {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png", "c.png"] {
            std::fs::create_dir_all(folder.path().join("cat")).unwrap();
            std::fs::write(folder.path().join("cat").join(name), b"x").unwrap();
        }
        let classes = Classes::new(vec!["cat".into()]);
        let dataset = Arc::new(Dataset::open(folder.path(), Kind::Class, &classes).unwrap());
        let item = Item::Class { truth: 0, found: vec![0] };
        let results = results.map(|result| sha256(result.as_bytes())).to_vec();
        Report { device: device.into(), items: vec![item; 3], results, dataset, ..report() }
    }

    #[test]
    fn a_device_that_gives_other_bits_is_an_error_that_names_the_first_sample() {
        let (host, same) = (of("host", ["1", "2", "3"]), of("opencl:0:0", ["1", "2", "3"]));
        let compared = Comparison::of(&evaluation(), &[host.clone(), same], from_ref(&host)).unwrap();
        assert_eq!((compared.points.len(), compared.samples), (3, 3));
        let other = of("opencl:0:0", ["1", "other", "another"]);
        let error = Comparison::of(&evaluation(), from_ref(&host), &[host.clone(), other]).unwrap_err();
        assert_eq!(error.code(), "TM0565");
        assert!(
            error.to_string().ends_with("on host and opencl:0:0: they differ first at cat/b.png"),
            "{error}"
        );
    }

    #[test]
    fn what_is_beaten_in_all_is_not_on_the_front() {
        let with = |value: f64, ms: f64, bundle_bytes: u64| {
            let mut report = Report { bundle_bytes, ..report() };
            report.metrics[0].value = value;
            report.latency_ms.median = ms;
            report
        };
        let reports =
            [with(0.9, 2.0, 5), with(0.8, 1.0, 5), with(0.8, 2.0, 5), with(0.7, 9.0, 4), with(0.9, 2.0, 5)];
        let front =
            |metric| points(metric, reports.iter()).iter().map(|point| point.on_front).collect::<Vec<_>>();
        assert_eq!(front(Metric::Accuracy), [true, true, false, true, true]);
        // Of errors fewer are better.
        assert_eq!(front(Metric::Wer), [false, true, false, true, false]);
    }
}
