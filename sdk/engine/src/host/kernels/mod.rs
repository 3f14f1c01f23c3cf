//! The host's kernels: one folder per operation, one file per variant, `mod.rs` the dispatcher.
//!
//! A kernel is registered in its operation's `KERNELS`; what is registered is what [`all_kernels`] lists and what the
//! conformance suite must have exercised. One level may have several variants, the first of which is the usual one: a
//! plan takes what is expected or was measured to be fastest (`plan/pick.rs`) and lets it build the [`Work`] that tiles run.

pub(crate) mod average_pool;
pub(crate) mod binary;
pub(crate) mod cast;
pub(crate) mod concat;
pub(crate) mod conv;
pub(crate) mod conv_transpose;
mod copy;
pub(crate) mod depthwise;
pub(crate) mod dequantize;
pub(crate) mod dynamic_quantize;
mod epilogue;
mod exponential;
pub(crate) mod fully_connected;
mod gemm;
pub(crate) mod global_average_pool;
pub(crate) mod matmul;
pub(crate) mod max_pool;
pub(crate) mod movement;
pub(crate) mod normalize;
mod operand;
pub(crate) mod pairwise;
pub(crate) mod quantize;
pub(crate) mod recurrent;
pub(crate) mod reduce;
pub(crate) mod resize;
pub(crate) mod scale_shift;
pub(crate) mod sliding;
pub(crate) mod softmax;
mod strided;
mod sums;
pub(crate) mod table;
pub(crate) mod unary;

pub(crate) use epilogue::{Requant, clamp};

use serde::Serialize;

pub(crate) use copy::copy;

use super::cpu::CpuLevel;
use super::memory::{Inputs, Tile};
use crate::error::Error;
use crate::plan::{Lowering, Tiling};

/// A kernel of this build.
#[derive(Clone, Debug, Serialize)]
pub struct KernelInfo {
    /// `operation/level`.
    pub name: &'static str,
    /// Which of several at this level; `usual` for the one that is taken where nothing speaks for another.
    pub variant: &'static str,
    /// What it computes.
    pub operation: &'static str,
    /// What it needs from the CPU.
    pub level: CpuLevel,
    /// Whether this CPU can run it.
    pub supported: bool,
}

/// Every kernel of this build, those that this CPU cannot run included.
pub fn all_kernels() -> impl Iterator<Item = KernelInfo> {
    OPERATIONS.iter().copied().flatten().map(|kernel| KernelInfo {
        name: kernel.family(),
        variant: kernel.variant(),
        operation: kernel.operation,
        level: kernel.level,
        supported: kernel.level.is_supported(),
    })
}

const OPERATIONS: [&[Kernel]; 30] = [
    conv::KERNELS,
    depthwise::KERNELS,
    fully_connected::KERNELS,
    pairwise::KERNELS,
    average_pool::KERNELS,
    global_average_pool::KERNELS,
    max_pool::KERNELS,
    table::KERNELS,
    concat::KERNELS,
    quantize::KERNELS,
    dequantize::KERNELS,
    movement::KERNELS,
    unary::KERNELS,
    binary::KERNELS,
    scale_shift::KERNELS,
    softmax::KERNELS,
    conv_transpose::KERNELS,
    resize::KERNELS,
    average_pool::FLOAT_KERNELS,
    max_pool::FLOAT_KERNELS,
    matmul::KERNELS,
    reduce::KERNELS,
    sliding::FLOAT_KERNELS,
    sliding::INTEGER_KERNELS,
    matmul::FLOAT_KERNELS,
    matmul::INTEGER_KERNELS,
    cast::KERNELS,
    dynamic_quantize::KERNELS,
    normalize::KERNELS,
    recurrent::KERNELS,
];

/// Whether an operation's kernels read `channels` channels of pixels that lie apart, with other values' channels between
/// them. Of the others some read whole rows; a depthwise convolution of few channels reads several pixels at once.
pub(crate) fn reads_apart(operation: &str, channels: usize) -> bool {
    match operation {
        "depthwise" => depthwise::takes_apart(channels),
        "conv"
        | "fully_connected"
        | "pairwise"
        | "average_pool"
        | "global_average_pool"
        | "max_pool"
        | "table"
        | "concat"
        | "quantize"
        | "dequantize"
        | "movement"
        | "unary"
        | "binary"
        | "scale_shift" => true,
        _ => false,
    }
}

