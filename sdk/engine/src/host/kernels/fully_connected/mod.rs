//! Quantized matrix product with constant weights: `[..., K]` times `[N, K]` transposed.

mod scalar;

use super::Kernel;
use crate::host::CpuLevel;

pub(crate) const KERNELS: &[Kernel] = &[Kernel {
    name: "fully_connected/scalar",
    operation: "fully_connected",
    level: CpuLevel::Scalar,
    build: scalar::build,
}];
