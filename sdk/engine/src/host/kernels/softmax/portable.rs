//! `e = exp(x - max)`, each divided by the sum of all, which is taken in the contract's eight lanes.

use tilemark_model::numerics::{self, SUM_LANES};

use crate::error::Error;
use crate::host::kernels::exponential::exp;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct Softmax {
    /// Elements of a line.
    line: usize,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let work = Box::new(Softmax { line: step.output.grid.channels, vectorizer });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Softmax {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        for (image, row) in tile.region().clone().lines() {
            let reals: &[f32] = bytemuck::cast_slice(x.row(image, row));
            let results: &mut [f32] = bytemuck::cast_slice_mut(tile.row(image, row));
            for (x, y) in reals.chunks_exact(self.line).zip(results.chunks_exact_mut(self.line)) {
                self.vectorizer.run(Line { x, y });
            }
        }
        Ok(())
    }
}

struct Line<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Loop for Line<'_> {
    #[inline(always)]
    fn run(self) {
        line(self.x, self.y);
    }
}

/// The softmax of one line.
#[inline(always)]
pub(super) fn line(x: &[f32], y: &mut [f32]) {
    let max = largest(x);
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = exp(x - max));
    let total = sum(y);
    y.iter_mut().for_each(|y| *y /= total);
}

/// The largest element; which of two zeros does not matter for `exp(x - max)`.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (blocks, rest) = values.as_chunks::<16>();
    for block in blocks {
        lanes.iter_mut().zip(block).for_each(|(best, &x)| *best = if x > *best { x } else { *best });
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |best, &x| if x > best { x } else { best })
}

/// [`numerics::sum`], eight elements at a time.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0f32; SUM_LANES];
    let (blocks, rest) = values.as_chunks::<SUM_LANES>();
    for block in blocks {
        lanes.iter_mut().zip(block).for_each(|(lane, x)| *lane += x);
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, x)| *lane += x);
    numerics::sum_lanes(lanes)
}
