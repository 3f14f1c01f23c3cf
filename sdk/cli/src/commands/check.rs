use serde::Serialize;
use tilemark::pack::{Finding, Severity, check};

use crate::args::Check;
use crate::failure::{Failure, Result};
use crate::text;

/// The JSON of a check.
#[derive(Serialize)]
struct Report {
    ok: bool,
    findings: Vec<Finding>,
}

/// Does all of packing but the signing, and says everything that is wrong and what a vendor should know.
pub(crate) fn run(args: &Check) -> Result<()> {
    let spinner = text::spinner("importing the model and recording golden vectors");
    let findings = check(&args.description).map_err(|error| match error {
        tilemark::Error::Io { path, source } => Failure::File { path, source },
        other => other.into(),
    })?;
    spinner.finish_and_clear();
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let report = Report { ok: errors == 0, findings };
    text::unless_closed(if args.json { text::json(&report) } else { print(&report) })?;
    if errors > 0 { Err(Failure::Findings { errors }) } else { Ok(()) }
}

fn print(report: &Report) -> Result<()> {
    for Finding { severity, code, message, help } in &report.findings {
        text::line(format_args!("{severity}[{code}]: {message}"))?;
        text::line(format_args!("  help: {help}"))?;
    }
    if report.ok { text::line("ready to pack") } else { Ok(()) }
}
