//! Quantized matrix product with constant weights: `[..., K]` times `[N, K]` transposed.

#[cfg(target_arch = "x86_64")]
mod direct;
mod scalar;

use super::Kernel;
#[cfg(target_arch = "x86_64")]
use super::gemm::tile;
use crate::host::CpuLevel;

pub(crate) const KERNELS: &[Kernel] = &[
    Kernel {
        name: "fully_connected/scalar",
        operation: "fully_connected",
        level: CpuLevel::Scalar,
        build: scalar::build,
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avx2",
        operation: "fully_connected",
        level: CpuLevel::Avx2,
        build: |step| direct::build(step, "fully_connected/avx2", &tile::AVX2),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avxvnni",
        operation: "fully_connected",
        level: CpuLevel::AvxVnni,
        build: |step| direct::build(step, "fully_connected/avxvnni", &tile::AVXVNNI),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avx512vnni",
        operation: "fully_connected",
        level: CpuLevel::Avx512Vnni,
        build: |step| direct::build(step, "fully_connected/avx512vnni", &tile::AVX512VNNI),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/amx",
        operation: "fully_connected",
        level: CpuLevel::Amx,
        build: |step| direct::build(step, "fully_connected/amx", &tile::AMX),
    },
];
