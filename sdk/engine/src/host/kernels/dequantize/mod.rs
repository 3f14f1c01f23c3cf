//! 8 bits to f32 by one scale.

mod portable;

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("dequantize", portable::build);
