//! Python, for the oracles: a virtual environment below `target/` with exactly the packages that a task pins.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::steps::shell;

/// The interpreter of a virtual environment that has these packages (`name==version`), made if it is not there yet.
pub(crate) fn environment(name: &str, packages: &[&str]) -> Result<PathBuf> {
    environment_in(&crate::target().join("python").join(name), packages)
}

/// As [`environment`], in a folder of the caller's choice.
pub(crate) fn environment_in(folder: &Path, packages: &[&str]) -> Result<PathBuf> {
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let stamp = folder.join("packages.txt");
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    let venv = Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder).output();
    match venv {
        Ok(output) if output.status.success() => {}
        Ok(output) => bail!(
            "python3 cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv): {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) => bail!("python3 cannot be started ({error}): install Python 3.11 or newer"),
    }
    if !packages.is_empty() {
        shell(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--only-binary=:all:"])
                .args(packages),
        )
        .context("pip cannot install the packages; is the network there?")?;
    }
    std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}
