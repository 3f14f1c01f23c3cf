//! Portable quantization: the contract's division, then the epilogue's clamp and rounding, which vectorize.

use crate::error::Error;
use crate::host::kernels::epilogue::{Clamp, clamp};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Lowering, Tiling};

struct Quantize {
    scale: f32,
    clamp: Clamp,
}

pub(super) fn build(step: &Lowering<'_>) -> Result<Planned, Error> {
    let Lowering { graph, node, .. } = *step;
    let scale = graph.quant(node.output)?.scale;
    let work = Box::new(Quantize { scale, clamp: clamp(graph, node.output, None)? });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Quantize {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        for (image, row) in tile.region().clone().lines() {
            let reals: &[f32] = bytemuck::cast_slice(x.row(image, row));
            for (y, &real) in tile.row(image, row).iter_mut().zip(reals) {
                let steps = real / self.scale;
                *y = self.clamp.round(if steps.is_nan() { 0.0 } else { steps });
            }
        }
        Ok(())
    }
}
