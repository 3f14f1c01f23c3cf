//! The engine, verilated, against the reference interpreter, byte for byte.
//!
//! `cargo xtask fpga test` builds the simulator and runs this; without it every test says that it was skipped.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a test: what fails, fails it")]

mod board;
mod build;
mod lower;
mod refusals;
mod requant;
mod simulator;
mod utilization;

use build::{Builder, ConvSpec, Fill};
use lower::{Case, Compared, compare, explicit};
use simulator::{Simulator, Timing, simulator};
use tilemark_bitstreams::{Config, Refused};
use tilemark_model::graph::Pool;
use tilemark_model::shape::output_extent;

/// An engine that the compiler believes smaller than it is, so that small layers are cut like large ones.
fn smaller(config: Config, builder: &mut Builder) -> Config {
    let banks = config.banks[0] * config.banks[1];
    Config {
        activations: banks * builder.pick(&[64, 128, config.bank_words()]).min(config.bank_words()),
        weights: builder.pick(&[32, 64, config.weights]),
        sums: builder.pick(&[5, 16, config.sums]),
        ..config
    }
}

fn axis(builder: &mut Builder, size: usize) -> [usize; 5] {
    let kernel = builder.pick(&[1, 1, 2, 3, 3, 3, 4, 5, 7]);
    let dilation = builder.pick(&[1, 1, 1, 1, 2, 3]);
    let pads = [builder.random.below(kernel), builder.random.below(kernel)];
    let fits = size + pads[0] + pads[1] > (kernel - 1) * dilation;
    let (kernel, dilation, pads) = if fits { (kernel, dilation, pads) } else { (1, 1, [0, 0]) };
    [kernel, builder.pick(&[1, 1, 2, 3]), dilation, pads[0], pads[1]]
}

fn random_window(builder: &mut Builder, image: [usize; 2]) -> tilemark_model::graph::Window {
    let (v, h) = (axis(builder, image[0]), axis(builder, image[1]));
    explicit([v[0], h[0]], [v[1], h[1]], [v[2], h[2]], [v[3], h[3], v[4], h[4]])
}

/// Any layer, sometimes with a table behind it, sometimes with a residual addition.
fn random_case(seed: u64, config: Config) -> (Case, Config) {
    let mut builder = Builder::new(seed);
    let config = smaller(config, &mut builder);
    let image = [1 + builder.random.below(15), 1 + builder.random.below(15)];
    let fill = builder.pick(&[Fill::Any, Fill::Any, Fill::Extreme, Fill::Small]);
    let kind = builder.random.below(16);
    let few = builder.random.below(4) + 1;
    let channels = match kind {
        0..=1 => few,
        2..=4 => 16 * few,
        _ => 1 + builder.random.below(70),
    };
    let dtype = builder.dtype();
    let shape = [1, channels, image[0], image[1]];
    let shape = if kind == 11 { &shape[..2] } else { &shape };
    let x = builder.input(shape, dtype, fill);
    let window = random_window(&mut builder, image);
    let (outputs, groups) = match kind {
        5..=7 => (channels, channels),
        8 => (2 * channels, channels),
        9 => {
            let groups = builder.pick(&[2, 3, 4, 5]);
            let groups = if channels % groups == 0 { groups } else { 1 };
            (groups * (1 + builder.random.below(12)), groups)
        }
        _ => (1 + builder.random.below(50), 1),
    };
    let pool = || Pool {
        window: window.clone(),
        ceil_mode: seed.is_multiple_of(2),
        count_include_pad: seed.is_multiple_of(3),
    };
    let fits = output_extent(&window, image, true).is_some_and(|e| !e.output.contains(&0));
    let y = match kind {
        11 => builder.fully_connected(&x, outputs, fill),
        12 if fits => builder.pool(&x, true, pool()),
        13 if fits => builder.pool(&x, false, pool()),
        14 => builder.global_pool(&x),
        15 if config.adds => {
            let b = builder.input(&x.shape, dtype, fill);
            builder.add(&x, &b)
        }
        _ => {
            let dtype = builder.dtype();
            builder.conv(&x, &ConvSpec { outputs, groups, window: window.clone(), fill, dtype })
        }
    };
    let y = if builder.random.below(4) == 0 { builder.table(&y) } else { y };
    (builder.finish(format!("case {seed}"), &[&y]), config)
}

