//! Arguments, as `--help` shows them.

#[cfg(test)]
mod documented;
pub(crate) mod eval;
pub(crate) mod license;
#[cfg(feature = "store")]
pub(crate) mod store;

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand};
use tilemark::quantize::{Activations, Channels, Fit, Method, Ranges};
use tilemark::{Algorithm, Device};

use crate::drivers::{self, Drivers};
use crate::failure::Result;

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
    /// Vendor: let a key name the one that follows it
    Rotate(Rotate),
    /// Vendor: make a signed bundle from an app.toml, or from a model alone
    Pack(Pack),
    /// Vendor: add a signature to a bundle
    Sign(Sign),
    /// Vendor: make an int8 model of a float one
    Quantize(Quantize),
    /// Vendor: find problems before packing
    Check(Check),
    /// Show what is in a bundle or a model
    Inspect(Inspect),
    /// Write a bundle's contents as files, signed for the tools of others
    Export(Export),
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
    /// Measure how good an app is on labelled data of yours
    Eval(Box<eval::Eval>),
    /// Measure two apps on the same labelled data: which is better?
    Compare(Box<eval::Compare>),
    /// Ask for, issue, install and show grants
    #[command(subcommand)]
    License(license::License),
    /// Publish, find, install and update apps
    #[cfg(feature = "store")]
    #[command(subcommand)]
    Store(Box<store::Store>),
    /// Asks the OpenCL drivers, in a process that they may crash
    #[command(hide = true)]
    Drivers(Drivers),
}

impl Command {
    /// Whether the caller asked for JSON.
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Self::Demo(_)
            | Self::Keygen(_)
            | Self::Rotate(_)
            | Self::Pack(_)
            | Self::Sign(_)
            | Self::Export(_)
            | Self::Drivers(_) => false,
            Self::Check(Check { json, .. })
            | Self::Inspect(Inspect { json, .. })
            | Self::Quantize(Quantize { json, .. })
            | Self::Verify(Verify { json, .. })
            | Self::Run(Run { json, .. })
            | Self::Devices(Devices { json, .. })
            | Self::Plan(Plan { json, .. })
            | Self::Doctor(Doctor { json, .. })
            | Self::Bench(Bench { json, .. }) => *json,
            Self::Eval(command) => command.wants_json(),
            Self::Compare(command) => command.output.json,
            Self::License(command) => command.wants_json(),
            #[cfg(feature = "store")]
            Self::Store(command) => command.wants_json(),
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
    #[arg(long, short, value_name = "NAME")]
    pub(crate) out: PathBuf,
    /// ed25519, or ecdsa-p256 for hardware that has no other
    #[arg(long, default_value = "ed25519", value_name = "NAME")]
    pub(crate) algorithm: Algorithm,
}

