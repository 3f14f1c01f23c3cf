//! Translates the engine's RTL to C++ with Verilator, and compiles that and its harness into this library.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Which engine the driver is built with.
const ENGINE: &str = "TILEMARK_SIMFPGA_ENGINE";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={ENGINE}");
    if std::env::var_os("CARGO_FEATURE_VERILATOR").is_some() {
        link_engine();
    }
}

fn link_engine() {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let bitstreams = here.join("../../bitstreams").canonicalize().expect("bitstreams/ beside sdk/");
    let out = PathBuf::from(variable("OUT_DIR"));
    let (top, list, part) = match std::env::var(ENGINE).as_deref() {
        Err(_) | Ok("") => ("engine", "files.txt", "LFE5U-85F"),
        Ok("compact") => ("compact", "compact/files.txt", "iCE40UP5K"),
        Ok(other) => {
            panic!("{ENGINE} is {other}: set it to `compact`, or unset it for the engine of 16 lanes")
        }
    };
    println!("cargo:rustc-env=SIMFPGA_PART={part}");
    for folder in ["rtl", "sim"] {
        println!("cargo:rerun-if-changed={}", bitstreams.join(folder).display());
    }
    run(Command::new("verilator")
        .current_dir(bitstreams.join("rtl"))
        .args([
            "--cc",
            "--build",
            "--assert",
            "-O3",
            "-Wno-fatal",
            "--prefix",
            "Vengine",
            "--top-module",
            top,
            "-f",
            list,
        ])
        .args(["-CFLAGS", "-O3 -fPIC", "--Mdir"])
        .arg(&out));
    let root = output(Command::new("verilator").args(["--getenv", "VERILATOR_ROOT"]));
    let include = Path::new(root.trim()).join("include");
    let sources = [
        bitstreams.join("sim/engine_sim.cpp"),
        include.join("verilated.cpp"),
        include.join("verilated_threads.cpp"),
    ];
    let mut archive = Command::new("ar");
    archive.arg("crs").arg(out.join("libharness.a"));
    for source in &sources {
        let object = out.join(source.file_stem().expect("a file")).with_extension("o");
        run(Command::new("g++")
            .args(["-c", "-O3", "-fPIC", "-std=c++17", "-I"])
            .arg(&out)
            .arg("-isystem")
            .arg(&include)
            .arg("-isystem")
            .arg(include.join("vltstd"))
            .arg(source)
            .arg("-o")
            .arg(&object));
        archive.arg(object);
    }
    run(&mut archive);
    std::fs::copy(out.join("Vengine__ALL.a"), out.join("libengine.a")).expect("Verilator built it");
    println!("cargo:rustc-link-search=native={}", out.display());
    for library in ["harness", "engine"] {
        println!("cargo:rustc-link-lib=static:-bundle={library}");
    }
    for library in ["stdc++", "atomic"] {
        println!("cargo:rustc-link-lib={library}");
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).expect("cargo sets it")
}

fn run(command: &mut Command) {
    let status = command.status();
    assert!(status.is_ok_and(|status| status.success()), "this failed, see above: {command:?}");
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("Verilator is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
