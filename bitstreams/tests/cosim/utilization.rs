//! How much of the array's peak real networks' layers reach: simulated, not computed. What the bytes are does not matter here.

use tilemark_bitstreams::{Compiler, Conv, Requant, Tensor, Window};

use super::simulator::{CONSTANTS, Simulator, TENSORS, Timing, simulator};

/// A convolution of a network: how often, image, channels in and out, kernel, stride, whether depthwise.
struct Layer(usize, usize, usize, usize, usize, usize, bool);

/// The 53 convolutions of ResNet-50 at 224 x 224 (v1.5: strides are in the 3 x 3).
const RESNET50: &[Layer] = &[
    Layer(1, 224, 3, 64, 7, 2, false),
    Layer(1, 56, 64, 64, 1, 1, false),
    Layer(3, 56, 64, 64, 3, 1, false),
    Layer(4, 56, 64, 256, 1, 1, false),
    Layer(2, 56, 256, 64, 1, 1, false),
    Layer(1, 56, 256, 128, 1, 1, false),
    Layer(1, 56, 128, 128, 3, 2, false),
    Layer(1, 56, 256, 512, 1, 2, false),
    Layer(4, 28, 128, 512, 1, 1, false),
    Layer(3, 28, 512, 128, 1, 1, false),
    Layer(3, 28, 128, 128, 3, 1, false),
    Layer(1, 28, 512, 256, 1, 1, false),
    Layer(1, 28, 256, 256, 3, 2, false),
    Layer(1, 28, 512, 1024, 1, 2, false),
    Layer(6, 14, 256, 1024, 1, 1, false),
    Layer(5, 14, 1024, 256, 1, 1, false),
    Layer(5, 14, 256, 256, 3, 1, false),
    Layer(1, 14, 1024, 512, 1, 1, false),
    Layer(1, 14, 512, 512, 3, 2, false),
    Layer(1, 14, 1024, 2048, 1, 2, false),
    Layer(3, 7, 512, 2048, 1, 1, false),
    Layer(2, 7, 2048, 512, 1, 1, false),
    Layer(2, 7, 512, 512, 3, 1, false),
];

/// The depthwise convolutions of MobileNetV2 at 224 x 224.
const MOBILENET_V2: &[Layer] = &[
    Layer(1, 112, 32, 32, 3, 1, true),
    Layer(1, 112, 96, 96, 3, 2, true),
    Layer(1, 56, 144, 144, 3, 1, true),
    Layer(1, 56, 144, 144, 3, 2, true),
    Layer(2, 28, 192, 192, 3, 1, true),
    Layer(1, 28, 192, 192, 3, 2, true),
    Layer(4, 14, 384, 384, 3, 1, true),
    Layer(2, 14, 576, 576, 3, 1, true),
    Layer(1, 14, 576, 576, 3, 2, true),
    Layer(3, 7, 960, 960, 3, 1, true),
];

