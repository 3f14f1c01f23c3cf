//! Portable average: channel sums of the taps inside the image, in i32.

use tilemark_model::numerics;

use super::Windows;
use crate::error::Error;
use crate::host::kernels::epilogue::{Clamp, clamp};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Lowering, Tiling, stored_zero_point};

struct AveragePool {
    windows: Windows,
    clamp: Clamp,
    /// Scales of input and output.
    scales: [f32; 2],
    zero_point: i32,
    channels: usize,
}

pub(super) fn build(step: &Lowering<'_>) -> Result<Planned, Error> {
    let Lowering { graph, node, .. } = *step;
    let work = Box::new(AveragePool {
        windows: Windows::new(step)?,
        clamp: clamp(graph, node.output, None)?,
        scales: [graph.quant(node.inputs[0])?.scale, graph.quant(node.output)?.scale],
        zero_point: stored_zero_point(graph, node.inputs[0])?,
        channels: step.output.grid.channels,
    });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for AveragePool {
    fn scratch_bytes(&self) -> usize {
        self.channels * size_of::<i32>()
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "sums wrap, as the contract's do"
    )]
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        let sums: &mut [i32] = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        for (image, row) in tile.region().clone().lines() {
            for (column, y) in tile.row(image, row).chunks_exact_mut(self.channels).enumerate() {
                sums.fill(0);
                for iy in self.windows.along(0, row) {
                    let input = x.row(image, iy);
                    for ix in self.windows.along(1, column) {
                        for (sum, &byte) in sums.iter_mut().zip(&input[ix * self.channels..]) {
                            *sum = sum.wrapping_add(byte.into());
                        }
                    }
                }
                let inside = self.windows.along(0, row).len() * self.windows.along(1, column).len();
                let zeros = (inside as i32).wrapping_mul(self.zero_point);
                let multiplier = match self.windows.divisor([row, column]) {
                    0 => 0.0, // a window in the padding: its mean is the zero point, whatever the scales
                    n => numerics::mean_multiplier(self.scales[0], self.scales[1], n),
                };
                for (y, sum) in y.iter_mut().zip(&*sums) {
                    *y = self.clamp.byte(sum.wrapping_sub(zeros), multiplier);
                }
            }
        }
        Ok(())
    }
}
