//! `cargo xtask test`: every test, and at the end what ran and what did not.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Result, ensure};

use crate::aarch64;
use crate::fpga;
use crate::interop;
use crate::models;
use crate::oclgrind;
use crate::onnx_tests;
use crate::opencl;
use crate::packages;
use crate::simfpga;
use crate::steps::{EMULATE, Steps, WHOLE, cargo, programs, shell, tests, whole};

/// The kernels of AMX and AVX-VNNI on a CPU that lacks one of them: its instructions in software, by a handler of SIGILL. That takes
/// AVX512-VNNI, which the epilogues of AMX's are made of; a CPU that has a level runs it with all other tests.
fn lacking_levels(steps: &mut Steps) {
    let name =
        "AMX and AVX-VNNI kernels, in software where this CPU lacks them (bit-exact, speed unmeasured)";
    let has = |flag: &str| fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains(flag));
    if has("amx_int8") && has("avx_vnni") {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    let emulates = is_x86_feature_detected!("avx512vnni");
    #[cfg(not(target_arch = "x86_64"))]
    let emulates = false;
    if emulates {
        steps.run(name, || {
            let units = ["--lib", "--", "host::", "known_answer::"];
            tests(opencl::without(whole().args(units)).env(EMULATE, "1"))?;
            tests(opencl::without(&mut programs(&["conformance"])).env(EMULATE, "1"))
        });
    } else {
        steps.absent(name, "this CPU lacks AVX512-VNNI");
    }
}

/// Device keys in a TPM and in a PKCS#11 token, both in software, from the system's packages where this user may install them.
fn keepers(steps: &mut Steps) {
    let name = "device keys in a TPM and a PKCS#11 token (swtpm, softhsm2)";
    let ready = || {
        let swtpm = std::process::Command::new("swtpm").arg("--version").stdout(Stdio::null()).status();
        swtpm.is_ok() && PathBuf::from("/usr/lib/softhsm/libsofthsm2.so").exists()
    };
    if !ready() {
        // Where CI runs, that they cannot be had is a failure.
        let there = steps.prepare("install swtpm and softhsm2", || {
            packages::install(&["swtpm", "softhsm2"])?;
            ensure!(ready(), "swtpm and softhsm2 were installed and are not there");
            Ok(())
        });
        if !there {
            steps.absent(name, "swtpm and softhsm2 are not there");
            return;
        }
    }
    steps.run(name, || {
        for program in ["swtpm", "softhsm2-util"] {
            shell(std::process::Command::new(program).arg("--version"))?;
        }
        // With this variable a test that finds none of them fails.
        tests(whole().args(["--lib", "license"]).env("TILEMARK_TEST_KEEPERS", "1"))
    });
}

/// What the tests of the command line trace system calls with. Without it they say that they were skipped.
fn tracer(steps: &mut Steps) {
    let ready = || std::process::Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok();
    if !ready() {
        let _ = packages::install(&["strace"]);
    }
    if !ready() {
        steps.absent(
            "that no socket is made (strace)",
            "strace is not installed, and this user cannot install it (apt-get)",
        );
    }
}

/// The labelled pictures that the garment app is evaluated on. Without them the tests say that they were skipped.
fn garments(steps: &mut Steps) -> bool {
    let ready = || PathBuf::from("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz").exists();
    ready()
        || steps.prepare("install dataset-fashion-mnist, to evaluate on", || {
            packages::install(&["dataset-fashion-mnist"])?;
            ensure!(ready(), "dataset-fashion-mnist was installed and has no test images");
            Ok(())
        })
}

/// What reports are looked at in. Without it the tests say that they were skipped; where it is there they fail if they are.
fn browser(steps: &mut Steps) -> bool {
    let ready = || {
        let version = std::process::Command::new("chromium").arg("--version").stdout(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    ready()
        || steps.prepare("install chromium, to look at reports in", || {
            packages::install(&["chromium"])?;
            ensure!(ready(), "chromium was installed and does not start");
            Ok(())
        })
}

/// Every test of the workspace, on the host alone.
fn workspace(steps: &mut Steps, browser: bool, garments: bool) {
    let run = |arguments: &[&str], more: &[&str]| {
        let mut command = cargo();
        command.args(arguments).args(WHOLE).args(more);
        if browser {
            command.env("TILEMARK_TEST_BROWSER", "1");
        }
        if garments {
            command.env("TILEMARK_TEST_GARMENTS", "1");
        }
        shell(opencl::without(&mut command))
    };
    let nextest = cargo().args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if nextest.is_ok_and(|status| status.success()) {
        steps.run("tests without OpenCL (nextest)", || run(&["nextest", "run"], &["--no-fail-fast"]));
    } else {
        steps.run("tests without OpenCL", || {
            run(&["test"], &["--lib", "--bins", "--tests", "--no-fail-fast"])
        });
    }
}

/// Whether all that ran passed.
pub(crate) fn run() -> Result<bool> {
    let mut steps = Steps::default();
    tracer(&mut steps);
    let browser = browser(&mut steps);
    let garments = garments(&mut steps);
    workspace(&mut steps, browser, garments);
    lacking_levels(&mut steps);
    keepers(&mut steps);
    aarch64::test(&mut steps);
    steps.done_with(&["doc", "aarch64"]);
    steps.run("doc tests", || shell(whole().args(["--doc", "--no-fail-fast"])));
    let mut cases = PathBuf::new();
    let fetched = steps.prepare("fetch ONNX's node cases", || {
        cases = onnx_tests::fetch()?;
        Ok(())
    });
    if fetched {
        steps.run("ONNX's node cases", || onnx_tests::check(&cases));
    }
    steps.done_with(&["onnx-node-tests"]);
    let mut python = PathBuf::new();
    let fetched = steps.prepare("fetch PyPI's tools for signatures, docker-registry and skopeo", || {
        python = interop::fetch()?;
        Ok(())
    });
    if fetched {
        steps.run("signatures, envelopes, stores and images against the tools of others", || {
            interop::check(&python)
        });
    }
    let has_networks = steps.prepare("fetch real networks", || models::run(&models::Models::DEFAULT));
    if has_networks {
        steps.run("real networks", || models::check(&[]));
    }
    steps.done_with(&["python"]);
    opencl::test(&mut steps, has_networks);
    steps.done_with(&["opencl/intel"]);
    fpga::test(&mut steps);
    steps.done_with(&["fpga"]);
    simfpga::test(&mut steps);
    simfpga::test_emulated(&mut steps);
    oclgrind::test(&mut steps); // which the step before may have installed
    Ok(steps.summary())
}
