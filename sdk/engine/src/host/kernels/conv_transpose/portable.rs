//! Runs of outputs whose inputs lie side by side, outputs in lanes. The products that meet in one output are added to the
//! bias one by one: channel, then the kernel's taps in order.

use std::ops::Range;
use std::sync::Arc;

use tilemark_model::Op;
use tilemark_model::graph::FloatOp;
use tilemark_model::reference::{Meetings, transposed_taps};

use crate::error::Error;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile, View};
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

/// Outputs of one row that the same columns of the kernel reach, in neighbouring columns of the input.
struct Run {
    /// The outputs' columns.
    outputs: Vec<usize>,
    /// Columns of the kernel, and of the input for the first output.
    taps: Vec<(usize, usize)>,
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
    let inconsistent = || Error::internal(&step.node.name, "planned as a transposed convolution");
    let Op::Float(FloatOp::ConvTranspose(conv)) = &step.node.op else { return Err(inconsistent()) };
    let grid = step.inputs[0].grid;
    let taps = transposed_taps(conv, &[grid.rows, grid.columns]).ok_or_else(inconsistent)?;
    let [rows, columns]: [Meetings; 2] = taps.try_into().map_err(|_| inconsistent())?;
    let weights = step.packed("conv_transpose", || Weights::new(step, conv.groups))?;
    let work = Box::new(ConvTranspose {
        weights,
        height: rows.iter().map(Vec::len).max().unwrap_or(0),
        rows,
        runs: runs(&columns),
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

/// Cuts a row of outputs into runs.
fn runs(columns: &Meetings) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (output, taps) in columns.iter().enumerate() {
        let continues = |run: &Run| {
            let n = run.outputs.len();
            run.taps.len() == taps.len()
                && run.taps.iter().zip(taps).all(|(a, b)| a.0 == b.0 && a.1 + n == b.1)
        };
        // Of each phase of the stride the last run may go on.
        match runs.iter_mut().find(|run| continues(run)) {
            Some(run) => run.outputs.push(output),
            None => runs.push(Run { outputs: vec![output], taps: taps.clone() }),
        }
    }
    runs
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
        for (channel, plane) in self.planes.chunks_exact_mut(columns).take(channels).enumerate() {
            let values = self.line[channel..].iter().step_by(channels);
            plane.iter_mut().zip(values).for_each(|(to, &from)| *to = from);
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
const TERMS: usize = 8;

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
            let n = self.sums.len();
            let lines = self.waiting.map(|(line, _)| &line[..n]);
            let weights = self.waiting.map(|(_, weight)| weight);
            for (i, sum) in self.sums.iter_mut().enumerate() {
                for (line, weight) in lines.iter().zip(weights) {
                    *sum += line[i] * weight;
                }
            }
        }
    }

    #[inline(always)]
    fn finish(self) {
        for (line, weight) in &self.waiting[..self.count] {
            self.sums.iter_mut().zip(*line).for_each(|(sum, x)| *sum += x * weight);
        }
    }
}
