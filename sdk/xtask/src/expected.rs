//! `cargo xtask expected`: the files that tests compare with, computed by ONNX Runtime.

use std::process::Command;

use anyhow::Result;

use crate::{python, steps};

/// Versions that computed the committed files; another one may round elsewhere.
const PACKAGES: &[&str] = &["numpy==2.4.6", "onnx==1.23.2", "onnxruntime==1.31.1", "pillow==13.0.0"];

/// Run in this order from the repository's root.
const SCRIPTS: &[&str] = &[
    "sdk/testkit/python/tagger_expected.py",
    "sdk/testkit/python/operators_expected.py",
    "sdk/testkit/python/ranges_expected.py",
];

pub(crate) fn run() -> Result<()> {
    let python = python::environment("expected", PACKAGES)?;
    for script in SCRIPTS {
        println!("== {script}");
        steps::shell(Command::new(&python).arg("-B").arg(script))?;
    }
    println!("written; `git diff --stat sdk/testkit/data` shows what changed");
    Ok(())
}
