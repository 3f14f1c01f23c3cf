//! Portable concatenation. Any element type: only bytes move.

use crate::error::Error;
use crate::host::kernels::copy::copy;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Lowering, Tiling};

struct Concat {
    /// Bytes of one output pixel.
    pixel: usize,
}

pub(super) fn build(step: &Lowering<'_>) -> Result<Planned, Error> {
    let work = Box::new(Concat { pixel: step.output.pixel_bytes() });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Concat {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        for (image, row) in tile.region().clone().lines() {
            let y = tile.row(image, row);
            let mut at = 0;
            for i in 0..inputs.len() {
                let x = inputs.view(i);
                let channels = x.layout.pixel_bytes();
                let mut pixels = y.chunks_exact_mut(self.pixel);
                for run in x.runs(image, row) {
                    let pixels = run.chunks_exact(channels).zip(pixels.by_ref());
                    pixels.for_each(|(x, y)| copy(x, &mut y[at..at + channels]));
                }
                at += channels;
            }
        }
        Ok(())
    }
}
