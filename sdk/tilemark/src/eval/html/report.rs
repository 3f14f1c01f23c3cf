//! The page of one evaluation.

use std::collections::BTreeMap;

use crate::eval::claim::{self, Whose};
use crate::eval::drift::ChannelDrift;
use crate::eval::report::{Measured, Named, Report, written};
use crate::eval::stats;
use crate::html::page::{Page, Table};
use crate::html::plots::{self, Axis, Mark};

/// Classes in a heat map, and in a plot of shares: those with the most mistakes.
const MAX_HEAT: usize = 16;
const MAX_SHARES: usize = 40;

impl Report {
    /// The report as one HTML file.
    #[must_use]
    pub fn to_html(&self) -> String {
        let found = self.metrics.first();
        let value = found.map(|found| format!(": {} {}", found.name, found.written(found.value)));
        let mut page = Page::new(&format!("{} {}{}", self.app, self.version, value.unwrap_or_default()));
        page.mark(&provenance(self));
        page.paragraph("lead", &sentence(self));
        drift(&mut page, self);
        quality(&mut page, self);
        classes(&mut page, self);
        cost(&mut page, self);
        named(&mut page, "Samples that failed", "could not be evaluated", &self.failures);
        named(&mut page, "Worst answers", "worst first", &self.worst);
        page.heading("What was measured");
        page.facts(&facts(self));
        page.finish()
    }
}

/// Who chose the data, in words.
pub(super) fn whose(whose: Whose) -> &'static str {
    match whose {
        Whose::Buyer => "the buyer's data",
        Whose::Seller => "the seller's data: chosen by who sells the app",
        Whose::Unsaid => "nobody said whose data this is",
    }
}

/// Whose data it is, and whether anybody could choose it afterwards.
fn provenance(report: &Report) -> String {
    let committed = if report.committed.is_some() { "; it was committed to before" } else { "" };
    format!("{}{committed}", whose(report.whose))
}

fn sentence(report: &Report) -> String {
    let of = report.samples - report.failed.min(report.samples);
    let mut text = match report.metrics.first() {
        Some(found) => format!(
            "Over {of} samples {} is {}; with {} % confidence it is between {} and {} on data like this.",
            found.name,
            found.written(found.value),
            stats::percent(found.confidence),
            found.written(found.low),
            found.written(found.high)
        ),
        None => format!("{of} samples were evaluated."),
    };
    if report.failed > 0 {
        text.push_str(&format!(" {} samples could not be evaluated.", report.failed));
    }
    if report.stopped {
        text.push_str(" It stopped when enough was known.");
    }
    text
}

fn quality(page: &mut Page, report: &Report) {
    let Some(first) = report.metrics.first() else { return };
    page.heading("How good");
    // Two intervals of one number are told apart by how they were made.
    let one = report.metrics.iter().all(|found| found.name == first.name);
    let label = |found: &Measured| if one { found.method } else { found.name }.to_owned();
    let marks: Vec<Mark> =
        report.metrics.iter().map(|found| Mark { label: label(found), ..mark(found) }).collect();
    let row = |found: &Measured| {
        let [value, low, high] = [found.value, found.low, found.high].map(|value| found.written(value));
        let confidence = format!("{} %", stats::percent(found.confidence));
        vec![found.name.to_owned(), value, low, high, confidence, found.method.to_owned()]
    };
    let picture =
        plots::marks("metrics", &format!("{} with its interval", first.name), axis(first.name), &marks);
    page.figure(
        picture,
        Table {
            caption: format!("{} with its interval", first.name),
            head: vec!["metric", "value", "low", "high", "confidence", "interval"],
            numbers: &[1, 2, 3, 4],
            rows: report.metrics.iter().map(row).collect(),
        },
    );
}

