//! Largest byte of a window; padding never wins. Order is the same in stored bytes whatever the type.

mod portable;

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("max_pool", portable::build);
