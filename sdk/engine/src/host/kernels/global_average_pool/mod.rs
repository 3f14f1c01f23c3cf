//! Quantized mean of each channel's plane.

mod portable;

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("global_average_pool", portable::build);
