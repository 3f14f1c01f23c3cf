//! Arguments of `tilemark store escrow`.

use std::path::PathBuf;

use clap::{Args as Group, Subcommand};
use tilemark_store::AppName;

use super::app_name;

#[derive(Debug, Subcommand)]
pub(crate) enum Escrow {
    /// Vendor: split an encrypted bundle's key into shares, and write the deed
    Split(Split),
    /// Trustee: say that the key is due, or sign what another trustee said
    Release(EscrowRelease),
    /// Buyer: open the bundle with the trustees' release and shares
    Combine(Combine),
}

#[derive(Debug, Group)]
pub(crate) struct Split {
    /// The bundle, which is encrypted
    pub(crate) bundle: PathBuf,
    /// The vault that it was packed with
    #[arg(long, value_name = "DIR")]
    pub(crate) vault: PathBuf,
    /// Sign the deed with this key, one that signed the bundle; as many as buyers' policies ask for
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// A trustee's public key; one for each
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) trustee: Vec<PathBuf>,
    /// How many trustees it takes
    #[arg(long, value_name = "N")]
    pub(crate) threshold: u64,
    /// An archive of the source that the trustees keep too: the deed has its SHA-256
    #[arg(long, value_name = "FILE")]
    pub(crate) source: Option<PathBuf>,
    /// A new folder for the deed and the shares
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
}

/// A deed, and whom to trust about it.
#[derive(Debug, Group)]
pub(crate) struct OfDeed {
    /// The deed
    #[arg(long, value_name = "FILE")]
    pub(crate) deed: PathBuf,
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct EscrowRelease {
    #[command(flatten)]
    pub(crate) of: OfDeed,
    /// Why the key is due, for everybody to read
    #[arg(long, required_unless_present = "sign", conflicts_with = "sign", value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Sign this release of another trustee's as well
    #[arg(long, value_name = "FILE")]
    pub(crate) sign: Option<PathBuf>,
    /// The trustee's private key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Where the release goes: a new file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct Combine {
    /// The bundle
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) of: OfDeed,
    /// The release, signed by as many trustees as the deed asks for
    #[arg(long, value_name = "FILE")]
    pub(crate) release: PathBuf,
    /// A trustee's share; as many as the deed asks for
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) share: Vec<PathBuf>,
    /// The archive of the source, to be compared with the deed
    #[arg(long, value_name = "FILE")]
    pub(crate) source: Option<PathBuf>,
    /// A name of yours for the opened app, PUBLISHER/NAME: it is not the vendor's any more
    #[arg(long, value_parser = app_name)]
    pub(crate) name: AppName,
    /// A key of yours, which signs it
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Where the opened app goes: a new file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}
