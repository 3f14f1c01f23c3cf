//! f32 to 8 bits by one scale.

mod portable;

use super::{Kernel, per_level};

pub(crate) use portable::Quantizer;

pub(crate) const KERNELS: &[Kernel] = per_level!("quantize", portable::build);
