use serde::Serialize;
use tilemark::pack::{Finding, Package, Severity};

use crate::args::Check;
use crate::failure::{Failure, Result};
use crate::text;

/// The JSON of a check.
#[derive(Serialize)]
struct Report {
    ok: bool,
    findings: Vec<Finding>,
}

/// Does all of packing but the signing, and says what a vendor should know.
pub(crate) fn run(args: &Check) -> Result<()> {
    let spinner = text::spinner("importing the model and recording golden vectors");
    let findings = match Package::from_description(&args.description) {
        Ok(package) => package.findings(),
        Err(tilemark::Error::Io { path, source }) if path == args.description => {
            return Err(Failure::File { path, source });
        }
        Err(error) => vec![Finding {
            severity: Severity::Error,
            code: error.code(),
            message: error.to_string(),
            help: error.hint(),
        }],
    };
    spinner.finish_and_clear();
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let report = Report { ok: errors == 0, findings };
    text::unless_closed(if args.json { text::json(&report) } else { print(&report) })?;
    if errors > 0 { Err(Failure::Findings { errors }) } else { Ok(()) }
}

fn print(report: &Report) -> Result<()> {
    for Finding { severity, code, message, help } in &report.findings {
        text::line(format_args!("{severity}[{code}]: {message}\n  help: {help}"))?;
    }
    if report.ok { text::line("ready to pack") } else { Ok(()) }
}
