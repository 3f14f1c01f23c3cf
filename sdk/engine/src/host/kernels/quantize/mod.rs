//! f32 to 8 bits by one scale.

mod scalar;

use super::Kernel;
use crate::host::CpuLevel;

pub(crate) const KERNELS: &[Kernel] = &[Kernel {
    name: "quantize/scalar",
    operation: "quantize",
    level: CpuLevel::Scalar,
    build: scalar::build,
}];
