mod commit;

use serde::Serialize;
use tilemark::eval::{Claim, Evaluation, Measured, Plan, Report, Whose};
use tilemark::{PublicKey, SigningKey};

use crate::args::eval::{Eval, EvalCommand};
use crate::failure::{Failure, Result};
use crate::{files, text};

/// Rows of a confusion matrix that people are shown: the most frequent mistakes.
const MISTAKES: usize = 10;
/// The worst answers that people are shown where nobody said how many.
const WORST: usize = 10;

/// The JSON of a plan.
#[derive(Serialize)]
struct Planned {
    samples: u64,
}

/// Runs an app over labelled samples, or says how many it takes, or commits to them.
pub(crate) fn run(args: &Eval) -> Result<()> {
    if let Some(EvalCommand::Commit(args)) = &args.command {
        return commit::run(args);
    }
    let (Some(bundle), Some(data)) = (&args.bundle, &args.data) else {
        return args.plan.map_or(Ok(()), |plan| print_plan(args.output.json, &plan));
    };
    let (app, device) = super::open(bundle, &args.at)?;
    let claimed = claimed(args)?;
    let metric = match &claimed {
        Some(claim) => {
            claim.metric.parse().map_err(|reason: String| Failure::usage(reason, "ask for another claim"))?
        }
        None => args.how.metric,
    };
    let opened = commit::opened(args)?;
    let evaluation = args.how.evaluation(metric);
    let evaluation = Evaluation {
        worst: args.worst.unwrap_or(WORST),
        stop_when: args.stop_when,
        journal: args.journal.clone(),
        whose: claimed.as_ref().map_or(evaluation.whose, |claim| claim.whose),
        committed: opened,
        ..evaluation
    };
    let report = with_progress(|progress| evaluation.run(&app, &device, data, progress))?;
    let now = tilemark::license::Clock::system().now();
    if let Some(claim) = &claimed {
        claim.compare(&evaluation.claim(&report, now)?)?;
        text::note("reproduced: every integer of the claim");
    }
    if let (Some(path), Some(key)) = (&args.report, &args.key) {
        let key = SigningKey::from_file(key).map_err(tilemark::Error::from)?;
        files::write(path, &evaluation.claim(&report, now)?.sign(&key)?)?;
    }
    // What may be passed on names no sample unless that was asked for.
    let passed_on = || if args.worst.is_some() { report.clone() } else { report.clone().without_names() };
    if let Some(path) = &args.output.html {
        files::write(path, passed_on().to_html().as_bytes())?;
    }
    if args.output.json { text::json(&passed_on()) } else { print(&report, &device.description()) }
}

/// Runs something that tells how far it is.
pub(super) fn with_progress<T>(
    run: impl FnOnce(&mut dyn FnMut(u64, u64)) -> std::result::Result<T, tilemark::Error>,
) -> Result<T> {
    let bar = text::progress(0, "evaluating");
    let done = run(&mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    Ok(done?)
}

/// The claim that is to be checked, if one is.
fn claimed(args: &Eval) -> Result<Option<Claim>> {
    let (Some(path), Some(signer)) = (&args.check, &args.signer) else { return Ok(None) };
    let signer = PublicKey::from_file(signer).map_err(tilemark::Error::from)?;
    Ok(Some(Claim::verify(&files::read(path)?, &signer)?))
}

fn print_plan(json: bool, plan: &Plan) -> Result<()> {
    let samples = plan.samples();
    if json {
        return text::json(&Planned { samples });
    }
    text::line(match plan {
        Plan::Margin { metric, margin, confidence, expected } => format!(
            "{samples} samples: then the {:.4} % interval of {metric} is at most {:.4} % to each side, if it is about {:.4} %",
            Percent(*confidence),
            Percent(*margin),
            Percent(*expected)
        ),
        Plan::Difference { difference, discordant, confidence, power } => format!(
            "{samples} samples: then a difference of {:.4} % is seen with a probability of {:.4} %, at a level of {:.4} %, if the apps disagree \
             about {:.4} % of them",
            Percent(*difference),
            Percent(*power),
            Percent(1.0 - *confidence),
            Percent(*discordant)
        ),
    })
}

/// A share in percent, with as many digits as it needs.
struct Percent(f64);

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let text = format!("{:.digits$}", 100.0 * self.0);
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        f.write_str(text)
    }
}

fn print(report: &Report, device: &str) -> Result<()> {
    text::line(format_args!(
        "{} {} on {device}: {} of {} samples, {} failed",
        report.app, report.version, report.samples, report.data.samples, report.failed
    ))?;
    if report.stopped {
        text::line("stopped: enough is known")?;
    }
    for measured in &report.metrics {
        text::line(sentence(measured))?;
    }
    let latency = &report.latency_ms;
    text::line(format_args!(
        "median {:.2} ms, 90 % {:.2} ms, 99 % {:.2} ms, at most {:.2} ms; {:.1} samples/s",
        latency.median, latency.p90, latency.p99, latency.max, report.samples_per_second
    ))?;
    if let Some(joules) = report.joules {
        text::line(format_args!("{joules:.1} J by the CPU's packages, whatever ran on them"))?;
    }
    if let Some(bytes) = report.peak_memory_bytes {
        text::line(format_args!("{} of memory at most", text::bytes(bytes)))?;
    }
    if let Some(drift) = &report.drift {
        text::line(format_args!("{}{}", if drift.far { "warning: " } else { "" }, drift.sentence()))?;
    }
    print_mistakes(report)?;
    let named = [("failed", &report.failures), ("worst", &report.worst)];
    for (heading, list) in named.into_iter().filter(|(_, list)| !list.is_empty()) {
        text::line(format_args!("\n{heading}:"))?;
        let rows: Vec<[String; 2]> =
            list.iter().map(|named| [format!("  {}", named.name), named.what.clone()]).collect();
        text::table(&rows, &[])?;
    }
    let whose = match report.whose {
        Whose::Buyer => "",
        Whose::Seller => ", chosen by the seller",
    };
    text::line(format_args!("\ndata {}{whose}", report.data.root))?;
    report.committed.map_or(Ok(()), |root| text::line(format_args!("committed {root}: the data is that")))
}

/// `accuracy 90.50 %, 89.91 % to 91.06 % with 95 % confidence (wilson)`.
fn sentence(measured: &Measured) -> String {
    let [value, low, high] =
        [measured.value, measured.low, measured.high].map(|value| measured.written(value));
    let (name, method, confidence) = (measured.name, measured.method, Percent(measured.confidence));
    format!("{name} {value}, {low} to {high} with {confidence} % confidence ({method})")
}

/// The most frequent of what was taken for something else.
fn print_mistakes(report: &Report) -> Result<()> {
    let mut mistakes: Vec<_> = report.confusion.iter().filter(|pair| pair.truth != pair.found).collect();
    if mistakes.is_empty() {
        return Ok(());
    }
    mistakes.sort_by_key(|pair| std::cmp::Reverse(pair.count));
    text::line("\nmost often taken for something else:")?;
    let rows: Vec<[String; 3]> = mistakes
        .iter()
        .take(MISTAKES)
        .map(|pair| [format!("  {}", pair.truth), pair.found.clone(), pair.count.to_string()])
        .collect();
    text::table(&rows, &[2])
}
