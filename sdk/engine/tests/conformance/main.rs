//! Every kernel of every level equals the reference interpreter, byte by byte. Later backends run the same cases.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints what it skips"
)]

mod build;
mod cases;
mod ends;
#[cfg(target_arch = "x86_64")]
mod faults;
mod float;
#[cfg(target_arch = "x86_64")]
mod fpga;
mod images;
mod joins;
mod lines;
mod mixed;
mod moving;
mod opencl;
mod overwriting;
mod ranking;
mod residual;
mod sums;
mod support;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use build::Case;
use tilemark_engine::{Compiled, CpuLevel, Device, KernelInfo, all_kernels};
use tilemark_model::{Data, Tensor, ValueId, reference};

/// Runs a case on a device and compares every value that exists there with the reference. Returns the kernels used, with
/// their variants.
fn check(case: &Case, device: &Device) -> BTreeSet<(String, String)> {
    let at = format!("{} on {} threads at {}", case.name, device.threads(), device.level().unwrap());
    let mut expected: HashMap<ValueId, Tensor> = HashMap::new();
    let outputs = reference::run_observed(&case.graph, case.inputs.clone(), |id, tensor| {
        expected.insert(id, tensor.clone());
    })
    .unwrap_or_else(|error| panic!("{at}: {error}"));
    let compiled = Compiled::new(Arc::new(case.graph.clone()), device).unwrap();
    let mut session = compiled.session().unwrap();
    let observed = session.run_observed(&case.inputs, |id, found| {
        compare(found, &expected[&id], || format!("{at}: `{}`", case.graph.value(id).name));
    });
    let observed = observed.unwrap_or_else(|error| panic!("{at}: {error}"));
    // Again, all steps in one walk and with whatever the first run left in memory.
    let again = session.run(&case.inputs).unwrap();
    for (i, output) in outputs.iter().enumerate() {
        compare(&observed[i], output, || format!("{at}: output {i}, observed"));
        compare(&again[i], output, || format!("{at}: output {i}"));
    }
    let plan = session.plan().unwrap();
    let mut used: BTreeSet<_> =
        plan.steps().map(|step| (step.kernel.clone(), step.variant.clone())).collect();
    if plan.passes() > 1 && !is_slow(device.level().unwrap()) {
        used.extend(check(&case.declared(), device)); // the whole batch at once
    }
    used
}

/// The bytes of a tensor, with one NaN for all: which one it is depends on the order of operands that a compiler chose.
fn bytes(tensor: &Tensor) -> Vec<u8> {
    match tensor.data() {
        Data::F32(reals) => {
            let canonical = |&x: &f32| if x.is_nan() { f32::NAN } else { x };
            reals.iter().map(canonical).flat_map(f32::to_le_bytes).collect()
        }
        _ => tensor.to_bytes(),
    }
}

/// Byte by byte.
fn compare(found: &Tensor, expected: &Tensor, at: impl Fn() -> String) {
    assert_eq!((found.shape(), found.dtype()), (expected.shape(), expected.dtype()), "{}", at());
    let (a, b) = (bytes(found), bytes(expected));
    if let Some(first) = a.iter().zip(&b).position(|(a, b)| a != b) {
        let count = a.iter().zip(&b).filter(|(a, b)| a != b).count();
        panic!(
            "{}: {count} of {} bytes differ, the first at {first}: {} for {}",
            at(),
            a.len(),
            a[first],
            b[first]
        );
    }
}

/// The levels to test: all that this build has kernels for and this CPU can run. Others are named.
fn levels() -> Vec<CpuLevel> {
    let (mut run, skipped): (Vec<_>, Vec<_>) =
        CpuLevel::ALL.into_iter().filter(|level| level.has_kernels()).partition(|level| level.is_supported());
    println!("levels that run: {run:?}; skipped, because this CPU lacks them: {skipped:?}");
    assert!(run.contains(&CpuLevel::Scalar));
    #[cfg(all(feature = "emulate-cpu", target_arch = "x86_64", target_os = "linux"))]
    if std::env::var_os("TILEMARK_TEST_EMULATE").is_some() && run.contains(&CpuLevel::Avx512Vnni) {
        assert!(run.contains(&CpuLevel::Amx) && run.contains(&CpuLevel::AvxVnni), "emulation does not work");
    }
    if let Some(flavour) = emulated() {
        assert!(run.iter().any(|level| level.flavour() == flavour), "the emulated CPU is no {flavour}");
        run.retain(|level| *level != CpuLevel::Scalar || flavour == "neon");
        println!("emulated: {flavour}; levels that run: {run:?}");
    }
    run
}

