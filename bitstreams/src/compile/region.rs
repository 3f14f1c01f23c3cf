//! The parts of a layer that fit on the chip.

use std::ops::Range;

use super::{Refused, within};
use crate::config::Config;
use crate::descriptor::{Descriptor, Op};
use crate::memory::Tensor;

/// Rows and columns of a tile are below 4096.
const MAX_EXTENT: usize = 4095;

/// In-bank words between rows of banks, and between planes, of planes of `[rows, columns]`.
pub(super) fn bank_pitch(config: &Config, [rows, cols]: [usize; 2]) -> [usize; 2] {
    let row = cols.div_ceil(config.banks[1]);
    [row, rows.div_ceil(config.banks[0]) * row]
}

/// A layer's geometry in steps.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    pub(super) op: Op,
    /// Rows and columns of the image, and of the output.
    pub(super) x: [usize; 2],
    pub(super) y: [usize; 2],
    /// Steps of the kernel, and pixels between them.
    pub(super) steps: [usize; 2],
    pub(super) pitch: [usize; 2],
    /// Pixels that a step covers.
    pub(super) covers: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) before: [usize; 2],
    /// Planes that an output block is computed from.
    pub(super) planes: usize,
    /// Of so many rows of the image in memory one is looked at: `x` counts those, and strides are over those.
    pub(super) row_step: usize,
}

/// Some steps of every pixel: kernel rows and planes.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) rows: Range<usize>,
    pub(super) planes: Range<usize>,
}

/// Outputs `[rows, columns]`.
pub(super) type Region = [Range<usize>; 2];

impl Geometry {
    /// Leaves out the rows that a kernel of one row steps over.
    pub(super) fn skip_rows(mut self) -> Self {
        if self.steps[0] == 1 && self.covers[0] == 1 && self.before[0] == 0 && self.strides[0] > 1 {
            self.row_step = self.strides[0];
            self.x[0] = self.x[0].div_ceil(self.row_step);
            self.strides[0] = 1;
        }
        self
    }

    pub(super) fn check(&self) -> Result<(), Refused> {
        within("the kernel", self.steps[0].max(self.steps[1]), 255)?;
        within("the stride", self.strides[0].max(self.strides[1]), 255)?;
        within("the dilation", self.pitch[0].max(self.pitch[1]), 255)?;
        within("the padding", self.before[0].max(self.before[1]), MAX_EXTENT)?;
        within("the image", self.x[0].max(self.x[1]), 1 << 15)?;
        if self.y.contains(&0) || self.x.contains(&0) || self.steps.contains(&0) || self.planes == 0 {
            return Err(Refused::Mismatch("a tensor or the kernel has no elements"));
        }
        Ok(())
    }

    /// Parts of at most `weights` steps a pixel: of whole kernels of some planes, or else of kernel rows of one plane.
    pub(super) fn parts(&self, weights: usize, planes: usize) -> Result<Vec<Part>, Refused> {
        let [rows, cols] = self.steps;
        let whole = (weights / (rows * cols)).min(planes);
        let some_rows = (weights / cols).min(rows);
        if whole == 0 && some_rows == 0 {
            return Err(Refused::TooLarge("weights"));
        }
        let (by_planes, by_rows) = if whole == 0 { (1, some_rows) } else { (whole, rows) };
        let mut parts = Vec::new();
        for from in (0..self.planes).step_by(by_planes) {
            for row in (0..rows).step_by(by_rows) {
                parts.push(Part {
                    rows: row..(row + by_rows).min(rows),
                    planes: from..(from + by_planes).min(self.planes),
                });
            }
        }
        Ok(parts)
    }

    /// Rows or columns of the image that outputs need, at least one.
    pub(super) fn needs(&self, axis: usize, outputs: &Range<usize>, steps: &Range<usize>) -> Range<usize> {
        let place = |output: usize, step: usize| {
            (output * self.strides[axis] + step * self.pitch[axis]).saturating_sub(self.before[axis])
        };
        let from = place(outputs.start, steps.start).min(self.x[axis] - 1);
        let to = (output_end(outputs) * self.strides[axis]
            + (steps.end - 1) * self.pitch[axis]
            + self.covers[axis])
            .saturating_sub(self.before[axis]);
        from..to.clamp(from + 1, self.x[axis])
    }

