//! The same cases on every OpenCL device that the loader finds.

use std::collections::BTreeSet;

use tilemark_engine::{Compiled, Device, opencl_kernels, survey};

use crate::{cases, check};

/// The devices to test. `cargo xtask test` says by `TILEMARK_TEST_OPENCL` which platform must be among them, or `none`; without it a
/// machine that has none tests none.
fn devices() -> Vec<Device> {
    let survey = survey();
    for platform in &survey.platforms {
        println!("platform {}: {}; problems: {:?}", platform.index, platform.name, platform.problems);
    }
    let devices: Vec<Device> = survey.devices().map(Device::opencl).collect();
    match std::env::var("TILEMARK_TEST_OPENCL").as_deref() {
        Ok("none") => {
            assert!(devices.is_empty() && survey.problem.is_some(), "there are devices: {survey:?}")
        }
        Ok(platform) => {
            let is_it = |device: &Device| device.platform().contains(platform);
            assert!(devices.iter().any(is_it), "no device of `{platform}`: {survey:?}");
        }
        Err(_) => {}
    }
    if devices.is_empty() {
        println!("skipped: no OpenCL device here ({:?})", survey.problem);
    }
    devices
}

#[test]
fn without_opencl_the_host_is_the_best_device_and_no_other_is_invented() {
    if std::env::var("TILEMARK_TEST_OPENCL").as_deref() != Ok("none") {
        println!("skipped: there may be OpenCL here; `cargo xtask test` runs this without");
        return;
    }
    assert!(devices().is_empty());
    assert_eq!((Device::best(), Device::all()), (Device::host(), vec![Device::host()]));
    for name in ["opencl", "opencl:0:0", "pocl", ""] {
        assert_eq!(name.parse::<Device>().unwrap_err().code(), "TM0401", "{name}");
    }
}

/// Keeps a device open, so that its programs are built once for all cases.
fn held(device: &Device) -> Compiled {
    Compiled::new(cases::network(0).graph, device).unwrap()
}

fn variants(operation: &str) -> Vec<&'static str> {
    let mut variants = vec!["usual"];
    for kernel in opencl_kernels().filter(|kernel| kernel.operation == operation) {
        if !variants.contains(&kernel.variant) {
            variants.push(kernel.variant);
        }
    }
    variants
}

#[test]
fn every_opencl_kernel_equals_the_reference() {
    for device in devices() {
        println!("{}", device.description());
        let _open = held(&device);
        let mut used = BTreeSet::new();
        for (operation, cases) in cases::all() {
            for case in &cases {
                for variant in variants(operation) {
                    used.extend(check(case, &device.clone().with_variant(variant)));
                }
            }
        }
        let fits = |kernel: &tilemark_engine::OpenclKernel| kernel.runs_on(&device);
        let registered = opencl_kernels().filter(fits);
        let missed: Vec<_> = registered
            .map(|kernel| (kernel.name.to_owned(), kernel.variant.to_owned()))
            .filter(|kernel| !used.contains(kernel))
            .collect();
        assert!(missed.is_empty(), "no case exercised {missed:?}");
        assert!(used.iter().any(|(kernel, _)| !kernel.contains("opencl")), "no case ran a step on the host");
    }
}

#[test]
fn random_networks_equal_the_reference_on_opencl() {
    for device in devices() {
        let _open = held(&device);
        for seed in 0..40 {
            check(&cases::network(seed), &device);
        }
    }
}
