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
        Err(error) => {
            let message = format!("{error}\n       help: {}", error.hint());
            vec![Finding { severity: Severity::Error, code: error.code(), message }]
        }
    };
    spinner.finish_and_clear();
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let total = findings.len();
    if args.json {
        text::json(&Report { ok: errors == 0, findings })?;
    } else {
        for finding in &findings {
            text::line(format_args!("{}[{}]: {}", finding.severity, finding.code, finding.message))?;
        }
        if errors == 0 {
            text::line("ready to pack")?;
        }
    }
    if errors > 0 { Err(Failure::Findings { count: errors, total }) } else { Ok(()) }
}
