//! The contract's division, then the epilogue's clamp and rounding, in a loop that vectorizes.

use crate::error::Error;
use crate::host::kernels::epilogue::{Clamp, clamp};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct Quantize {
    scale: f32,
    clamp: Clamp,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let Lowering { graph, node, .. } = *step;
    let scale = graph.quant(node.output)?.scale;
    let work = Box::new(Quantize { scale, clamp: clamp(graph, node.output, None)?, vectorizer });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Quantize {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        for (image, row) in tile.region().clone().lines() {
            let x = bytemuck::cast_slice(x.row(image, row));
            self.vectorizer.run(Line { step: self, x, y: tile.row(image, row) });
        }
        Ok(())
    }
}

struct Line<'a> {
    step: &'a Quantize,
    x: &'a [f32],
    y: &'a mut [u8],
}

impl Loop for Line<'_> {
    #[inline(always)]
    fn run(self) {
        let Quantize { scale, clamp, .. } = *self.step;
        for (y, &real) in self.y.iter_mut().zip(self.x) {
            let steps = real / scale;
            *y = clamp.round(if steps.is_nan() { 0.0 } else { steps });
        }
    }
}