#[derive(Debug, Group)]
pub(crate) struct Rotate {
    /// The publisher, as in the names of its apps
    #[arg(long, value_name = "NAME")]
    pub(crate) publisher: String,
    /// The key that is followed; it signs
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The public key that follows
    #[arg(long, value_name = "FILE")]
    pub(crate) new: PathBuf,
    /// Where to write the lineage; integrators `tilemark license install` it
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
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
    /// Encrypt it: it runs where a grant allows it
    #[arg(long, requires = "vault")]
    pub(crate) encrypt: bool,
    /// With --encrypt: the folder of your keys and ledger; made if not there
    #[arg(long, requires = "encrypt", value_name = "DIR")]
    pub(crate) vault: Option<PathBuf>,
    /// With --encrypt: another key (public) whose grants open it; repeatable
    #[arg(long, requires = "encrypt", value_name = "FILE")]
    pub(crate) issuer: Vec<PathBuf>,
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
pub(crate) struct Quantize {
    /// The float model
    #[arg(value_name = "MODEL.ONNX")]
    pub(crate) model: PathBuf,
    /// Where to write the quantized model
    #[arg(short, long, value_name = "MODEL.ONNX")]
    pub(crate) output: PathBuf,
    /// Pictures or .npy tensors to calibrate with: a folder, or one .npy file of many samples
    #[arg(long, value_name = "DIR")]
    pub(crate) calibration: PathBuf,
    #[command(flatten)]
    pub(crate) pixels: Pixels,
    /// How ranges are chosen: auto (the best by measure), min-max, percentile:P, entropy, mse
    #[arg(long, default_value = "auto", value_name = "METHOD", value_parser = ranges)]
    pub(crate) ranges: Ranges,
    /// Type of activations: u8 or s8
    #[arg(long, default_value = "u8", value_name = "TYPE", value_parser = activations)]
    pub(crate) activations: Activations,
    /// Balance the weights of convolutions that follow each other before quantizing
    #[arg(long)]
    pub(crate) equalize: bool,
    /// Leave biases as they are
    #[arg(long)]
    pub(crate) no_bias_correction: bool,
    /// Keep the N layers in float that cost the outputs most
    #[arg(long, value_name = "N")]
    pub(crate) keep_float: Option<usize>,
    /// Keep as few layers in float as bring the outputs to this signal-to-noise ratio
    #[arg(long, value_name = "DB", conflicts_with = "keep_float")]
    pub(crate) min_snr: Option<f64>,
    /// Other samples to measure the result with [default: the calibration samples]
    #[arg(long, value_name = "DIR")]
    pub(crate) evaluation: Option<PathBuf>,
    /// The class of each evaluation sample: a .npy array of integers, or a text file, one number a line
    #[arg(long, value_name = "FILE", requires = "evaluation")]
    pub(crate) labels: Option<PathBuf>,
    /// Write a report with plots
    #[arg(long, value_name = "FILE.HTML")]
    pub(crate) report: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How pictures become the model's input.
#[derive(Debug, Group)]
pub(crate) struct Pixels {
    /// Pictures: take the steps before the model from this app
    #[arg(long, value_name = "APP.TOML", conflicts_with_all = ["mean", "std", "divide", "channels", "fit"])]
    pub(crate) app: Option<PathBuf>,
    /// Pictures without an app: (p / divide - mean) / std, one number or one a channel
    #[arg(
        long,
        value_name = "M,M,M",
        value_delimiter = ',',
        requires = "std",
        allow_negative_numbers = true
    )]
    pub(crate) mean: Vec<f32>,
    /// See --mean
    #[arg(long, value_name = "S,S,S", value_delimiter = ',', requires = "mean")]
    pub(crate) std: Vec<f32>,
    /// See --mean
    #[arg(long, value_name = "D", default_value_t = 1.0)]
    pub(crate) divide: f32,
    /// rgb, bgr or gray
    #[arg(long, value_name = "ORDER", default_value = "rgb", value_parser = channels)]
    pub(crate) channels: Channels,
    /// Pictures of another shape: stretch, or crop the middle
    #[arg(long, value_name = "RULE", default_value = "stretch", value_parser = fit)]
    pub(crate) fit: Fit,
}

fn ranges(text: &str) -> std::result::Result<Ranges, String> {
    Ok(Ranges::Method(match text {
        "auto" => return Ok(Ranges::Auto),
        "min-max" => Method::MinMax,
        "entropy" => Method::Entropy,
        "mse" => Method::Mse,
        _ => {
            let percent = text.strip_prefix("percentile:").and_then(|percent| percent.parse::<f64>().ok());
            let percent = percent.filter(|percent| (50.0..=100.0).contains(percent));
            let expected = "expected auto, min-max, percentile:P with P from 50 to 100, entropy or mse";
            Method::Percentile(percent.ok_or_else(|| expected.to_owned())?)
        }
    }))
}

fn activations(text: &str) -> std::result::Result<Activations, String> {
    match text {
        "u8" => Ok(Activations::U8),
        "s8" => Ok(Activations::S8),
        _ => Err("expected u8 or s8".into()),
    }
}

fn channels(text: &str) -> std::result::Result<Channels, String> {
    match text {
        "rgb" => Ok(Channels::Rgb),
        "bgr" => Ok(Channels::Bgr),
        "gray" => Ok(Channels::Gray),
        _ => Err("expected rgb, bgr or gray".into()),
    }
}

