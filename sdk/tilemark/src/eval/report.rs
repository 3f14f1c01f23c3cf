//! What an evaluation found.

use std::sync::Arc;

use serde::Serialize;
use tilemark_bundle::Digest;
use tilemark_engine::Device;

use super::claim::Whose;
use super::data::{Classes, Dataset};
use super::drift::Drift;
use super::item::{self, Item};
use super::meters::{Bin, Latency};
use super::metric::Metric;
use super::stats::{self, Bootstrap, Interval};
use super::tally::Done;
use super::{Evaluation, StopWhen};

/// Classes of a confusion that people are shown by name and number; a nameless one is what got no label.
const NOTHING: &str = "(nothing)";

/// The result of an evaluation; as JSON it is what `tilemark eval --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The app's name.
    pub app: String,
    /// Its version.
    pub version: String,
    /// The bundle's identity.
    pub identity: Digest,
    /// Its length.
    pub bundle_bytes: u64,
    /// What the app's parameters were set to, `name=value`.
    pub parameters: Vec<String>,
    /// The SDK that it ran with.
    pub sdk: String,
    /// Where it ran.
    pub device: String,
    /// What that is.
    pub device_facts: DeviceFacts,
    /// Who chose the data.
    pub whose: Whose,
    /// The root of the commitment that the data was checked against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub committed: Option<Digest>,
    /// Samples that were looked at.
    pub samples: u64,
    /// Those of them that could not be evaluated.
    pub failed: u64,
    /// What was asked for first.
    pub metrics: Vec<Measured>,
    /// The integers behind it.
    pub counts: Counts,
    /// What was taken for what, where classes were named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Confused>,
    /// The data.
    pub data: Data,
    /// A digest of every sample's part of the metric, in order.
    pub answers: Digest,
    /// These parts, which nobody else sees.
    #[serde(skip)]
    pub(super) kept: Arc<Kept>,
    /// Whether it was enough before all samples were looked at.
    pub stopped: bool,
    /// How long the app took for a sample, in milliseconds.
    pub latency_ms: Latency,
    /// How many took how long: from the fastest to the 99th percentile.
    pub latency_bins: Vec<Bin>,
    /// Samples a second, of the app's time alone.
    pub samples_per_second: f64,
    /// The most memory that the process had, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// What the CPU's packages used meanwhile, in joules; the whole machine, not the app alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joules: Option<f64>,
    /// How far the samples are from what the vendor counted, where a vendor did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// Some of those that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Named>,
    /// The worst answers, worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worst: Vec<Named>,
}

/// What is kept of each sample, to compare apps and devices by.
#[derive(Default, PartialEq)]
pub(super) struct Kept {
    pub(super) done: Vec<Done>,
    pub(super) dataset: Arc<Dataset>,
}

/// Nobody wants to read ten thousand of them.
impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({} samples)", self.done.len())
    }
}

impl Kept {
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.done.iter().map(|done| &done.item)
    }
}

/// The device in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceFacts {
    /// The hardware's own name.
    pub name: String,
    /// Who provides it.
    pub platform: String,
    /// What drives it, with version; on the host the level of its instructions.
    pub driver: String,
    /// Threads of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
}

impl DeviceFacts {
    pub(super) fn of(device: &Device) -> Self {
        let threads = device.facts().is_none().then(|| device.threads());
        Self { name: device.name(), platform: device.platform(), driver: device.driver(), threads }
    }
}

impl Report {
    /// The same without a word of any sample: for who passes it on.
    #[must_use]
    pub fn without_names(self) -> Self {
        Self { failures: Vec::new(), worst: Vec::new(), ..self }
    }

    /// Samples that could be evaluated.
    #[must_use]
    pub fn good(&self) -> u64 {
        self.samples - self.failed.min(self.samples)
    }
}

/// A number with its interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The metric.
    pub name: &'static str,
    /// Over the samples that did not fail.
    pub value: f64,
    /// The interval's least value.
    pub low: f64,
    /// And its largest.
    pub high: f64,
    /// How often such intervals contain the truth.
    pub confidence: f64,
    /// How it was made: `wilson`, `clopper-pearson`, `widened bootstrap`, `anytime`.
    pub method: &'static str,
}

