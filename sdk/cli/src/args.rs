//! Arguments, as `--help` shows them.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand};
use tilemark::{Algorithm, Device};

/// Signed accelerator apps: pack, verify, run; the same bits on every backend.
#[derive(Debug, Parser)]
#[command(name = "tilemark", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show everything on the photo tagger: pack, verify, run, replay, and refuse a changed byte
    Demo(Demo),
    /// Vendor: make a key pair, NAME.key and NAME.pub
    Keygen(Keygen),
    /// Vendor: make a signed bundle from an app.toml, or from a model alone
    Pack(Pack),
    /// Vendor: add a signature to a bundle
    Sign(Sign),
    /// Vendor: find problems before packing
    Check(Check),
    /// Show what is in a bundle or a model
    Inspect(Inspect),
    /// Check who made a bundle and that nothing in it was changed
    Verify(Verify),
    /// Run an app on pictures or tensors
    Run(Run),
    /// List the devices of this machine
    Devices(Devices),
    /// Show how an app runs on a device, step by step
    Plan(Plan),
    /// Examine this machine; with an app, replay its golden vectors
    Doctor(Doctor),
    /// Measure an app on a device
    Bench(Bench),
}

impl Command {
    /// Whether the caller asked for JSON.
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Self::Demo(_) | Self::Keygen(_) | Self::Pack(_) | Self::Sign(_) => false,
            Self::Check(Check { json, .. })
            | Self::Inspect(Inspect { json, .. })
            | Self::Verify(Verify { json, .. })
            | Self::Run(Run { json, .. })
            | Self::Devices(Devices { json })
            | Self::Plan(Plan { json, .. })
            | Self::Doctor(Doctor { json, .. })
            | Self::Bench(Bench { json, .. }) => *json,
        }
    }
}

#[derive(Debug, Group)]
pub(crate) struct Demo {
    /// Photos of yours instead of the app's samples
    #[arg(value_name = "PICTURE")]
    pub(crate) pictures: Vec<PathBuf>,
    /// The app to show [default: examples/apps/tagger of the checkout]
    #[arg(long, value_name = "DIR")]
    pub(crate) app: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Keygen {
    /// Where to write: NAME.key (secret, mode 0600) and NAME.pub
    #[arg(long, value_name = "NAME")]
    pub(crate) out: PathBuf,
    /// ed25519, or ecdsa-p256 for hardware that has no other
    #[arg(long, default_value = "ed25519", value_name = "NAME")]
    pub(crate) algorithm: Algorithm,
}

#[derive(Debug, Group)]
pub(crate) struct Pack {
    /// The app's description
    #[arg(value_name = "APP.TOML", required_unless_present = "model", conflicts_with = "model")]
    pub(crate) description: Option<PathBuf>,
    /// Pack this ONNX model alone: raw tensors in and out
    #[arg(long, value_name = "MODEL.ONNX", requires = "name", requires = "version")]
    pub(crate) model: Option<PathBuf>,
    /// With --model: the app's name, PUBLISHER/NAME
    #[arg(long, requires = "model", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// With --model: the app's version
    #[arg(long, requires = "model", value_name = "X.Y.Z")]
    pub(crate) version: Option<String>,
    /// With --model: the release number; higher replaces lower
    #[arg(long, requires = "model", default_value_t = 1, value_name = "N")]
    pub(crate) release: u64,
    /// With --model: an SPDX expression
    #[arg(long, requires = "model", default_value = "LicenseRef-unspecified", value_name = "SPDX")]
    pub(crate) license: String,
    /// Sign with this key; may be given several times
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// Where to write the bundle
    #[arg(short, long, value_name = "APP.TMK")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct Sign {
    /// The bundle
    pub(crate) bundle: PathBuf,
    /// Sign with this key; may be given several times
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// Where to write the bundle with the added signatures
    #[arg(short, long, value_name = "APP.TMK")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct Check {
    /// The app's description
    #[arg(value_name = "APP.TOML")]
    pub(crate) description: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Inspect {
    /// A bundle, or an ONNX model
    pub(crate) file: PathBuf,
    /// The vendor's public key or a policy; without it only a bundle's envelope is shown
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Show what each import pass changed (models only)
    #[arg(long)]
    pub(crate) passes: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Verify {
    /// The bundle
    pub(crate) bundle: PathBuf,
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Also replay the golden vectors on the host
    #[arg(long)]
    pub(crate) replay: bool,
    /// Print the verdict as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// An app, whom to trust, and where to run.
#[derive(Debug, Group)]
pub(crate) struct OnDevice {
    /// The bundle
    pub(crate) bundle: PathBuf,
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// host, or auto: the fastest device that passes the golden vectors
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Threads on the host [default: the cores this process may use]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

#[derive(Debug, Group)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) on: OnDevice,
    /// Pictures: JPEG, PNG, BMP or WebP
    #[arg(value_name = "PICTURE", required_unless_present = "tensor")]
    pub(crate) pictures: Vec<PathBuf>,
    /// An input tensor, NAME=FILE.npy; once for each of the model's inputs
    #[arg(long, value_name = "NAME=FILE", conflicts_with = "pictures")]
    pub(crate) tensor: Vec<String>,
    /// Write the model's outputs there as .npy files
    #[arg(long, value_name = "DIR")]
    pub(crate) tensors_out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Devices {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) on: OnDevice,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Doctor {
    /// An app whose golden vectors are replayed
    pub(crate) bundle: Option<PathBuf>,
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) on: OnDevice,
    /// Inputs processed in one call
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) batch: u32,
    /// Calls measured
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) runs: u32,
    /// Also measure every step of the model, one by one
    #[arg(long)]
    pub(crate) layers: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The device that `--device` and `--threads` name; `None` for `auto`.
pub(crate) fn device(on: &OnDevice) -> Result<Option<Device>, tilemark::Error> {
    let device: Device = on.device.parse()?;
    let device = match on.threads {
        Some(threads) => device.with_threads(threads)?,
        None => device,
    };
    Ok((on.device != "auto").then_some(device))
}
