//! A normalization with constants: a factor and a summand per channel, in f32.

mod portable;

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("scale_shift", portable::build);
