//! Networks of which a device runs one part and the host another, and what lies between them.

use std::collections::BTreeSet;

use tilemark_engine::{Compiled, Device};
use tilemark_model::DType;

use super::build::{Builder, Built, Case, ConvSpec, Fill, window};

fn conv(builder: &mut Builder, x: &Built, outputs: usize, kernel: usize) -> Built {
    let spec = ConvSpec {
        outputs,
        groups: 1,
        window: window([kernel; 2], [1, 1], [1, 1], [kernel / 2; 4]),
        weights: Fill::Any,
        multiplier: 0.003,
        narrow: 0,
        dtype: DType::U8,
        zero: 77,
    };
    builder.conv(x, &spec)
}

/// A function of f32, which is the host's, and back to bytes.
fn on_host(builder: &mut Builder, x: &Built) -> Built {
    let float = builder.dequantize(x);
    let float = builder.float(&float);
    builder.quantize(&float, DType::U8)
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (seed, batch) in [(0, 1), (1, 3)] {
        // A step of the host between two of the device; its result is joined with one of the device's and with an input.
        let mut builder = Builder::new(seed);
        let x = builder.input(&[batch, 19, 6, 7], DType::U8, Fill::Any);
        let y = conv(&mut builder, &x, 16, 3);
        let z = on_host(&mut builder, &y);
        for value in [&x, &y] {
            builder.set_quant(value.id, z.quant);
        }
        let joined = builder.concat(&[&z, &y, &x], 1);
        let last = conv(&mut builder, &joined, 5, 1);
        cases.push(builder.finish(format!("{batch} images over the host and back"), &[&last, &joined]));

        // Read by both, and an output too; then flattened where channels lie last.
        let mut builder = Builder::new(seed);
        let x = builder.input(&[batch, 3, 8, 8], DType::I8, Fill::Any);
        let y = conv(&mut builder, &x, 17, 3);
        let z = on_host(&mut builder, &y);
        let sum = builder.pair(false, &y, &z, &y.shape, 0);
        let flat = builder.flatten(&sum);
        let last = builder.fully_connected(&flat, 21, Fill::Any, 0.001);
        cases.push(builder.finish(format!("{batch} images read on both sides"), &[&last, &y]));

        // Nothing but movements, a product of two activations and a mean over lines.
        let mut builder = Builder::new(seed);
        let x = builder.input(&[batch, 6, 20], DType::U8, Fill::Any);
        let turned = builder.transpose(&x, &[0, 2, 1]);
        let product = builder.matmul(&x, &turned, vec![batch, 6, 6]);
        let mean = builder.global_pool(&product);
        let scaled = builder.pair(true, &product, &mean, &[batch, 6, 6], 0);
        cases.push(builder.finish(format!("{batch} lines by themselves"), &[&scaled]));

        // Another name for the same bytes, between a stretch on the device and one on the host, and at the end.
        let mut builder = Builder::new(seed);
        let x = builder.input(&[batch, 3, 6, 6], DType::U8, Fill::Any);
        let y = conv(&mut builder, &x, 16, 3);
        let means = builder.global_pool(&y);
        let flat = builder.flatten(&means);
        let z = on_host(&mut builder, &flat);
        let last = builder.fully_connected(&z, 8, Fill::Any, 0.001);
        let named = builder.reshape(&last, &[batch, 2, 4]);
        cases.push(builder.finish(format!("{batch} images under other names"), &[&named]));
    }
    cases
}

/// Only what must go between host and device does: each value once in each direction.
pub(crate) fn check_plans(device: &Device) {
    let plan = |case: &Case| {
        let shapes: Vec<Vec<usize>> = case.inputs.iter().map(|x| x.shape().to_vec()).collect();
        let compiled = Compiled::new(case.graph.clone(), device).unwrap();
        compiled.plan(&shapes).unwrap()
    };
    let cases = cases();
    let (first, second) = (plan(&cases[0]), plan(&cases[1]));
    let moved: Vec<u64> = first.steps().map(|step| step.moved).filter(|&moved| moved > 0).collect();
    // x to the device, y to the host, z to the device.
    assert_eq!(moved, [19 * 42, 16 * 42, 16 * 42]);
    // Both outputs come back at the end; the joined one has all three.
    let returned: Vec<u64> = first.steps().map(|step| step.returned).collect();
    assert_eq!(returned.iter().sum::<u64>(), (5 + 16 + 16 + 19) * 42);
    assert_eq!(returned.last(), Some(&returned.iter().sum::<u64>()));
    for case in &cases {
        let mut session = Compiled::new(case.graph.clone(), device).unwrap().session().unwrap();
        let (_, times) = session.run_timed(&case.inputs).unwrap();
        assert_eq!(
            times.len(),
            session.plan().unwrap().steps().count(),
            "{}: a time for each step",
            case.name
        );
    }
    let kernels: BTreeSet<&str> = second.steps().map(|step| step.kernel.as_str()).collect();
    for kernel in ["pairwise/opencl", "movement/opencl", "fully_connected/opencl"] {
        assert!(kernels.contains(kernel), "{kernel} runs none of {kernels:?}");
    }
}
