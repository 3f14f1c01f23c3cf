use tilemark::{App, Device, FactKind, Verdict};

use crate::args::Verify;
use crate::failure::{Failure, Result};
use crate::{files, text};

/// Prints the verdict, fact by fact; also that of a refused bundle, up to the fact that failed.
pub(crate) fn run(args: &Verify) -> Result<()> {
    let trust = files::trust(args.trust.as_deref())?;
    let app = match tilemark::open(&args.bundle, &trust) {
        Ok(app) => app,
        Err(error) => {
            let Some(verdict) = error.verdict() else { return Err(error.into()) };
            print(verdict, args.json)?;
            return Err(Failure::Refused(error));
        }
    };
    if !args.replay {
        return print(app.verdict(), args.json);
    }
    let mut verdict = app.verdict().clone();
    let outcome = replay(&app, &mut verdict);
    print(&verdict, args.json)?;
    outcome.map_err(Failure::Refused)
}

fn replay(app: &App, verdict: &mut Verdict) -> std::result::Result<(), tilemark::Error> {
    let replay = app.replay(&Device::host())?;
    let outcome = replay.check();
    let evidence = match &outcome {
        Ok(()) => replay.to_string(),
        Err(error) => error.to_string(),
    };
    verdict.set(FactKind::GoldenReplayed, outcome.is_ok(), evidence);
    outcome
}

fn print(verdict: &Verdict, json: bool) -> Result<()> {
    if json { text::json(verdict) } else { text::line(verdict.to_string().trim_end()) }
}
