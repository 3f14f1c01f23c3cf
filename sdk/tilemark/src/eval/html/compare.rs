//! The page of two apps on the same samples.

use super::report::{axis, fact, facts, mark, megabytes, whose};
use crate::eval::compare::{ClassDifference, Comparison};
use crate::eval::metric::Metric;
use crate::eval::stats;
use crate::html::page::{Page, Table};
use crate::html::plots::{self, Axis, Choice, Mark, Worse};

/// Classes that are shown: those with the largest difference.
const MAX_CLASSES: usize = 40;

impl Comparison {
    /// The comparison as one HTML file.
    #[must_use]
    pub fn to_html(&self) -> String {
        let names = [&self.first, &self.second].map(|report| format!("{} {}", report.app, report.version));
        let mut page = Page::new(&format!("{} or {}: {}", names[0], names[1], self.difference.name));
        page.mark(whose(self.first.whose));
        page.paragraph("lead", &self.conclusion);
        choices(&mut page, self);
        difference(&mut page, self);
        classes(&mut page, self, &names);
        for (report, which) in [(&self.first, "first"), (&self.second, "second")] {
            page.heading(&format!("What was measured: the {which}, {} {}", report.app, report.version));
            page.facts(&facts(report));
        }
        page.finish()
    }
}

fn choices(page: &mut Page, comparison: &Comparison) {
    page.heading("Speed, quality and size");
    let letters =
        (0u8..26).map(|at| char::from(b'A' + at).to_string()).chain(std::iter::repeat("·".to_owned()));
    let metric = comparison.difference.name;
    let chosen: Vec<Choice> = comparison
        .points
        .iter()
        .zip(letters)
        .map(|(point, letter)| {
            let [value, low, high] = [point.value, point.low, point.high];
            let quality = Mark { label: format!("{} on {}", point.app, point.device), value, low, high };
            let (median_ms, bytes, on_front) = (point.median_ms, point.bundle_bytes, point.on_front);
            Choice { letter, quality, median_ms, bytes, on_front }
        })
        .collect();
    let rows = chosen.iter().zip(&comparison.points).map(|(choice, point)| {
        vec![
            choice.letter.clone(),
            format!("{} {}", point.app, point.version),
            point.device.clone(),
            comparison.difference.written(point.value),
            format!("{:.3} ms", point.median_ms),
            format!("{:.1}", point.samples_per_second),
            megabytes(point.bundle_bytes),
            if point.on_front { "yes" } else { "no" }.to_owned(),
        ]
    });
    page.sentence(
        "A filled disc is on the front: none other is as good, as fast and as small by these numbers. Whether the difference in quality is real is \
         what the sentence above says.",
    );
    let table = Table {
        caption: format!("{metric}, median time of a sample and size of the bundle"),
        head: vec!["", "app", "device", metric, "median", "samples/s", "bundle", "on the front"],
        numbers: &[3, 4, 5, 6],
        rows: rows.collect(),
    };
    page.figure(plots::choices("choices", axis(metric), &chosen), table);
}

fn difference(page: &mut Page, comparison: &Comparison) {
    page.heading("Difference");
    let found = &comparison.difference;
    let is_error = found.name.parse::<Metric>().is_ok_and(|metric| !metric.more_is_better());
    let worse = if is_error { Worse::More } else { Worse::Less };
    let bounds = [f64::NEG_INFINITY, f64::INFINITY];
    let axis = Axis { bounds, from_zero: true, worse, ..axis(found.name) };
    let names = |value: f64| {
        let written = found.written(value);
        if value > 0.0 { format!("+{written}") } else { written }
    };
    let table = Table {
        caption: format!(
            "{} of the second less that of the first, over the {} samples that both could evaluate, with {} % confidence ({})",
            found.name,
            comparison.samples,
            stats::percent(found.confidence),
            found.method
        ),
        head: vec!["difference", "low", "high"],
        numbers: &[0, 1, 2],
        rows: vec![vec![names(found.value), names(found.low), names(found.high)]],
    };
    let label = Mark { label: "second − first".to_owned(), ..mark(found) };
    page.figure(plots::marks("difference", "The second less the first", axis, &[label]), table);
    if let Some(test) = &comparison.mcnemar {
        page.facts(&[
            fact("right by the first alone", test.only_first.to_string()),
            fact("right by the second alone", test.only_second.to_string()),
            fact("McNemar's exact test", test.written()),
        ]);
    }
}

fn classes(page: &mut Page, comparison: &Comparison, names: &[String; 2]) {
    let mut apart: Vec<&ClassDifference> = comparison.classes.iter().collect();
    if apart.is_empty() {
        return;
    }
    let share =
        |class: &ClassDifference| (class.second as f64 - class.first as f64) / class.samples.max(1) as f64;
    apart.sort_by(|a, b| share(b).abs().total_cmp(&share(a).abs()));
    apart.truncate(MAX_CLASSES);
    let left_out = match comparison.classes.len() {
        all if all > apart.len() => format!("; the {} of {all} that differ most", apart.len()),
        _ => String::new(),
    };
    page.heading("Classes");
    let none = f64::NAN;
    let marks: Vec<Mark> = apart
        .iter()
        .map(|class| Mark { label: class.class.clone(), value: share(class), low: none, high: none })
        .collect();
    let rows = apart.iter().map(|class| {
        let counts = [class.samples, class.first, class.second].map(|count| count.to_string());
        let [samples, first, second] = counts;
        vec![class.class.clone(), samples, first, second, format!("{:+.2} %", 100.0 * share(class))]
    });
    let table = Table {
        caption: format!(
            "Of each class, what {} gets right more or less often than {}{left_out}. A single class has few samples: take it as a hint",
            names[1], names[0]
        ),
        head: vec!["class", "samples", "first right", "second right", "difference"],
        numbers: &[1, 2, 3, 4],
        rows: rows.collect(),
    };
    let axis = Axis { bounds: [-1.0, 1.0], from_zero: true, worse: Worse::Less, ..Axis::SHARE };
    page.figure(plots::marks("classes", "Difference in each class", axis, &marks), table);
}
