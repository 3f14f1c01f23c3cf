//! Runs of outputs whose inputs lie side by side, outputs in lanes.

use std::ops::Range;
use std::sync::Arc;

use tilemark_model::reference::Meetings;

use super::Run;
use crate::error::Error;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile, View};
use crate::host::simd::{SQUARE, transposed};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

/// Rows that meet in one output row and are remembered, so that the next output row need not turn them again.
const HELD: usize = 8;

struct ConvTranspose {
    weights: Arc<Weights>,
    /// For every output row the kernel's and the input's rows that meet there.
    rows: Meetings,
    runs: Vec<Run>,
    /// Columns and channels of the input.
    columns: usize,
    channels: usize,
    /// Most input rows that meet in one output row.
    height: usize,
    vectorizer: Vectorizer,
}

struct Weights {
    /// Per output channel, input channel of its group, row and column.
    kernels: Vec<f32>,
    /// Rows and columns of the kernel.
    window: [usize; 2],
    bias: Vec<f32>,
    groups: usize,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let (rows, runs) = super::meetings(step)?;
    let grid = step.inputs[0].grid;
    let weights = step.packed("conv_transpose", || Weights::new(step, super::groups(step)))?;
    let work = Box::new(ConvTranspose {
        weights,
        height: rows.iter().map(Vec::len).max().unwrap_or(0),
        rows,
        runs,
        columns: grid.columns,
        channels: grid.channels,
        vectorizer,
    });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, step.macs) })
}

impl Weights {
    /// From weights `[C, O / groups, rows, columns]`.
    fn new(step: &Lowering<'_>, groups: usize) -> Result<Self, Error> {
        let inconsistent = || Error::internal(&step.node.name, "has no constant weights");
        let weights = step.constant(1).ok_or_else(inconsistent)?;
        let &[inputs, group_outputs, rows, columns] = weights.shape() else { return Err(inconsistent()) };
        let (outputs, group_inputs, taps) = (group_outputs * groups, inputs / groups, rows * columns);
        let reals = weights.as_f32()?;
        let mut kernels = Vec::with_capacity(reals.len());
        for output in 0..outputs {
            for input in 0..group_inputs {
                let channel = output / group_outputs * group_inputs + input;
                kernels.extend_from_slice(
                    &reals[(channel * group_outputs + output % group_outputs) * taps..][..taps],
                );
            }
        }
        let bias = step.constant(2).map(|bias| Ok::<_, Error>(bias.as_f32()?.to_vec())).transpose()?;
        let bias = bias.unwrap_or_else(|| vec![0.0; outputs]);
        Ok(Self { kernels, window: [rows, columns], bias, groups })
    }

    /// The input channels of an output channel, and their kernels.
    #[inline(always)]
    fn of_output(&self, output: usize, channels: usize) -> (Range<usize>, &[f32]) {
        let group_inputs = channels / self.groups;
        let first = output / (self.bias.len() / self.groups) * group_inputs;
        let size = group_inputs * self.window[0] * self.window[1];
        (first..first + group_inputs, &self.kernels[output * size..][..size])
    }
}

impl Work for ConvTranspose {
    fn scratch_bytes(&self) -> usize {
        (self.height * self.channels * self.columns + self.longest()) * size_of::<f32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        let scratch: &mut [f32] = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        let (planes, sums) = scratch.split_at_mut(self.height * self.channels * self.columns);
        // Which input row lies in which part of `planes`, one part for each of the kernel's rows that meet.
        let mut held = [None; HELD];
        for (image, row) in tile.region().clone().lines() {
            for (part, &(_, input)) in self.rows[row].iter().enumerate() {
                if held.get(part) != Some(&Some((image, input))) {
                    let planes = &mut planes[part * self.channels * self.columns..];
                    self.vectorizer.run(Turn { line: line(&x, image, input), planes, step: self });
                    if let Some(held) = held.get_mut(part) {
                        *held = Some((image, input));
                    }
                }
            }
            let y = bytemuck::cast_slice_mut(tile.row(image, row));
            self.vectorizer.run(Row { step: self, taps: &self.rows[row], planes, sums, y });
        }
        Ok(())
    }
}

impl ConvTranspose {
    fn longest(&self) -> usize {
        self.runs.iter().map(|run| run.outputs.len()).max().unwrap_or(0)
    }
}

fn line<'a>(x: &View<'a>, image: usize, row: usize) -> &'a [f32] {
    bytemuck::cast_slice(x.row(image, row))
}

