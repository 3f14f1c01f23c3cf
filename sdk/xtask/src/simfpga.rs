//! The simulated FPGA: an OpenCL driver with the engine's RTL in it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Result, bail};

use crate::fpga;
use crate::opencl::VENDORS;
use crate::steps::{Steps, cargo, shell};

/// Says to tests that the simulated FPGA must be there.
const WANTED: &str = "TILEMARK_TEST_FPGA";

/// `cargo xtask simfpga`: builds the driver, and says last how a program finds it.
pub(crate) fn run() -> Result<()> {
    let library = build()?;
    println!("{VENDORS}={}", library.display());
    Ok(())
}

/// Every layer of the engine through the SDK, and whole networks.
pub(crate) fn test(steps: &mut Steps) {
    if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
        return steps.absent("the simulated FPGA", "it is built for Linux on x86-64 alone");
    }
    let mut library = PathBuf::new();
    let built = steps.prepare("build the simulated FPGA", || {
        library = build()?;
        Ok(())
    });
    if built {
        steps.run("layers and apps on the simulated FPGA", || {
            let mut test = cargo();
            test.args([
                "test",
                "--locked",
                "--workspace",
                "--test",
                "conformance",
                "--test",
                "fpga",
                "--",
                "fpga",
            ]);
            shell(test.arg("--nocapture").env(VENDORS, &library).env(WANTED, "1"))
        });
    }
}

/// The driver's library.
fn build() -> Result<PathBuf> {
    fpga::install()?;
    let arguments =
        ["build", "--quiet", "--release", "--locked", "-p", "tilemark-simfpga", "--features", "verilator"];
    shell(cargo().args(arguments).stdout(Stdio::null()))?;
    let library: PathBuf = crate::target().join("release").join("libtilemark_simfpga.so");
    if !Path::new(&library).is_file() {
        bail!("{} was not built", library.display());
    }
    Ok(library.canonicalize()?)
}
