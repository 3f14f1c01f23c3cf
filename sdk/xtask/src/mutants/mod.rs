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

/// A crate with faults.
struct Crate {
    package: &'static str,
    folder: &'static str,
    /// The tests that have to find them: what follows `cargo test`.
    tests: &'static [&'static str],
    /// Of these, the ones that are quick, for a first look; they are named after the file, or these words.
    quick: &'static [&'static str],
}

const CRATES: [Crate; 2] = [
    Crate {
        package: "tilemark-bundle",
        folder: "bundle",
        tests: &["--lib", "--test", "refusals", "--test", "encrypted", "--test", "tamper"],
        quick: &[],
    },
    Crate {
        package: "tilemark",
        folder: "tilemark",
        tests: &["--lib", "license"],
        quick: &["license::tests", "license::lease_tests"],
    },
];

/// Whether every fault was found.
pub(crate) fn run() -> Result<bool> {
    let copy = crate::target().join("mutants");
    copy_sources(&copy, &planted()?)?;
    for part in &CRATES {
        // Asleep, they change nothing: else a test that fails would say nothing about a fault.
        let passed = shell(&mut test(&copy, part, part.tests)).is_ok();
        ensure!(passed, "{}: its tests fail without any fault", part.package);
    }
    let mut survivors = 0;
    for (number, fault) in faults::FAULTS.iter().enumerate() {
        let found = finds(&copy, number, fault)?;
        let word = if found { "killed" } else { "SURVIVED" };
        println!("{word:<9} {}: {} -> {}", fault.file, shown(fault.find), shown(fault.plant));
        survivors += usize::from(!found);
    }
    let all = faults::FAULTS.len();
    let killed = all - survivors;
    println!("{killed} of {all} faults found by the tests, {:.0} %", 100.0 * killed as f64 / all as f64);
    Ok(survivors == 0)
}

/// Whether a test fails with this fault awake: at first a quick one, then any.
fn finds(copy: &Path, number: usize, fault: &Fault) -> Result<bool> {
    let part = part(fault.file);
    let module = Path::new(fault.file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let module = format!("{module}::");
    let names: Vec<&str> = if part.quick.is_empty() { vec![&module] } else { part.quick.to_vec() };
    let quick = [&["--lib", "--"], &names[..]].concat();
    for tests in [&quick[..], part.tests] {
        let mut test = test(copy, part, tests);
        let status =
            test.env(AWAKE, number.to_string()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        match status.code() {
            Some(0) => {}
            Some(101) => return Ok(true),
            other => bail!("cargo test ended with {other:?}"),
        }
    }
    Ok(false)
}

fn test(copy: &Path, part: &Crate, tests: &[&str]) -> Command {
    let mut command = cargo();
    command.args(["test", "--quiet", "--manifest-path"]).arg(copy.join("Cargo.toml"));
    // A folder of its own: cargo takes packages of the same place in two workspaces for the same.
    command
        .args(["-p", part.package])
        .args(tests)
        .env("CARGO_TARGET_DIR", crate::target().join("mutants-build"));
    command
}

fn part(file: &str) -> &'static Crate {
    let [bundle, tilemark] = &CRATES;
    if file.starts_with(bundle.folder) { bundle } else { tilemark }
}

/// The sources that are changed: every expression into one that asks whether its fault is awake.
fn planted() -> Result<BTreeMap<PathBuf, String>> {
    let mut texts: BTreeMap<PathBuf, String> = BTreeMap::new();
    let text = |texts: &mut BTreeMap<PathBuf, String>, path: &Path| match texts.remove(path) {
        Some(text) => Ok(text),
        None => {
            std::fs::read_to_string(crate::root().join(path)).with_context(|| format!("{}", path.display()))
        }
    };
    for (number, Fault { file, find, plant }) in faults::FAULTS.iter().enumerate() {
        let path = Path::new("sdk").join(file);
        let old = text(&mut texts, &path)?;
        let count = old.matches(find).count();
        ensure!(count == 1, "{file} has {count} times `{find}`, expected once: mend mutants/faults.rs");
        let asked = format!("(if crate::planted({number}) {{ {plant} }} else {{ {find} }})");
        texts.insert(path, old.replacen(find, &asked, 1));
    }
    for part in &CRATES {
        let path = Path::new("sdk").join(part.folder).join("src/lib.rs");
        let old = text(&mut texts, &path)?;
        texts.insert(path, old + ASK);
    }
    Ok(texts)
}

/// Tracked files and new ones as they are now, or as `changed` has them. What is there already is not touched: cargo builds again
/// what is newer.
fn copy_sources(to: &Path, changed: &BTreeMap<PathBuf, String>) -> Result<()> {
    let list = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(crate::root())
        .output()
        .context("git lists the sources")?;
    for name in list.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = Path::new(std::str::from_utf8(name)?);
        let (from, to) = (crate::root().join(name), to.join(name));
        if !from.is_file() {
            let _ = std::fs::remove_file(&to); // removed, and not committed yet
            continue;
        }
        let bytes = match changed.get(name) {
            Some(text) => text.clone().into_bytes(),
            None => std::fs::read(&from).with_context(|| format!("reading {}", name.display()))?,
        };
        if std::fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        std::fs::create_dir_all(to.parent().unwrap_or(&to))?;
        std::fs::write(&to, bytes).with_context(|| format!("copying {}", name.display()))?;
    }
    Ok(())
}

/// An expression on one line.
fn shown(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    /// A check that was rewritten would go without its fault until somebody runs them all.
    #[test]
    fn every_fault_has_its_place_in_the_sources() {
        assert!(!super::planted().unwrap().is_empty());
    }
}
