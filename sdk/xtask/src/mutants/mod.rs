//! `cargo xtask mutants`: every verifier is shown to be able to fail. Faults are planted into a copy of the sources, all at once and
//! each asleep; then the tests run once for each fault, awake, and have to fail. One build, however many faults.

mod faults;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::steps::{cargo, shell};

/// A check that is switched off: an expression of the sources, and what takes its place.
pub(crate) struct Fault {
    /// A file of `sdk/`.
    file: &'static str,
    /// There once.
    find: &'static str,
    /// Of the same type.
    plant: &'static str,
}

/// The variable that wakes one fault, by its number.
const AWAKE: &str = "TILEMARK_FAULT";

/// What every planted expression asks; at the end of a crate's `lib.rs`.
const ASK: &str = r#"
/// Whether this fault is the one that is awake.
#[doc(hidden)]
pub fn planted(number: usize) -> bool {
    static AWAKE: std::sync::LazyLock<Option<usize>> =
        std::sync::LazyLock::new(|| std::env::var("TILEMARK_FAULT").ok()?.parse().ok());
    *AWAKE == Some(number)
}
"#;

/// The crates with faults, and the tests that have to find them.
const CRATES: [(&str, &[&str]); 2] = [
    ("tilemark-bundle", &["--lib", "--test", "refusals", "--test", "encrypted"]),
    ("tilemark", &["--lib", "license"]),
];

/// Whether every fault was found.
pub(crate) fn run() -> Result<bool> {
    let copy = crate::target().join("mutants");
    copy_sources(&copy)?;
    plant(&copy)?;
    for (name, tests) in CRATES {
        // Asleep, they change nothing: else a test that fails would say nothing about a fault.
        ensure!(passes(&copy, name, tests, None)?, "{name}: its tests fail without any fault");
    }
    let mut survivors = Vec::new();
    for (number, fault) in faults::FAULTS.iter().enumerate() {
        let found = !passes(&copy, package(fault.file), tests_of(fault.file), Some(number))?;
        let word = if found { "killed" } else { "SURVIVED" };
        println!("{word:<9} {}: {} -> {}", fault.file, shown(fault.find), shown(fault.plant));
        if !found {
            survivors.push(number);
        }
    }
    let (killed, all) = (faults::FAULTS.len() - survivors.len(), faults::FAULTS.len());
    println!("{killed} of {all} faults found by the tests, {:.0} %", 100.0 * killed as f64 / all as f64);
    Ok(survivors.is_empty())
}

/// Tracked files and new ones, as they are now.
fn copy_sources(to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    let list = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(crate::root())
        .output()
        .context("git lists the sources")?;
    for name in list.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = std::str::from_utf8(name)?;
        let (from, to) = (crate::root().join(name), to.join(name));
        if !from.is_file() {
            continue; // removed, and not committed yet
        }
        std::fs::create_dir_all(to.parent().unwrap_or(&to))?;
        std::fs::copy(&from, &to).with_context(|| format!("copying {name}"))?;
    }
    Ok(())
}

/// Changes every expression into one that asks whether its fault is awake.
fn plant(copy: &Path) -> Result<()> {
    let mut texts: BTreeMap<PathBuf, String> = BTreeMap::new();
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("{}", path.display()));
    for (number, Fault { file, find, plant }) in faults::FAULTS.iter().enumerate() {
        let path = copy.join("sdk").join(file);
        let text = match texts.remove(&path) {
            Some(text) => text,
            None => read(&path)?,
        };
        let count = text.matches(find).count();
        ensure!(count == 1, "{file} has {count} times `{find}`, expected once: mend mutants/faults.rs");
        let asked = format!("(if crate::planted({number}) {{ {plant} }} else {{ {find} }})");
        texts.insert(path, text.replacen(find, &asked, 1));
    }
    for (package, _) in CRATES {
        let path = copy.join("sdk").join(folder(package)).join("src/lib.rs");
        let text = match texts.remove(&path) {
            Some(text) => text,
            None => read(&path)?,
        };
        texts.insert(path, text + ASK);
    }
    texts.iter().try_for_each(|(path, text)| Ok(std::fs::write(path, text)?))
}

/// Whether the tests of a crate pass with this fault awake.
fn passes(copy: &Path, package: &str, tests: &[&str], awake: Option<usize>) -> Result<bool> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--manifest-path"]).arg(copy.join("Cargo.toml")).args(["-p", package]);
    command.args(tests).env("CARGO_TARGET_DIR", crate::target()); // what it depends on is built there
    let Some(number) = awake else { return Ok(shell(&mut command).is_ok()) };
    let status =
        command.env(AWAKE, number.to_string()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    match status.code() {
        Some(0) => Ok(true),
        Some(101) => Ok(false),
        other => bail!("cargo test ended with {other:?}"),
    }
}

fn package(file: &str) -> &'static str {
    if file.starts_with("bundle/") { CRATES[0].0 } else { CRATES[1].0 }
}

fn tests_of(file: &str) -> &'static [&'static str] {
    if file.starts_with("bundle/") { CRATES[0].1 } else { CRATES[1].1 }
}

fn folder(package: &str) -> &'static str {
    if package == CRATES[0].0 { "bundle" } else { "tilemark" }
}

/// An expression on one line.
fn shown(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
