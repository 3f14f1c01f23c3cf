//! Portable quantization, by the contract's own division.

use tilemark_model::{DType, Quant, numerics};

use crate::error::Error;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Lowering, Tiling, stored_lowest};

struct Quantize {
    quant: Quant,
    dtype: DType,
    lowest: i32,
}

pub(super) fn build(step: &Lowering<'_>) -> Result<Planned, Error> {
    let Lowering { graph, node, .. } = *step;
    let work = Box::new(Quantize {
        quant: graph.quant(node.output)?,
        dtype: step.output.dtype,
        lowest: stored_lowest(graph, node.output),
    });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Quantize {
    #[allow(clippy::cast_possible_truncation, reason = "quantize clamps to the type's range")]
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        for (image, row) in tile.region().clone().lines() {
            let reals: &[f32] = bytemuck::cast_slice(x.row(image, row));
            for (y, &real) in tile.row(image, row).iter_mut().zip(reals) {
                *y = (numerics::quantize(real, self.quant, self.dtype) - self.lowest) as u8;
            }
        }
        Ok(())
    }
}
