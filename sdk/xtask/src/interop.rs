//! `cargo xtask interop`: signatures, envelopes, stores, bills of materials and images against the tools of others, from PyPI and
//! Debian.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use clap::Args;

use crate::{packages, python, steps};

/// OpenSSF Model Signing's own tool, what reads DSSE envelopes beside us, the reference implementation of TUF, and CycloneDX's own
/// library. The first needs pyOpenSSL, and does not say so.
const PACKAGES: [&str; 6] = [
    "model-signing==1.1.1",
    "securesystemslib==1.6.0",
    "cryptography==50.0.2",
    "pyOpenSSL==26.4.0",
    "tuf==7.0.0",
    "cyclonedx-python-lib[json-validation]==11.12.0",
];

#[derive(Args)]
pub(crate) struct Interop {
    /// Stores that are changed at random and read by both; 10,000 take a quarter of an hour
    #[arg(long, default_value_t = MUTATIONS, value_name = "N")]
    mutations: u32,
}

const MUTATIONS: u32 = 300;

pub(crate) fn run(wanted: &Interop) -> Result<()> {
    check_with(&fetch()?, wanted.mutations)
}

/// A registry of containers, and what reads and copies its images.
const PROGRAMS: [&str; 2] = ["docker-registry", "skopeo"];

/// The Python that has the tools; beside it the programs are there.
pub(crate) fn fetch() -> Result<PathBuf> {
    let ready = || {
        let runs = |program| Command::new(program).arg("--version").stdout(Stdio::null()).status();
        PROGRAMS.iter().all(|program| runs(program).is_ok_and(|status| status.success()))
    };
    if !ready() {
        packages::install(&PROGRAMS)?;
        ensure!(ready(), "{} were installed and do not start", PROGRAMS.join(" and "));
    }
    python::environment("interop", &PACKAGES)
}

/// Runs the tests that use them.
pub(crate) fn check(python: &Path) -> Result<()> {
    check_with(python, MUTATIONS)
}

fn check_with(python: &Path, mutations: u32) -> Result<()> {
    let mut test = steps::whole();
    test.args(["--test", "cli", "--lib", "interop", "--", "--include-ignored"]);
    steps::tests(test.env("TILEMARK_INTEROP_PYTHON", python).env("TILEMARK_MUTATIONS", mutations.to_string()))
}
