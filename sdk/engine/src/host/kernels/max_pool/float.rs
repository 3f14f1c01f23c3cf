//! Largest float of a window. Elements are compared in the contract's order, which shows in the sign of a zero.

use crate::error::Error;
use crate::host::kernels::Planned;
use crate::host::kernels::average_pool::{Pooling, build_of};
use crate::host::vectorize::Vectorizer;
use crate::plan::Lowering;

struct Largest;

impl Pooling for Largest {
    const EMPTY: f32 = f32::NEG_INFINITY;

    #[inline(always)]
    fn with(so_far: f32, x: f32) -> f32 {
        if x > so_far { x } else { so_far }
    }
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    build_of::<Largest>(step, vectorizer)
}
