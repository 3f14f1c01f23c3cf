//! A function of two elements, in f32, with broadcasting.

mod portable;

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("binary", portable::build);
