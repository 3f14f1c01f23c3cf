//! Any function of one 8-bit value, as a look-up.

mod portable;

use super::Kernel;
use crate::host::CpuLevel;

pub(crate) const KERNELS: &[Kernel] = &[
    Kernel {
        name: "table/scalar",
        operation: "table",
        level: CpuLevel::Scalar,
        build: |step| portable::build(step, CpuLevel::Scalar),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "table/avx512vnni",
        operation: "table",
        level: CpuLevel::Avx512Vnni,
        build: |step| portable::build(step, CpuLevel::Avx512Vnni),
    },
    #[cfg(target_arch = "aarch64")]
    Kernel {
        name: "table/neon",
        operation: "table",
        level: CpuLevel::Neon,
        build: |step| portable::build(step, CpuLevel::Neon),
    },
];
