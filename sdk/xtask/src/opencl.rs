//! OpenCL for the tests: drivers that compute on the CPU, from Debian and from PyPI, and what is run on each.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::models;
use crate::packages;
use crate::python;
use crate::steps::{EMULATE, Steps, programs, shell, tests};

/// Debian's loader, PoCL and the checker of kernels.
const DEBIAN: &[&str] = &["ocl-icd-libopencl1", "pocl-opencl-icd", "oclgrind"];
/// Intel's runtime for CPUs; the first needs the second, and does not say so.
const INTEL: &[&str] = &["intel-opencl-rt==2026.2.0", "intel-cmplr-lib-rt==2026.2.0"];
/// Intel's emulator of its FPGAs: the last that there is, and what it needs and does not say.
const INTEL_FPGA: &[&str] = &[
    "intel-opencl-fpga-emu-rt==2025.0.5",
    "intel-opencl-rt==2025.0.5",
    "intel-cmplr-lib-rt==2025.0.5",
    "tbb==2022.0.0",
];
/// A driver file of PoCL.
const POCL_ICD: &str = "/etc/OpenCL/vendors/pocl.icd";
/// The variable of the loader that says where drivers are.
pub(crate) const VENDORS: &str = "OCL_ICD_VENDORS";
/// The variable of the conformance suite that says which platform must be there; `none` if there must be no device.
pub(crate) const WANTED: &str = "TILEMARK_TEST_OPENCL";

/// Whole networks for these devices, one form each: their convolutions have every shape that matters, and they take seconds.
const NETWORKS: &[&str] = &["mobilenet-v2", "blazeface-short", "ppocr2-cls"];

/// No OpenCL at all: the loader is a library without its functions, and would find no driver.
pub(crate) fn without(command: &mut Command) -> &mut Command {
    command.env("OPENCL_DYLIB_PATH", "libc.so.6").env(VENDORS, "/nonexistent").env(WANTED, "none")
}

/// Drivers to test with.
struct Driver {
    name: &'static str,
    /// A part of its platform's name.
    platform: &'static str,
    /// What [`VENDORS`] must say, unless the system's drivers are meant.
    vendors: Option<PathBuf>,
}

impl Driver {
    fn choose<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env(WANTED, self.platform);
        self.vendors.iter().fold(command, |command, vendors| command.env(VENDORS, vendors))
    }
}

/// `cargo xtask opencl`: whether all that ran passed.
pub(crate) fn run() -> bool {
    let mut steps = Steps::default();
    let has_networks = crate::target().join("models").is_dir();
    if !has_networks {
        steps.absent("real networks on OpenCL", "they are not there; `cargo xtask models` makes them");
    }
    test(&mut steps, has_networks);
    steps.summary()
}

/// Runs the conformance suite of the engine on every driver, and whole networks.
pub(crate) fn test(steps: &mut Steps, has_networks: bool) {
    let mut drivers = Vec::new();
    if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
        return steps.absent("OpenCL drivers", "these are fetched for Linux on x86-64 alone");
    }
    let name = "fetch OpenCL drivers of Debian";
    if !is_installed() && !can_install() {
        let packages = DEBIAN.join(", ");
        steps.absent(name, &format!("only root can install {packages}; install them, and run this again"));
    } else if steps.prepare(name, debian) {
        drivers.push(Driver {
            name: "PoCL and the system's others",
            platform: "Portable Computing",
            vendors: None,
        });
    }
    let mut library = PathBuf::new();
    let fetched = steps.prepare("fetch Intel's OpenCL driver for CPUs", || {
        library = intel()?;
        Ok(())
    });
    if fetched {
        drivers.push(Driver { name: "Intel's for CPUs", platform: "Intel", vendors: Some(library) });
    }
    for driver in &drivers {
        steps.run(&format!("OpenCL kernels: {}", driver.name), || conformance(driver));
        if driver.vendors.is_none() {
            steps.run("kernels of tensor cores, emulated on PoCL", || tensor_cores(driver));
        }
        if has_networks {
            steps.run(&format!("real networks on OpenCL: {}", driver.name), || {
                models::check_on(
                    &NETWORKS.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(),
                    driver.platform,
                    |test| {
                        driver.choose(test);
                    },
                )
            });
        }
    }
}

fn conformance(driver: &Driver) -> Result<()> {
    let mut test = programs(&["conformance", "opencl_store", "everywhere"]);
    test.args(["opencl", "kept", "--nocapture"]);
    if driver.vendors.is_none() {
        test.arg("faults"); // two hundred times from nothing: Intel's compiler would take half an hour
    }
    shell(driver.choose(test.env("TILEMARK_TUNE", "off")))
}

/// What surrounds NVIDIA's instruction, which no device here has.
fn tensor_cores(driver: &Driver) -> Result<()> {
    let mut test = programs(&["conformance"]);
    test.args(["every_opencl", "--nocapture"]).env("TILEMARK_TEST_OPERATIONS", "conv").env(EMULATE, "1");
    tests(driver.choose(&mut test))
}

fn is_installed() -> bool {
    Path::new(POCL_ICD).is_file() && Path::new("/usr/bin/oclgrind").is_file()
}

fn can_install() -> bool {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    is_root && Command::new("apt-get").arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// Installs Debian's packages, or finds them installed.
fn debian() -> Result<()> {
    if is_installed() {
        return Ok(());
    }
    packages::install(DEBIAN)
}

/// The library of Intel's driver, fetched from PyPI if it is not there yet.
fn intel() -> Result<PathBuf> {
    fetched("intel", INTEL, "libintelocl.so")
}

/// The library of Intel's FPGA emulator, a gigabyte of PyPI's under Intel's licence, fetched if it is not there yet.
pub(crate) fn intel_fpga() -> Result<PathBuf> {
    fetched("intel-fpga", INTEL_FPGA, "libintelocl_emu.so")
}

fn fetched(name: &str, packages: &[&str], library: &str) -> Result<PathBuf> {
    let folder = crate::target().join("opencl").join(name);
    python::environment_in(&folder, packages)?;
    let library = folder.join("lib").join(library);
    if !library.is_file() {
        bail!("{} was not installed", library.display());
    }
    Ok(library.canonicalize()?)
}
