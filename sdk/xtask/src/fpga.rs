//! The FPGA engine: its RTL linted and simulated against the reference, and bitstreams built again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::packages;
use crate::steps::{Steps, cargo, shell, tests};

mod build;
mod netlist;

/// What to do with the FPGA engine.
#[derive(Args)]
pub(crate) struct Fpga {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Lints the RTL, simulates it (Verilator), and compares every byte with the reference.
    Test,
    /// Synthesizes the compact engine (fetches yosys the first time) and simulates its netlist instead of the RTL.
    Netlist,
    /// Builds a target's bitstream with pinned open tools and compares its SHA-256 with the manifest's.
    Build(build::Build),
}

/// An engine to simulate: its name and what differs from the RTL's defaults.
struct Variant {
    name: &'static str,
    /// The module; the list of its sources is below the RTL.
    top: &'static str,
    list: &'static str,
    parameters: &'static [&'static str],
    /// Whether it has ECP5's multipliers, of which `sim/ecp5.v` is a model.
    ecp5: bool,
    /// Whether it is expected to use a quarter of its products in a network's depthwise convolutions, strided ones included.
    depthwise: bool,
}

/// The RTL's defaults.
const LANES_16: Variant = Variant {
    name: "lanes16",
    top: "engine",
    list: "files.txt",
    parameters: &[],
    ecp5: false,
    depthwise: false,
};
/// The other engine, for small devices.
const COMPACT: Variant = Variant { name: "compact", top: "compact", list: "compact/files.txt", ..LANES_16 };
/// Of the compact engine these run, and not those of how much of the array is used.
const COMPACT_TESTS: &[&str] = &["random_layers", "small_networks", "refusals", "requantizer", "board"];
/// Others that must compute the same: few lanes and single banks; a row of banks, ECP5's multipliers and shared ones; as
/// many results as lanes and square windows.
const OTHERS: &[Variant] = &[
    Variant {
        name: "lanes4",
        parameters: &["-GN=4", "-GNRQ=1", "-GBYL=0", "-GBXL=0", "-GADD=0", "-GDSP=2"],
        ..LANES_16
    },
    Variant {
        name: "lanes8",
        parameters: &["-GN=8", "-GNRQ=2", "-GBYL=0", "-GDL=11", "-GDSP=4", "-GPAIRS=4"],
        ecp5: true,
        ..LANES_16
    },
    Variant { name: "square16", parameters: &["-GNRQ=16", "-GBYL=2", "-GDL=9"], depthwise: true, ..LANES_16 },
];

/// `cargo xtask fpga`: whether all that ran passed.
pub(crate) fn run(fpga: &Fpga) -> Result<bool> {
    match &fpga.task {
        Task::Test => {
            let mut steps = Steps::default();
            test(&mut steps);
            Ok(steps.summary())
        }
        Task::Netlist => {
            let mut steps = Steps::default();
            if steps.prepare("install Verilator", install) {
                netlist(&mut steps);
            }
            Ok(steps.summary())
        }
        Task::Build(build) => build.run().map(|()| true),
    }
}

/// The tier that needs no more than Verilator.
pub(crate) fn test(steps: &mut Steps) {
    if !steps.prepare("install Verilator", install) {
        return;
    }
    for variant in [&LANES_16, &COMPACT].into_iter().chain(OTHERS) {
        steps.run(&format!("FPGA engine: lint of {}", variant.name), || lint(variant));
    }
    steps.run("FPGA engine: every test of the 16-lane engine", || {
        let parts = ["delay.sv", "multiplier.sv", "joined.sv", "requant.sv"];
        let requantizer = simulator("requant", "requant", &[], &parts, &["requant.cpp"])?;
        let engine = engine(&LANES_16)?;
        tests(compare(&engine).env("TILEMARK_REQUANT_SIM", requantizer).env("TILEMARK_BOARD_SIM", board()?))
    });
    steps.run("FPGA engine: every test of the compact engine", || {
        let requantizer = simulator(
            "rescale",
            "rescale",
            &[],
            &["compact/products.sv", "compact/rescale.sv"],
            &["compact_requant.cpp"],
        )?;
        let engine = engine(&COMPACT)?;
        let mut test = compare(&engine);
        test.args(COMPACT_TESTS).env("TILEMARK_ENGINE_LAYERS", "600");
        test.env("TILEMARK_REQUANT_SIM", requantizer).env("TILEMARK_REQUANT_VECTORS", "8000000");
        tests(test.env("TILEMARK_BOARD_SIM", compact_board()?))
    });
    netlist(steps);
    for variant in OTHERS {
        steps.run(&format!("FPGA engine: random layers of {}", variant.name), || {
            let engine = engine(variant)?;
            tests(compare(&engine).arg("random_layers").env("TILEMARK_ENGINE_LAYERS", "300"))?;
            match variant.depthwise {
                true => tests(compare(&engine).arg("all_depthwise").env("TILEMARK_ENGINE_DEPTHWISE", "1")),
                false => Ok(()),
            }
        });
    }
}

