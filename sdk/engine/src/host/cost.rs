//! What a step costs, predicted from its geometry: the choice where nothing was measured, and what a measurement is held
//! against.
//!
//! A product multiplies, writes results and reads weights, a depthwise convolution multiplies and interleaves, everything else
//! moves bytes; the parts are added up. The constants are fitted to `cargo xtask hwbench` on a Zen 4 core at 3.7 GHz
//! (docs/engine.md says how well). On a CPU on which all are off by one factor, seconds are predicted wrongly, and what is
//! faster rightly.

#[cfg(target_arch = "x86_64")]
use tilemark_model::Op;

use super::cpu::CpuLevel;
#[cfg(target_arch = "x86_64")]
use super::kernels;
use super::kernels::Kernel;
use crate::plan::Lowering;

/// Nanoseconds per unit of work at one level, on one core.
struct Rates {
    /// A multiply-accumulate of a product, padding of registers included.
    mac: f64,
    /// An output's rounding, packing and storing.
    output: f64,
    /// A byte of weights that does not stay in the first cache.
    weight: f64,
    /// A tap of a depthwise convolution's output, rounding included.
    tap: f64,
    /// A byte of a depthwise convolution's input, interleaved.
    interleaved: f64,
    /// A byte of any other step.
    byte: f64,
}

/// Claiming a tile, filling its halo, and what rows and channels that are cut more finely cost the kernel.
const CLAIM_NS: f64 = 200.0;
/// Multiply-accumulates of a usual claim of a product and of a depthwise convolution, and bytes of one of anything else.
const CLAIM_MACS: u64 = 1_200_000;
const DEPTHWISE_CLAIM_MACS: u64 = 400_000;
const CLAIM_BYTES: usize = 32_768;

/// What the kernels of one step cost.
pub(crate) struct Costs<'a> {
    step: &'a Lowering<'a>,
    threads: usize,
    suits_amx: bool,
}

impl<'a> Costs<'a> {
    /// At `level`, on so many threads.
    pub(crate) fn new(step: &'a Lowering<'a>, level: CpuLevel, threads: usize) -> Self {
        let may_suit = level.includes(CpuLevel::Amx) && step.is_product();
        Self { step, threads, suits_amx: may_suit && suits_amx(step) }
    }

    /// Seconds that `kernel` is expected to take.
    pub(crate) fn seconds(&self, kernel: &Kernel) -> f64 {
        let Self { step, threads, suits_amx } = *self;
        let rates = rates(kernel.level);
        if kernel.level == CpuLevel::Amx && !suits_amx {
            return f64::INFINITY; // it would only call the vectors' kernel
        }
        let alone = match kernel.operation {
            "conv" | "fully_connected" => product(&rates, step),
            "depthwise" => depthwise(&rates, step),
            _ => rates.byte * (step.output.own_bytes() as f64 + input_bytes(step)),
        };
        let tiles = claims(kernel, step);
        1e-9 * (alone * share(tiles, threads) + CLAIM_NS * (tiles as f64 / threads as f64))
    }
}

#[cfg(target_arch = "x86_64")]
fn suits_amx(step: &Lowering<'_>) -> bool {
    match step.node.op {
        Op::Conv(..) => kernels::conv::suits_amx(step),
        _ => kernels::fully_connected::suits_amx(step),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn suits_amx(_: &Lowering<'_>) -> bool {
    false
}

/// The part of one thread's time that `threads` threads need at most for `tiles` equal tiles, whichever of them is held up:
/// an even share, and for all but one thread the wait for a last tile (Graham's bound on list scheduling, 1966).
pub(crate) fn share(tiles: usize, threads: usize) -> f64 {
    let (tiles, even) = (tiles.max(1) as f64, 1.0 / threads.max(1) as f64);
    even + (1.0 - even) / tiles
}

/// Tiles that the kernel will cut, about.
fn claims(kernel: &Kernel, step: &Lowering<'_>) -> usize {
    let usual = match (kernel.operation, kernel.level) {
        ("conv" | "fully_connected", CpuLevel::Amx) => 8 * CLAIM_MACS,
        ("conv" | "fully_connected", _) => CLAIM_MACS,
        ("depthwise", _) => DEPTHWISE_CLAIM_MACS,
        _ => return step.output.own_bytes() / CLAIM_BYTES + 1,
    };
    let claim = match kernel.variant() {
        "small-claims" => usual / 4,
        "large-claims" => usual * 4,
        _ => usual,
    };
    usize::try_from(step.macs / claim).unwrap_or(usize::MAX).max(1)
}

fn product(rates: &Rates, step: &Lowering<'_>) -> f64 {
    let outputs = elements(step);
    let weights = step.node.inputs.get(1).map_or(0, |&id| step.shapes.of(id).iter().product::<usize>());
    // Products come in steps of four bytes.
    let depth = step.macs as f64 / outputs.max(1.0);
    let padding = (depth / 4.0).ceil() * 4.0 / depth.max(1.0);
    let multiplying = step.macs as f64 * padding * rates.mac;
    multiplying + outputs * rates.output + weights as f64 * rates.weight
}

fn depthwise(rates: &Rates, step: &Lowering<'_>) -> f64 {
    let outputs = elements(step);
    let window = step.node.inputs.get(1).map_or(&[][..], |&id| step.shapes.of(id));
    // Vertical taps come in quads, of which some have no weights.
    let taps = if let &[_, _, height, width] = window { height.next_multiple_of(4) * width } else { 0 };
    outputs * taps as f64 * rates.tap + input_bytes(step) * rates.interleaved
}

fn elements(step: &Lowering<'_>) -> f64 {
    step.output.shape.iter().map(|&n| n as f64).product()
}

fn input_bytes(step: &Lowering<'_>) -> f64 {
    step.inputs.iter().map(|layout| layout.own_bytes() as f64).sum()
}

fn rates(level: CpuLevel) -> Rates {
    let rates =
        |mac, output, weight, tap, interleaved, byte| Rates { mac, output, weight, tap, interleaved, byte };
    match level {
        CpuLevel::Scalar => rates(0.074, 0.5, 0.05, 0.1, 0.5, 0.5),
        CpuLevel::Avx2 => rates(0.0113, 0.1, 0.025, 0.0175, 0.06, 0.06),
        // Not measured: AVX-VNNI multiplies like AVX-512 on half the width and rounds like AVX2.
        CpuLevel::AvxVnni => rates(0.0075, 0.09, 0.025, 0.012, 0.05, 0.06),
        CpuLevel::Avx512Vnni => rates(0.0043, 0.07, 0.025, 0.0076, 0.036, 0.04),
        // Not measured: tiles multiply 8 times as fast as AVX512-VNNI, which does the rest.
        CpuLevel::Amx => rates(0.0006, 0.05, 0.025, 0.0076, 0.036, 0.04),
        // Not measured.
        CpuLevel::Neon => rates(0.02, 0.15, 0.05, 0.03, 0.1, 0.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_tiles_leave_threads_idle() {
        assert_eq!(share(1, 4), 1.0);
        assert_eq!(share(3, 4), 0.5);
        assert_eq!((share(1, 1), share(100, 1), share(0, 0)), (1.0, 1.0, 1.0));
        assert!(share(8, 2) < share(2, 2) && share(2, 2) < share(1, 2));
    }
}
