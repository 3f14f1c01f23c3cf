//! Softmax of lines that lie in memory as they are, in f32.

mod portable;

use tilemark_model::shape::normalize_axis;

use super::{Kernel, per_level};
use crate::plan::Layout;

pub(crate) const KERNELS: &[Kernel] = per_level!("softmax", portable::build);

/// Whether the softmax along `axis` goes over lines without gaps.
pub(crate) fn applies(x: &Layout, axis: i64) -> bool {
    let last = if x.shape.len() == 4 { 1 } else { x.shape.len().saturating_sub(1) };
    normalize_axis(axis, x.shape.len()) == Some(last)
}
