//! Transposed convolution in f32 with constant weights.

mod portable;

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("conv_transpose", portable::build);
