//! Maxima of the taps inside the image: first down the columns of the window's rows, whole lines at a time, then along them.

use crate::error::Error;
use crate::host::kernels::average_pool::Windows;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile, View};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct MaxPool {
    windows: Windows,
    channels: usize,
    /// Elements of a row of the input.
    line: usize,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let channels = step.output.grid.channels;
    let line = step.inputs[0].grid.columns * channels;
    let work = Box::new(MaxPool { windows: Windows::new(step)?, channels, line, vectorizer });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for MaxPool {
    fn scratch_bytes(&self) -> usize {
        self.line
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        let down = &mut scratch[..self.line];
        for (image, row) in tile.region().clone().lines() {
            let y = tile.row(image, row);
            self.vectorizer.run(Row { step: self, x, place: [image, row], down, y });
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
    down: &'a mut [u8],
    y: &'a mut [u8],
}

impl Loop for Row<'_> {
    #[inline(always)]
    fn run(self) {
        let MaxPool { windows, channels, .. } = self.step;
        let [image, row] = self.place;
        self.down.fill(0); // the smallest stored byte of either type
        for iy in windows.along(0, row) {
            for (i, run) in self.x.runs(image, iy).enumerate() {
                larger(&mut self.down[i * run.len()..], run);
            }
        }
        for (column, y) in self.y.chunks_exact_mut(*channels).enumerate() {
            y.fill(0);
            for ix in windows.along(1, column) {
                larger(y, &self.down[ix * channels..][..*channels]);
            }
        }
    }
}

#[inline(always)]
fn larger(best: &mut [u8], bytes: &[u8]) {
    best.iter_mut().zip(bytes).for_each(|(best, &byte)| *best = (*best).max(byte));
}
