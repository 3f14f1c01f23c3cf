//! A function of every element, in f32.

mod portable;

use tilemark_model::graph::UnaryOp;

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("unary", portable::build);

/// Whether a look-up is faster than the arithmetic: that of exponentials and of all that does not vectorize.
pub(crate) fn is_costly(op: UnaryOp) -> bool {
    use UnaryOp::{Abs, Clip, HardSigmoid, HardSwish, LeakyRelu, Neg, Reciprocal, Relu, Sqrt};
    !matches!(
        op,
        Relu | Clip { .. }
            | LeakyRelu { .. }
            | HardSigmoid { .. }
            | HardSwish
            | Neg
            | Abs
            | Reciprocal
            | Sqrt
    )
}
