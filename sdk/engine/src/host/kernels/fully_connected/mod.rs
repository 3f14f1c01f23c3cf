//! Quantized matrix product with constant weights: `[..., K]` times `[N, K]` transposed.

#[cfg(target_arch = "x86_64")]
mod direct;
mod scalar;

use super::Kernel;
#[cfg(target_arch = "x86_64")]
use super::gemm::product::{CLAIM, LARGE_CLAIM, SMALL_CLAIM};
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
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avx2:small-claims",
        operation: "fully_connected",
        level: CpuLevel::Avx2,
        build: |step| direct::build_with(step, "fully_connected/avx2", &tile::AVX2, SMALL_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avx2:large-claims",
        operation: "fully_connected",
        level: CpuLevel::Avx2,
        build: |step| direct::build_with(step, "fully_connected/avx2", &tile::AVX2, LARGE_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avxvnni:small-claims",
        operation: "fully_connected",
        level: CpuLevel::AvxVnni,
        build: |step| direct::build_with(step, "fully_connected/avxvnni", &tile::AVXVNNI, SMALL_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avxvnni:large-claims",
        operation: "fully_connected",
        level: CpuLevel::AvxVnni,
        build: |step| direct::build_with(step, "fully_connected/avxvnni", &tile::AVXVNNI, LARGE_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avx512vnni:small-claims",
        operation: "fully_connected",
        level: CpuLevel::Avx512Vnni,
        build: |step| direct::build_with(step, "fully_connected/avx512vnni", &tile::AVX512VNNI, SMALL_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avx512vnni:large-claims",
        operation: "fully_connected",
        level: CpuLevel::Avx512Vnni,
        build: |step| direct::build_with(step, "fully_connected/avx512vnni", &tile::AVX512VNNI, LARGE_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/amx:small-claims",
        operation: "fully_connected",
        level: CpuLevel::Amx,
        build: |step| direct::build_with(step, "fully_connected/amx", &tile::AMX, SMALL_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/amx:large-claims",
        operation: "fully_connected",
        level: CpuLevel::Amx,
        build: |step| direct::build_with(step, "fully_connected/amx", &tile::AMX, LARGE_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avx512vnni:narrow",
        operation: "fully_connected",
        level: CpuLevel::Avx512Vnni,
        build: |step| {
            direct::build_with(step, "fully_connected/avx512vnni:narrow", &tile::AVX512VNNI_NARROW, CLAIM)
        },
    },
];
