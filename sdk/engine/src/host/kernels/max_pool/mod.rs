//! Largest byte of a window; padding never wins. Order is the same in stored bytes whatever the type.

mod scalar;

use super::Kernel;
use crate::host::CpuLevel;

pub(crate) const KERNELS: &[Kernel] = &[Kernel {
    name: "max_pool/scalar",
    operation: "max_pool",
    level: CpuLevel::Scalar,
    build: scalar::build,
}];
