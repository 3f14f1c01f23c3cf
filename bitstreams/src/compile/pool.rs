//! Average and maximum pooling.

use std::ops::Range;

use super::conv::windows;
use super::region::{Geometry, Part};
use super::run::Run;
use super::{Compiler, Refused, Requant, Window, byte_table, params};
use crate::descriptor::Op;
use crate::memory::Tensor;

/// Average pooling; global average pooling has the image as its window.
#[derive(Clone, Copy, Debug)]
pub struct AveragePool<'a> {
    /// The input.
    pub x: Tensor,
    /// The output.
    pub y: Tensor,
    /// The window.
    pub window: Window,
    /// How many rows of each output row's window count, and how many columns of each output column's.
    pub counts: [&'a [usize]; 2],
    /// `mean_multiplier` of a number of elements.
    pub multiplier: &'a dyn MeanMultiplier,
    /// How sums become bytes.
    pub requant: Requant<'a>,
}

/// The multiplier of a sum of so many elements that becomes their mean.
pub trait MeanMultiplier: std::fmt::Debug {
    /// For `n` elements, at least 1.
    fn of(&self, n: usize) -> f32;
}

/// Maximum pooling.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool<'a> {
    /// The input.
    pub x: Tensor,
    /// The output.
    pub y: Tensor,
    /// The window.
    pub window: Window,
    /// Whether the bytes are u8.
    pub unsigned: bool,
    /// A function of the largest byte.
    pub table: Option<&'a [u8; 256]>,
}

/// Maximal runs of equal numbers.
fn runs(counts: &[usize]) -> Vec<(Range<usize>, usize)> {
    let mut runs: Vec<(Range<usize>, usize)> = Vec::new();
    for (i, &count) in counts.iter().enumerate() {
        match runs.last_mut() {
            Some((range, same)) if *same == count => range.end = i + 1,
            _ => runs.push((i..i + 1, count)),
        }
    }
    runs
}

impl Compiler {
    /// Appends an average pooling.
    ///
    /// # Errors
    /// [`Refused`]; the list is then as it was.
    pub fn average_pool(&mut self, pool: &AveragePool) -> Result<(), Refused> {
        let config = self.config;
        let Window { kernel, dilations, .. } = pool.window;
        if pool.counts.map(<[usize]>::len) != pool.y.extent || pool.x.channels != pool.y.channels {
            return Err(Refused::Mismatch("counts or channels are not those of the output"));
        }
        let covers = if dilations == [1, 1] { config.banks } else { [1, 1] };
        let geometry = geometry(&pool.window, Op::Depthwise, covers, [&pool.x, &pool.y]);
        geometry.check()?;
        let weights = |_: usize, part: &Part| {
            windows(config.lanes, config.banks, covers, &geometry, part, |_, [row, col]| {
                i8::from(row < kernel[0] && col < kernel[1])
            })
        };
        // Padding is the zero point, and taken off with it.
        let taps = (kernel[0] * kernel[1]) as i32;
        let bias = 0i32.wrapping_sub(taps.wrapping_mul(pool.requant.pad().into()));
        let mut table = pool.requant.table.map(byte_table);
        self.layer(|compiler| {
            for block in 0..config.blocks(pool.x.channels) {
                for (rows, down) in runs(pool.counts[0]) {
                    for (cols, across) in runs(pool.counts[1]) {
                        let multiplier = pool.multiplier.of((down * across).max(1));
                        let run = Run {
                            geometry: &geometry,
                            x: &pool.x,
                            y: &pool.y,
                            outputs: [rows.clone(), cols],
                            blocks: block..block + 1,
                            plane: block,
                            params: &|_| params(&config, |_| (bias, multiplier)),
                            weights: &weights,
                            requant: &pool.requant,
                        };
                        run.emit(compiler, &mut table)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Appends a maximum pooling.
    ///
    /// # Errors
    /// [`Refused`]; the list is then as it was.
    pub fn max_pool(&mut self, pool: &MaxPool) -> Result<(), Refused> {
        if pool.x.channels != pool.y.channels {
            return Err(Refused::Mismatch("the channels are not those of the output"));
        }
        let config = self.config;
        let geometry = geometry(&pool.window, Op::Max, [1, 1], [&pool.x, &pool.y]);
        geometry.check()?;
        let lowest = if pool.unsigned { 0 } else { -128 };
        let requant = Requant {
            x_unsigned: pool.unsigned,
            x_zero: lowest, // which padding is
            y_unsigned: pool.unsigned,
            y_zero: if pool.unsigned { 128 } else { 0 },
            bounds: [lowest, lowest + 255],
            table: pool.table,
        };
        let mut table = pool.table.map(byte_table);
        self.layer(|compiler| {
            for block in 0..config.blocks(pool.x.channels) {
                let run = Run {
                    geometry: &geometry,
                    x: &pool.x,
                    y: &pool.y,
                    outputs: pool.y.extent.map(|extent| 0..extent),
                    blocks: block..block + 1,
                    plane: block,
                    params: &|_| params(&config, |_| (0, 1.0)),
                    weights: &|_, _| Vec::new(),
                    requant: &requant,
                };
                run.emit(compiler, &mut table)?;
            }
            Ok(())
        })
    }
}

fn geometry(window: &Window, op: Op, covers: [usize; 2], [x, y]: [&Tensor; 2]) -> Geometry {
    let Window { kernel, strides, dilations, before } = *window;
    Geometry {
        op,
        x: x.extent,
        y: y.extent,
        steps: [kernel[0].div_ceil(covers[0]), kernel[1].div_ceil(covers[1])],
        pitch: [0, 1].map(|i| if covers[i] > 1 { covers[i] } else { dilations[i] }),
        covers,
        strides,
        before,
        planes: 1,
        row_step: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_cut_where_they_change() {
        assert_eq!(runs(&[2, 3, 3, 3, 2]), [(0..1, 2), (1..4, 3), (4..5, 2)]);
        assert_eq!(runs(&[]), []);
    }
}