fn fit(text: &str) -> std::result::Result<Fit, String> {
    match text {
        "stretch" => Ok(Fit::Stretch),
        "crop" => Ok(Fit::Crop),
        _ => Err("expected stretch or crop".into()),
    }
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
pub(crate) struct Export {
    /// The bundle
    pub(crate) bundle: PathBuf,
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Write the files into this new folder, with an OpenSSF Model Signing signature (model.sig)
    #[arg(long, requires = "key", required_unless_present = "ml_bom", value_name = "DIR")]
    pub(crate) oms: Option<PathBuf>,
    /// With --oms: sign with this key, an ECDSA P-256 one
    #[arg(long, requires = "oms", value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Write what it is made of, and under which licences, to this file: a CycloneDX 1.6 bill of materials
    #[arg(long, value_name = "FILE")]
    pub(crate) ml_bom: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Verify {
    /// The bundle; with --oms, a folder of files
    pub(crate) bundle: PathBuf,
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Also replay the golden vectors on the host
    #[arg(long)]
    pub(crate) replay: bool,
    /// Check a folder by this model signature and the key in --trust
    #[arg(long, value_name = "MODEL.SIG", conflicts_with = "replay", requires = "trust")]
    pub(crate) oms: Option<PathBuf>,
    /// Print the verdict as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// An app, whom to trust, and where to run.
#[derive(Debug, Group)]
pub(crate) struct OnDevice {
    /// The bundle
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) at: Where,
}

/// Whom to trust, where to run, and what to set: all that opens an app but for which.
#[derive(Clone, Debug, Group)]
pub(crate) struct Where {
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// host, opencl, opencl:0:1, part of a name; auto: a GPU or the host
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Threads on the host [default: the cores this process may use]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Set a parameter of the app; repeatable. `inspect` lists them
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) on: OnDevice,
    /// Pictures (JPEG, PNG, BMP, WebP) or sounds (WAV)
    #[arg(value_name = "PICTURE", required_unless_present_any = ["tensor", "frames"])]
    pub(crate) pictures: Vec<PathBuf>,
    /// Frame after frame: a folder's pictures by name, or `-` for PPM pictures on stdin
    #[arg(long, value_name = "DIR", conflicts_with_all = ["pictures", "tensor", "tensors_out", "files_out", "draw"])]
    pub(crate) frames: Option<PathBuf>,
    /// With --frames: drop the oldest that waits when they come too fast
    #[arg(long, requires = "frames")]
    pub(crate) drop: bool,
    /// With --frames: how many frames may wait for the model
    #[arg(long, requires = "frames", default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) waiting: u32,
    /// An input tensor, NAME=FILE.npy; once for each of the model's inputs
    #[arg(long, value_name = "NAME=FILE", conflicts_with = "pictures")]
    pub(crate) tensor: Vec<String>,
    /// Write the model's outputs there as .npy files
    #[arg(long, value_name = "DIR")]
    pub(crate) tensors_out: Option<PathBuf>,
    /// Write the pictures that the app makes there, such as masks, as PNG files
    #[arg(long, value_name = "DIR")]
    pub(crate) files_out: Option<PathBuf>,
    /// Draw boxes, labels, text and masks on the picture, and write it there
    #[arg(long, value_name = "FILE.PNG", conflicts_with = "tensor")]
    pub(crate) draw: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Devices {
    /// A bundle: which of its bitstreams fit which FPGA, and why others do not
    pub(crate) bundle: Option<PathBuf>,
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE", requires = "bundle")]
    pub(crate) trust: Option<PathBuf>,
    /// Forget what was learned of OpenCL devices before, failures too
    #[arg(long)]
    pub(crate) retest: bool,
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
    /// Run the inputs of a call at once, each on one thread
    #[arg(long, conflicts_with = "layers")]
    pub(crate) throughput: bool,
    /// Also measure every stage, and every step of an only model, one by one
    #[arg(long)]
    pub(crate) layers: bool,
    /// First time kernels for up to a minute, whatever TILEMARK_TUNE says
    #[arg(long)]
    pub(crate) tune: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The device that `--device` and `--threads` name; `None` for `auto`.
pub(crate) fn device(at: &Where) -> Result<Option<Device>> {
    // A wrong number of threads is told before a driver is asked.
    let host = at.threads.map_or(Ok(Device::host()), |threads| Device::host().with_threads(threads));
    host.map_err(tilemark::Error::from)?;
    if at.device == "auto" {
        return Ok(None);
    }
    let device = drivers::named(&at.device)?;
    Ok(Some(match at.threads {
        Some(threads) => device.with_threads(threads).map_err(tilemark::Error::from)?,
        None => device,
    }))
}