    /// Cuts outputs into regions whose input, `planes` planes for `rows` of the kernel, fits half of the banks, and that have at
    /// most `pixels` pixels. `constants` words are loaded for each region.
    pub(super) fn regions(
        &self,
        config: &Config,
        outputs: &Region,
        rows: &Range<usize>,
        planes: usize,
        pixels: usize,
        constants: usize,
    ) -> Option<Vec<Region>> {
        let half = config.bank_words() / 2;
        let fits = |size: [usize; 2]| {
            let input = self.largest_input(size, rows);
            size[0] * size[1] <= pixels
                && input.iter().all(|&extent| extent <= MAX_EXTENT)
                && planes * bank_pitch(config, input)[1] <= half
        };
        let [height, width] = [outputs[0].len(), outputs[1].len()];
        let best = (1..=width.min(64)).filter_map(|cuts| {
            let across = width.div_ceil(cuts);
            let most = (1..=height.min(MAX_EXTENT)).rev().find(|&down| fits([down, across]))?;
            let down = height.div_ceil(height.div_ceil(most));
            let input = self.largest_input([down, across], rows);
            let tiles = height.div_ceil(down) * width.div_ceil(across);
            Some((tiles * (planes * input[0] * input[1] + constants + 16), [down, across]))
        });
        let (_, [down, across]) = best.min_by_key(|&(cost, _)| cost)?;
        let cut = |range: &Range<usize>, size: usize| {
            let end = range.end;
            range.clone().step_by(size).map(move |from| from..(from + size).min(end)).collect::<Vec<_>>()
        };
        let columns = cut(&outputs[1], across);
        let all = cut(&outputs[0], down).into_iter();
        Some(all.flat_map(|rows| columns.iter().map(move |cols| [rows.clone(), cols.clone()])).collect())
    }

    fn largest_input(&self, size: [usize; 2], rows: &Range<usize>) -> [usize; 2] {
        let along = |axis: usize, steps: usize| {
            let needs =
                (size[axis] - 1) * self.strides[axis] + (steps - 1) * self.pitch[axis] + self.covers[axis];
            needs.min(self.x[axis])
        };
        [along(0, rows.len()), along(1, self.steps[1])]
    }

    /// The fields of a tile that follow from its place; the address of its input's first word in plane 0 of `x`.
    pub(super) fn place(
        &self,
        config: &Config,
        tile: &mut Descriptor,
        [x, y]: [&Tensor; 2],
        block: usize,
        outputs: &Region,
        part: &Part,
    ) -> usize {
        let needs = [self.needs(0, &outputs[0], &part.rows), self.needs(1, &outputs[1], &(0..self.steps[1]))];
        let first = [part.rows.start * self.pitch[0], 0];
        let origin = |axis: usize| {
            let place = outputs[axis].start * self.strides[axis] + first[axis];
            (place as i64 - self.before[axis] as i64 - needs[axis].start as i64) as i16
        };
        tile.op = self.op;
        tile.x_extent = [needs[0].len() as u16, needs[1].len() as u16];
        tile.y_extent = [outputs[0].len() as u16, outputs[1].len() as u16];
        tile.y_row = (y.extent[1] * config.lanes) as u32;
        let word = (block * y.extent[0] + outputs[0].start) * y.extent[1] + outputs[1].start;
        tile.y = y.address + (word * config.lanes) as u32;
        tile.kernel = [part.rows.len() as u8, self.steps[1] as u8];
        tile.strides = self.strides.map(|stride| stride as u8);
        tile.pitch = self.pitch.map(|pitch| pitch as u8);
        tile.origin = [origin(0), origin(1)];
        tile.planes = part.planes.len() as u16;
        tile.x_row = (self.row_step * x.extent[1] * config.lanes) as u32;
        x.address as usize + (needs[0].start * self.row_step * x.extent[1] + needs[1].start) * config.lanes
    }
}

fn output_end(outputs: &Range<usize>) -> usize {
    outputs.end - 1
}
