use tilemark::{App, Bundle, Device, ErrorKind, Fact, FactKind, Home, Trust, Verdict};

use crate::args::Verify;
use crate::failure::{Failure, Result};
use crate::{files, text};

/// Prints the verdict, fact by fact; also that of a refused bundle, up to the fact that failed.
pub(crate) fn run(args: &Verify) -> Result<()> {
    let trust = files::trust(args.trust.as_deref())?;
    let home = Home::from_env()?;
    let (verdict, outcome) = match tilemark::verify_with(&args.bundle, &trust, &home) {
        Ok(bundle) => examine(bundle, &trust, &home, args.replay),
        Err(error) => match error.verdict() {
            Some(verdict) if !verdict.facts().is_empty() => (verdict.clone(), Err(error)),
            _ => return Err(error.into()), // a file that cannot be read has no facts
        },
    };
    text::unless_closed(if args.json { text::json(&verdict) } else { print(&verdict, outcome.is_err()) })?;
    outcome.map_err(Failure::Reported)
}

/// What can be said of a verified bundle on this machine. That it needs a grant which is not here says nothing against it.
fn examine(
    bundle: Bundle,
    trust: &Trust,
    home: &Home,
    with_replay: bool,
) -> (Verdict, std::result::Result<(), tilemark::Error>) {
    match App::load(bundle, trust, home) {
        Ok(app) => {
            let mut verdict = app.verdict().clone();
            let outcome = if with_replay { replay(&app, &mut verdict) } else { Ok(()) };
            (verdict, outcome)
        }
        Err(denied) => {
            let (error, verdict) = *denied;
            let unlicensed = error.kind() == ErrorKind::NotEntitled;
            (verdict, if unlicensed && !with_replay { Ok(()) } else { Err(error) })
        }
    }
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

/// One line a fact. The last fact of a refusal is the one that failed; others that do not hold were not looked at.
fn print(verdict: &Verdict, refused: bool) -> Result<()> {
    let facts = verdict.facts();
    for (i, Fact { fact, holds, evidence }) in facts.iter().enumerate() {
        let word = match holds {
            true => "holds",
            false if refused && i + 1 == facts.len() => "FAILS",
            false => "-",
        };
        text::line(format_args!("{word:<6} {:<18} {evidence}", fact.to_string()))?;
    }
    Ok(())
}
