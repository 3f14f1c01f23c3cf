//! Windows of floats, each channel's elements row by row into one value: here their mean, the sum divided by their number.

use std::marker::PhantomData;

use super::Windows;
use crate::error::Error;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile, View};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

/// What a window's elements come to.
pub(crate) trait Pooling: Send + Sync + 'static {
    /// Of none.
    const EMPTY: f32;

    /// With one more.
    fn with(so_far: f32, x: f32) -> f32;

    /// What is done to a pixel's channels at the end.
    fn finish(_pixel: &mut [f32], _windows: &Windows, _place: [usize; 2]) {}
}

struct Mean;

impl Pooling for Mean {
    const EMPTY: f32 = 0.0;

    #[inline(always)]
    fn with(so_far: f32, x: f32) -> f32 {
        so_far + x
    }

    #[inline(always)]
    fn finish(pixel: &mut [f32], windows: &Windows, place: [usize; 2]) {
        // Dilated taps can all miss the image: nothing over one is zero.
        let n = windows.divisor(place).max(1) as f32;
        pixel.iter_mut().for_each(|sum| *sum /= n);
    }
}

struct Pool<P> {
    windows: Windows,
    channels: usize,
    vectorizer: Vectorizer,
    pooling: PhantomData<P>,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    build_of::<Mean>(step, vectorizer)
}

pub(crate) fn build_of<P: Pooling>(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let (windows, channels) = (Windows::new(step)?, step.output.grid.channels);
    let work = Pool::<P> { windows, channels, vectorizer, pooling: PhantomData };
    Ok(Planned { work: Box::new(work), tiling: Tiling::by_rows(step.output, 0) })
}

impl<P: Pooling> Work for Pool<P> {
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
struct Row<'a, P> {
    step: &'a Pool<P>,
    x: View<'a>,
    /// Image and row.
    place: [usize; 2],
    y: &'a mut [f32],
}

impl<P: Pooling> Loop for Row<'_, P> {
    #[inline(always)]
    fn run(self) {
        let Pool { windows, channels, .. } = self.step;
        let [image, row] = self.place;
        for (column, y) in self.y.chunks_exact_mut(*channels).enumerate() {
            y.fill(P::EMPTY);
            for iy in windows.along(0, row) {
                let line: &[f32] = bytemuck::cast_slice(self.x.row(image, iy));
                for ix in windows.along(1, column) {
                    let pixel = &line[ix * channels..][..*channels];
                    y.iter_mut().zip(pixel).for_each(|(so_far, &x)| *so_far = P::with(*so_far, x));
                }
            }
            P::finish(y, windows, [row, column]);
        }
    }
}
