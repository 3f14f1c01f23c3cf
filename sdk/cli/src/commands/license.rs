//! Grants: asked for and installed on the buyer's device, issued by the vendor. Wholly offline.

use std::io::Read as _;
use std::path::Path;

use serde::Serialize;
use tilemark::license::{Clock, Installation, Installed, format_time, is_payload, keeper};
use tilemark::{
    DAY, Digest, Grant, Home, KeyId, LedgerEntry, Lineage, Offer, Reason, Revocations, RevokedBundle,
    RevokedGrant, RevokedKey, SigningKey, Untrusted, Usage, Vault,
};

use crate::args::license::{Audit, Install, Issue, Lease, Ledger, License, Receipts, Request, Revoke};
use crate::failure::{Failure, Result};
use crate::{files, text};

pub(crate) fn run(command: &License) -> Result<()> {
    match command {
        License::Request(args) => request(args),
        License::Issue(args) => issue(args),
        License::Install(args) => install(args),
        License::Lease(args) => lease(args),
        License::Show(args) => show(args.json),
        License::Receipts(args) => receipts(args),
        License::Audit(args) => audit(args),
        License::Ledger(args) => ledger(args),
        License::Revoke(args) => revoke(args),
    }
}

/// Asks for a grant. Nothing in the bundle is read but its identity, so nobody needs to be trusted yet.
fn request(args: &Request) -> Result<()> {
    let identity = Untrusted::from_path(&args.bundle).map_err(tilemark::Error::from)?.identity();
    let licenses = Home::from_env()?.licenses();
    let request = licenses.request(identity, &*keeper(&args.keeper)?)?;
    put(&args.output, &request, false)?;
    if let Some(device) = licenses.device()? {
        text::note(format_args!("device   {} ({})", device.id(), device.public().strength));
    }
    text::note(format_args!("bundle   {identity}"));
    Ok(())
}

fn issue(args: &Issue) -> Result<()> {
    let vault = Vault::open(&args.vault).map_err(tilemark::Error::from)?;
    let key = SigningKey::from_file(&args.key).map_err(tilemark::Error::from)?;
    let mut offer = Offer::new(args.class);
    offer.not_before = args.after;
    offer.not_after = args.until;
    offer.grace_seconds = args.grace * DAY;
    offer.inferences = args.inferences;
    offer.seats = args.seats;
    offer.max_staleness_seconds = args.max_staleness.map(|days| days * DAY);
    offer.output = args.output_level;
    offer.field_of_use.clone_from(&args.field_of_use);
    offer.permits.clone_from(&args.permit);
    offer.releases = args.releases;
    offer.again = args.again;
    let now = Clock::system().now();
    let grant = vault.issue(&get(&args.request)?, &offer, &key, now).map_err(tilemark::Error::from)?;
    put(&args.output, &grant, true)
}

fn install(args: &Install) -> Result<()> {
    let trust = files::trust(args.trust.as_deref())?;
    let (home, document) = (Home::from_env()?, get(&args.grant)?);
    if is_payload(&document, Lineage::PAYLOAD_TYPE) {
        let lineage = home.lineages().install(&document, &trust)?;
        let Lineage { publisher, old, new, .. } = lineage.lineage();
        return text::line(format_args!("installed  for {publisher}, {} follows {old}", new.0.id()));
    }
    let trust = home.lineages().apply(&trust)?;
    if is_payload(&document, Revocations::PAYLOAD_TYPE) {
        let list = home.revocations().install(&document, &trust)?;
        let list = list.list();
        return text::line(format_args!("installed  revocation list {} of {}", list.number, list.publisher));
    }
    let (grant, done) = home.licenses().install(&document, &trust)?;
    let grant = grant.grant();
    let word = if done == Installation::New { "installed" } else { "installed before" };
    text::line(format_args!("{word}  {} grant {} for {}", grant.class, grant.id, grant.app))?;
    terms(grant).into_iter().try_for_each(|line| text::line(format_args!("  {line}")))
}

fn lease(args: &Lease) -> Result<()> {
    let home = Home::from_env()?;
    let trust = home.lineages().apply(&files::trust(args.trust.as_deref())?)?;
    let lease = home.licenses().lease(&get(&args.request)?, args.until, args.grant, &trust)?;
    put(&args.output, &lease, true)
}

/// The JSON of an installed grant.
#[derive(Serialize)]
struct Report<'a> {
    id: Digest,
    app: &'a str,
    class: &'a str,
    used: u64,
    usable: bool,
    refusal: &'a Option<String>,
    claims: &'a Grant,
    receipts: Usage,
}

fn show(json: bool) -> Result<()> {
    let licenses = Home::from_env()?.licenses();
    let installed = licenses.installed()?;
    if json {
        let report = |one| {
            let Installed { grant, usage, refusal, .. }: &Installed = one;
            let claims = grant.grant();
            let (app, class) = (claims.app.as_str(), claims.class.as_str());
            let usable = refusal.is_none();
            Report { id: claims.id, app, class, used: usage.used, usable, refusal, claims, receipts: *usage }
        };
        return text::json(&installed.iter().map(report).collect::<Vec<_>>());
    }
    match licenses.device()? {
        Some(device) => text::line(format_args!("device  {} ({})", device.id(), device.public().strength))?,
        None => text::line("this device has no key yet; `tilemark license request` makes it")?,
    }
    for Installed { grant, usage, refusal, .. } in &installed {
        let grant = grant.grant();
        text::line(format_args!("{}  {} grant {}", grant.app, grant.class, grant.id))?;
        terms(grant).into_iter().try_for_each(|line| text::line(format_args!("  {line}")))?;
        if let Some(budget) = grant.inferences {
            text::line(format_args!("  used {} of {budget}", usage.used))?;
        }
        if let Some(refusal) = refusal {
            text::line(format_args!("  not usable now: {refusal}"))?;
        }
    }
    Ok(())
}

