//! The OpenCL kernels under oclgrind, which interprets them and tells of every access outside a buffer and of data races.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::steps::{Steps, WHOLE, cargo, shell};

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
    for (fault, said) in PLANTED {
        steps.run(&format!("oclgrind finds a planted fault: {said}"), || {
            let log = checked(cargo_test(), &["--lib", "--", "--ignored", "--exact", fault])?;
            if !log.contains(said) {
                bail!("oclgrind says nothing of `{said}` about {fault}: {log:?}");
            }
            Ok(())
        });
    }
    steps.run("OpenCL kernels under oclgrind: bounds and data races", || {
        let mut test = cargo_test();
        test.env("TILEMARK_TEST_REDUCED", "1").env("TILEMARK_TEST_OPENCL", "Oclgrind");
        // It interprets one kernel at a time, and ends where two threads bring one each.
        let arguments = ["--test", "conformance", "--", "every_opencl", "--nocapture", "--test-threads=1"];
        let log = checked(test, &arguments)?;
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

/// `cargo test` of the engine, whose programs run under oclgrind.
fn cargo_test() -> Command {
    let mut test = cargo();
    let log = log();
    test.arg("--config")
        .arg(format!("target.'cfg(all())'.runner=['oclgrind','--data-races','--log',{log:?}]"));
    test.arg("test").args(WHOLE);
    test.env("OPENCL_DYLIB_PATH", LIBRARY).env("TILEMARK_TUNE", "off");
    test
}

/// Runs it with these arguments. What oclgrind says.
fn checked(mut test: Command, arguments: &[&str]) -> Result<String> {
    let log = log();
    if log.exists() {
        fs::remove_file(&log)?;
    }
    shell(test.args(arguments))?;
    fs::read_to_string(&log).with_context(|| format!("oclgrind wrote no {}", log.display()))
}

fn log() -> PathBuf {
    crate::target().join("oclgrind.log")
}

/// The beginning of a log: the first fault with its kernel and line.
fn excerpt(log: &str) -> String {
    log.lines().take(40).collect::<Vec<_>>().join("\n")
}