/// Whether the numbers that follow are of such data as the vendor had.
fn drift(page: &mut Page, report: &Report) {
    let Some(drift) = &report.drift else { return };
    page.heading("Does this data look like the vendor's?");
    page.paragraph(if drift.far { "warning" } else { "" }, &format!("{}.", capital(&drift.sentence())));
    let row = |(at, channel): (usize, &ChannelDrift)| {
        let chance = if drift.enough { format!("{:.3}", channel.chance) } else { "unknown".to_owned() };
        vec![at.to_string(), format!("{:.3}", channel.index), chance]
    };
    page.table(&Table {
        caption: format!(
            "Population stability index of each channel, over {} samples and {} inputs of the vendor's; above {} is far",
            drift.samples, drift.vendor_inputs, drift.threshold
        ),
        head: vec!["channel", "index", "by chance at most (99 %)"],
        numbers: &[0, 1, 2],
        rows: drift.channels.iter().enumerate().map(row).collect(),
    });
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

pub(super) fn mark(found: &Measured) -> Mark {
    Mark { label: found.name.to_owned(), value: found.value, low: found.low, high: found.high }
}

/// What a metric is drawn along.
pub(super) fn axis(metric: &str) -> Axis {
    let bounds = [0.0, f64::INFINITY];
    match metric {
        "psnr" => Axis { bounds, ..Axis::of("dB") },
        "mae" => Axis { bounds, ..Axis::of("steps of 1/255") },
        "cer" | "wer" => Axis { bounds, ..Axis::SHARE },
        _ => Axis::SHARE,
    }
}

/// Per class how many are right, and what was taken for what.
fn classes(page: &mut Page, report: &Report) {
    if report.confusion.is_empty() {
        return;
    }
    let counts = by_class(report);
    page.heading("Classes");
    let mut shares: Vec<(f64, &String, u64, u64)> = counts
        .iter()
        .filter(|(_, count)| count.samples > 0)
        .map(|(name, count)| (count.hits as f64 / count.samples as f64, name, count.hits, count.samples))
        .collect();
    shares.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
    let all = shares.len();
    shares.truncate(MAX_SHARES);
    let confidence = report.metrics.first().map_or(0.95, |found| found.confidence);
    let share = |of: &(f64, &String, u64, u64)| {
        let interval = stats::wilson(of.2, of.3, confidence);
        Mark { label: of.1.clone(), value: of.0, low: interval.low, high: interval.high }
    };
    let marks: Vec<Mark> = shares.iter().map(share).collect();
    let rows = shares.iter().zip(&marks).map(|((_, name, hits, of), mark)| {
        let [value, low, high] = [mark.value, mark.low, mark.high].map(written);
        vec![(*name).clone(), hits.to_string(), of.to_string(), value, low, high]
    });
    let left_out =
        if all > marks.len() { format!("; the {} worst of {all}", marks.len()) } else { String::new() };
    let table = Table {
        caption: format!(
            "How many of each class are named rightly (Wilson's interval for each alone, {} %), worst first{left_out}",
            stats::percent(confidence)
        ),
        head: vec!["class", "right", "samples", "share", "low", "high"],
        numbers: &[1, 2, 3, 4, 5],
        rows: rows.collect(),
    };
    let axis = Axis { from_zero: true, ..Axis::SHARE };
    page.figure(plots::marks("classes", "How many of each class are named rightly", axis, &marks), table);
    heat(page, report, &counts);
}

#[derive(Default)]
struct ClassCount {
    samples: u64,
    hits: u64,
    /// Of this class and taken for another, or the other way round.
    mistakes: u64,
}

/// By name, as the confusion has it.
fn by_class(report: &Report) -> BTreeMap<String, ClassCount> {
    let mut classes: BTreeMap<String, ClassCount> = BTreeMap::new();
    for pair in &report.confusion {
        let is = classes.entry(pair.truth.clone()).or_default();
        is.samples += pair.count;
        if pair.truth == pair.found {
            is.hits += pair.count;
            continue;
        }
        is.mistakes += pair.count;
        classes.entry(pair.found.clone()).or_default().mistakes += pair.count;
    }
    classes
}

fn heat(page: &mut Page, report: &Report, counts: &BTreeMap<String, ClassCount>) {
    let mut shown: Vec<(&String, &ClassCount)> = counts.iter().collect();
    shown.sort_by_key(|(_, count)| std::cmp::Reverse(count.mistakes));
    shown.truncate(MAX_HEAT);
    // In the order in which the confusion has them: the app's.
    let place =
        |name: &String| report.confusion.iter().position(|pair| pair.truth == *name).unwrap_or(usize::MAX);
    shown.sort_by_key(|(name, _)| place(name));
    let names: Vec<String> = shown.iter().map(|(name, _)| (*name).clone()).collect();
    let mut cells = vec![vec![0; names.len()]; names.len()];
    let mut rows = Vec::new();
    for pair in &report.confusion {
        let at = |name: &String| names.iter().position(|shown| shown == name);
        let (Some(row), Some(column)) = (at(&pair.truth), at(&pair.found)) else { continue };
        cells[row][column] += pair.count;
        rows.push(vec![pair.truth.clone(), pair.found.clone(), pair.count.to_string()]);
    }
    let left_out = if counts.len() > names.len() {
        format!("; the {} classes of {} with the most mistakes", names.len(), counts.len())
    } else {
        String::new()
    };
    let table = Table {
        caption: format!("What was taken for what{left_out}"),
        head: vec!["it is", "taken for", "samples"],
        numbers: &[2],
        rows,
    };
    page.figure(plots::heat("confusion", &names, &cells), table);
}

fn cost(page: &mut Page, report: &Report) {
    page.heading("What it costs");
    let latency = &report.latency_ms;
    let mut facts = vec![
        fact("half of the samples", format!("at most {:.3} ms", latency.median)),
        fact("90 %", format!("at most {:.3} ms", latency.p90)),
        fact("99 %", format!("at most {:.3} ms", latency.p99)),
        fact("all", format!("at most {:.3} ms", latency.max)),
        fact("throughput", format!("{:.1} samples/s, of the app's time alone", report.samples_per_second)),
    ];
    facts.extend(
        report.joules.map(|joules| {
            fact("energy", format!("{joules:.1} J by the CPU's packages, whatever ran on them"))
        }),
    );
    facts.extend(
        report.peak_memory_bytes.map(|bytes| fact("memory", format!("{} at most", megabytes(bytes)))),
    );
    facts.push(fact("bundle", megabytes(report.bundle_bytes)));
    page.facts(&facts);
    let bins: Vec<(f64, f64, u64)> =
        report.latency_bins.iter().map(|bin| (bin.from, bin.to, bin.count)).collect();
    if bins.is_empty() {
        return;
    }
    let rows = bins
        .iter()
        .map(|(from, to, count)| vec![format!("{from:.4}"), format!("{to:.4}"), count.to_string()]);
    let slower = report.good() - bins.iter().map(|bin| bin.2).sum::<u64>().min(report.good());
    let table = Table {
        caption: format!("How many samples took how long, in ms; {slower} took longer than is shown"),
        head: vec!["from", "to", "samples"],
        numbers: &[0, 1, 2],
        rows: rows.collect(),
    };
    page.figure(plots::histogram("latency", &bins, latency.median), table);
}

pub(super) fn megabytes(bytes: u64) -> String {
    match bytes as f64 {
        small if small < 1e5 => format!("{:.1} kB", small / 1e3),
        large => format!("{:.1} MB", large / 1e6),
    }
}

pub(super) fn fact(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// Nothing where nothing is to be named: who evaluates decides whether samples are.
fn named(page: &mut Page, heading: &str, what: &str, samples: &[Named]) {
    if samples.is_empty() {
        return;
    }
    page.heading(heading);
    page.table(&Table {
        caption: what.to_owned(),
        head: vec!["sample", "what"],
        numbers: &[],
        rows: samples.iter().map(|sample| vec![sample.name.clone(), sample.what.clone()]).collect(),
    });
}

/// All that it takes to check it.
pub(super) fn facts(report: &Report) -> Vec<(String, String)> {
    let device = &report.device_facts;
    let mut facts = vec![
        fact("app", format!("{} {}", report.app, report.version)),
        fact("bundle (SHA-256)", report.identity.to_string()),
        fact(
            "parameters",
            if report.parameters.is_empty() { "none".to_owned() } else { report.parameters.join(", ") },
        ),
        fact("whose data", whose(report.whose)),
        fact("data (root of the tree)", report.data.root.to_string()),
        fact("samples", format!("{} of {}", report.samples, report.data.samples)),
        fact("failed", report.failed.to_string()),
    ];
    facts
        .extend(claim::counts(&report.counts).into_iter().map(|count| (count.name, count.value.to_string())));
    facts.extend(report.committed.map(|root| fact("committed to before (root)", root.to_string())));
    facts.push(fact("answers (digest)", report.answers.to_string()));
    facts.push(fact("device", format!("{}: {}, {}", report.device, device.name, device.platform)));
    facts.push(fact("driver", device.driver.clone()));
    facts.extend(device.threads.map(|threads| fact("threads", threads.to_string())));
    facts.push(fact("SDK", report.sdk.clone()));
    facts
}
