//! Joining along the channels: each pixel's runs of bytes, one input after the other.

mod scalar;

use super::Kernel;
use crate::host::CpuLevel;

pub(crate) const KERNELS: &[Kernel] =
    &[Kernel { name: "concat/scalar", operation: "concat", level: CpuLevel::Scalar, build: scalar::build }];
