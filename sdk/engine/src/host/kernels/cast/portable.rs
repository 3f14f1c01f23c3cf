//! Element by element. Floats are cut off at the point and saturate, NaN is 0, wide integers wrap around: what `as` does.

use bytemuck::Pod;
use tilemark_model::DType;

use crate::error::Error;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct Cast {
    from: DType,
    to: DType,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let work = Box::new(Cast { from: step.inputs[0].dtype, to: step.output.dtype, vectorizer });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Cast {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        for (image, row) in tile.region().clone().lines() {
            self.vectorizer.run(Line { step: self, x: x.row(image, row), y: tile.row(image, row) });
        }
        Ok(())
    }
}

struct Line<'a> {
    step: &'a Cast,
    x: &'a [u8],
    y: &'a mut [u8],
}

impl Line<'_> {
    #[inline(always)]
    fn each<X: Pod, Y: Pod>(self, cast: impl Fn(X) -> Y) {
        let (x, y) = (bytemuck::cast_slice(self.x), bytemuck::cast_slice_mut(self.y));
        for (y, &x) in y.iter_mut().zip(x) {
            *y = cast(x);
        }
    }
}

impl Loop for Line<'_> {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "that is what a cast is")]
    fn run(self) {
        use DType::{Bool, F32, I8, I32, I64, U8};
        // i8 is stored with its top bit flipped.
        match (self.step.from, self.step.to) {
            (U8 | Bool, F32) => self.each(|x: u8| f32::from(x)),
            (I8, F32) => self.each(|x: u8| (i32::from(x) - 128) as f32),
            (I32, F32) => self.each(|x: i32| x as f32),
            (I64, F32) => self.each(|x: i64| x as f32),
            (F32, U8) => self.each(|x: f32| x as u8),
            (F32, I8) => self.each(|x: f32| (x as i8).cast_unsigned() ^ 0x80),
            (F32, I32) => self.each(|x: f32| x as i32),
            (F32, I64) => self.each(|x: f32| x as i64),
            (I32, I64) => self.each(|x: i32| i64::from(x)),
            (I64, I32) => self.each(|x: i64| x as i32),
            _ => self.y.copy_from_slice(self.x), // f32 to f32
        }
    }
}
