//! Resizing of images in f32: linear and cubic.

mod portable;

use tilemark_model::{Node, Shapes, reference};

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("resize", portable::build);

/// Whether these kernels take a node: an image of which only rows and columns change, without values outside.
pub(crate) fn applies(node: &Node, shapes: &Shapes) -> bool {
    match reference::resize_taps(node, shapes) {
        Ok(Some(axes)) => matches!(&axes[..], [None, None, _, _]),
        _ => false,
    }
}
