//! The NEON kernels on any Linux machine: the engine's tests are built for AArch64 and run under qemu, as CPUs of every flavour.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::packages;
use crate::steps::{Steps, cargo, shell};

const TARGET: &str = "aarch64-unknown-linux-gnu";
/// Debian's names of the C compiler that links, of its libraries, and of the emulator.
const LINKER: &str = "aarch64-linux-gnu-gcc";
const LINKER_PACKAGES: [&str; 2] = ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"];
const EMULATOR: &str = "qemu-aarch64-static";
const EMULATOR_PACKAGE: &str = "qemu-user-static";
/// Debian's own compiler, which has a standard library for AArch64, for where rustup cannot fetch one.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_STD: &str = "/usr/lib/rustlib/aarch64-unknown-linux-gnu";

/// The flavours of the level `neon`, each with a CPU of the emulator that has it and no better one.
const FLAVOURS: [(&str, &str); 3] =
    [("neon", "cortex-a53"), ("neon+dotprod", "neoverse-n1"), ("neon+i8mm", "max")];

/// The steps alone; whether none failed.
pub(crate) fn run() -> bool {
    let mut steps = Steps::default();
    test(&mut steps);
    steps.summary()
}

/// Adds the steps to others.
pub(crate) fn test(steps: &mut Steps) {
    if cfg!(target_arch = "aarch64") {
        println!("this CPU is AArch64: its own flavour of NEON ran natively, with all other tests");
    }
    let mut rustc = None;
    let prepared = steps.prepare("fetch what builds for AArch64 and runs it", || {
        rustc = prepare()?;
        Ok(())
    });
    if !prepared {
        return;
    }
    let cargo = |command: &str| {
        let mut cargo = cargo();
        cargo.args([command, "--locked", "--target", TARGET, "--target-dir"]);
        cargo.arg(crate::target().join("aarch64")).envs(rustc.map(|rustc| ("RUSTC", rustc)));
        if !cfg!(target_arch = "aarch64") {
            cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER);
            cargo.env("CC_aarch64_unknown_linux_gnu", LINKER);
        }
        // Without shared libraries there is nothing that the emulator could take from the wrong system.
        cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static");
        // Nobody keeps these programs: optimizing them as a whole takes longer than they run.
        cargo.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        cargo
    };
    steps.run("build the engine's tests for AArch64", || shell(cargo("test").args(TESTS).arg("--no-run")));
    for (flavour, cpu) in FLAVOURS {
        let name = format!("NEON kernels, {flavour}: bit-exact under emulation, speed unmeasured");
        steps.run(&name, || {
            let mut command = cargo("test");
            command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", format!("{EMULATOR} -cpu {cpu}"));
            // The suite fails where it finds another flavour than this.
            command.env("TILEMARK_TEST_EMULATED", flavour);
            shell(command.args(TESTS).args(["--", "--nocapture"]))
        });
    }
    steps.run("the command line compiles for AArch64", || shell(cargo("check").args(["-p", "tilemark-cli"])));
}

/// The kernels' own tests and the conformance suite.
/// Optimized as released, without the checks of debug builds, which other steps run: an emulator is slow.
const TESTS: [&str; 6] = ["--release", "-p", "tilemark-engine", "--lib", "--test", "conformance"];

/// Installs what is missing. The compiler to use, if it is not the one that runs this.
fn prepare() -> Result<Option<&'static str>> {
    if !cfg!(target_os = "linux") {
        bail!("the emulator runs Linux programs on Linux only");
    }
    let mut missing = Vec::new();
    if !cfg!(target_arch = "aarch64") && !starts(LINKER) {
        missing.extend(LINKER_PACKAGES);
    }
    if !starts(EMULATOR) {
        missing.push(EMULATOR_PACKAGE);
    }
    if !missing.is_empty() {
        packages::install(&missing)?;
    }
    if has_target() || rustup() {
        return Ok(None);
    }
    if !Path::new(DEBIAN_STD).exists() {
        shell(packages::root("dpkg")?.args(["--add-architecture", "arm64"]))?;
        packages::install(&["rustc-web", "libstd-rust-web-dev", "libstd-rust-web-dev:arm64"])?;
    }
    Ok(Some(DEBIAN_RUSTC))
}

/// Whether the compiler that cargo uses has a standard library for the target.
fn has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let library = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    library.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).exists())
}

/// Whether rustup could fetch one.
fn rustup() -> bool {
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    added.is_ok_and(|status| status.success()) && has_target()
}

fn starts(program: &str) -> bool {
    let status = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
