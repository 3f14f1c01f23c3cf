//! Channel sums over the plane, in i32: down its columns, whole lines at a time, then along them.

use tilemark_model::numerics;

use crate::error::Error;
use crate::host::kernels::average_pool::add;
use crate::host::kernels::epilogue::{Clamp, clamp};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile, View};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling, stored_zero_point};

struct GlobalAveragePool {
    clamp: Clamp,
    multiplier: f32,
    /// Sum of the input's zero points over the plane.
    zeros: i32,
    /// Elements of a row of the input.
    line: usize,
    channels: usize,
    vectorizer: Vectorizer,
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "sums wrap, as the contract's do"
)]
pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let Lowering { graph, node, .. } = *step;
    let (qx, qy) = (graph.quant(node.inputs[0])?, graph.quant(node.output)?);
    let grid = step.inputs[0].grid;
    let n = grid.rows * grid.columns;
    let work = Box::new(GlobalAveragePool {
        clamp: clamp(graph, node.output, None)?,
        multiplier: numerics::mean_multiplier(qx.scale, qy.scale, n),
        zeros: (n as i32).wrapping_mul(stored_zero_point(graph, node.inputs[0])?),
        line: grid.columns * grid.channels,
        channels: grid.channels,
        vectorizer,
    });
    Ok(Planned { work, tiling: Tiling::new(step.output, 1, usize::MAX) })
}

impl Work for GlobalAveragePool {
    fn scratch_bytes(&self) -> usize {
        (self.line + self.channels) * size_of::<i32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        let sums: &mut [i32] = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        for image in tile.region().images.clone() {
            self.vectorizer.run(Plane { step: self, x, image, sums, y: tile.row(image, 0) });
        }
        Ok(())
    }
}

/// One image.
struct Plane<'a> {
    step: &'a GlobalAveragePool,
    x: View<'a>,
    image: usize,
    sums: &'a mut [i32],
    y: &'a mut [u8],
}

impl Loop for Plane<'_> {
    #[inline(always)]
    fn run(self) {
        let GlobalAveragePool { clamp, multiplier, zeros, line, channels, .. } = *self.step;
        let (down, sums) = self.sums.split_at_mut(line);
        down.fill(0);
        for row in 0..self.x.layout.grid.rows {
            for (i, run) in self.x.runs(self.image, row).enumerate() {
                add(&mut down[i * run.len()..], run);
            }
        }
        sums.fill(0);
        for pixel in down.chunks_exact(channels) {
            sums.iter_mut().zip(pixel).for_each(|(sum, &x)| *sum = sum.wrapping_add(x));
        }
        for (y, sum) in self.y.iter_mut().zip(&*sums) {
            *y = clamp.byte(sum.wrapping_sub(zeros), multiplier);
        }
    }
}