impl Measured {
    /// A value of this metric as people write it: shares in percent.
    #[must_use]
    pub fn written(&self, value: f64) -> String {
        match self.name {
            "psnr" => format!("{value:.2} dB"),
            "mae" => format!("{value:.3}"),
            _ => written(value),
        }
    }
}

/// A share in percent with two digits; with more where these would make all of nearly all, or nothing of a little.
pub(super) fn written(share: f64) -> String {
    let digits = |digits: usize| format!("{:.digits$} %", 100.0 * share);
    let rounded = |text: &String| {
        let number = text.trim_end_matches(" %").parse::<f64>().unwrap_or_default();
        (number == 0.0 && share != 0.0) || (number.abs() == 100.0 && share.abs() != 1.0)
    };
    (2..=6).map(digits).find(|text| !rounded(text)).unwrap_or_else(|| digits(6))
}

/// Integers that a metric follows from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Counts {
    /// Of shares.
    Hits {
        /// Samples that are right.
        hits: u64,
        /// Of how many.
        of: u64,
    },
    /// Of classes.
    Classes {
        /// Samples that are right.
        hits: u64,
        /// Of how many.
        of: u64,
        /// Class, how often it is right, and how often it is there or was found, taken together.
        classes: Vec<(String, u64, u64)>,
    },
    /// Of text.
    Edits(super::metric::text::Edits),
    /// Of masks.
    Overlaps {
        /// Class, pixels shared, pixels in either.
        classes: Vec<(u8, u64, u64)>,
    },
    /// Of pictures.
    Differences {
        /// Sums over all of them.
        #[serde(flatten)]
        sums: super::metric::pixels::Differences,
        /// Evaluated.
        pictures: u64,
        /// The metric in millionths: a mean over pictures does not follow from the sums.
        millionths: u64,
    },
    /// Of boxes.
    Images {
        /// Evaluated.
        images: u64,
        /// The metric in billionths: it follows from the order of all finds.
        billionths: u64,
    },
}

/// How often one class was taken for another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Confused {
    /// What it is.
    pub truth: String,
    /// What it was taken for.
    pub found: String,
    /// How often.
    pub count: u64,
}

/// The samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Data {
    /// The root of the tree over those that were looked at.
    pub root: Digest,
    /// How many there are.
    pub samples: u64,
}

/// A sample, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named {
    /// Its file.
    pub name: String,
    /// In words.
    pub what: String,
}

/// The numbers that were asked for, of the samples that did not fail.
pub(super) fn measure(evaluation: &Evaluation, items: &[&Item]) -> Vec<Measured> {
    let metric = evaluation.metric;
    let value = item::value(metric, items.iter().copied());
    let measured = |name, value, interval: Interval, method| Measured {
        name,
        value,
        low: interval.low,
        high: interval.high,
        confidence: interval.confidence,
        method,
    };
    if metric.is_share() {
        let (hits, of) = hits(metric, items);
        if let Some(rule) = &evaluation.stop_when {
            return vec![measured(metric.name(), value, rule.interval(hits, of), "anytime")];
        }
        let confidence = evaluation.confidence;
        return vec![
            measured(metric.name(), value, stats::wilson(hits, of, confidence), "wilson"),
            measured(metric.name(), value, stats::clopper_pearson(hits, of, confidence), "clopper-pearson"),
        ];
    }
    let draws = evaluation.bootstrap();
    let extremes = item::extremes(metric, items);
    let over = |of: &(dyn Fn(&mut dyn Iterator<Item = &Item>) -> f64 + Sync)| {
        draws.widened(items.len(), &extremes, |picks| of(&mut picks.iter().map(|at| items[*at])))
    };
    let whole =
        draws.widened(items.len(), &extremes, |picks| item::value(metric, picks.iter().map(|at| items[*at])));
    let mut all = vec![measured(metric.name(), value, whole, Bootstrap::METHOD)];
    if metric == Metric::Map {
        let at_half = item::map(items.iter().copied()).1;
        all.push(measured("map-50", at_half, over(&|items| item::map(items).1), Bootstrap::METHOD));
    }
    all
}

/// How many are right, and of how many.
pub(super) fn hits(metric: Metric, items: &[&Item]) -> (u64, u64) {
    let judged = items.iter().filter_map(|item| item.is_hit(metric));
    judged.fold((0, 0), |(hits, of), hit| (hits + u64::from(hit), of + 1))
}

