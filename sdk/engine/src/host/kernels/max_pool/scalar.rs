//! Portable maximum: the taps inside the image, channel by channel.

use crate::error::Error;
use crate::host::kernels::average_pool::Windows;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Lowering, Tiling};

struct MaxPool {
    windows: Windows,
    channels: usize,
}

pub(super) fn build(step: &Lowering<'_>) -> Result<Planned, Error> {
    let work = Box::new(MaxPool { windows: Windows::new(step)?, channels: step.output.grid.channels });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for MaxPool {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        for (image, row) in tile.region().clone().lines() {
            let line = tile.row(image, row);
            for (column, y) in line.chunks_exact_mut(self.channels).enumerate() {
                y.fill(0); // the smallest stored byte of either type
                for iy in self.windows.along(0, row) {
                    let input = x.row(image, iy);
                    for ix in self.windows.along(1, column) {
                        for (y, &x) in y.iter_mut().zip(&input[ix * self.channels..]) {
                            *y = (*y).max(x);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
