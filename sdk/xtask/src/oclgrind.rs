//! The OpenCL kernels under oclgrind, which interprets them and tells of every access outside a buffer and of data races.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::steps::{Steps, cargo, shell};

/// Its OpenCL, by itself: the way through `LD_PRELOAD` misses programs that load OpenCL when they run.
const LIBRARY: &str = "/usr/lib/oclgrind/liboclgrind-rt.so";
/// What its log says of a fault. Its exit status says nothing.
const INVALID: &str = "Invalid";
const RACE: &str = "data race";
/// The engine's own tests that have a fault each, and what must be said of it.
const PLANTED: [(&str, &str); 2] =
    [("opencl::faults::planted_store_out_of_bounds", INVALID), ("opencl::faults::planted_race", RACE)];

/// The steps alone; whether none failed.
pub(crate) fn run() -> bool {
    let mut steps = Steps::default();
    test(&mut steps);
    steps.summary()
}

/// Adds the steps to others.
pub(crate) fn test(steps: &mut Steps) {
    if !steps.prepare("find oclgrind", find) {
        return;
    }
    let mut programs = None;
    steps.run("build the engine's tests", || {
        programs =
            Some((program("--lib", "tilemark_engine")?, program("--test=conformance", "conformance")?));
        Ok(())
    });
    let Some((own, conformance)) = programs else { return };
    for (fault, said) in PLANTED {
        steps.run(&format!("oclgrind finds a planted fault: {said}"), || {
            let log = checked(Command::new(&own).args(["--ignored", "--exact", fault]))?;
            if !log.contains(said) {
                bail!("oclgrind says nothing of `{said}` about {fault}: {log:?}");
            }
            Ok(())
        });
    }
    steps.run("OpenCL kernels under oclgrind: bounds and data races", || {
        let mut test = Command::new(&conformance);
        test.args(["opencl", "--nocapture"]).env("TILEMARK_TEST_REDUCED", "1");
        let log = checked(test.env("TILEMARK_TEST_OPENCL", "Oclgrind"))?;
        let faults = log.lines().filter(|line| line.contains(INVALID) || line.contains(RACE)).count();
        if faults > 0 {
            bail!("oclgrind found {faults} faults:\n{}", excerpt(&log));
        }
        Ok(())
    });
}

fn find() -> Result<()> {
    let status =
        Command::new("oclgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !status.is_ok_and(|status| status.success()) || !Path::new(LIBRARY).is_file() {
        bail!("oclgrind is not installed; on Debian and Ubuntu `apt-get install oclgrind` does it");
    }
    Ok(())
}

/// Builds a program of the engine's tests, and finds it.
fn program(which: &str, name: &str) -> Result<PathBuf> {
    let arguments = ["test", "--locked", "--no-run", "-p", "tilemark-engine", "--message-format=json", which];
    let built = cargo().args(arguments).current_dir(crate::root()).stderr(Stdio::inherit()).output()?;
    if !built.status.success() {
        bail!("`cargo {}` ended with {}", arguments.join(" "), built.status);
    }
    for line in built.stdout.split(|&byte| byte == b'\n') {
        let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
        if let (Some(true), Some(program)) =
            (message["profile"]["test"].as_bool(), message["executable"].as_str())
            && message["target"]["name"] == name
        {
            return Ok(program.into());
        }
    }
    bail!("cargo built no test program `{name}`")
}

/// Runs a program under oclgrind. The log.
fn checked(program: &mut Command) -> Result<String> {
    let log = crate::target().join("oclgrind.log");
    if log.exists() {
        fs::remove_file(&log)?;
    }
    let mut checker = Command::new("oclgrind");
    checker.args(["--data-races", "--log"]).arg(&log).arg(program.get_program()).args(program.get_args());
    checker.env("OPENCL_DYLIB_PATH", LIBRARY).env("TILEMARK_TUNE", "off");
    checker.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell(&mut checker)?;
    fs::read_to_string(&log).with_context(|| format!("oclgrind wrote no {}", log.display()))
}

/// The beginning of a log: the first fault with its kernel and line.
fn excerpt(log: &str) -> String {
    log.lines().take(40).collect::<Vec<_>>().join("\n")
}
