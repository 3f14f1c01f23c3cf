//! The same cases on an FPGA's engine: every layer that it takes gives the reference's bytes.

use tilemark_bitstreams::{ABI, Config, Container, Header};
use tilemark_engine::{Compiled, Device, DeviceKind, HostLayers, Target, Targets, survey};

use super::build::Case;
use super::{cases, check};

/// A container for the simulated engine. The simulation runs the RTL, whatever bits a container has.
fn target() -> Target {
    let (part, platform) = ("LFE5U-85F".to_owned(), "Tilemark".to_owned());
    let header =
        Header { abi: ABI, config: Config::LANES_16, kilohertz: 100_000, part, platform, checksum: 0 };
    Target::new("simulated", Container::encode(&header, b"no bits").unwrap())
}

/// The simulated FPGA, if `cargo xtask test` says that it is there.
fn device(host_layers: HostLayers) -> Option<Device> {
    let survey = survey();
    let found = survey.devices().find(|facts| facts.kind == DeviceKind::FpgaSimulation);
    let device = found.map(|facts| Device::opencl(facts).with_targets(Targets::new([target()], host_layers)));
    if device.is_none() {
        assert!(std::env::var_os("TILEMARK_TEST_FPGA").is_none(), "the simulated FPGA is not there");
        println!("skipped: no simulated FPGA here");
    }
    device
}

/// The simulation does some 100 million products a second.
fn is_quick(case: &Case) -> bool {
    const MOST: u64 = 2_000_000;
    let shapes: Vec<Vec<usize>> = case.inputs.iter().map(|x| x.shape().to_vec()).collect();
    let compiled = Compiled::new(case.graph.clone(), &Device::host()).unwrap();
    let plan = compiled.plan(&shapes).unwrap();
    plan.macs() <= MOST && plan.arena_bytes() as u64 <= MOST
}

#[test]
fn every_layer_of_the_engine_equals_the_reference() {
    let Some(device) = device(HostLayers::Allowed) else { return };
    let (mut layers, mut left) = (0, 0);
    for (operation, cases) in cases::all() {
        let mut of_operation = 0;
        for case in cases.iter().filter(|case| is_quick(case)) {
            let used = check(case, &device);
            of_operation += used.iter().filter(|(kernel, _)| kernel == "fpga").count();
            left += used.iter().filter(|(kernel, _)| kernel != "fpga").count();
        }
        println!("{operation}: {of_operation} layers");
        layers += of_operation;
    }
    println!("{layers} layers on the engine, {left} steps elsewhere");
    assert!(layers > 100, "only {layers} layers ran on the engine");
}
