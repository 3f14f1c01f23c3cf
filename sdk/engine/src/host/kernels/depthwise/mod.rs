//! Quantized depthwise convolution: every channel has its own window and feeds one output channel.

mod scalar;
mod strip;
mod vertical;

use tilemark_model::graph::Conv;

use super::Kernel;
use crate::host::CpuLevel;

pub(crate) const KERNELS: &[Kernel] = &[
    Kernel {
        name: "depthwise/scalar",
        operation: "depthwise",
        level: CpuLevel::Scalar,
        build: scalar::build,
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "depthwise/avx2",
        operation: "depthwise",
        level: CpuLevel::Avx2,
        build: |step| vertical::build(step, "depthwise/avx2", &strip::AVX2),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "depthwise/avxvnni",
        operation: "depthwise",
        level: CpuLevel::AvxVnni,
        build: |step| vertical::build(step, "depthwise/avxvnni", &strip::AVXVNNI),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "depthwise/avx512vnni",
        operation: "depthwise",
        level: CpuLevel::Avx512Vnni,
        build: |step| vertical::build(step, "depthwise/avx512vnni", &strip::AVX512VNNI),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "depthwise/avx2:large-claims",
        operation: "depthwise",
        level: CpuLevel::Avx2,
        build: |step| vertical::build_with(step, "depthwise/avx2", &strip::AVX2, vertical::LARGE_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "depthwise/avxvnni:large-claims",
        operation: "depthwise",
        level: CpuLevel::AvxVnni,
        build: |step| vertical::build_with(step, "depthwise/avxvnni", &strip::AVXVNNI, vertical::LARGE_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "depthwise/avx512vnni:large-claims",
        operation: "depthwise",
        level: CpuLevel::Avx512Vnni,
        build: |step| {
            vertical::build_with(step, "depthwise/avx512vnni", &strip::AVX512VNNI, vertical::LARGE_CLAIM)
        },
    },
    #[cfg(target_arch = "aarch64")]
    Kernel {
        name: "depthwise/neon",
        operation: "depthwise",
        level: CpuLevel::Neon,
        build: |step| vertical::build(step, "depthwise/neon", strip::neon()),
    },
    #[cfg(target_arch = "aarch64")]
    Kernel {
        name: "depthwise/neon:large-claims",
        operation: "depthwise",
        level: CpuLevel::Neon,
        build: |step| vertical::build_with(step, "depthwise/neon", strip::neon(), vertical::LARGE_CLAIM),
    },
];

/// Most taps of a depthwise window; larger ones run as grouped convolutions. No network comes near.
const MAX_TAPS: usize = 128;

/// Channels up to which a register may hold several pixels, which then must lie side by side.
const MAX_FOLDED: usize = 16;

/// Whether these kernels read and write `channels` channels of pixels that lie apart.
pub(crate) fn takes_apart(channels: usize) -> bool {
    channels > MAX_FOLDED
}

/// Whether a convolution of weights `[O, C/groups, KH, KW]` is one that these kernels take.
pub(crate) fn applies(conv: &Conv, weights: &[usize]) -> bool {
    weights[0] == conv.groups && weights[1] == 1 && weights[2] * weights[3] <= MAX_TAPS
}
