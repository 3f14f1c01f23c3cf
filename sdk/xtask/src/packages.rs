//! Packages of Debian and Ubuntu.

use std::process::Command;

use anyhow::{Context, Result};

use crate::steps::shell;

/// Installs what a test needs, as root or by `sudo` without a question.
///
/// # Errors
/// Whoever may not install packages, or has no `apt-get`.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
        .with_context(|| format!("these packages of Debian and Ubuntu are needed: {}", packages.join(" ")))
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = root("apt-get")?;
    // What is installed need not stay packed as well.
    let options = ["-qq", "-o", "APT::Keep-Downloaded-Packages=false"];
    shell(command.env("DEBIAN_FRONTEND", "noninteractive").args(options).args(arguments))
}

/// A command that runs as root.
pub(crate) fn root(program: &str) -> Result<Command> {
    let id = Command::new("id").arg("-u").output().context("cannot ask `id` who runs this")?;
    if id.stdout.trim_ascii() == b"0" {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", program]);
    Ok(command)
}