/// What a grant allows, for people.
fn terms(grant: &Grant) -> Vec<String> {
    let mut lines = Vec::new();
    let releases = grant.releases;
    lines.push(match releases.first == releases.last {
        true => format!("release {}", releases.first),
        false => format!("releases {} to {}", releases.first, releases.last),
    });
    lines.extend(grant.inferences.map(|budget| text::plural(budget as usize, "inference")));
    lines.extend(grant.not_after.map(|end| format!("until {}", format_time(end))));
    if grant.grace_seconds > 0 {
        lines.push(format!("and {} days of grace", grant.grace_seconds / DAY));
    }
    lines.extend(grant.seats.map(|seats| text::plural(seats as usize, "seat")));
    if grant.output == tilemark::OutputLevel::Label {
        lines.push("gives out the best label only".into());
    }
    if !grant.field_of_use.is_empty() {
        lines.push(format!("for: {}", grant.field_of_use));
    }
    if !grant.permits.is_empty() {
        let words: Vec<&str> = grant.permits.iter().map(|permit| permit.as_str()).collect();
        lines.push(format!("permits {}", words.join(", ")));
    }
    lines
}

fn receipts(args: &Receipts) -> Result<()> {
    let licenses = Home::from_env()?.licenses();
    let grant = match (args.grant, licenses.installed()?.as_slice()) {
        (Some(grant), _) => grant,
        (None, [only]) => only.grant.grant().id,
        (None, all) => {
            let message = format!("{} installed: which one is meant?", text::plural(all.len(), "grant"));
            return Err(Failure::usage(message, "give its id; `tilemark license show` lists them"));
        }
    };
    put(&args.output, &licenses.statement(grant)?, false)
}

/// The JSON of an audit.
#[derive(Serialize)]
struct Findings<'a> {
    grant: Digest,
    app: &'a str,
    class: &'a str,
    budget: Option<u64>,
    usage: Usage,
}

fn audit(args: &Audit) -> Result<()> {
    let vault = Vault::open(&args.vault).map_err(tilemark::Error::from)?;
    let trust = files::trust(args.trust.as_deref())?;
    let statement = vault.audit(&get(&args.statement)?, &trust).map_err(tilemark::Error::from)?;
    let (grant, usage) = (statement.grant().grant(), statement.usage());
    if args.json {
        let (app, class) = (grant.app.as_str(), grant.class.as_str());
        return text::json(&Findings { grant: grant.id, app, class, budget: grant.inferences, usage });
    }
    let of = grant.inferences.map(|budget| format!(" of {budget}")).unwrap_or_default();
    text::line(format_args!("{}  {} grant {}", grant.app, grant.class, grant.id))?;
    text::line(format_args!("  {} receipts, unbroken; used {}{of}", usage.receipts, usage.used))?;
    text::line(format_args!("  last {}", format_time(usage.time)))
}

fn ledger(args: &Ledger) -> Result<()> {
    let vault = Vault::open(&args.vault).map_err(tilemark::Error::from)?;
    let lines = vault.ledger().map_err(tilemark::Error::from)?;
    if args.json {
        return text::json(&lines);
    }
    let row = |LedgerEntry { grant, class, app, device, issued, .. }: &LedgerEntry| {
        [
            format_time(*issued),
            class.to_string(),
            app.to_string(),
            grant.to_string(),
            format!("device {device}"),
        ]
    };
    text::table(&lines.iter().map(row).collect::<Vec<_>>(), &[])
}

fn revoke(args: &Revoke) -> Result<()> {
    let keys = files::keys(&args.key)?;
    let mut list = Revocations::new(&args.publisher, args.number, Clock::system().now());
    let bundle = |(identity, reason, note): &(Digest, Reason, String)| RevokedBundle {
        identity: *identity,
        reason: *reason,
        note: note.clone(),
    };
    let grant = |(grant, reason, note): &(Digest, Reason, String)| RevokedGrant {
        grant: *grant,
        reason: *reason,
        note: note.clone(),
    };
    list.bundles = args.bundle.iter().map(bundle).collect();
    list.grants = args.grant.iter().map(grant).collect();
    let key = |(keyid, note): &(KeyId, String)| RevokedKey { keyid: *keyid, note: note.clone() };
    list.keys = args.signing_key.iter().map(key).collect();
    list.floors.clone_from(&args.floor);
    let text = list.sign(&keys.iter().collect::<Vec<_>>()).map_err(tilemark::Error::from)?;
    put(&args.output, &text, true)
}

/// Larger files are neither requests nor grants; a statement has a limit of its own.
const MAX_INPUT_BYTES: u64 = 1 << 30;

/// Reads a document, from stdin if its name is `-`.
fn get(path: &Path) -> Result<Vec<u8>> {
    if path != Path::new("-") {
        return files::read(path);
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_INPUT_BYTES).read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|source| Failure::File { path: path.to_owned(), source })
}

/// Writes a document and a line end, to stdout if its name is `-`.
fn put(path: &Path, document: &[u8], say: bool) -> Result<()> {
    if path == Path::new("-") {
        return text::document(String::from_utf8_lossy(document).trim_end());
    }
    files::write(path, &[document.trim_ascii_end(), b"\n"].concat())?;
    if say {
        text::note(format_args!("wrote {}", path.display()));
    }
    Ok(())
}
