//! `cargo xtask ...`: what development needs beyond cargo itself.
#![allow(clippy::print_stdout, reason = "a command line tool")]

mod aarch64;
mod compare;
mod expected;
mod fpga;
mod hwbench;
mod interop;
mod models;
mod mutants;
mod oclgrind;
mod onnx_tests;
mod opencl;
mod packages;
mod peers;
mod python;
mod simfpga;
mod steps;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

/// Development tasks of the Tilemark repository.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
enum Task {
    /// Runs every test there is, and says what it skipped and why.
    Test,
    /// Runs the NEON kernels on an emulated CPU of every flavour (fetches compiler and emulator the first time).
    Aarch64,
    /// Runs the OpenCL kernels and networks on the drivers that compute on CPUs (fetches them the first time).
    Opencl,
    /// Checks the OpenCL kernels for accesses out of bounds and data races (needs oclgrind).
    Oclgrind,
    /// Simulates the FPGA engine against the reference, or builds a bitstream again (fetches the tools the first time).
    Fpga(fpga::Fpga),
    /// Builds the OpenCL driver of the simulated FPGA, and says last how a program finds it (needs Verilator).
    Simfpga,
    /// Computes the expected files again with ONNX Runtime (needs Python and the network).
    Expected,
    /// Runs ONNX's own operator cases (fetches them the first time).
    OnnxTests,
    /// Checks model signatures, envelopes and stores against PyPI's tools (fetches them the first time).
    Interop(interop::Interop),
    /// Plants faults into the checks of bundles and licences, and counts how many the tests find.
    Mutants,
    /// Fetches real models and makes their int8 forms below target/models (needs Python and the network).
    Models(models::Models),
    /// Times Tilemark beside ONNX Runtime and OpenVINO on those models (needs Python and the network).
    Peers(peers::Peers),
    /// Times every kernel on the layers of real networks; fails if a plan's choice is over 10 % slower than the best.
    Hwbench(hwbench::Hwbench),
    /// Writes docs/benchmarks/quantize.md: `tilemark quantize` beside ONNX Runtime's quantizer.
    CompareQuantizers(compare::Compare),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Test => test::run(),
        Task::Aarch64 => Ok(aarch64::run()),
        Task::Opencl => Ok(opencl::run()),
        Task::Oclgrind => Ok(oclgrind::run()),
        Task::Fpga(wanted) => fpga::run(&wanted),
        Task::Simfpga => simfpga::run().map(|()| true),
        Task::Expected => expected::run().map(|()| true),
        Task::OnnxTests => onnx_tests::run().map(|()| true),
        Task::Interop(wanted) => interop::run(&wanted).map(|()| true),
        Task::Mutants => mutants::run(),
        Task::Models(wanted) => models::run(&wanted).map(|()| true),
        Task::Peers(wanted) => peers::run(&wanted).map(|()| true),
        Task::Hwbench(wanted) => hwbench::run(&wanted).map(|()| true),
        Task::CompareQuantizers(wanted) => compare::run(&wanted).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Where what tasks fetch and build lies.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
