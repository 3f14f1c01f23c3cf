//! Recurrent layers in f32 with constant weights.

mod portable;

use tilemark_model::graph::{FloatOp, Recurrent, State};
use tilemark_model::{Node, Op};

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("recurrent", portable::build);

/// A layer and the number of its gates.
fn layer(op: &Op) -> Option<(&Recurrent, usize)> {
    match op {
        Op::Float(FloatOp::Lstm(layer)) => Some((layer, 4)),
        Op::Float(FloatOp::Gru(layer)) => Some((layer, 3)),
        _ => None,
    }
}

/// Whether these kernels run a layer: all but x and the first states constant, as `is_fixed` says.
pub(crate) fn applies(node: &Node, is_fixed: impl Fn(usize) -> bool) -> bool {
    let Some((layer, gates)) = layer(&node.op) else { return false };
    let states = gates == 4 || layer.state != State::Cell;
    states && (1..4).all(&is_fixed) && (gates == 3 || is_fixed(6))
}
