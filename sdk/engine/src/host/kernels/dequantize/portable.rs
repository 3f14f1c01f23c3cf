//! Portable dequantization: one look-up per byte.

use std::sync::Arc;

use tilemark_model::numerics;

use crate::error::Error;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Lowering, Tiling, stored_lowest};

/// The real that each stored byte stands for.
struct Dequantize(Arc<[f32; 256]>);

pub(super) fn build(step: &Lowering<'_>) -> Result<Planned, Error> {
    let reals = step.packed("dequantize/scalar", || {
        let quant = step.graph.quant(step.node.inputs[0])?;
        let mut q = stored_lowest(step.graph, step.node.inputs[0])..;
        Ok(std::array::from_fn(|_| q.next().map_or(0.0, |q| numerics::dequantize(q, quant))))
    })?;
    Ok(Planned { work: Box::new(Dequantize(reals)), tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Dequantize {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        for (image, row) in tile.region().clone().lines() {
            let reals: &mut [f32] = bytemuck::cast_slice_mut(tile.row(image, row));
            for (real, &byte) in reals.iter_mut().zip(x.row(image, row)) {
                *real = self.0[usize::from(byte)];
            }
        }
        Ok(())
    }
}
