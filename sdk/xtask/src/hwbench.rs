//! `cargo xtask hwbench`: every kernel of this machine's level on a list of layers. Not a test: it measures time.

use std::process::Command;

use anyhow::Result;

use crate::steps;

/// Which kernels.
#[derive(clap::Args)]
pub(crate) struct Hwbench {
    /// A CPU level, such as avx2, instead of the best one.
    #[arg(long)]
    level: Option<String>,
}

pub(crate) fn run(wanted: &Hwbench) -> Result<()> {
    let build = ["build", "--locked", "--release", "-p", "tilemark-benches", "--bin", "hwbench"];
    steps::shell(steps::cargo().args(build))?;
    let hwbench = crate::target().join("release").join(format!("hwbench{}", std::env::consts::EXE_SUFFIX));
    steps::shell(Command::new(hwbench).args(&wanted.level))
}