/// Whether they write such pixels. Those that do not write rows, which are then put where they belong ([`Staged`]).
///
/// [`Staged`]: super::staging::Staged
pub(crate) fn writes_apart(operation: &str, channels: usize) -> bool {
    match operation {
        "depthwise" => depthwise::takes_apart(channels),
        "conv" | "fully_connected" => true,
        _ => false,
    }
}

/// Whether an operation's kernels may find an operand of the output's layout in the output itself: they read it through
/// [`operand::Operand`], a line at a time, before they write that line. Bytes are at no network's peak of memory, and an
/// addition of bytes that took them out first took 1.2 times as long.
pub(crate) fn overwrites(operation: &str) -> bool {
    matches!(operation, "unary" | "binary" | "scale_shift")
}

/// Whether an operation's kernels write rows of floats, which can be quantized while they are in cache ([`Quantized`]).
///
/// [`Quantized`]: super::staging::Quantized
pub(crate) fn may_be_quantized(operation: &str) -> bool {
    matches!(operation, "unary" | "binary" | "scale_shift" | "conv_transpose" | "resize")
}

/// The variants of an operation whose portable loops are compiled for each level: `build` takes the step and a
/// [`super::vectorize::Vectorizer`].
macro_rules! per_level {
    ($operation:literal, $build:path) => {
        &[
            per_level!(@variant $operation, $build, "scalar", Scalar),
            #[cfg(target_arch = "x86_64")]
            per_level!(@variant $operation, $build, "avx2", Avx2),
            #[cfg(target_arch = "x86_64")]
            per_level!(@variant $operation, $build, "avx512vnni", Avx512Vnni),
            #[cfg(target_arch = "aarch64")]
            per_level!(@variant $operation, $build, "neon", Neon),
        ]
    };
    (@variant $operation:literal, $build:path, $name:literal, $level:ident) => {
        $crate::host::kernels::Kernel {
            name: concat!($operation, "/", $name),
            operation: $operation,
            level: $crate::host::CpuLevel::$level,
            build: |step| {
                $build(step, $crate::host::vectorize::Vectorizer::new($crate::host::CpuLevel::$level))
            },
        }
    };
}
use per_level;

/// One variant of one operation.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// `operation/level`, or `operation/level:variant` for further ones at that level; unique.
    pub(crate) name: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) level: CpuLevel,
    /// Packs weights and fixes everything that does not change between inferences.
    pub(crate) build: fn(&Lowering<'_>) -> Result<Planned, Error>,
}

/// The variant of a kernel whose name has none.
pub(crate) const USUAL: &str = "usual";

impl Kernel {
    /// `operation/level`.
    pub(crate) fn family(&self) -> &'static str {
        family(self.name)
    }

    /// The name without what only says how much a claim is: kernels with the same do the same work.
    pub(crate) fn arithmetic(&self) -> &'static str {
        if self.variant().ends_with("claims") { self.family() } else { self.name }
    }

    /// Which one at this level.
    pub(crate) fn variant(&self) -> &'static str {
        variant(self.name)
    }
}

/// What stands before the variant in a kernel's name.
pub(crate) fn family(name: &'static str) -> &'static str {
    name.split_once(':').map_or(name, |(family, _)| family)
}

/// The variant in a kernel's name.
pub(crate) fn variant(name: &'static str) -> &'static str {
    name.split_once(':').map_or(USUAL, |(_, variant)| variant)
}

/// What a kernel makes of one step.
pub(crate) struct Planned {
    pub(crate) work: Box<dyn Work>,
    pub(crate) tiling: Tiling,
}

/// A step, ready to run tile by tile, on any thread in any order.
pub(crate) trait Work: Send + Sync {
    /// Bytes of working memory that a thread must offer.
    fn scratch_bytes(&self) -> usize {
        0
    }

    /// Computes one tile. `scratch` is 64-byte aligned, at least [`Work::scratch_bytes`] long, and holds anything.
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error>;
}
