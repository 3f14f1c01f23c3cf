//! Products of floats of rank 4: the inner batch (attention's heads) lies innermost, so that there it is in lanes.

use crate::error::Error;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile, View};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct Heads {
    alpha: f32,
    heads: usize,
    /// Columns of an output's row, products of a sum.
    columns: usize,
    depth: usize,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, alpha: f32, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let grid = step.output.grid;
    let depth = step.inputs[0].grid.columns;
    let work = Heads { alpha, heads: grid.channels, columns: grid.columns, depth, vectorizer };
    Ok(Planned { work: Box::new(work), tiling: Tiling::by_rows(step.output, step.macs) })
}

impl Work for Heads {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let (a, b) = (inputs.view(0), inputs.view(1));
        for (image, row) in tile.region().clone().lines() {
            let y = bytemuck::cast_slice_mut(tile.row(image, row));
            self.vectorizer.run(Row { step: self, a: bytemuck::cast_slice(a.row(image, row)), b, image, y });
        }
        Ok(())
    }
}

/// A row of every head's output.
struct Row<'a> {
    step: &'a Heads,
    a: &'a [f32],
    b: View<'a>,
    image: usize,
    y: &'a mut [f32],
}

impl Loop for Row<'_> {
    #[inline(always)]
    fn run(mut self) {
        let Heads { heads, columns, .. } = *self.step;
        for column in 0..columns {
            let mut head = 0;
            while head < heads {
                head += match heads - head {
                    16.. => self.sums::<16>(column, head),
                    4.. => self.sums::<4>(column, head),
                    _ => self.sums::<1>(column, head),
                };
            }
        }
    }
}

impl Row<'_> {
    /// The sums of `N` heads in one column; `N`.
    #[inline(always)]
    fn sums<const N: usize>(&mut self, column: usize, head: usize) -> usize {
        let Heads { alpha, heads, columns, depth, .. } = *self.step;
        let b: &[f32] = bytemuck::cast_slice(self.b.bytes);
        let first = self.b.layout.offset(self.image, 0, column) / size_of::<f32>() + head;
        let mut sums = [0f32; N];
        for k in 0..depth {
            let a = &self.a[k * heads + head..][..N];
            let b = &b[first + k * columns * heads..][..N];
            for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
                *sum += a * b;
            }
        }
        let y = &mut self.y[column * heads + head..][..N];
        for (y, sum) in y.iter_mut().zip(sums) {
            *y = alpha * sum;
        }
        N
    }
}
