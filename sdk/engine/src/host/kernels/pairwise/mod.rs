//! Quantized addition and multiplication of two values, either of which may broadcast or be a constant.

mod portable;
mod residual;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod simd;

use super::Kernel;
use crate::host::CpuLevel;

pub(crate) use portable::Formula;
pub(crate) use residual::Residual;

pub(crate) const KERNELS: &[Kernel] = &[
    Kernel { name: "pairwise/scalar", operation: "pairwise", level: CpuLevel::Scalar, build: scalar::build },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "pairwise/avx2",
        operation: "pairwise",
        level: CpuLevel::Avx2,
        build: |step| portable::build(step, CpuLevel::Avx2),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "pairwise/avx512vnni",
        operation: "pairwise",
        level: CpuLevel::Avx512Vnni,
        build: |step| portable::build(step, CpuLevel::Avx512Vnni),
    },
    #[cfg(target_arch = "aarch64")]
    Kernel {
        name: "pairwise/neon",
        operation: "pairwise",
        level: CpuLevel::Neon,
        build: |step| portable::build(step, CpuLevel::Neon),
    },
];
