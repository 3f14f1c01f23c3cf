//! The simulated FPGA: an OpenCL driver with the engine's RTL in it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Result, bail};

use crate::fpga;
use crate::opencl::{VENDORS, intel_fpga};
use crate::steps::{Steps, cargo, programs, shell};

/// Says to tests that the simulated FPGA must be there.
const WANTED: &str = "TILEMARK_TEST_FPGA";
/// What the driver's build looks at: which engine it simulates.
const ENGINE: &str = "TILEMARK_SIMFPGA_ENGINE";
/// Says that it is the compact one.
const COMPACT: &str = "TILEMARK_TEST_FPGA_COMPACT";
/// What runs on it.
const TESTS: [&str; 2] = ["conformance", "fpga"];

/// `cargo xtask simfpga`: builds the driver, with the engine that [`ENGINE`] names, and says last how a program finds it.
pub(crate) fn run() -> Result<()> {
    let engine = std::env::var(ENGINE).ok().filter(|engine| !engine.is_empty());
    let library = build(engine.as_deref())?;
    println!("{VENDORS}={}", library.display());
    Ok(())
}

/// Layers of the engine's kernels on Intel's FPGA emulator, and an app that ships them: a second implementation of the engine.
pub(crate) fn test_emulated(steps: &mut Steps) {
    if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
        return steps.absent("Intel's FPGA emulator", "it is made for Linux on x86-64 alone");
    }
    let mut library = PathBuf::new();
    let fetched = steps.prepare("fetch Intel's FPGA emulator", || {
        library = intel_fpga()?;
        Ok(())
    });
    if fetched {
        steps.run("layers and an app on Intel's FPGA emulator", || {
            let mut test = programs(&TESTS);
            test.args(["emulated", "--nocapture"]).env(VENDORS, &library);
            shell(test.env("TILEMARK_TEST_FPGA_EMULATION", "1"))
        });
    }
}

/// Every layer of the engine through the SDK, and whole networks.
pub(crate) fn test(steps: &mut Steps) {
    if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
        return steps.absent("the simulated FPGA", "it is built for Linux on x86-64 alone");
    }
    let mut library = PathBuf::new();
    let built = steps.prepare("build the simulated FPGA", || {
        library = build(None)?;
        Ok(())
    });
    if built {
        steps.run("layers and apps on the simulated FPGA", || {
            let mut test = programs(&TESTS);
            let networks = crate::target().join("models");
            if networks.is_dir() {
                test.env("TILEMARK_NETWORKS", networks.canonicalize()?);
            }
            shell(test.args(["fpga", "--nocapture"]).env(VENDORS, &library).env(WANTED, "1"))
        });
        steps.run("an app on the simulated compact FPGA", || {
            let library = build(Some("compact"))?;
            shell(
                programs(&["fpga"]).args(["compact", "--nocapture"]).env(VENDORS, library).env(COMPACT, "1"),
            )
        });
    }
}

/// The driver's library, with an engine of this name.
fn build(engine: Option<&str>) -> Result<PathBuf> {
    fpga::install()?;
    let arguments =
        ["build", "--quiet", "--release", "--locked", "-p", "tilemark-simfpga", "--features", "verilator"];
    let mut cargo = cargo();
    cargo.args(arguments).env_remove(ENGINE);
    // Another engine's library has a place of its own: a driver of the same name may be in use.
    let mut folder = crate::target();
    if let Some(engine) = engine {
        folder = folder.join("fpga").join(format!("driver-{engine}"));
        cargo.env(ENGINE, engine).arg("--target-dir").arg(&folder);
    }
    shell(cargo.stdout(Stdio::null()))?;
    let library: PathBuf = folder.join("release").join("libtilemark_simfpga.so");
    if !Path::new(&library).is_file() {
        bail!("{} was not built", library.display());
    }
    Ok(library.canonicalize()?)
}
