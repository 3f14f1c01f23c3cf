//! `cargo xtask peers`: Tilemark beside ONNX Runtime, OpenVINO and LiteRT on the same networks, cores and minutes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{models, python, steps};

const PACKAGES: &[&str] =
    &["ai-edge-litert==2.3.0", "numpy==2.4.6", "onnxruntime==1.31.1", "openvino==2026.4.1"];
const SCRIPT: &str = "benches/peers/compare.py";
/// What makes the files that LiteRT reads.
const TENSORFLOW: &[&str] = &["numpy==2.4.6", "onnx==1.23.2", "tensorflow-cpu==2.21.0"];
const TWINS: &str = "benches/peers/twins.py";

/// What to compare.
#[derive(clap::Args)]
pub(crate) struct Peers {
    /// Writes the tables there as well, such as docs/benchmarks/CPU.md.
    #[arg(long)]
    page: Option<PathBuf>,
    /// What `benches/peers/compare.py` takes: --networks, --threads, --batch, --cpu, --burst, --rounds, --cold.
    #[arg(last = true)]
    options: Vec<String>,
}

pub(crate) fn run(wanted: &Peers) -> Result<()> {
    models::run(&models::Models::DEFAULT)?;
    let twins = crate::target().join("peers");
    let mut make = Command::new(python::environment("tensorflow", TENSORFLOW)?);
    steps::shell(make.arg("-B").arg(TWINS).arg(crate::target().join("models")).arg(&twins))?;
    let python = python::environment("peers", PACKAGES)?;
    steps::shell(steps::cargo().args([
        "build",
        "--locked",
        "--release",
        "-p",
        "tilemark-benches",
        "--bin",
        "peer",
    ]))?;
    let peer = crate::target().join("release").join(format!("peer{}", std::env::consts::EXE_SUFFIX));
    let mut compare = Command::new(python);
    compare
        .arg("-B")
        .arg(SCRIPT)
        .arg(peer)
        .arg(crate::target().join("models"))
        .arg(twins)
        .args(&wanted.options);
    if let Some(page) = &wanted.page {
        compare.arg("--page").arg(std::path::absolute(page).context("cannot find this folder")?);
    }
    steps::shell(&mut compare)
}
