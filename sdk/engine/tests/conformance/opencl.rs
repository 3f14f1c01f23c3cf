//! The same cases on every OpenCL device that the loader finds.

use std::collections::BTreeSet;

use tilemark_engine::{Compiled, Device, opencl_kernels, survey};
use tilemark_model::reference;

use crate::build::{Builder, Case, Fill};
use crate::{cases, check, mixed, ranking};

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

/// What `cargo xtask oclgrind` runs, on a device that interprets: of each operation a few cases that take no time.
fn is_reduced() -> bool {
    std::env::var_os("TILEMARK_TEST_REDUCED").is_some()
}

/// Multiply-accumulates and bytes of a reduced case.
const REDUCED: [u64; 2] = [100_000, 50_000];
/// Reduced cases of an operation.
const REDUCED_CASES: usize = 6;

/// For whoever writes a kernel: `TILEMARK_TEST_OPERATIONS=concat,matmul` runs the cases of these alone.
fn is_wanted(operation: &str) -> bool {
    std::env::var("TILEMARK_TEST_OPERATIONS")
        .map_or(true, |wanted| wanted.split(',').any(|wanted| wanted == operation))
}

fn cases() -> Vec<(&'static str, Vec<Case>)> {
    let mut all = cases::all();
    all.push(("mixed", mixed::cases()));
    all.push(("arg_extreme", ranking::arg_extreme()));
    all.push(("top_k", ranking::top_k()));
    all.retain(|(operation, _)| is_wanted(operation));
    if is_reduced() {
        let operations: BTreeSet<&str> = opencl_kernels().map(|kernel| kernel.operation).collect();
        all.retain(|(operation, _)| *operation == "mixed" || operations.contains(operation));
        for (_, cases) in &mut all {
            cases.retain(is_small);
            let (mut at, every) = (0, cases.len().div_ceil(REDUCED_CASES));
            cases.retain(|_| {
                at += 1;
                (at - 1) % every == 0
            });
        }
    }
    all
}

fn is_small(case: &Case) -> bool {
    let shapes: Vec<Vec<usize>> = case.inputs.iter().map(|x| x.shape().to_vec()).collect();
    let compiled = Compiled::new(case.graph.clone(), &Device::host()).unwrap();
    let plan = compiled.plan(&shapes).unwrap();
    plan.macs() <= REDUCED[0] && plan.arena_bytes() as u64 <= REDUCED[1]
}

#[test]
fn every_opencl_kernel_equals_the_reference() {
    for device in devices() {
        println!("{}", device.description());
        let _open = held(&device);
        let mut used = BTreeSet::new();
        for (operation, cases) in cases() {
            for case in &cases {
                for variant in variants(operation) {
                    used.extend(check(case, &device.clone().with_variant(variant)));
                }
            }
        }
        let fits =
            |kernel: &tilemark_engine::OpenclKernel| is_wanted(kernel.operation) && kernel.runs_on(&device);
        let registered = opencl_kernels().filter(fits);
        let missed: Vec<_> = registered
            .map(|kernel| (kernel.name.to_owned(), kernel.variant.to_owned()))
            .filter(|kernel| !used.contains(kernel))
            .collect();
        assert!(missed.is_empty(), "no case exercised {missed:?}");
        if std::env::var_os("TILEMARK_TEST_EMULATE").is_some() {
            let is_emulated = |(_, variant): &(String, String)| variant.contains("emulated");
            assert!(used.iter().any(is_emulated), "nothing emulated tensor cores");
        }
        if is_wanted("mixed") {
            let on_host = |(kernel, _): &(String, String)| !kernel.contains("opencl");
            assert!(used.iter().any(on_host), "no case ran a step on the host");
            mixed::check_plans(&device);
        }
    }
}

#[test]
fn random_networks_equal_the_reference_on_opencl() {
    for device in devices() {
        let _open = held(&device);
        for seed in 0..if is_reduced() { 4 } else { 40 } {
            check(&cases::network(seed), &device);
        }
    }
}

/// Sessions of one plan and of several share a device, its programs and its constants.
#[test]
fn sessions_at_once_on_one_opencl_device_take_any_batch() {
    for device in devices() {
        let case = &mixed::cases()[0];
        let compiled = Compiled::new(case.graph.clone(), &device).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let mut session = compiled.session().unwrap();
                scope.spawn(move || {
                    for run in 0..6 {
                        let x = &case.inputs[0];
                        let shape =
                            [[1, 3, 8, 1][(thread + run) % 4], x.shape()[1], x.shape()[2], x.shape()[3]];
                        let mut builder = Builder::new((10 * thread + run) as u64);
                        let requests = [(); 2].map(|()| vec![builder.tensor(&shape, x.dtype(), Fill::Any)]);
                        let expected =
                            requests.clone().map(|inputs| reference::run(&case.graph, inputs).unwrap());
                        assert_eq!(session.run_many(&requests).unwrap(), expected, "{shape:?}");
                    }
                });
            }
        });
    }
}
