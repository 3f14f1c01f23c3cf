//! `cargo xtask test`: every test, and at the end what ran and what did not.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Result;

use crate::models;
use crate::onnx_tests;
use crate::steps::{Steps, cargo, shell};

/// Whether all that ran passed.
pub(crate) fn run() -> Result<bool> {
    let mut steps = Steps::default();
    let nextest = cargo().args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if nextest.is_ok_and(|status| status.success()) {
        steps.run("tests (nextest)", || {
            shell(cargo().args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]))
        });
    } else {
        steps.run("tests", || {
            shell(
                cargo()
                    .args(["test", "--workspace", "--locked", "--lib", "--bins", "--tests"])
                    .arg("--no-fail-fast"),
            )
        });
    }
    steps.run("doc tests", || {
        shell(cargo().args(["test", "--workspace", "--locked", "--doc", "--no-fail-fast"]))
    });
    let mut cases = PathBuf::new();
    let fetched = steps.prepare("fetch ONNX's node cases", || {
        cases = onnx_tests::fetch()?;
        Ok(())
    });
    if fetched {
        steps.run("ONNX's node cases", || onnx_tests::check(&cases));
    }
    if steps.prepare("fetch real networks", || models::run(&models::Models::DEFAULT)) {
        steps.run("real networks", || models::check(&[]));
    }
    Ok(steps.summary())
}
