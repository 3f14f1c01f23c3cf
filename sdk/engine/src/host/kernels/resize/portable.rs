//! One axis after the other, as the contract has it: a row of outputs is first made of the input's rows, whole lines at a
//! time, then of its columns. Each output is the sum of its weighted inputs, in ascending order.

use tilemark_model::reference::{self, Taps};

use crate::error::Error;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile, View};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

struct Resize {
    /// For every output row its input rows and their weights; `None` if rows stay as they are.
    rows: Option<Taps>,
    /// The same of columns.
    columns: Option<Taps>,
    /// Elements of a row of the input.
    line: usize,
    channels: usize,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let inconsistent = || Error::internal(&step.node.name, "planned as a resized image");
    let axes = reference::resize_taps(step.node, step.shapes)?.ok_or_else(inconsistent)?;
    let [_, _, rows, columns]: [Option<Taps>; 4] = axes.try_into().map_err(|_| inconsistent())?;
    let channels = step.output.grid.channels;
    let line = step.inputs[0].grid.columns * channels;
    let work = Box::new(Resize { rows, columns, line, channels, vectorizer });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

impl Work for Resize {
    fn scratch_bytes(&self) -> usize {
        self.line * size_of::<f32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        let down = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        for (image, row) in tile.region().clone().lines() {
            let y = bytemuck::cast_slice_mut(tile.row(image, row));
            self.vectorizer.run(Row { step: self, x, place: [image, row], down, y });
        }
        Ok(())
    }
}

/// One row of outputs.
struct Row<'a> {
    step: &'a Resize,
    x: View<'a>,
    /// Image and row.
    place: [usize; 2],
    down: &'a mut [f32],
    y: &'a mut [f32],
}

impl Loop for Row<'_> {
    #[inline(always)]
    fn run(self) {
        let Resize { rows, columns, channels, .. } = self.step;
        let [image, row] = self.place;
        let line = |row: usize| -> &[f32] { bytemuck::cast_slice(self.x.row(image, row)) };
        let down: &[f32] = match rows {
            Some(rows) => {
                weigh(&rows[row], self.down, line);
                self.down
            }
            None => line(row),
        };
        match columns {
            Some(columns) => {
                let pixel = |column: usize| &down[column * channels..][..*channels];
                // A loop, since LLVM compiles a large closure of `for_each` apart, without the level's instructions.
                for (taps, y) in columns.iter().zip(self.y.chunks_exact_mut(*channels)) {
                    weigh(taps, y, pixel);
                }
            }
            None => self.y.copy_from_slice(down),
        }
    }
}

/// The sums of weighted inputs. The first one begins them, since nothing plus -0 is not -0.
#[inline(always)]
fn weigh<'a>(taps: &[(usize, f32)], sums: &mut [f32], input: impl Fn(usize) -> &'a [f32]) {
    if let &[(a, weight_a), (b, weight_b)] = taps {
        return blend(sums, (input(a), weight_a), (input(b), weight_b));
    }
    let Some((&(first, weight), rest)) = taps.split_first() else { return sums.fill(0.0) };
    sums.iter_mut().zip(input(first)).for_each(|(sum, x)| *sum = x * weight);
    for &(place, weight) in rest {
        sums.iter_mut().zip(input(place)).for_each(|(sum, x)| *sum += x * weight);
    }
}

/// Channels that are blended at once: few enough that a pixel has them, where a plain loop would wait for four registers of
/// them and take the pixel number by number.
const LANES: usize = 8;

/// The sums of two weighted inputs each.
#[inline(always)]
fn blend(sums: &mut [f32], a: (&[f32], f32), b: (&[f32], f32)) {
    let (blocks, rest) = sums.as_chunks_mut::<LANES>();
    let ((a_blocks, a_rest), (b_blocks, b_rest)) = (a.0.as_chunks::<LANES>(), b.0.as_chunks::<LANES>());
    for ((sums, x), y) in blocks.iter_mut().zip(a_blocks).zip(b_blocks) {
        // By value: LLVM need not ask whether the sums are among the inputs.
        let (x, y) = (*x, *y);
        let mut block = [0f32; LANES];
        for i in 0..LANES {
            block[i] = x[i] * a.1 + y[i] * b.1;
        }
        *sums = block;
    }
    for ((sum, x), y) in rest.iter_mut().zip(a_rest).zip(b_rest) {
        *sum = x * a.1 + y * b.1;
    }
}
