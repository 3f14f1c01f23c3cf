//! Quantized matrix product with constant weights: `[..., K]` times `[N, K]` transposed.

mod direct;
mod scalar;

use super::Kernel;
#[cfg(target_arch = "aarch64")]
use super::gemm::neon;
use super::gemm::product::{LARGE_CLAIM, SMALL_CLAIM};
#[cfg(target_arch = "x86_64")]
use super::gemm::x86;
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
        build: |step| direct::build(step, "fully_connected/avx2", &x86::AVX2),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avxvnni",
        operation: "fully_connected",
        level: CpuLevel::AvxVnni,
        build: |step| direct::build(step, "fully_connected/avxvnni", &x86::AVXVNNI),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avx512vnni",
        operation: "fully_connected",
        level: CpuLevel::Avx512Vnni,
        build: |step| direct::build(step, "fully_connected/avx512vnni", &x86::AVX512VNNI),
    },
    #[cfg(target_arch = "aarch64")]
    Kernel {
        name: "fully_connected/neon",
        operation: "fully_connected",
        level: CpuLevel::Neon,
        build: |step| direct::build(step, "fully_connected/neon", neon::tiles()),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/amx",
        operation: "fully_connected",
        level: CpuLevel::Amx,
        build: |step| direct::build(step, "fully_connected/amx", &x86::AMX),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avx2:small-claims",
        operation: "fully_connected",
        level: CpuLevel::Avx2,
        build: |step| direct::build_with(step, "fully_connected/avx2", &x86::AVX2, SMALL_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avx2:large-claims",
        operation: "fully_connected",
        level: CpuLevel::Avx2,
        build: |step| direct::build_with(step, "fully_connected/avx2", &x86::AVX2, LARGE_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avxvnni:small-claims",
        operation: "fully_connected",
        level: CpuLevel::AvxVnni,
        build: |step| direct::build_with(step, "fully_connected/avxvnni", &x86::AVXVNNI, SMALL_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avxvnni:large-claims",
        operation: "fully_connected",
        level: CpuLevel::AvxVnni,
        build: |step| direct::build_with(step, "fully_connected/avxvnni", &x86::AVXVNNI, LARGE_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avx512vnni:small-claims",
        operation: "fully_connected",
        level: CpuLevel::Avx512Vnni,
        build: |step| direct::build_with(step, "fully_connected/avx512vnni", &x86::AVX512VNNI, SMALL_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/avx512vnni:large-claims",
        operation: "fully_connected",
        level: CpuLevel::Avx512Vnni,
        build: |step| direct::build_with(step, "fully_connected/avx512vnni", &x86::AVX512VNNI, LARGE_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/amx:small-claims",
        operation: "fully_connected",
        level: CpuLevel::Amx,
        build: |step| direct::build_with(step, "fully_connected/amx", &x86::AMX, SMALL_CLAIM),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "fully_connected/amx:large-claims",
        operation: "fully_connected",
        level: CpuLevel::Amx,
        build: |step| direct::build_with(step, "fully_connected/amx", &x86::AMX, LARGE_CLAIM),
    },
    #[cfg(target_arch = "aarch64")]
    Kernel {
        name: "fully_connected/neon:small-claims",
        operation: "fully_connected",
        level: CpuLevel::Neon,
        build: |step| direct::build_with(step, "fully_connected/neon", neon::tiles(), SMALL_CLAIM),
    },
    #[cfg(target_arch = "aarch64")]
    Kernel {
        name: "fully_connected/neon:large-claims",
        operation: "fully_connected",
        level: CpuLevel::Neon,
        build: |step| direct::build_with(step, "fully_connected/neon", neon::tiles(), LARGE_CLAIM),
    },
];
