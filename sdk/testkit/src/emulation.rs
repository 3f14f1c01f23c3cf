//! Targets for devices that stand in for FPGAs: the simulated engine, whose container has no bits, and Intel's FPGA emulator, for
//! which the engine's kernels are compiled to its binary.

use opencl3::context::Context;
use opencl3::device::{CL_DEVICE_TYPE_ALL, Device};
use opencl3::platform::get_platforms;
use opencl3::program::Program;
use tilemark_bitstreams::{ABI, Config, Container, Form, Header, Manifest};

/// What the emulator's platform and device have in their names.
const PLATFORM: &str = "FPGA Emulation";
const SOURCE: &str = include_str!("../../../bitstreams/intel-aoc/engine.cl");
const MANIFEST: &str = include_str!("../../../bitstreams/intel-aoc/manifest.toml");

/// What a container for the simulated engine says. The simulation runs the RTL, whatever bits a container has.
#[must_use]
pub fn simulated() -> Header {
    Header {
        abi: ABI,
        config: Config::LANES_16,
        kilohertz: 100_000,
        part: "LFE5U-85F".into(),
        platform: "Tilemark".into(),
        form: Form::Engine,
        checksum: 0,
    }
}

/// A container for the emulator; nothing where it is not installed. What it has compiled is code for this machine's CPU, and no
/// bitstream.
///
/// # Panics
/// If the emulator refuses the kernels.
#[must_use]
pub fn container() -> Option<Vec<u8>> {
    container_of(SOURCE)
}

/// The same of kernels that round otherwise, which only the known answers can tell.
///
/// # Panics
/// As [`container`].
#[must_use]
pub fn faulty_container() -> Option<Vec<u8>> {
    let faulty = SOURCE.replace("rint(clamp(value", "floor(clamp(value");
    assert_ne!(faulty, SOURCE, "there is no rounding to change");
    container_of(&faulty)
}

fn container_of(source: &str) -> Option<Vec<u8>> {
    let binary = compile(PLATFORM, source)?.unwrap_or_else(|log| panic!("the emulator's compiler: {log}"));
    let header = Manifest::parse(MANIFEST).expect("a manifest").header().expect("that of an engine");
    let header = Header { part: PLATFORM.into(), platform: PLATFORM.into(), ..header };
    Some(Container::encode(&header, &binary).expect("a container"))
}

/// What the first device of a platform compiles a source to, or what it says; nothing without such a platform.
///
/// # Panics
/// If the device makes no context.
#[must_use]
pub fn compile(platform: &str, source: &str) -> Option<Result<Vec<u8>, String>> {
    let has = |name: opencl3::Result<String>| name.is_ok_and(|name| name.contains(platform));
    let platform = get_platforms().ok()?.into_iter().find(|platform| has(platform.name()))?;
    let device = Device::new(*platform.get_devices(CL_DEVICE_TYPE_ALL).ok()?.first()?);
    let context = Context::from_device(&device).expect("a context");
    let binary = |program: Program| program.get_binaries().map_err(|error| error.to_string());
    let built = Program::create_and_build_from_source(&context, source, "").and_then(binary);
    Some(built.map(|binaries| binaries.into_iter().next().unwrap_or_default()))
}
