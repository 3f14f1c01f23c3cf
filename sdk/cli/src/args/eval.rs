//! Arguments of `tilemark eval`.

use std::path::PathBuf;

use clap::Args as Group;
use tilemark::eval::{Metric, Plan, StopWhen};

use super::OnDevice;

#[derive(Debug, Group)]
pub(crate) struct Eval {
    /// The bundle
    #[arg(required_unless_present = "plan")]
    bundle: Option<PathBuf>,
    /// Labelled data: a folder with one folder a class, pictures with text files or masks beside them, a manifest.csv, a COCO file
    #[arg(long, value_name = "PATH", required_unless_present = "plan")]
    pub(crate) data: Option<PathBuf>,
    /// What to measure: accuracy, top-5, f1, map, iou, cer, wer, psnr or mae
    #[arg(long, default_value = "accuracy", value_name = "NAME")]
    pub(crate) metric: Metric,
    /// The confidence of intervals, in percent
    #[arg(long, default_value_t = 95.0, value_name = "PERCENT", value_parser = percent)]
    pub(crate) confidence: f64,
    /// The share of samples that may fail, in percent
    #[arg(long, default_value_t = 1.0, value_name = "PERCENT", value_parser = percent_or_all)]
    pub(crate) max_failed: f64,
    /// Write what is done there, and go on with what is there
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    /// Stop when enough is known: "within 3 % at 95 %", "clear of 90 % at 95 %"
    #[arg(long, value_name = "RULE", value_parser = StopWhen::parse)]
    pub(crate) stop_when: Option<StopWhen>,
    /// How many of the worst answers to list
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) worst: usize,
    /// Say how many samples it takes, and run nothing: "accuracy within 3 % at 95 %", "difference of 3 % with 10 % discordant at 95 %"
    #[arg(long, value_name = "QUESTION", value_parser = Plan::parse, conflicts_with_all = ["data", "bundle"])]
    pub(crate) plan: Option<Plan>,
    /// Write a signed claim of what was found there
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with_all = ["stop_when", "plan"])]
    pub(crate) report: Option<PathBuf>,
    /// The key that signs it
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Say in it that the seller chose the data
    #[arg(long)]
    pub(crate) seller_data: bool,
    /// Evaluate what such a claim says, and compare
    #[arg(long, value_name = "FILE", requires = "signer", conflicts_with_all = ["stop_when", "plan", "report", "metric"])]
    pub(crate) check: Option<PathBuf>,
    /// The public key of whoever signed it
    #[arg(long, value_name = "FILE")]
    pub(crate) signer: Option<PathBuf>,
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// host, opencl, opencl:0:1, part of a name; auto: a GPU or the host
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads on the host [default: the cores this process may use]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Set a parameter of the app; repeatable. `inspect` lists them
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Compare {
    /// A bundle
    pub(crate) first: PathBuf,
    /// Another one
    pub(crate) second: PathBuf,
    /// Labelled data, as for `eval`
    #[arg(long, value_name = "PATH")]
    pub(crate) data: PathBuf,
    /// What to compare: accuracy, top-5, f1, map, iou, cer, wer, psnr or mae
    #[arg(long, default_value = "accuracy", value_name = "NAME")]
    pub(crate) metric: Metric,
    /// The confidence of intervals, in percent; tests are at the level that is left
    #[arg(long, default_value_t = 95.0, value_name = "PERCENT", value_parser = percent)]
    pub(crate) confidence: f64,
    /// The share of samples that may fail, in percent
    #[arg(long, default_value_t = 1.0, value_name = "PERCENT", value_parser = percent_or_all)]
    pub(crate) max_failed: f64,
    /// The vendors' public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// host, opencl, opencl:0:1, part of a name; auto: a GPU or the host
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Threads on the host [default: the cores this process may use]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Eval {
    /// Which app, and where it runs.
    pub(crate) fn on(&self) -> OnDevice {
        OnDevice {
            // The parser asks for it wherever it is used.
            bundle: self.bundle.clone().unwrap_or_default(),
            trust: self.trust.clone(),
            device: self.device.clone(),
            threads: self.threads,
            set: self.set.clone(),
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    between(text, |number| number > 0.0 && number < 100.0)
}

fn percent_or_all(text: &str) -> Result<f64, String> {
    between(text, |number| (0.0..=100.0).contains(&number))
}

fn between(text: &str, holds: impl Fn(f64) -> bool) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse().ok().filter(|number| holds(*number));
    number.ok_or_else(|| "a number of percent is expected, between 0 and 100".to_owned())
}
