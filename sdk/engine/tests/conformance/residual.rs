//! Additions that become the last part of the convolution or fully connected layer that computes one of their operands.

use tilemark_engine::{Compiled, CpuLevel, Device};
use tilemark_model::DType;

use super::build::{Builder, Case, ConvSpec, Fill, window};

fn spec(outputs: usize, kernel: usize, groups: usize, dtype: DType) -> ConvSpec {
    let window = window([kernel; 2], [1, 1], [1, 1], [kernel / 2; 4]);
    let weights = Fill::Any;
    ConvSpec { outputs, groups, window, weights, multiplier: 0.004, narrow: 0, dtype, zero: 5 }
}

/// Every case's additions can vanish, all but those of the last three.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // Images cut by rows and by channels, with bits left over; the sum is read by a padded convolution too.
    for (seed, (channels, rows, columns)) in (0..).zip([(7, 9, 5), (24, 16, 16), (320, 7, 7), (33, 1, 3)]) {
        for (kernel, is_second) in [(1, false), (3, true)] {
            let mut builder = Builder::new(seed);
            let dtype = builder.random.pick(&[DType::U8, DType::I8]);
            let x = builder.input(&[2, channels, rows, columns], dtype, Fill::Any);
            let groups = if seed % 2 == 1 { channels } else { 1 };
            let y = builder.conv(&x, &spec(channels, kernel, groups, dtype));
            let y = if seed % 3 == 0 { builder.table(&y) } else { y };
            let [a, b] = if is_second { [&x, &y] } else { [&y, &x] };
            let sum = builder.pair(false, a, b, &x.shape, seed as i32);
            let sum = if is_second { builder.table(&sum) } else { sum };
            let next = builder.conv(&sum, &spec(6, 3, 1, DType::U8));
            let name = format!("residual of {channels} channels, {rows} x {columns}, {kernel} x {kernel}");
            cases.push(builder.finish(name, &[&sum, &next]));
        }
    }
    // Two branches, each a convolution; and a chain in which a sum is the next one's other operand.
    let mut builder = Builder::new(77);
    let x = builder.input(&[1, 20, 6, 6], DType::U8, Fill::Any);
    let [a, b] = [1, 3].map(|kernel| builder.conv(&x, &spec(20, kernel, 1, DType::U8)));
    let first = builder.pair(false, &a, &b, &x.shape, 0);
    let again = builder.conv(&first, &spec(20, 1, 1, DType::U8));
    let second = builder.pair(false, &again, &first, &x.shape, 3);
    let last = builder.conv(&second, &spec(20, 1, 1, DType::U8));
    let third = builder.pair(false, &second, &last, &x.shape, 0);
    cases.push(builder.finish("residuals in a chain", &[&third]));
    let mut builder = Builder::new(78);
    let x = builder.input(&[5, 40], DType::U8, Fill::Any);
    let y = builder.fully_connected(&x, 40, Fill::Any, 0.01);
    let sum = builder.pair(false, &y, &x, &[5, 40], 0);
    cases.push(builder.finish("residual of a fully connected layer", &[&sum]));
    // None of these may vanish: read twice, an output, or broadcast.
    let mut builder = Builder::new(79);
    let x = builder.input(&[1, 20, 6, 6], DType::U8, Fill::Any);
    let y = builder.conv(&x, &spec(20, 1, 1, DType::U8));
    let twice = builder.pair(false, &y, &y, &x.shape, 0);
    cases.push(builder.finish("a value twice", &[&twice]));
    let mut builder = Builder::new(80);
    let x = builder.input(&[1, 20, 6, 6], DType::U8, Fill::Any);
    let y = builder.conv(&x, &spec(20, 1, 1, DType::U8));
    let sum = builder.pair(false, &y, &x, &x.shape, 0);
    cases.push(builder.finish("an operand that is an output", &[&sum, &y]));
    let mut builder = Builder::new(81);
    let x = builder.input(&[1, 20, 6, 6], DType::U8, Fill::Any);
    let y = builder.conv(&x, &spec(20, 1, 1, DType::U8));
    let mean = builder.global_pool(&x);
    let sum = builder.pair(false, &y, &mean, &x.shape, 0);
    cases.push(builder.finish("a broadcast operand", &[&sum]));
    cases
}

#[test]
fn additions_vanish_where_they_may() {
    let level = Device::host().level().unwrap();
    if level == CpuLevel::Scalar {
        println!("skipped: at the scalar level an addition is a look-up and stays a step");
        return;
    }
    let cases = cases();
    let remaining = |case: &Case| {
        let shapes: Vec<Vec<usize>> = case.inputs.iter().map(|x| x.shape().to_vec()).collect();
        let plan = Compiled::new(case.graph.clone(), &Device::host().with_level(level)).unwrap();
        let plan = plan.plan(&shapes).unwrap();
        plan.steps().filter(|step| step.op == "Add").count()
    };
    let stay = cases.len() - 3;
    for (i, case) in cases.iter().enumerate() {
        assert_eq!(remaining(case), usize::from(i >= stay), "{}", case.name);
    }
}
