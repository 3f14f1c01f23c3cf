//! What operators do.

use std::path::{Path, PathBuf};

use tilemark::{Algorithm, PublicKey, SigningKey};
use tilemark_store::{Operator, Replace, RootKeys, Validity};

use crate::args::store::{Countersign, Init, Invite, Office, Refresh, Renew, Revoke};
use crate::failure::{Failure, Result};
use crate::{files, text};

/// Makes a store and its keys. The keys come first: a store whose keys are lost is none.
pub(super) fn init(args: &Init) -> Result<()> {
    if args.threshold == 0 || args.threshold > u64::from(args.roots) {
        let message = format!("--threshold {} of {} root keys", args.threshold, args.roots);
        return Err(Failure::usage(message, "1 is the least, all of them the most"));
    }
    let state = args.keys.join(STATE);
    // Before there are keys that no store has.
    Operator::check_vacant(&args.store, &state)?;
    files::private_dir(&args.keys)?;
    let root =
        (1..=args.roots).map(|n| make_key(&args.keys, &format!("root-{n}"))).collect::<Result<Vec<_>>>()?;
    let (targets, online) = (make_key(&args.keys, "targets")?, make_key(&args.keys, "online")?);
    let store = |source| Failure::File { path: args.store.clone(), source };
    std::fs::create_dir_all(&args.store).map_err(store)?;
    let root: Vec<&SigningKey> = root.iter().collect();
    let keys = RootKeys { root: &root, threshold: args.threshold, targets: &targets, online: &online };
    Operator::init(&args.store, &state, &keys, Validity::default())?;
    let first = args.store.join("metadata/1.root.json");
    let rows = [
        ["store".to_owned(), args.store.display().to_string(), "what a web server serves".to_owned()],
        [
            "root".to_owned(),
            first.display().to_string(),
            "hand it to integrators by a way that they trust".to_owned(),
        ],
        [
            "keys".to_owned(),
            args.keys.display().to_string(),
            format!("root keys ({} of {}) and targets.key belong offline", args.threshold, args.roots),
        ],
        [
            "state".to_owned(),
            state.display().to_string(),
            "what was signed last; stays with the keys".to_owned(),
        ],
    ];
    text::table(&rows, &[])
}

/// The folder beside a key in which its operator keeps what was signed last.
const STATE: &str = "state";

/// The store by this operator's state.
fn operator(office: &Office, key: &Path) -> Result<Operator> {
    let beside = || key.parent().unwrap_or(Path::new("")).join(STATE);
    let state = office.state.clone().unwrap_or_else(beside);
    Ok(match &office.root {
        None => Operator::open(&office.store, &state)?,
        Some(root) => Operator::begin(&office.store, &state, &files::read(root)?)?,
    })
}

fn make_key(folder: &Path, name: &str) -> Result<SigningKey> {
    let key = SigningKey::generate(Algorithm::Ed25519).map_err(tilemark::Error::from)?;
    files::create_new(&folder.join(format!("{name}.key")), key.to_pem(), true)?;
    files::create_new(&folder.join(format!("{name}.pub")), key.public().to_pem(), false)?;
    Ok(key)
}

pub(super) fn invite(args: &Invite) -> Result<()> {
    let keys = args.public.iter().map(|path| public(path)).collect::<Result<Vec<_>>>()?;
    operator(&args.office, &args.key)?.invite(&args.publisher, &keys, args.threshold, &key(&args.key)?)?;
    text::line(format_args!("invited  {}, by {}", args.publisher, text::plural(keys.len(), "key")))?;
    after_a_change();
    Ok(())
}

pub(super) fn revoke(args: &Revoke) -> Result<()> {
    operator(&args.office, &args.key)?.revoke(&args.publisher, &key(&args.key)?)?;
    text::line(format_args!("revoked  {}", args.publisher))?;
    after_a_change();
    Ok(())
}

pub(super) fn countersign(args: &Countersign) -> Result<()> {
    let key = key(&args.key)?;
    let signed = operator(&args.office, &args.key)?.countersign(&args.bundle, args.price.into(), &key)?;
    files::write(&args.output, &signed)?;
    text::line(format_args!("countersigned  {}, by {}", args.output.display(), key.public().id()))
}

pub(super) fn after_a_change() {
    text::note("integrators see it after the operator's `tilemark store refresh`");
}

pub(super) fn refresh(args: &Refresh) -> Result<()> {
    let (operator, key) = (operator(&args.office, &args.key)?, key(&args.key)?);
    let done = if args.rebuild { operator.rebuild(&key)? } else { operator.refresh(&key)? };
    text::line(format_args!(
        "refreshed  snapshot {}, {}",
        done.snapshot,
        text::plural(done.accepted.len(), "new document")
    ))?;
    let mut refused = done.refused.into_iter();
    let first = refused.next();
    for (role, error) in refused.by_ref() {
        text::note(format_args!("left out   {role}: {error}"));
    }
    match first {
        None => Ok(()),
        Some((role, error)) => {
            text::note(format_args!("left out   {role}, for the error below; what it had before stays"));
            Err(error.into())
        }
    }
}

pub(super) fn renew(args: &Renew) -> Result<()> {
    if let Some(targets) = &args.targets {
        operator(&args.office, targets)?.renew_targets(&key(targets)?)?;
        text::line("renewed  the targets")?;
        after_a_change();
        return Ok(());
    }
    let keys = files::keys(&args.key)?;
    let keys: Vec<&SigningKey> = keys.iter().collect();
    let operator = operator(&args.office, args.key.first().map_or(Path::new(""), PathBuf::as_path))?;
    let change = match (&args.old, &args.new) {
        (Some(old), Some(new)) => Some((public(old)?, public(new)?)),
        _ => None,
    };
    let change: Vec<Replace<'_>> = change.iter().map(|(old, new)| Replace { old, new }).collect();
    operator.renew_root(&keys, &change)?;
    text::line("renewed  the root")
}

fn key(path: &Path) -> Result<SigningKey> {
    Ok(SigningKey::from_file(path).map_err(tilemark::Error::from)?)
}

pub(super) fn public(path: &Path) -> Result<PublicKey> {
    Ok(PublicKey::from_file(path).map_err(tilemark::Error::from)?)
}