impl Layer {
    /// Its cycles and products.
    fn run(&self, simulator: &mut Simulator) -> (u64, u64) {
        let &Layer(_, image, inputs, outputs, kernel, stride, depthwise) = self;
        let config = simulator.config();
        let groups = if depthwise { inputs } else { 1 };
        let out = (image + 2 * (kernel / 2) - kernel) / stride + 1;
        let x = Tensor { address: TENSORS, channels: inputs, extent: [image; 2] };
        let y = Tensor { address: TENSORS + x.bytes(&config) as u32, channels: outputs, extent: [out; 2] };
        let weights = vec![1; outputs * inputs / groups * kernel * kernel];
        let requant = Requant {
            x_unsigned: true,
            x_zero: 0,
            y_unsigned: true,
            y_zero: 0,
            bounds: [0, 255],
            table: None,
        };
        let mut compiler = Compiler::new(config, CONSTANTS);
        let window =
            Window { kernel: [kernel; 2], strides: [stride; 2], dilations: [1, 1], before: [kernel / 2; 2] };
        let (bias, multipliers) = (&vec![0; outputs], &vec![0.01; outputs]);
        compiler.conv(&Conv { x, y, window, groups, weights: &weights, bias, multipliers, requant }).unwrap();
        let ran = simulator.execute(&compiler.finish(), 20_000_000);
        assert_eq!(ran.error, 0);
        let products = (out * out * weights.len()) as u64;
        let share = products as f64 / f64::from(ran.cycles) / config.peak() as f64;
        println!(
            "{image:>4} {inputs:>5} -> {outputs:<5} {kernel}x{kernel}/{stride}: {:>8} cycles, {:>5.1} % of peak, {:>6} tiles; \
             waited {} for loads, {} for results, {} for memory; {} words read, {} written",
            ran.cycles,
            100.0 * share,
            ran.tiles,
            ran.waits[0],
            ran.waits[1],
            ran.waits[2],
            ran.words[0],
            ran.words[1],
        );
        (u64::from(ran.cycles), products)
    }
}

/// All layers' products over their cycles at the peak.
fn total(simulator: &mut Simulator, layers: &[Layer]) -> f64 {
    let (mut cycles, mut products) = (0, 0);
    for layer in layers {
        let (layer_cycles, layer_products) = layer.run(simulator);
        cycles += layer.0 as u64 * layer_cycles;
        products += layer.0 as u64 * layer_products;
    }
    let share = products as f64 / (cycles * simulator.config().peak() as u64) as f64;
    println!("all: {products} products in {cycles} cycles, {:.1} % of the peak", 100.0 * share);
    share
}

/// External memory that gives this share of a word a clock; a whole one if not said.
fn ready(simulator: &mut Simulator) {
    let of256 = std::env::var("TILEMARK_ENGINE_MEMORY").map_or(256, |rate| rate.parse().unwrap());
    println!(
        "external memory takes a read and a write in {of256} of 256 clocks, and answers 20 clocks later"
    );
    simulator.timing(Timing { latency: 20, taken: [of256, of256, 256], seed: 1 });
}

#[test]
fn convolutions_of_resnet50_use_seven_tenths_of_the_array() {
    let Some(mut simulator) = simulator() else { return };
    ready(&mut simulator);
    let share = total(&mut simulator, RESNET50);
    assert!(share >= 0.7 || std::env::var_os("TILEMARK_ENGINE_MEMORY").is_some(), "{share}");
}

/// An engine of 16 results a clock and windows of 4 x 4, which computes a 3 x 3 in one step; `cargo xtask fpga test` runs this for it.
/// With 2 x 4, it takes two, and the bound of a memory of one word a clock is 23.3 % for these layers.
#[test]
fn all_depthwise_convolutions_together_use_a_quarter_of_a_wide_array() {
    if std::env::var_os("TILEMARK_ENGINE_DEPTHWISE").is_none() {
        println!("skipped: TILEMARK_ENGINE_DEPTHWISE does not ask for it");
        return;
    }
    let Some(mut simulator) = simulator() else { return };
    ready(&mut simulator);
    let share = total(&mut simulator, MOBILENET_V2);
    assert!(share >= 0.25, "{share}");
}

/// Of stride 1: the others read four words for each that they write, which is what memory gives.
#[test]
fn depthwise_convolutions_use_a_quarter_of_the_array() {
    let Some(mut simulator) = simulator() else { return };
    ready(&mut simulator);
    total(&mut simulator, MOBILENET_V2);
    for layer in MOBILENET_V2.iter().filter(|layer| layer.5 == 1 && layer.1 >= 14) {
        let (cycles, products) = layer.run(&mut simulator);
        let share = products as f64 / (cycles * simulator.config().peak() as u64) as f64;
        assert!(share >= 0.25 || std::env::var_os("TILEMARK_ENGINE_MEMORY").is_some(), "{share}");
    }
}
