//! 8 bits to f32 by one scale.

mod scalar;

use super::Kernel;
use crate::host::CpuLevel;

pub(crate) const KERNELS: &[Kernel] = &[Kernel {
    name: "dequantize/scalar",
    operation: "dequantize",
    level: CpuLevel::Scalar,
    build: scalar::build,
}];