/// Compares a case on an engine that is taken for a smaller one, or as it is if that is too small.
fn fitting(simulator: &mut Simulator, config: Config, case: &Case) -> Compared {
    let compared = match compare(simulator, config, case) {
        Err(Refused::TooLarge(_)) => {
            let config = simulator.config();
            compare(simulator, config, case)
        }
        compared => compared,
    };
    compared.unwrap_or_else(|refused| panic!("{}: {refused}", case.name))
}

#[test]
fn random_layers_equal_the_reference() {
    let Some(mut simulator) = simulator() else { return };
    let count: u64 = std::env::var("TILEMARK_ENGINE_LAYERS").map_or(1000, |n| n.parse().unwrap());
    let first: u64 = std::env::var("TILEMARK_ENGINE_SEED").map_or(0, |n| n.parse().unwrap());
    let (mut elements, mut different, mut cycles) = (0, 0, 0);
    for seed in first..first + count {
        let (case, config) = random_case(seed, simulator.config());
        // Every other one with memory that stalls.
        let timing = match seed % 4 {
            0 | 2 => Timing::IDEAL,
            1 => Timing { latency: 1 + seed as u32 % 40, taken: [128, 96, 200], seed },
            _ => Timing { latency: 1, taken: [40, 20, 256], seed },
        };
        simulator.timing(timing);
        let compared = fitting(&mut simulator, config, &case);
        elements += compared.elements;
        different += compared.different;
        cycles += u64::from(compared.ran.cycles);
    }
    println!("{count} layers, {elements} elements, {different} differ; {cycles} cycles simulated");
    assert_eq!(different, 0);
}

/// Layers behind each other in one list: each reads what the one before has written.
#[test]
fn small_networks_equal_the_reference() {
    let Some(mut simulator) = simulator() else { return };
    let mut elements = 0;
    for seed in 0..40 {
        let mut builder = Builder::new(1000 + seed);
        let config = smaller(simulator.config(), &mut builder);
        simulator.timing(Timing { latency: 1 + seed as u32, taken: [200, 150, 220], seed });
        let dtype = builder.dtype();
        let fill = Fill::Any;
        let square = |stride| explicit([3, 3], [stride; 2], [1, 1], [1; 4]);
        let point = explicit([1, 1], [1, 1], [1, 1], [0; 4]);
        let width = 8 + builder.random.below(40);
        let spec = |window, outputs, groups, dtype| ConvSpec { outputs, groups, window, fill, dtype };
        let x = builder.input(&[1, 3, 17, 19], dtype, fill);
        let x = builder.conv(&x, &spec(square(2), width, 1, dtype));
        let y = builder.conv(&x, &spec(point.clone(), 3 * width, 1, dtype));
        let y = builder.table(&y);
        let y = builder.conv(&y, &spec(square(1), 3 * width, 3 * width, dtype));
        let y = builder.conv(&y, &spec(point, width, 1, dtype));
        let y = builder.add(&x, &y);
        let pool = Pool { window: square(2), ceil_mode: false, count_include_pad: false };
        let y = builder.pool(&y, seed.is_multiple_of(2), pool);
        let y = builder.global_pool(&y);
        let y = builder.conv(&y, &spec(explicit([1, 1], [1, 1], [1, 1], [0; 4]), 100, 1, dtype));
        let case = builder.finish(format!("network {seed}"), &[&y]);
        let compared = fitting(&mut simulator, config, &case);
        assert_eq!(compared.different, 0, "{}", case.name);
        elements += compared.elements;
    }
    println!("40 networks of 9 layers, {elements} elements, 0 differ");
}
