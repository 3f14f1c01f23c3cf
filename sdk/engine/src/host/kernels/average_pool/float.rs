//! Mean in f32: the window's elements row by row in one sum for each channel, divided by their number.

use super::Windows;
use crate::error::Error;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile, View};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct AveragePool {
    windows: Windows,
    channels: usize,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let work = AveragePool { windows: Windows::new(step)?, channels: step.output.grid.channels, vectorizer };
    Ok(Planned { work: Box::new(work), tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for AveragePool {
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
    step: &'a AveragePool,
    x: View<'a>,
    /// Image and row.
    place: [usize; 2],
    y: &'a mut [f32],
}

impl Loop for Row<'_> {
    #[inline(always)]
    fn run(self) {
        let AveragePool { windows, channels, .. } = self.step;
        let [image, row] = self.place;
        for (column, y) in self.y.chunks_exact_mut(*channels).enumerate() {
            y.fill(0.0);
            for iy in windows.along(0, row) {
                let line: &[f32] = bytemuck::cast_slice(self.x.row(image, iy));
                for ix in windows.along(1, column) {
                    let pixel = &line[ix * channels..][..*channels];
                    y.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
                }
            }
            // Dilated taps can all miss the image: nothing over one is zero.
            let n = windows.divisor([row, column]).max(1) as f32;
            y.iter_mut().for_each(|sum| *sum /= n);
        }
    }
}
