//! `cargo xtask compare-quantizers`: `tilemark quantize` beside ONNX Runtime's quantizer, on real models.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{models, python, steps};

const SCRIPT: &str = "sdk/testkit/python/models/compare_quantizers.py";
const PAGE: &str = "docs/benchmarks/quantize.md";

/// With what to compare.
#[derive(clap::Args)]
pub(crate) struct Compare {
    /// A `tilemark` that is built already; without it one is built in release.
    #[arg(long)]
    binary: Option<PathBuf>,
}

pub(crate) fn run(wanted: &Compare) -> Result<()> {
    let named = ["efficientnet-lite0", models::GARMENT].map(str::to_owned);
    models::run(&models::Models::named(&named))?;
    let binary = match &wanted.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => {
            let build = ["build", "--release", "--locked", "-p", "tilemark-cli", "--bin", "tilemark"];
            steps::shell(steps::cargo().args(build))?;
            crate::target().join("release").join(format!("tilemark{}", std::env::consts::EXE_SUFFIX))
        }
    };
    let python = python::environment("models", models::PACKAGES)?;
    let folder = crate::target().join("models");
    let mut compare = Command::new(python);
    compare.env("PYTHONHASHSEED", "0").args(["-B", SCRIPT]).arg(folder).arg(binary).arg(PAGE);
    steps::shell(compare.args(["--commit", &commit()]))
}

/// The commit that is checked out, in short.
fn commit() -> String {
    let output =
        Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(crate::root()).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.map_or_else(|| "unknown".into(), |text| String::from_utf8_lossy(&text).trim().to_owned())
}
