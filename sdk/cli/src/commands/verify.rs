use std::path::Path;

use tilemark::{
    App, Bundle, BundleError, Device, ErrorKind, Fact, FactKind, Home, PublicKey, Trust, Verdict, oms,
};

use crate::args::Verify;
use crate::failure::{Failure, Result};
use crate::{files, targets, text};

/// Prints the verdict, fact by fact; also that of a refused bundle, up to the fact that failed.
pub(crate) fn run(args: &Verify) -> Result<()> {
    if let (Some(signature), Some(key)) = (&args.oms, &args.trust) {
        return examine_folder(args, signature, key);
    }
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

/// What can be said of a folder with a model signature.
fn examine_folder(args: &Verify, signature: &Path, key: &Path) -> Result<()> {
    let key = PublicKey::from_file(key).map_err(tilemark::Error::from)?;
    let mut verdict = Verdict::default();
    let mut note = |fact, outcome: std::result::Result<String, BundleError>| {
        let (holds, evidence) = match &outcome {
            Ok(evidence) => (true, evidence.clone()),
            Err(error) => (false, error.to_string()),
        };
        verdict.push(Fact { fact, holds, evidence });
        outcome.map_err(tilemark::Error::from)
    };
    let signed = oms::verify(&files::read(signature)?, &key);
    let by = format!("{} key {}", key.algorithm(), key.id());
    let outcome = note(FactKind::Signature, signed.map(|(model, _)| format!("{by}, of {model:?}")));
    let outcome = outcome.and_then(|_| {
        let checked = oms::verify_folder(&args.bundle, signature, &key);
        let evidence =
            |files: oms::Files| format!("{} files, each equal to its SHA-256, none besides", files.len());
        note(FactKind::BlobsIntact, checked.map(|(_, files)| evidence(files)))
    });
    text::unless_closed(if args.json { text::json(&verdict) } else { print(&verdict, outcome.is_err()) })?;
    outcome.map(|_| ()).map_err(Failure::Reported)
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
            if let Some((fits, evidence)) = targets::judge(&app) {
                verdict.set(FactKind::TargetFits, fits, evidence);
            }
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
