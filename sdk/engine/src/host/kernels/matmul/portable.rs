//! A line of outputs is the sum of the second matrix's rows, each times one element of the first's. A rank-4 value's inner
//! batch lies innermost, as its channels do, so that there it is in lanes.

use tilemark_model::{Op, numerics};

use crate::error::Error;
use crate::host::kernels::epilogue::{Clamp, clamp};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile, View};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling, stored_zero_point};

struct MatMul {
    zeros: [i32; 2],
    multiplier: f32,
    clamp: Clamp,
    /// Rows of the first matrix; products of an output.
    rows: usize,
    depth: usize,
    /// Matrices that lie interleaved.
    batch: usize,
    /// Elements of a line of outputs.
    line: usize,
    vectorizer: Vectorizer,
}

pub(super) fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let Lowering { graph, node, .. } = *step;
    let inconsistent = || Error::internal(&node.name, "planned as a matrix product");
    let Op::MatMul(bounds) = node.op else { return Err(inconsistent()) };
    let [.., rows, depth] = step.inputs[0].shape[..] else { return Err(inconsistent()) };
    let scale = |id| graph.quant(id).map(|quant| quant.scale);
    let [a, b, y] = [scale(node.inputs[0])?, scale(node.inputs[1])?, scale(node.output)?];
    let grid = step.output.grid;
    let work = Box::new(MatMul {
        zeros: [stored_zero_point(graph, node.inputs[0])?, stored_zero_point(graph, node.inputs[1])?],
        multiplier: numerics::multiplier(a, b, y),
        clamp: clamp(graph, node.output, Some(bounds))?,
        rows,
        depth,
        batch: if step.output.shape.len() == 4 { grid.channels } else { 1 },
        line: grid.columns * grid.channels,
        vectorizer,
    });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, step.macs) })
}

impl Work for MatMul {
    fn scratch_bytes(&self) -> usize {
        self.line * size_of::<i32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let (a, b) = (inputs.view(0), inputs.view(1));
        let sums: &mut [i32] = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        for (image, row) in tile.region().clone().lines() {
            // Matrices that are not interleaved follow each other row by row.
            let first = if b.layout.shape.len() == 4 { 0 } else { row / self.rows * self.depth };
            let (a, y) = (a.row(image, row), tile.row(image, row));
            self.vectorizer.run(Line { step: self, a, b, place: [image, first], sums, y });
        }
        Ok(())
    }
}

/// One line of outputs.
struct Line<'a> {
    step: &'a MatMul,
    a: &'a [u8],
    b: View<'a>,
    /// Image and first row of the second matrix.
    place: [usize; 2],
    sums: &'a mut [i32],
    y: &'a mut [u8],
}

impl Loop for Line<'_> {
    #[inline(always)]
    fn run(self) {
        let MatMul { zeros: [zero_a, zero_b], multiplier, clamp, batch, .. } = *self.step;
        let [image, first] = self.place;
        self.sums.fill(0);
        let add = |sum: &mut i32, a: u8, b: u8| {
            let product = (i32::from(a) - zero_a) * (i32::from(b) - zero_b);
            *sum = sum.wrapping_add(product);
        };
        for (k, a) in self.a.chunks_exact(batch).enumerate() {
            let b = self.b.row(image, first + k);
            if let &[a] = a {
                self.sums.iter_mut().zip(b).for_each(|(sum, &b)| add(sum, a, b));
                continue;
            }
            for (sums, b) in self.sums.chunks_exact_mut(batch).zip(b.chunks_exact(batch)) {
                sums.iter_mut().zip(a).zip(b).for_each(|((sum, &a), &b)| add(sum, a, b));
            }
        }
        self.y.iter_mut().zip(&*self.sums).for_each(|(y, &sum)| *y = clamp.byte(sum, multiplier));
    }
}
