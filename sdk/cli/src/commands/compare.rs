use serde::Serialize;
use tilemark::eval::{Comparison, Evaluation, Report};

use crate::args::OnDevice;
use crate::args::eval::Compare;
use crate::failure::{Failure, Result};
use crate::text;

/// The JSON of a comparison.
#[derive(Serialize)]
struct Compared {
    #[serde(flatten)]
    comparison: Comparison,
    /// Sizes of the bundles, in bytes: the first's and the second's.
    bundle_bytes: [u64; 2],
}

/// Evaluates two apps on the same samples and says which is better, as far as these tell.
pub(crate) fn run(args: &Compare) -> Result<()> {
    let evaluation = Evaluation {
        confidence: args.confidence / 100.0,
        max_failed: args.max_failed / 100.0,
        ..Evaluation::new(args.metric)
    };
    let evaluate = |bundle: &std::path::Path| -> Result<(Report, u64)> {
        let on = OnDevice {
            bundle: bundle.to_owned(),
            trust: args.trust.clone(),
            device: args.device.clone(),
            threads: args.threads,
            set: Vec::new(),
        };
        let size =
            std::fs::metadata(bundle).map_err(|source| Failure::File { path: bundle.to_owned(), source })?;
        let (app, device) = super::open(&on)?;
        let bar = text::progress(0, "evaluating");
        let report = evaluation.run(&app, &device, &args.data, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        Ok((report?, size.len()))
    };
    let ((first, first_bytes), (second, second_bytes)) = (evaluate(&args.first)?, evaluate(&args.second)?);
    let comparison = Comparison::of(&evaluation, first, second)?;
    let compared = Compared { comparison, bundle_bytes: [first_bytes, second_bytes] };
    if args.json { text::json(&compared) } else { print(&compared) }
}

fn print(compared: &Compared) -> Result<()> {
    let Comparison { first, second, samples, difference, classes, conclusion, .. } = &compared.comparison;
    let head = ["app", difference.name, "median", "size"].map(str::to_owned);
    let row = |report: &Report, bytes: u64| {
        let value = report.metrics.first().map_or(f64::NAN, |measured| measured.value);
        let name = format!("{} {}", report.app, report.version);
        [name, format!("{value:.4}"), format!("{:.2} ms", report.latency_ms.median), text::bytes(bytes)]
    };
    let [first_bytes, second_bytes] = compared.bundle_bytes;
    text::table(&[head, row(first, first_bytes), row(second, second_bytes)], &[1, 2, 3])?;
    text::line(format_args!(
        "\ndifference {:+.4}, {:+.4} to {:+.4} with {} % confidence, {samples} samples",
        difference.value,
        difference.low,
        difference.high,
        100.0 * difference.confidence
    ))?;
    let mut apart: Vec<_> = classes.iter().filter(|class| class.first != class.second).collect();
    if !apart.is_empty() {
        apart.sort_by_key(|class| std::cmp::Reverse(class.first.abs_diff(class.second)));
        let mut rows = vec![["class", "samples", "first", "second"].map(str::to_owned)];
        rows.extend(apart.iter().take(10).map(|class| {
            [
                class.class.clone(),
                class.samples.to_string(),
                class.first.to_string(),
                class.second.to_string(),
            ]
        }));
        text::line("")?;
        text::table(&rows, &[1, 2, 3])?;
    }
    text::line(format_args!("\n{conclusion}"))
}