/// The flavour of NEON that `cargo xtask test` says the emulated CPU must have. An emulator is slow, so that there the portable
/// kernels run with one flavour only, every case runs with one of a kernel's variants, and fewer random networks run.
fn emulated() -> Option<String> {
    std::env::var("TILEMARK_TEST_EMULATED").ok()
}

/// Whether a level's instructions are in software, one signal each, so that fewer variants and networks run with it. AMX is not:
/// its instructions are large.
fn is_slow(level: CpuLevel) -> bool {
    #[cfg(all(feature = "emulate-cpu", target_arch = "x86_64"))]
    if level == CpuLevel::AvxVnni && !is_x86_feature_detected!("avxvnni") {
        return true;
    }
    let _ = level;
    emulated().is_some()
}

/// Whether so many multiply-accumulates are too many for such a level: a signal for 32 of them takes some microseconds.
fn is_too_long(case: &Case, level: CpuLevel) -> bool {
    const MOST: u64 = 1_000_000;
    if emulated().is_some() || !is_slow(level) {
        return false;
    }
    let shapes: Vec<Vec<usize>> = case.inputs.iter().map(|tensor| tensor.shape().to_vec()).collect();
    let compiled = Compiled::new(case.graph.clone(), &device(CpuLevel::Scalar, 1)).unwrap();
    compiled.plan(&shapes).unwrap().macs() > MOST
}

fn device(level: CpuLevel, threads: usize) -> Device {
    Device::host().with_level(level).with_threads(threads).unwrap()
}

/// Names of the variants that a level has of any kernel, or of those of one operation; the usual one comes first.
fn variants(level: CpuLevel, operation: Option<&str>) -> Vec<&'static str> {
    let wanted = |kernel: &KernelInfo| {
        kernel.level == level && operation.is_none_or(|operation| kernel.operation == operation)
    };
    let mut variants = vec!["usual"];
    for kernel in all_kernels().filter(wanted) {
        if !variants.contains(&kernel.variant) {
            variants.push(kernel.variant);
        }
    }
    variants
}

#[test]
fn every_kernel_equals_the_reference() {
    for level in levels() {
        let mut used = BTreeSet::new();
        for (operation, cases) in cases::all() {
            assert!(!cases.is_empty());
            let mut reached = false;
            for (i, case) in cases.iter().enumerate() {
                let mut variants = variants(level, Some(operation));
                if is_slow(level) {
                    variants = vec![variants[i % variants.len()]];
                }
                if is_too_long(case, level) {
                    continue;
                }
                for variant in variants {
                    let kernels = check(case, &device(level, 1 + i % 3).with_variant(variant));
                    reached |= kernels.iter().any(|(kernel, _)| kernel.starts_with(&format!("{operation}/")));
                    used.extend(kernels);
                }
            }
            assert!(reached, "no case of {operation} reached a kernel of it");
        }
        let registered = all_kernels().filter(|kernel| kernel.level == level);
        let missed: Vec<_> = registered
            .map(|kernel| (kernel.name.to_owned(), kernel.variant.to_owned()))
            .filter(|kernel| !used.contains(kernel))
            .collect();
        assert!(missed.is_empty(), "no case exercised {missed:?}");
        assert!(used.iter().any(|(kernel, _)| kernel == "reference"), "no case exercised the fallback");
    }
}

#[test]
fn random_networks_equal_the_reference() {
    for level in levels() {
        let networks = if is_slow(level) { 30 } else { 120 };
        let mut fused = 0;
        for seed in 0..networks {
            let case = cases::network(seed);
            let variants = variants(level, None);
            for threads in 1..=3 {
                let variant = variants[(seed as usize + threads) % variants.len()];
                check(&case, &device(level, threads).with_variant(variant));
            }
            // What prediction chooses, which may be another one for each step.
            check(&case, &device(level, 2));
            let compiled = Compiled::new(case.graph.clone(), &device(level, 1)).unwrap();
            let shapes: Vec<Vec<usize>> = case.inputs.iter().map(|tensor| tensor.shape().to_vec()).collect();
            fused += compiled.plan(&shapes).unwrap().steps().filter(|step| !step.fused.is_empty()).count();
        }
        assert!(fused > networks as usize / 12, "only {fused} steps had a table fused in");
    }
}