/// The engine after synthesis.
fn netlist(steps: &mut Steps) {
    steps.run("FPGA engine: random layers on the netlist of the compact engine", || {
        let netlist = netlist::simulator()?;
        tests(compare(&netlist).arg("random_layers").env("TILEMARK_ENGINE_LAYERS", "12"))
    });
}

fn compare(engine: &Path) -> Command {
    let mut test = cargo();
    test.args(["test", "--locked", "-p", "tilemark-bitstreams", "--test", "cosim", "--", "--nocapture"]);
    test.env("TILEMARK_ENGINE_SIM", engine);
    test
}

fn verilator() -> Command {
    Command::new("verilator")
}

/// Verilator and what compiles its output.
pub(crate) fn install() -> Result<()> {
    let has = |program: &str| {
        Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if has("verilator") && has("g++") {
        return Ok(());
    }
    packages::install(&["verilator", "g++", "make", "ocl-icd-libopencl1"])
}

fn rtl() -> PathBuf {
    crate::root().join("bitstreams").join("rtl")
}

/// The sources of an engine, in order.
fn sources(variant: &Variant) -> Result<Vec<String>> {
    let list = rtl().join(variant.list);
    let text = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn lint(variant: &Variant) -> Result<()> {
    let mut lint = verilator();
    // An engine need not have all that the words of `tile_pkg.sv` are for.
    lint.args(["--lint-only", "-Wall", "-Wno-UNUSEDPARAM", "--top-module", variant.top])
        .args(variant.parameters);
    lint.args(sources(variant)?.iter().map(|file| rtl().join(file)));
    shell(&mut lint)
}

fn engine(variant: &Variant) -> Result<PathBuf> {
    let sources = sources(variant)?;
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let mut parameters = [&["--prefix", "Vengine"], variant.parameters].concat();
    let mut others = vec!["engine_sim.cpp", "pipe.cpp"];
    if variant.ecp5 {
        parameters.extend(["-DECP5", "-Wno-fatal"]);
        others.push("ecp5.v");
    }
    simulator(variant.name, variant.top, &parameters, &sources, &others)
}

/// The small board's design, at a fast serial line.
fn board() -> Result<PathBuf> {
    let mut sources = sources(&LANES_16)?;
    sources.extend(["uart.sv", "board.sv"].map(str::to_owned));
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let parameters = ["-GN=4", "-GNRQ=2", "-GBYL=0", "-GBXL=0", "-GSUMSL=7", "-GDSP=4", "-GML=13", "-GDIV=4"];
    simulator("board", "board", &parameters, &sources, &["board.cpp"])
}

/// The design with the compact engine.
fn compact_board() -> Result<PathBuf> {
    let mut sources = sources(&COMPACT)?;
    sources.extend(["uart.sv", "compact/compact_board.sv"].map(str::to_owned));
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    simulator("compact_board", "compact_board", &["--prefix", "Vboard", "-GDIV=4"], &sources, &["board.cpp"])
}

/// Verilates and compiles; the program. What is up to date is kept.
fn simulator(name: &str, top: &str, parameters: &[&str], sources: &[&str], cpp: &[&str]) -> Result<PathBuf> {
    let folder = crate::target().join("fpga").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Relative to the repository, where commands run, a target folder may be; make wants to know it from anywhere.
    let folder = folder.canonicalize()?;
    let mut build = verilator();
    build.args([
        "--cc",
        "--exe",
        "--build",
        "-O3",
        "--assert",
        "--x-assign",
        "unique",
        "--x-initial",
        "unique",
    ]);
    build
        .args(["-j", "2", "-CFLAGS", "-O2 -std=c++17", "--top-module", top, "-o", "sim", "--Mdir"])
        .arg(&folder);
    build.args(parameters).args(sources.iter().map(|file| rtl().join(file)));
    build.args(cpp.iter().map(|file| crate::root().join("bitstreams").join("sim").join(file)));
    let output = build.output().context("cannot start verilator")?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!("verilator failed for {name}:\n{}", String::from_utf8_lossy(&text));
    }
    Ok(folder.join("sim"))
}
