//! Portable global average: channel sums over the plane, in i32.

use tilemark_model::numerics;

use crate::error::Error;
use crate::host::kernels::epilogue::{Clamp, clamp};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Lowering, Tiling, stored_zero_point};

struct GlobalAveragePool {
    clamp: Clamp,
    multiplier: f32,
    /// Sum of the input's zero points over the plane.
    zeros: i32,
    scratch: usize,
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "sums wrap, as the contract's do"
)]
pub(super) fn build(step: &Lowering<'_>) -> Result<Planned, Error> {
    let Lowering { graph, node, .. } = *step;
    let (qx, qy) = (graph.quant(node.inputs[0])?, graph.quant(node.output)?);
    let grid = step.inputs[0].grid;
    let n = grid.rows * grid.columns;
    let work = Box::new(GlobalAveragePool {
        clamp: clamp(graph, node.output, None)?,
        multiplier: numerics::mean_multiplier(qx.scale, qy.scale, n),
        zeros: (n as i32).wrapping_mul(stored_zero_point(graph, node.inputs[0])?),
        scratch: grid.channels * size_of::<i32>(),
    });
    Ok(Planned { work, tiling: Tiling::new(step.output, 1, usize::MAX) })
}

impl Work for GlobalAveragePool {
    fn scratch_bytes(&self) -> usize {
        self.scratch
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        let sums: &mut [i32] = bytemuck::cast_slice_mut(&mut scratch[..self.scratch]);
        for image in tile.region().images.clone() {
            sums.fill(0);
            for row in 0..x.layout.grid.rows {
                for pixel in x.row(image, row).chunks_exact(sums.len()) {
                    for (sum, &byte) in sums.iter_mut().zip(pixel) {
                        *sum = sum.wrapping_add(byte.into());
                    }
                }
            }
            for (y, sum) in tile.row(image, 0).iter_mut().zip(&*sums) {
                *y = self.clamp.byte(sum.wrapping_sub(self.zeros), self.multiplier);
            }
        }
        Ok(())
    }
}
