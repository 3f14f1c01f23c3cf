//! The same cases on an FPGA's engine: every layer that it takes gives the reference's bytes.

use tilemark_bitstreams::Container;
use tilemark_engine::{Compiled, Device, DeviceKind, HostLayers, Target, Targets, survey};
use tilemark_testkit::emulation;

use super::build::Case;
use super::{cases, check};

fn target() -> Target {
    Target::new("simulated", Container::encode(&emulation::simulated(), b"no bits").unwrap())
}

/// A device of this kind with a target, if there is one; there must be if the variable `wanted` is set.
fn device(kind: DeviceKind, wanted: &str, target: impl FnOnce() -> Option<Target>) -> Option<Device> {
    let survey = survey();
    let found = survey.devices().find(|facts| facts.kind == kind);
    let device = found.map(|facts| {
        let targets = Targets::new([target().unwrap()], HostLayers::Allowed);
        Device::opencl(facts).with_targets(targets)
    });
    if device.is_none() {
        assert!(std::env::var_os(wanted).is_none(), "there is no {kind}");
        println!("skipped: no {kind} here");
    }
    device
}

/// Whether a case has at most so many products and bytes.
fn is_quick(case: &Case, most: u64) -> bool {
    let shapes: Vec<Vec<usize>> = case.inputs.iter().map(|x| x.shape().to_vec()).collect();
    let compiled = Compiled::new(case.graph.clone(), &Device::host()).unwrap();
    let plan = compiled.plan(&shapes).unwrap();
    plan.macs() <= most && plan.arena_bytes() as u64 <= most
}

/// The RTL, simulated: some 100 million products a second.
#[test]
fn simulated_layers_equal_the_reference() {
    let target = || Some(target());
    let Some(device) = device(DeviceKind::FpgaSimulation, "TILEMARK_TEST_FPGA", target) else { return };
    every_layer(&device, 2_000_000, 1);
}

/// The engine's kernels on Intel's emulator: every case of up to 40,000 products took ten minutes.
#[cfg(target_arch = "x86_64")]
#[test]
fn emulated_layers_equal_the_reference() {
    let target = || Some(Target::new("emulated", emulation::container()?));
    let wanted = "TILEMARK_TEST_FPGA_EMULATION";
    let Some(device) = device(DeviceKind::FpgaEmulation, wanted, target) else { return };
    every_layer(&device, 10_000, 8);
}

/// Of the cases of at most so many products and bytes every `step`th.
fn every_layer(device: &Device, most: u64, step: usize) {
    let (mut layers, mut left) = (0, 0);
    for (operation, cases) in cases::all() {
        let mut of_operation = 0;
        for case in cases.iter().filter(|case| is_quick(case, most)).step_by(step) {
            let used = check(case, device);
            of_operation += used.iter().filter(|(kernel, _)| kernel == "fpga").count();
            left += used.iter().filter(|(kernel, _)| kernel != "fpga").count();
        }
        println!("{operation}: {of_operation} layers");
        layers += of_operation;
    }
    println!("{layers} layers on the engine, {left} steps elsewhere");
    assert!(layers > 50, "only {layers} layers ran on the engine");
}
