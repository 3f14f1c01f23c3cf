//! Arguments of `tilemark store push` and `pull`.

use std::path::PathBuf;

use clap::Args as Group;
use tilemark_store::oci::Reference;

/// How to ask a registry.
#[derive(Debug, Group)]
pub(crate) struct Access {
    /// Who we are there, in Docker's form [default: Docker's own file]
    #[arg(long, value_name = "FILE")]
    pub(crate) auth_file: Option<PathBuf>,
    /// The host of the registry's token server, where it is another one and may have the password
    #[arg(long, value_name = "HOST")]
    pub(crate) token_host: Option<String>,
    /// Ask by HTTP, not HTTPS, as registries on this machine are asked anyway
    #[arg(long)]
    pub(crate) insecure_http: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Push {
    /// The bundle
    pub(crate) bundle: PathBuf,
    /// REGISTRY/NAME[:TAG]
    #[arg(value_parser = image)]
    pub(crate) image: Reference,
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Attach an evaluation that `tilemark eval --report` signed; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) access: Access,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Pull {
    /// REGISTRY/NAME[:TAG|@sha256:DIGEST]
    #[arg(value_parser = image)]
    pub(crate) image: Reference,
    /// The bundle's file; of an older one that is there only what changed is fetched
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Write the evaluations of the bundle that are in the registry into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) reports: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) access: Access,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn image(text: &str) -> Result<Reference, String> {
    text.parse().map_err(|error: tilemark_store::Error| error.to_string())
}
