//! `cargo xtask expected`: the files that tests compare with, computed by ONNX Runtime, and by scipy and its like.

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

/// What the statistics and metrics of evaluations are compared with.
const EVALUATION: &[&str] = &[
    "numpy==2.4.6",
    "scipy==1.17.1",
    "statsmodels==0.15.0",
    "scikit-learn==1.9.1",
    "pycocotools==2.0.11",
    "jiwer==4.0.0",
];

/// With these packages.
const EVALUATION_SCRIPTS: &[&str] =
    &["sdk/testkit/python/stats_expected.py", "sdk/testkit/python/metrics_expected.py"];

pub(crate) fn run() -> Result<()> {
    for (name, packages, scripts) in
        [("expected", PACKAGES, SCRIPTS), ("evaluation", EVALUATION, EVALUATION_SCRIPTS)]
    {
        let python = python::environment(name, packages)?;
        for script in scripts {
            println!("== {script}");
            steps::shell(Command::new(&python).arg("-B").arg(script))?;
        }
    }
    println!("written; `git diff --stat sdk/testkit/data` shows what changed");
    Ok(())
}
