//! Convolutions whose products are added one by one: in f32, which has a fixed order, and of bytes whose zero points are
//! only known when the model runs (ONNX's ConvInteger). Two axes, constant weights. Taps that miss the image are left out.

mod portable;

use tilemark_model::graph::{AutoPad, FloatOp, GeneralOp, Pads, Window, WindowNd};
use tilemark_model::{Node, Op};

use super::{Kernel, per_level};
use crate::error::Error;

pub(crate) const FLOAT_KERNELS: &[Kernel] = per_level!("conv_f32", portable::build_reals);
pub(crate) const INTEGER_KERNELS: &[Kernel] = per_level!("conv_integer", portable::build_integers);

/// Whether the integer kernels take a node: two axes, weights and their zero points constant, as `is_fixed` says.
pub(crate) fn takes_integers(node: &Node, is_fixed: impl Fn(usize) -> bool) -> bool {
    let Op::General(GeneralOp::ConvInteger { window, .. }) = &node.op else { return false };
    window.kernel.len() == 2 && is_fixed(1) && is_fixed(3)
}

/// Window and groups of a node with two axes.
fn attributes(node: &Node) -> Result<(Window, usize), Error> {
    match &node.op {
        Op::Float(FloatOp::Conv(conv)) => Some((conv.window.clone(), conv.groups)),
        Op::General(GeneralOp::ConvInteger { window, groups }) => flat(window).map(|flat| (flat, *groups)),
        _ => None,
    }
    .ok_or_else(|| Error::internal(&node.name, "planned as a convolution over two axes"))
}

/// A window over two axes; `None` if it has another number of them.
fn flat(window: &WindowNd) -> Option<Window> {
    let two = |of: &[usize]| <[usize; 2]>::try_from(of).ok();
    let pads = match window.auto_pad {
        AutoPad::Explicit => Pads::Explicit(window.pads.as_slice().try_into().ok()?),
        AutoPad::SameUpper => Pads::SameUpper,
        AutoPad::SameLower => Pads::SameLower,
    };
    let (kernel, strides, dilations) = (two(&window.kernel)?, two(&window.strides)?, two(&window.dilations)?);
    Some(Window { kernel, strides, dilations, pads })
}
