//! An OpenCL library that misbehaves, made by the compiler that made the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `data/opencl/fake.rs` into a folder; what the library does says the variable `FAKE_OPENCL`:
/// `crash-`, `hang-` or `exit-` with `platforms`, `devices`, `info` or `test`; `crash-load` and `crash-together` below a loader;
/// `error-platforms`, `error-devices`, `error-info`,
/// `no-devices`, `no-rounding`, `lost`.
///
/// # Panics
/// If the compiler is not there or refuses it.
#[must_use]
pub fn fake(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/opencl/fake.rs");
    let library =
        folder.join(format!("{}fake{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX));
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args([
        "--edition",
        "2024",
        "--crate-type",
        "cdylib",
        "--crate-name",
        "fake",
        "-C",
        "debuginfo=0",
        "-o",
    ]);
    let output = command.arg(&library).arg(&source).output().expect("rustc can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}
