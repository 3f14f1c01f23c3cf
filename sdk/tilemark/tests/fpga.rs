//! Apps with a bitstream, on the simulated FPGA: the same bits through unmodified code, and every way in which a target does not fit.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints what it skips"
)]

use tilemark::pack::Package;
use tilemark::{App, Device, DeviceKind, Error, SigningKey, Trust, Untrusted, survey};
use tilemark_bitstreams::{ABI, Config, Container, Header};
use tilemark_testkit::tagger;

/// The simulated FPGA, if `cargo xtask test` says that it is there.
fn fpga() -> Option<Device> {
    let survey = survey();
    let found = survey.devices().find(|facts| facts.kind == DeviceKind::FpgaSimulation).map(Device::opencl);
    if found.is_none() {
        assert!(std::env::var_os("TILEMARK_TEST_FPGA").is_none(), "the simulated FPGA is not there");
        println!("skipped: no simulated FPGA here");
    }
    found
}

fn header() -> Header {
    Header {
        abi: ABI,
        config: Config::LANES_16,
        kilohertz: 100_000,
        part: "LFE5U-85F".into(),
        platform: "Tilemark".into(),
        checksum: 0,
    }
}

/// The tagger with these containers as targets.
fn app(containers: &[Vec<u8>], host_layers: bool) -> Result<App, Error> {
    let folder = tempfile::tempdir().unwrap();
    let source = tagger::root().join("examples/apps/tagger");
    copy(&source, folder.path());
    let names: Vec<String> = (0..containers.len()).map(|i| format!("fpga-{i}.tmfpga")).collect();
    for (name, bytes) in names.iter().zip(containers) {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let description = folder.path().join("app.toml");
    let text = std::fs::read_to_string(&description).unwrap();
    let targets = format!("{text}\n[targets]\nfpga = {names:?}\nhost_layers = {host_layers}\n");
    std::fs::write(&description, targets).unwrap();
    let key = SigningKey::generate(tilemark::Algorithm::Ed25519).unwrap();
    let bytes = Package::from_description(&description)?.sign(&[&key])?;
    let id = key.public().id();
    let trust = Trust::builder().key(key.public().clone()).any_publisher(&[id], 1).build().unwrap();
    let bundle = Untrusted::from_bytes(bytes).unwrap().verify(&trust).unwrap();
    App::from_bundle(bundle)
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let there = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir(&there).unwrap();
            copy(&path, &there);
        } else {
            std::fs::copy(&path, there).unwrap();
        }
    }
}

#[test]
fn fpga_runs_the_tagger_with_the_recorded_bits() {
    let Some(device) = fpga() else { return };
    let container = Container::encode(&header(), b"no bits").unwrap();
    let app = app(&[container], false).unwrap();
    let replay = app.replay(&device).unwrap();
    println!("{replay}");
    replay.check().unwrap();
    let plan = app.session(device).unwrap().plan().unwrap();
    let layers = plan.steps().filter(|step| step.kernel == "fpga").count();
    assert!(layers > 50, "{layers} layers on the engine");
}

#[test]
fn fpga_targets_that_do_not_fit_are_refused_before_anything_is_loaded() {
    let Some(device) = fpga() else { return };
    let encode = |header: &Header| Container::encode(header, b"no bits").unwrap();
    let refused = |containers: &[Vec<u8>]| {
        let app = app(containers, false).unwrap();
        app.session(device.clone()).unwrap_err()
    };
    assert_eq!(refused(&[]).code(), "TM0417");
    let part = refused(&[encode(&Header { part: "XCVU9P".into(), ..header() })]);
    assert_eq!(part.code(), "TM0419", "{part}");
    assert!(part.to_string().contains("XCVU9P"), "{part}");
    let abi = refused(&[encode(&Header { abi: 0x0002_0000, ..header() })]);
    assert_eq!(abi.code(), "TM0420", "{abi}");
    let other = Config { weights: 256, ..Config::LANES_16 };
    let driver = refused(&[encode(&Header { config: other, ..header() })]);
    assert_eq!(driver.code(), "TM0421", "{driver}");
}

#[test]
fn fpga_containers_that_are_damaged_are_not_packed() {
    let mut container = Container::encode(&header(), b"no bits").unwrap();
    container[130] ^= 1;
    assert_eq!(app(&[container], false).unwrap_err().code(), "TM0418");
}
