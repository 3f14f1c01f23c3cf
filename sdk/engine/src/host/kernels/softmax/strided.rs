//! Lines whose elements lie apart, one by one through working memory.

use tilemark_model::numerics;

use super::portable::line;
use crate::host::kernels::Planned;
use crate::host::kernels::strided::{OfLine, line_by_line};
use crate::host::vectorize::Vectorizer;
use crate::plan::Lowering;

struct Softmax {
    is_log: bool,
}

pub(super) fn build(step: &Lowering<'_>, axes: &[usize], is_log: bool, vectorizer: Vectorizer) -> Planned {
    let others = (0..step.inputs[0].shape.len()).filter(|axis| !axes.contains(axis)).collect();
    line_by_line(step, [axes.to_vec(), others], Softmax { is_log }, vectorizer)
}

impl OfLine for Softmax {
    #[inline(always)]
    fn line<'a>(&self, _: usize, x: &'a mut [f32], spare: &'a mut [f32]) -> &'a [f32] {
        if self.is_log {
            numerics::log_softmax(x);
            x
        } else {
            line(x, spare);
            spare
        }
    }
}
