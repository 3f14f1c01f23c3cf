//! Channel sums of the taps inside the image, in i32: first down the columns of the window's rows, whole lines at a time,
//! then along them.

use tilemark_model::numerics;

use super::Windows;
use crate::error::Error;
use crate::host::kernels::epilogue::{Clamp, clamp};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile, View};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling, stored_zero_point};

struct AveragePool {
    windows: Windows,
    clamp: Clamp,
    /// Scales of input and output.
    scales: [f32; 2],
    zero_point: i32,
    channels: usize,
    /// Elements of a row of the input.
    line: usize,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let Lowering { graph, node, .. } = *step;
    let work = Box::new(AveragePool {
        windows: Windows::new(step)?,
        clamp: clamp(graph, node.output, None)?,
        scales: [graph.quant(node.inputs[0])?.scale, graph.quant(node.output)?.scale],
        zero_point: stored_zero_point(graph, node.inputs[0])?,
        channels: step.output.grid.channels,
        line: step.inputs[0].grid.columns * step.output.grid.channels,
        vectorizer,
    });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for AveragePool {
    fn scratch_bytes(&self) -> usize {
        (self.line + self.channels) * size_of::<i32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        let sums: &mut [i32] = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        for (image, row) in tile.region().clone().lines() {
            let y = tile.row(image, row);
            self.vectorizer.run(Row { step: self, x, place: [image, row], sums, y });
        }
        Ok(())
    }
}

/// One row of outputs.
struct Row<'a> {
    step: &'a AveragePool,
    x: View<'a>,
    /// Image and row.
    place: [usize; 2],
    sums: &'a mut [i32],
    y: &'a mut [u8],
}

impl Loop for Row<'_> {
    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "sums wrap, as the contract's do"
    )]
    fn run(self) {
        let AveragePool { windows, clamp, scales, zero_point, channels, line, .. } = self.step;
        let (down, sums) = self.sums.split_at_mut(*line);
        let [image, row] = self.place;
        down.fill(0);
        for iy in windows.along(0, row) {
            for (i, run) in self.x.runs(image, iy).enumerate() {
                add(&mut down[i * run.len()..], run);
            }
        }
        for (column, y) in self.y.chunks_exact_mut(*channels).enumerate() {
            sums.fill(0);
            for ix in windows.along(1, column) {
                let pixel = &down[ix * channels..][..*channels];
                sums.iter_mut().zip(pixel).for_each(|(sum, &x)| *sum = sum.wrapping_add(x));
            }
            let inside = windows.along(0, row).len() * windows.along(1, column).len();
            let zeros = (inside as i32).wrapping_mul(*zero_point);
            let multiplier = match windows.divisor([row, column]) {
                0 => 0.0, // a window in the padding: its mean is the zero point, whatever the scales
                n => numerics::mean_multiplier(scales[0], scales[1], n),
            };
            for (y, sum) in y.iter_mut().zip(&*sums) {
                *y = clamp.byte(sum.wrapping_sub(zeros), multiplier);
            }
        }
    }
}

/// Adds a line of bytes to a line of sums.
#[inline(always)]
pub(in super::super) fn add(sums: &mut [i32], bytes: &[u8]) {
    sums.iter_mut().zip(bytes).for_each(|(sum, &byte)| *sum = sum.wrapping_add(byte.into()));
}
