//! A function of every element, in f32.

mod portable;

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("unary", portable::build);
