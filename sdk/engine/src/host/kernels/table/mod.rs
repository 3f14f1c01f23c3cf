//! Any function of one 8-bit value, as a look-up.

mod scalar;

use super::Kernel;
use crate::host::CpuLevel;

pub(crate) const KERNELS: &[Kernel] =
    &[Kernel { name: "table/scalar", operation: "table", level: CpuLevel::Scalar, build: scalar::build }];
