//! Lines whose elements lie apart, one by one through working memory.

use tilemark_model::numerics;

use super::portable::line;
use crate::error::Error;
use crate::host::kernels::strided::Axes;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct Softmax {
    /// Of a line, and of all lines.
    inner: Axes,
    outer: Axes,
    is_log: bool,
    vectorizer: Vectorizer,
}

pub(super) fn build(
    step: &Lowering<'_>,
    axes: &[usize],
    is_log: bool,
    vectorizer: Vectorizer,
) -> Result<Planned, Error> {
    let (x, y) = (&step.inputs[0], step.output);
    let others = (0..x.shape.len()).filter(|axis| !axes.contains(axis));
    let (inner, outer) = (Axes::new(x, y, axes.iter().copied()), Axes::new(x, y, others));
    let work = Box::new(Softmax { inner, outer, is_log, vectorizer });
    Ok(Planned { work, tiling: Tiling::single(y) })
}

impl Work for Softmax {
    fn scratch_bytes(&self) -> usize {
        2 * self.inner.len() * size_of::<f32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let scratch = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        let (x, y) = (bytemuck::cast_slice(inputs.view(0).bytes), bytemuck::cast_slice_mut(tile.whole()));
        self.vectorizer.run(Lines { step: self, x, y, scratch });
        Ok(())
    }
}

struct Lines<'a> {
    step: &'a Softmax,
    x: &'a [f32],
    y: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Loop for Lines<'_> {
    #[inline(always)]
    fn run(self) {
        let Softmax { inner, outer, is_log, .. } = self.step;
        let (held, results) = self.scratch.split_at_mut(inner.len());
        outer.each(|from, to| {
            let mut i = 0;
            inner.each(|x, _| {
                held[i] = self.x[from + x];
                i += 1;
            });
            let results = if *is_log {
                numerics::log_softmax(held);
                &*held
            } else {
                line(held, results);
                &*results
            };
            let mut i = 0;
            inner.each(|_, y| {
                self.y[to + y] = results[i];
                i += 1;
            });
        });
    }
}
