mod commit;

use serde::Serialize;
use tilemark::eval::stats::percent;
use tilemark::eval::{Claim, Evaluation, Measured, Plan, Report, Whose, is_page};
use tilemark::{PublicKey, SigningKey};

use crate::args::eval::{Eval, EvalCommand};
use crate::failure::{Failure, Result};
use crate::outputs::Outputs;
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
    outputs(args)?;
    let (app, device) = super::open(bundle, &args.at)?;
    let claimed = claimed(args)?;
    let metric = match &claimed {
        Some(claim) => {
            claim.metric.parse().map_err(|reason: String| Failure::usage(reason, "ask for another claim"))?
        }
        None => args.how.metric,
    };
    let key = args.key.as_ref().map(SigningKey::from_file).transpose().map_err(tilemark::Error::from)?;
    let opened = commit::opened(args)?;
    claimed.iter().try_for_each(|claim| claim.check(&app, opened.as_ref()))?;
    let evaluation = args.how.evaluation(metric);
    let evaluation = Evaluation {
        worst: args.worst.unwrap_or(WORST),
        stop_when: args.stop_when,
        journal: args.journal.clone(),
        whose: claimed.as_ref().map_or(evaluation.whose, |claim| claim.whose),
        // One more that fails than is claimed is another result, and no reason to stop.
        max_failed: claimed.as_ref().map_or(evaluation.max_failed, |_| 1.0),
        committed: opened,
        ..evaluation
    };
    let report = with_progress(|progress| evaluation.run(&app, &device, data, progress))?;
    let now = tilemark::license::Clock::system().now();
    if let Some(claim) = &claimed {
        claim.compare(&evaluation.claim(&report, now)?)?;
        text::note("reproduced: every integer of the claim");
    }
    if let (Some(path), Some(key)) = (&args.report, &key) {
        files::write(path, &evaluation.claim(&report, now)?.sign(key)?)?;
    }
    // What may be passed on names no sample unless that was asked for.
    let passed_on = || if args.worst.is_some() { report.clone() } else { report.clone().without_names() };
    if let Some(path) = &args.output.html {
        files::write(path, passed_on().to_html().as_bytes())?;
    }
    if args.output.json { text::json(&passed_on()) } else { print(&report, &device.description()) }
}

/// What is written is nothing that is read, or that somebody else made: told before hours of work.
fn outputs(args: &Eval) -> Result<()> {
    Outputs::default()
        .reads(&[
            ("the bundle", args.bundle.as_ref()),
            ("--data", args.data.as_ref()),
            ("--trust", args.at.trust.as_ref()),
            ("--key", args.key.as_ref()),
            ("--check", args.check.as_ref()),
            ("--signer", args.signer.as_ref()),
            ("--committed", args.committed.as_ref()),
            ("--salt", args.salt.as_ref()),
            ("--committed-by", args.committed_by.as_ref()),
        ])
        // A journal looks at itself.
        .writes("--journal", args.journal.as_ref(), |_| true)?
        .writes("--html", args.output.html.as_ref(), is_page)?
        .writes("--report", args.report.as_ref(), Claim::is_one)?;
    Ok(())
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
            "{samples} samples: then the {} % interval of {metric} is at most {} % to each side, if it is about {} %",
            percent(*confidence),
            percent(*margin),
            percent(*expected)
        ),
        Plan::Difference { difference, discordant, confidence, power } => format!(
            "{samples} samples: then a difference of {} % is seen with a probability of {} %, at a level of {} %, if the apps disagree \
             about {} % of them",
            percent(*difference),
            percent(*power),
            percent(1.0 - *confidence),
            percent(*discordant)
        ),
    })
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
        text::paragraph(format_args!("{heading}:"))?;
        let rows: Vec<[String; 2]> =
            list.iter().map(|named| [format!("  {}", named.name), named.what.clone()]).collect();
        text::table(&rows, &[])?;
    }
    let whose = match report.whose {
        Whose::Buyer => ", the buyer's",
        Whose::Seller => ", chosen by the seller",
        Whose::Unsaid => "",
    };
    text::paragraph(format_args!("data {}{whose}", report.data.root))?;
    report.committed.map_or(Ok(()), |root| text::line(format_args!("committed {root}: the data is that")))
}

/// `accuracy 90.50 %, 89.91 % to 91.06 % with 95 % confidence (wilson)`.
fn sentence(measured: &Measured) -> String {
    let [value, low, high] =
        [measured.value, measured.low, measured.high].map(|value| measured.written(value));
    let (name, method, confidence) = (measured.name, measured.method, percent(measured.confidence));
    format!("{name} {value}, {low} to {high} with {confidence} % confidence ({method})")
}

/// The most frequent of what was taken for something else.
fn print_mistakes(report: &Report) -> Result<()> {
    let mut mistakes: Vec<_> = report.confusion.iter().filter(|pair| pair.truth != pair.found).collect();
    if mistakes.is_empty() {
        return Ok(());
    }
    mistakes.sort_by_key(|pair| std::cmp::Reverse(pair.count));
    text::paragraph("most often taken for something else:")?;
    let rows: Vec<[String; 3]> = mistakes
        .iter()
        .take(MISTAKES)
        .map(|pair| [format!("  {}", pair.truth), pair.found.clone(), pair.count.to_string()])
        .collect();
    text::table(&rows, &[2])
}
