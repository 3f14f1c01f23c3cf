//! Escrow: the vendor splits a bundle's key, trustees release it, a buyer opens the bundle. Wholly offline.

use std::fs::File;
use std::path::Path;

use tilemark::escrow::{Deed, Release, Share, SignedDeed, freed};
use tilemark::license::{Clock, format_time};
use tilemark::{BundleError, Digest, Envelope, Hasher, PublicKey, SigningKey, Untrusted, Vault};

use super::publish::signed;
use crate::args::store::{Combine, Escrow, EscrowRelease, OfDeed, Split};
use crate::failure::{Failure, Result};
use crate::{files, text};

pub(super) fn run(command: &Escrow) -> Result<()> {
    match command {
        Escrow::Split(args) => split(args),
        Escrow::Release(args) => release(args),
        Escrow::Combine(args) => combine(args),
    }
}

fn sdk(error: BundleError) -> Failure {
    tilemark::Error::from(error).into()
}

/// Writes the deed last: without it, the shares of a split that was interrupted are of no use to anybody.
fn split(args: &Split) -> Result<()> {
    let keys = files::keys(&args.key)?;
    let keys: Vec<&SigningKey> = keys.iter().collect();
    let bundle = signed(&args.bundle, &keys)?;
    let manifest = bundle.manifest();
    let vault = Vault::open(&args.vault).map_err(sdk)?;
    // A bundle without encryption has no key: the deposit says so.
    let binding = manifest.encryption.as_ref().map_or(bundle.identity(), |encryption| encryption.binding);
    let trustees = args.trustee.iter().map(|path| public(path)).collect::<Result<Vec<_>>>()?;
    let source = args.source.as_deref().map(digest_of).transpose()?;
    let [first, others @ ..] = &keys[..] else { return Err(Failure::usage("no key", "give --key")) };
    let content = vault.content_key(binding);
    let (deed, shares) =
        Deed::deposit(&bundle, &content, source, &trustees, args.threshold, first).map_err(sdk)?;
    let mut deed = Envelope::parse(&deed, Deed::PAYLOAD_TYPE).map_err(sdk)?;
    others.iter().try_for_each(|key| deed.sign(key)).map_err(sdk)?;

    vacant(&args.output)?;
    files::private_dir(&args.output)?;
    let mut rows = Vec::new();
    for ((number, share), trustee) in (1..).zip(&shares).zip(&trustees) {
        let path = args.output.join(format!("share-{number}.json"));
        files::create_new(&path, line(&share.to_json().map_err(sdk)?), true)?;
        rows.push([
            "share".to_owned(),
            path.display().to_string(),
            format!("secret: for the trustee {}", trustee.id()),
        ]);
    }
    let path = args.output.join("deed.json");
    files::create_new(&path, line(&deed.to_json()), false)?;
    let takes = format!("{} of {} open {}", args.threshold, trustees.len(), manifest.app.name);
    rows.insert(0, ["deed".to_owned(), path.display().to_string(), format!("for everybody: {takes}")]);
    text::table(&rows, &[])?;
    text::note("hand each share to its trustee by a private way, with the deed, and keep none");
    Ok(())
}

fn release(args: &EscrowRelease) -> Result<()> {
    let deed = deed(&args.of)?;
    let key = SigningKey::from_file(&args.key).map_err(sdk)?;
    let id = key.public().id();
    if !deed.deed().trustees.iter().any(|trustee| trustee.key.0.id() == id) {
        let hint = "sign with the private key of a trustee that the deed names";
        return Err(Failure::usage(format!("{id} is no trustee of this deed"), hint));
    }
    let statement = match (&args.sign, &args.reason) {
        (Some(path), _) => {
            let bytes = files::read(path)?;
            // What is signed is read first.
            tell(&deed, &deed.statement(&bytes).map_err(sdk)?.0)?;
            let mut envelope = Envelope::parse(bytes.trim_ascii(), Release::PAYLOAD_TYPE).map_err(sdk)?;
            envelope.sign(&key).map_err(sdk)?;
            envelope
        }
        (None, reason) => {
            let reason = reason.as_deref().unwrap_or_default();
            deed.release(reason, Clock::system().now(), &key).map_err(sdk)?
        }
    };
    let bytes = statement.to_json();
    let (said, found) = deed.statement(&bytes).map_err(sdk)?;
    files::create_new(&args.output, line(&bytes), false)?;
    if args.sign.is_none() {
        tell(&deed, &said)?;
    }
    text::line(format_args!("signed   by {found} of the {} trustees that it takes", deed.deed().threshold))
}

fn combine(args: &Combine) -> Result<()> {
    let (deed, key) = (deed(&args.of)?, SigningKey::from_file(&args.key).map_err(sdk)?);
    vacant(&args.output)?;
    let share = |path| Share::from_json(files::read(path)?.trim_ascii()).map_err(sdk);
    let shares = args.share.iter().map(|path| share(path)).collect::<Result<Vec<_>>>()?;
    let (said, content) = deed.open(&files::read(&args.release)?, &shares).map_err(sdk)?;
    let source = args.source.as_deref().map(digest_of).transpose()?;
    if let Some(source) = source {
        deed.check_source(source).map_err(sdk)?;
    }
    let file = Untrusted::from_path(&args.bundle).map_err(sdk)?;
    let trust = files::trust(args.of.trust.as_deref())?;
    let bundle = file.verify(&trust).map_err(|refused| sdk(refused.into_error()))?;
    let bundle = bundle.unlock(&content).map_err(sdk)?;
    let (found, expected) = (bundle.identity(), deed.deed().identity);
    if found != expected {
        let name = args.bundle.display();
        return Err(Failure::usage(
            format!("{name} is the bundle {found}, and the deed is about {expected}, of {}", deed.deed().app),
            "give the bundle that the deed is about",
        ));
    }
    files::create_new(&args.output, freed(&bundle, args.name.clone(), &key).map_err(sdk)?, false)?;
    tell(&deed, &said)?;
    match (source, deed.deed().source) {
        (Some(source), _) => text::line(format_args!("source   {source}, as deposited"))?,
        (None, Some(source)) => text::line(format_args!("source   {source}: ask the trustees for it"))?,
        (None, None) => {}
    }
    text::line(format_args!(
        "opened   {}: {}, signed by {}",
        args.output.display(),
        args.name,
        key.public().id()
    ))
}

fn tell(deed: &SignedDeed, said: &Release) -> Result<()> {
    text::line(format_args!("app      {}", deed.deed().app))?;
    text::line(format_args!("because  {} ({})", said.reason, format_time(said.made)))
}

fn deed(of: &OfDeed) -> Result<SignedDeed> {
    SignedDeed::verify(&files::read(&of.deed)?, &files::trust(of.trust.as_deref())?).map_err(sdk)
}

/// Before anything is computed: nothing is written over what is there.
fn vacant(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => Err(Failure::Exists { path: path.to_owned() }),
        Err(_) => Ok(()),
    }
}

/// An archive of source can be larger than memory.
fn digest_of(path: &Path) -> Result<Digest> {
    let io = |source| Failure::File { path: path.to_owned(), source };
    let mut hasher = Hasher::new();
    hasher.update_from(File::open(path).map_err(io)?).map_err(io)?;
    Ok(hasher.finish())
}

fn public(path: &Path) -> Result<PublicKey> {
    PublicKey::from_file(path).map_err(sdk)
}

/// A document and a line end. All of them are JSON in ASCII.
fn line(document: &[u8]) -> String {
    format!("{}\n", String::from_utf8_lossy(document))
}
