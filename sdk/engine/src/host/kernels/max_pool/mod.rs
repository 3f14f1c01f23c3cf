//! Largest element of a window; padding never wins. The order of 8-bit values is that of their stored bytes.

mod float;
mod portable;

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("max_pool", portable::build);
/// The same of floats.
pub(crate) const FLOAT_KERNELS: &[Kernel] = per_level!("max_pool_f32", float::build);