/// Turns a row of pixels into one line for each channel.
struct Turn<'a> {
    line: &'a [f32],
    planes: &'a mut [f32],
    step: &'a ConvTranspose,
}

impl Loop for Turn<'_> {
    #[inline(always)]
    fn run(self) {
        let ConvTranspose { channels, columns, .. } = *self.step;
        let (whole, whole_columns) = (channels / SQUARE * SQUARE, columns / SQUARE * SQUARE);
        for (i, pixels) in self.line.chunks_exact(SQUARE * channels).take(columns / SQUARE).enumerate() {
            let (a, rest) = pixels.split_at(channels);
            let (b, rest) = rest.split_at(channels);
            let (c, d) = rest.split_at(channels);
            let squares = [a, b, c, d].map(|pixel| pixel.as_chunks::<SQUARE>().0);
            let squares = squares[0].iter().zip(squares[1]).zip(squares[2]).zip(squares[3]);
            for ((((a, b), c), d), planes) in squares.zip(self.planes.chunks_exact_mut(SQUARE * columns)) {
                for (to, plane) in transposed([*a, *b, *c, *d]).iter().zip(planes.chunks_exact_mut(columns)) {
                    plane[i * SQUARE..][..SQUARE].copy_from_slice(to);
                }
            }
        }
        for (channel, plane) in self.planes.chunks_exact_mut(columns).take(channels).enumerate() {
            let first = if channel < whole { whole_columns } else { 0 };
            let values = self.line[channel..].iter().step_by(channels).skip(first);
            plane[first..].iter_mut().zip(values).for_each(|(to, &from)| *to = from);
        }
    }
}

/// One row of outputs.
struct Row<'a> {
    step: &'a ConvTranspose,
    /// The kernel's and the input's rows that meet here.
    taps: &'a [(usize, usize)],
    planes: &'a [f32],
    sums: &'a mut [f32],
    y: &'a mut [f32],
}

impl Loop for Row<'_> {
    #[inline(always)]
    fn run(self) {
        let ConvTranspose { weights, channels, columns, .. } = self.step;
        let outputs = weights.bias.len();
        let [kernel_rows, kernel_columns] = weights.window;
        for (output, &bias) in weights.bias.iter().enumerate() {
            let (inputs, kernels) = weights.of_output(output, *channels);
            for run in &self.step.runs {
                let sums = &mut self.sums[..run.outputs.len()];
                sums.fill(bias);
                let mut sum = Sum { sums, waiting: [(&[], 0.0); TERMS], count: 0 };
                for (input, kernel) in inputs.clone().zip(kernels.chunks_exact(kernel_rows * kernel_columns))
                {
                    for (part, &(kernel_row, _)) in self.taps.iter().enumerate() {
                        let plane = &self.planes[(part * channels + input) * columns..][..*columns];
                        for &(kernel_column, column) in &run.taps {
                            sum.add(&plane[column..], kernel[kernel_row * kernel_columns + kernel_column]);
                        }
                    }
                }
                sum.finish();
                for (&column, &sum) in run.outputs.iter().zip(&*self.sums) {
                    self.y[column * outputs + output] = sum;
                }
            }
        }
    }
}

/// Products that are added to the sums together: in one pass over them, in order.
const TERMS: usize = 4;

/// Sums in the making.
struct Sum<'a> {
    sums: &'a mut [f32],
    /// Lines and their weights, not yet added.
    waiting: [(&'a [f32], f32); TERMS],
    count: usize,
}

impl<'a> Sum<'a> {
    #[inline(always)]
    fn add(&mut self, line: &'a [f32], weight: f32) {
        self.waiting[self.count] = (line, weight);
        self.count += 1;
        if self.count == TERMS {
            self.count = 0;
            add_all(self.sums, self.waiting);
        }
    }

    #[inline(always)]
    fn finish(self) {
        for (line, weight) in &self.waiting[..self.count] {
            self.sums.iter_mut().zip(*line).for_each(|(sum, x)| *sum += x * weight);
        }
    }
}

/// Adds the products of the lines with their weights, line by line. A function of its own, so that LLVM knows that the
/// sums are not among the lines.
#[inline(always)]
fn add_all(sums: &mut [f32], [a, b, c, d]: [(&[f32], f32); TERMS]) {
    let lines = a.0.iter().zip(b.0).zip(c.0).zip(d.0);
    for (sum, (((xa, xb), xc), xd)) in sums.iter_mut().zip(lines) {
        *sum = *sum + xa * a.1 + xb * b.1 + xc * c.1 + xd * d.1;
    }
}
