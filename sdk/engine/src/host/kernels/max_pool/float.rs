//! Largest float of a window. Elements are compared in the contract's order, which shows in the sign of a zero.

use crate::error::Error;
use crate::host::kernels::average_pool::Windows;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile, View};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct MaxPool {
    windows: Windows,
    channels: usize,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let work = MaxPool { windows: Windows::new(step)?, channels: step.output.grid.channels, vectorizer };
    Ok(Planned { work: Box::new(work), tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for MaxPool {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        for (image, row) in tile.region().clone().lines() {
            let y = bytemuck::cast_slice_mut(tile.row(image, row));
            self.vectorizer.run(Row { step: self, x, place: [image, row], y });
        }
        Ok(())
    }
}

/// One row of outputs.
struct Row<'a> {
    step: &'a MaxPool,
    x: View<'a>,
    /// Image and row.
    place: [usize; 2],
    y: &'a mut [f32],
}

impl Loop for Row<'_> {
    #[inline(always)]
    fn run(self) {
        let MaxPool { windows, channels, .. } = self.step;
        let [image, row] = self.place;
        for (column, y) in self.y.chunks_exact_mut(*channels).enumerate() {
            y.fill(f32::NEG_INFINITY);
            for iy in windows.along(0, row) {
                let line: &[f32] = bytemuck::cast_slice(self.x.row(image, iy));
                for ix in windows.along(1, column) {
                    let pixel = &line[ix * channels..][..*channels];
                    y.iter_mut().zip(pixel).for_each(|(best, &x)| *best = if x > *best { x } else { *best });
                }
            }
        }
    }
}
