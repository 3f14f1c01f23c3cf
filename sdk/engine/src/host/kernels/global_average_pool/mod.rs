//! Quantized mean of each channel's plane.

mod scalar;

use super::Kernel;
use crate::host::CpuLevel;

pub(crate) const KERNELS: &[Kernel] = &[Kernel {
    name: "global_average_pool/scalar",
    operation: "global_average_pool",
    level: CpuLevel::Scalar,
    build: scalar::build,
}];