pub(super) fn counts(metric: Metric, items: &[&Item], measured: &[Measured], classes: &Classes) -> Counts {
    let parts = |times: f64| measured.first().map_or(0, |found| libm::round(times * found.value) as u64);
    let count = items.len() as u64;
    match metric {
        Metric::Accuracy | Metric::Top5 => {
            let (hits, of) = hits(metric, items);
            Counts::Hits { hits, of }
        }
        Metric::F1 => {
            let confusion = item::confusion(items.iter().copied());
            let class = |(class, hits, all)| (named(class, classes), hits, all);
            let (hits, of) = (confusion.hits(), confusion.samples());
            Counts::Classes { hits, of, classes: confusion.classes().map(class).collect() }
        }
        Metric::Cer | Metric::Wer => Counts::Edits(item::edits(items.iter().copied())),
        Metric::Iou => {
            let mut sums = super::metric::pixels::Overlaps::default();
            for item in items {
                if let Item::Overlaps(overlaps) = item {
                    sums.add(overlaps);
                }
            }
            Counts::Overlaps { classes: sums.classes().collect() }
        }
        Metric::Psnr | Metric::Mae => {
            let mut sums = super::metric::pixels::Differences::default();
            for item in items {
                if let Item::Differences(apart) = item {
                    sums.squares += apart.squares;
                    sums.absolute += apart.absolute;
                    sums.samples += apart.samples;
                }
            }
            Counts::Differences { sums, pictures: count, millionths: parts(1e6) }
        }
        Metric::Map => Counts::Images { images: count, billionths: parts(1e9) },
    }
}

/// What a class is called, of which one is what got no label.
fn named(class: u32, classes: &Classes) -> String {
    if class == u32::MAX { NOTHING.to_owned() } else { classes.told(class) }
}

pub(super) fn confusion(items: &[&Item], classes: &Classes) -> Vec<Confused> {
    let confusion = item::confusion(items.iter().copied());
    confusion
        .pairs()
        .map(|(truth, found, count)| Confused {
            truth: named(truth, classes),
            found: named(found, classes),
            count,
        })
        .collect()
}

/// The worst answers that are wrong at all; of equally bad ones the first.
pub(super) fn worst<'i>(
    items: impl Iterator<Item = (usize, &'i Item)>,
    most: usize,
    name: impl Fn(usize) -> String,
    classes: &Classes,
) -> Vec<Named> {
    let mut bad: Vec<(f64, usize, &Item)> = items
        .filter(|(_, item)| !matches!(item, Item::Failed(_)))
        .map(|(at, item)| (item.badness(), at, item))
        .filter(|(badness, ..)| *badness > 0.0)
        .collect();
    bad.sort_by(|a, b| b.0.total_cmp(&a.0));
    bad.truncate(most);
    bad.into_iter().map(|(_, at, item)| Named { name: name(at), what: describe(item, classes) }).collect()
}

fn describe(item: &Item, classes: &Classes) -> String {
    match item {
        Item::Class { truth, .. } => {
            let found = named(item.best().unwrap_or(u32::MAX), classes);
            format!("{} taken for {found}", classes.told(*truth))
        }
        Item::Things(_) => format!("average precision {:.3}", 1.0 - item.badness()),
        Item::Edits(edits) => format!(
            "{} errors in {} characters, {} in {} words",
            edits.characters, edits.of_characters, edits.words, edits.of_words
        ),
        Item::Overlaps(overlaps) => format!("intersection over union {:.3}", overlaps.mean()),
        Item::Differences(apart) => {
            format!("{:.2} dB, {:.2} apart", apart.psnr(), apart.mean_absolute())
        }
        Item::Failed(reason) => reason.clone(),
    }
}

/// Whether a rule says that it is enough.
pub(super) fn is_enough(rule: Option<&StopWhen>, hits: u64, of: u64) -> bool {
    rule.is_some_and(|rule| of > 0 && rule.is_met(&rule.interval(hits, of)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_all_is_not_all_and_a_little_is_not_nothing() {
        let cases = [
            (1.0, "100.00 %"),
            (0.99999, "99.999 %"),
            (0.999_999_9, "99.99999 %"),
            (0.905, "90.50 %"),
            (0.000_01, "0.001 %"),
            (-0.000_01, "-0.001 %"),
            (0.0, "0.00 %"),
        ];
        for (share, text) in cases {
            assert_eq!(written(share), text);
        }
    }
}
