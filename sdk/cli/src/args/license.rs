//! Arguments of `tilemark license`.

use std::path::PathBuf;

use clap::{Args as Group, Subcommand};
use tilemark::{Digest, GrantClass, KeyId, OutputLevel, Permit, Reason, ReleaseFloor, Releases};

#[derive(Debug, Subcommand)]
pub(crate) enum License {
    /// Buyer: ask for a grant for this device
    Request(Request),
    /// Vendor: answer a request with a grant
    Issue(Box<Issue>),
    /// Buyer: install a grant, a lease, a revocation list, or a lineage
    Install(Install),
    /// Buyer: lend a seat of a floating grant to another device
    Lease(Lease),
    /// Buyer: list what is installed and how far it was used
    Show(Show),
    /// Buyer: write down the use of a grant for its vendor
    Receipts(Receipts),
    /// Vendor: check such a statement, and compare it with the one before
    Audit(Audit),
    /// Vendor: list what was issued
    Ledger(Ledger),
    /// Vendor: write a revocation list; buyers install it like a grant
    Revoke(Revoke),
}

impl License {
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Self::Request(_)
            | Self::Issue(_)
            | Self::Install(_)
            | Self::Lease(_)
            | Self::Receipts(_)
            | Self::Revoke(_) => false,
            Self::Show(Show { json })
            | Self::Audit(Audit { json, .. })
            | Self::Ledger(Ledger { json, .. }) => *json,
        }
    }
}

#[derive(Debug, Group)]
pub(crate) struct Request {
    /// The bundle
    pub(crate) bundle: PathBuf,
    /// Where to write the request; - for stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// What keeps this device's key when it is made, with the first request
    #[arg(long, default_value = "file", value_name = "KEEPER")]
    pub(crate) keeper: String,
}

#[derive(Debug, Group)]
pub(crate) struct Issue {
    /// The request; - for stdin
    pub(crate) request: PathBuf,
    /// Sign with this key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The vault that the bundle was packed with
    #[arg(long, value_name = "DIR")]
    pub(crate) vault: PathBuf,
    /// owned, subscription, floating, metered or trial
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: GrantClass,
    /// Good for so many inferences
    #[arg(long, value_name = "N")]
    pub(crate) inferences: Option<u64>,
    /// Good to the end of this day (UTC)
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) until: Option<u64>,
    /// Good from the end of this day (UTC) [default: now]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) after: Option<u64>,
    /// Days for which it still runs after its end
    #[arg(long, default_value_t = 0, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(..=36_500))]
    pub(crate) grace: u64,
    /// Sessions that may be open at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub(crate) seats: Option<u64>,
    /// Runs only while your newest revocation list there is at most so many days old
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub(crate) max_staleness: Option<u64>,
    /// full, or label: the best label's name and nothing else
    #[arg(long, default_value = "full", value_name = "LEVEL", value_parser = output)]
    pub(crate) output_level: OutputLevel,
    /// What it may be used for, in words
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) field_of_use: String,
    /// adapt, distil, serve or publish-benchmark; may be given several times
    #[arg(long, value_name = "WORD")]
    pub(crate) permit: Vec<Permit>,
    /// Covers these releases [default: the one that was asked for]; the keys of those in the vault are in it
    #[arg(long, value_name = "FIRST..LAST", value_parser = releases)]
    pub(crate) releases: Option<Releases>,
    /// Give this device another trial
    #[arg(long)]
    pub(crate) again: bool,
    /// Where to write the grant; - for stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct Install {
    /// The grant, the lease, the revocation list, or the lineage; - for stdin
    pub(crate) grant: PathBuf,
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Lease {
    /// The other device's request; - for stdin
    pub(crate) request: PathBuf,
    /// To the end of this day (UTC); it does not come back before
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) until: u64,
    /// The grant's id [default: the only one here with seats]
    #[arg(long, value_name = "GRANT")]
    pub(crate) grant: Option<Digest>,
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Where to write the lease; - for stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct Show {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Receipts {
    /// The grant's id [default: the only one that is installed]
    #[arg(value_name = "GRANT")]
    pub(crate) grant: Option<Digest>,
    /// Where to write the statement; - for stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct Audit {
    /// The statement; - for stdin
    pub(crate) statement: PathBuf,
    /// The vault; keeps the newest statement of each grant
    #[arg(long, value_name = "DIR")]
    pub(crate) vault: PathBuf,
    /// Your public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Ledger {
    /// The vault
    #[arg(long, value_name = "DIR")]
    pub(crate) vault: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Revoke {
    /// The publisher, as in the names of its apps
    #[arg(long, value_name = "NAME")]
    pub(crate) publisher: String,
    /// Grows with every list
    #[arg(long, value_name = "N")]
    pub(crate) number: u64,
    /// Sign with this key; may be given several times
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// A bundle: IDENTITY=REASON, or IDENTITY=REASON:TEXT; vulnerable, key-compromise, legal or superseded
    #[arg(long, value_name = "ID=REASON", value_parser = revoked)]
    pub(crate) bundle: Vec<(Digest, Reason, String)>,
    /// A grant: ID=REASON, or ID=REASON:TEXT
    #[arg(long, value_name = "ID=REASON", value_parser = revoked)]
    pub(crate) grant: Vec<(Digest, Reason, String)>,
    /// A signing key of yours, by its id: KEYID, or KEYID=TEXT
    #[arg(long, value_name = "KEYID", value_parser = revoked_key)]
    pub(crate) signing_key: Vec<(KeyId, String)>,
    /// The oldest release of an app that may still be used: PUBLISHER/NAME=RELEASE
    #[arg(long, value_name = "APP=RELEASE", value_parser = floor)]
    pub(crate) floor: Vec<ReleaseFloor>,
    /// Where to write the list; - for stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

fn revoked(text: &str) -> Result<(Digest, Reason, String), String> {
    let (id, rest) = text.split_once('=').ok_or("expected ID=REASON")?;
    let (reason, note) = rest.split_once(':').unwrap_or((rest, ""));
    let id = id.parse().map_err(|error: tilemark::BundleError| error.to_string())?;
    let reason = reason.parse().map_err(|error: tilemark::BundleError| error.to_string())?;
    Ok((id, reason, note.to_owned()))
}

fn revoked_key(text: &str) -> Result<(KeyId, String), String> {
    let (id, note) = text.split_once('=').unwrap_or((text, ""));
    Ok((id.parse().map_err(|error: tilemark::BundleError| error.to_string())?, note.to_owned()))
}

fn floor(text: &str) -> Result<ReleaseFloor, String> {
    let (app, release) = text.split_once('=').ok_or("expected PUBLISHER/NAME=RELEASE")?;
    let app = app.parse().map_err(|error: tilemark::BundleError| error.to_string())?;
    Ok(ReleaseFloor { app, release: release.parse().map_err(|_| "the release is a number")? })
}

fn day(text: &str) -> Result<u64, String> {
    tilemark::license::parse_day(text).ok_or_else(|| "expected a day, such as 2027-12-31".into())
}

fn output(text: &str) -> Result<OutputLevel, String> {
    match text {
        "full" => Ok(OutputLevel::Full),
        "label" => Ok(OutputLevel::Label),
        _ => Err("expected full or label".into()),
    }
}

fn releases(text: &str) -> Result<Releases, String> {
    let parsed = text.split_once("..").and_then(|(first, last)| {
        let last = if last.is_empty() { (1 << 53) - 1 } else { last.parse().ok()? };
        Some(Releases { first: first.parse().ok()?, last })
    });
    parsed.ok_or_else(|| "expected FIRST..LAST, such as 3..9, or 3.. for all that follow".into())
}
