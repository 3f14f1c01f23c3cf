//! Matrix products that add product after product: of floats, and of bytes whose zero points are only known when the model
//! runs (ONNX's MatMulInteger). The second matrix is packed if it is constant, else read as it lies.

use std::sync::Arc;

use tilemark_model::graph::{FloatOp, MatMul};
use tilemark_model::{DType, Node, Op, Tensor, shape};

use crate::error::Error;
use crate::host::kernels::operand::Operand;
use crate::host::kernels::sums::{Arithmetic, Block, Integers, LANES, Reals, Waiting, packed_line};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Lowering, Tiling};

/// Sums of a block: with the weights of a pass they stay in the first cache.
const SUMS: usize = 2048;
/// Columns of a block.
const LINE: usize = 64;
/// Most rows of a block.
const ROWS: usize = SUMS / LANES;

/// Whether these kernels multiply floats: matrices that lie row by row, the second constant (`is_fixed`) or not transposed.
pub(super) fn takes_reals(node: &Node, [a, b, y]: [usize; 3], is_fixed: impl Fn(usize) -> bool) -> bool {
    let Op::Float(FloatOp::MatMul(product)) = &node.op else { return false };
    let takes_b = if is_fixed(1) { b == 2 } else { b > 1 && b != 4 && !product.trans_b };
    takes_b && a > 0 && a != 4 && y > 0 && y != 4
}

/// Whether these kernels multiply bytes: the second matrix and its zero points constant, one zero point of the first.
pub(super) fn takes_integers(
    [a, b, y]: [usize; 3],
    zeros: &[usize],
    is_fixed: impl Fn(usize) -> bool,
) -> bool {
    let one_zero = zeros.iter().product::<usize>() == 1;
    b == 2 && is_fixed(1) && is_fixed(3) && one_zero && a > 0 && a != 4 && y > 0 && y != 4
}

/// What both kinds have in common.
struct Lines<A: Arithmetic> {
    /// The second matrix, if it is constant: line by line.
    packed: Option<Arc<Vec<A::Weight>>>,
    /// Elements from one line of the second matrix to the next.
    line: usize,
    /// For every matrix of the output where those of the operands begin.
    starts: Vec<[usize; 2]>,
    /// Rows of a matrix, products of a sum.
    rows: usize,
    depth: usize,
    /// Elements from row to row of the first matrix, and from one number of a row to the next.
    steps: [usize; 2],
    vectorizer: Vectorizer,
}

impl<A: Arithmetic> Lines<A> {
    fn new(step: &Lowering<'_>, product: &MatMul, vectorizer: Vectorizer) -> Result<Self, Error> {
        let inconsistent = || Error::internal(&step.node.name, "planned as a matrix product of lines");
        let shapes = [0, 1].map(|i| step.shapes.of(step.node.inputs[i]));
        // A vector is a row.
        let a = if shapes[0].len() == 1 { vec![1, shapes[0][0]] } else { shapes[0].to_vec() };
        let (batch_a, &[a0, a1]) = a.split_last_chunk().ok_or_else(inconsistent)?;
        let (batch_b, &[b0, b1]) = shapes[1].split_last_chunk().ok_or_else(inconsistent)?;
        let (rows, depth, steps) = if product.trans_a { (a1, a0, [1, a1]) } else { (a0, a1, [a1, 1]) };
        let batch = shape::broadcast(batch_a, batch_b).ok_or_else(inconsistent)?;
        let starts_a = starts(batch_a, &batch).into_iter().map(|i| i * a0 * a1);
        let starts = starts_a.zip(starts(batch_b, &batch).into_iter().map(|i| i * b0 * b1));
        Ok(Self {
            packed: None,
            line: if product.trans_b { b0 } else { b1 },
            starts: starts.map(|(a, b)| [a, b]).collect(),
            rows,
            depth,
            steps,
            vectorizer,
        })
    }

    /// With a constant second matrix `[K, N]`, of which `weight` gives the element of a row and column.
    fn packed(
        self,
        step: &Lowering<'_>,
        name: &'static str,
        weight: impl Fn(usize, usize) -> A::Weight,
    ) -> Result<Self, Error> {
        let (columns, line) = (self.line, packed_line(self.line, self.depth));
        let packed = step.packed(name, || {
            let mut packed = Vec::with_capacity(self.depth * line);
            for row in 0..self.depth {
                packed.extend((0..columns).map(|column| weight(row, column)));
                packed.resize((row + 1) * line, bytemuck::Zeroable::zeroed());
            }
            Ok(packed)
        })?;
        Ok(Self { packed: Some(packed), line, ..self })
    }
}

/// Of every matrix in `batch` which of the operand's own it takes, where the operand has as many as `own` says.
fn starts(own: &[usize], batch: &[usize]) -> Vec<usize> {
    let missing = batch.len() - own.len();
    let of = |mut i: usize| {
        let (mut at, mut stride) = (0, 1);
        for axis in (0..batch.len()).rev() {
            let size = if axis < missing { 1 } else { own[axis - missing] };
            at += i % batch[axis] % size * stride;
            stride *= size;
            i /= batch[axis];
        }
        at
    };
    (0..batch.iter().product()).map(of).collect()
}

/// A tile's sums, and what becomes of them: `finish` gets the row, the first column, the sums and the place for results.
struct Walk<'a, 'b, A: Arithmetic, F> {
    lines: &'a Lines<A>,
    a: &'a [A::X],
    b: &'a [A::Weight],
    zero: A::Sum,
    sums: &'a mut [A::Sum],
    tile: &'a mut Tile<'b>,
    finish: F,
}

impl<A: Arithmetic, F: FnMut(usize, usize, &[A::Sum], &mut [A::Sum])> Loop for Walk<'_, '_, A, F> {
    #[inline(always)]
    fn run(mut self) {
        let (lines, region) = (self.lines, self.tile.region().clone());
        let mut row = region.rows.start;
        while row < region.rows.end {
            let (matrix, first) = (row / lines.rows, row % lines.rows);
            let count = (lines.rows - first).min(region.rows.end - row).min(ROWS);
            let mut column = region.channels.start;
            while column < region.channels.end {
                let columns = (region.channels.end - column).min(LINE);
                // Packed lines may go on where the columns end.
                let line = match &lines.packed {
                    Some(_) => columns.next_multiple_of(LANES).min(lines.line - column),
                    None => columns,
                };
                let mut done = 0;
                while done < count {
                    let rows = (count - done).min(SUMS / line.max(LANES));
                    self.sum(matrix, [first + done, rows], [column, line]);
                    for (i, sums) in self.sums.chunks_exact(line).take(rows).enumerate() {
                        let row = row + done + i;
                        let results = bytemuck::cast_slice_mut(self.tile.pixel(0, row, 0));
                        let results = &mut results[column - region.channels.start..][..columns];
                        (self.finish)(row, column, &sums[..columns], results);
                    }
                    done += rows;
                }
                column += columns;
            }
            row += count;
        }
    }
}

impl<A: Arithmetic, F> Walk<'_, '_, A, F> {
    /// The sums of some rows of a matrix, for a line of columns.
    #[inline(always)]
    fn sum(&mut self, matrix: usize, [first, rows]: [usize; 2], [column, line]: [usize; 2]) {
        let lines = self.lines;
        let [a, b] = lines.starts[matrix];
        let sums = &mut self.sums[..rows * line];
        sums.fill(A::Sum::default());
        let mut places = [0; ROWS];
        for (i, place) in places.iter_mut().enumerate() {
            *place = i * lines.steps[0];
        }
        let (x, places) = (self.a, &places[..rows]);
        let mut block = Block::<A> { x, places, zero: self.zero, weights: self.b, line, sums };
        let mut waiting = Waiting::default();
        let a = a + first * lines.steps[0];
        for k in 0..lines.depth {
            block.push(&mut waiting, [a + k * lines.steps[1], b + k * lines.line + column]);
        }
        block.finish(&mut waiting);
    }
}

/// A product of floats: `alpha * a @ b + beta * c`.
struct RealLines {
    lines: Lines<Reals>,
    alpha: f32,
    /// What is added, and its factor.
    added: Option<(Operand<f32>, f32)>,
}

pub(super) fn build_reals(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let inconsistent = || Error::internal(&step.node.name, "planned as a matrix product of floats");
    let Op::Float(FloatOp::MatMul(product)) = &step.node.op else { return Err(inconsistent()) };
    let mut lines = Lines::<Reals>::new(step, product, vectorizer)?;
    if let Some(b) = step.constant(1) {
        let (reals, columns, depth) = (b.as_f32()?, lines.line, lines.depth);
        let weight = |row: usize, column: usize| match product.trans_b {
            true => reals[column * depth + row],
            false => reals[row * columns + column],
        };
        lines = lines.packed(step, "matmul_f32", weight)?;
    }
    let added = match step.node.inputs.len() {
        3 => Some((Operand::new(step, 2, "matmul_f32:c")?, product.beta)),
        _ => None,
    };
    let work = Box::new(RealLines { lines, alpha: product.alpha, added });
    Ok(Planned { work, tiling: Tiling::by_rows_and_channels(step.output, step.macs, LINE) })
}

impl Work for RealLines {
    fn scratch_bytes(&self) -> usize {
        let added = self.added.as_ref().map_or(0, |(c, _)| c.scratch_len());
        (SUMS + added) * size_of::<f32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let scratch = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        let (sums, scratch) = scratch.split_at_mut(SUMS);
        let mut added = self.added.as_ref().map(|(c, beta)| (c.reader(inputs, scratch), *beta));
        let alpha = self.alpha;
        let finish = |row: usize, column: usize, sums: &[f32], results: &mut [f32]| {
            for (result, sum) in results.iter_mut().zip(sums) {
                *result = alpha * sum;
            }
            if let Some((reader, beta)) = &mut added {
                for (result, c) in results.iter_mut().zip(&reader.line(row)[column..]) {
                    *result += *beta * c;
                }
            }
        };
        let lines = &self.lines;
        let a = bytemuck::cast_slice(inputs.view(0).bytes);
        let b = match &lines.packed {
            Some(packed) => packed.as_slice(),
            None => bytemuck::cast_slice(inputs.view(1).bytes),
        };
        lines.vectorizer.run(Walk { lines, a, b, zero: 0.0, sums, tile, finish });
        Ok(())
    }
}

/// A product of bytes.
struct IntegerLines {
    lines: Lines<Integers>,
    /// The zero point of the first matrix as a stored byte, or the step's input that has it.
    zero: Result<i32, usize>,
}

pub(super) fn build_integers(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let missing = || Error::internal(&step.node.name, "lacks an operand");
    let plain = MatMul { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false };
    let lines = Lines::<Integers>::new(step, &plain, vectorizer)?;
    let [b, zeros] = [1, 3].map(|i| step.constant(i).as_ref().map(Tensor::widened));
    let (b, zeros) = (b.ok_or_else(missing)??, zeros.ok_or_else(missing)??);
    let columns = lines.line;
    let zero = |column: usize| if zeros.len() == 1 { zeros[0] } else { zeros[column] };
    #[allow(clippy::cast_possible_truncation, reason = "a difference of bytes")]
    let weight = |row: usize, column: usize| (b[row * columns + column] - zero(column)) as i16;
    let lines = lines.packed(step, "matmul_integer", weight)?;
    let zero = match step.input(2) {
        Some(input) => Err(input),
        None => Ok(stored_byte(&step.constant(2).ok_or_else(missing)?)?),
    };
    let work = Box::new(IntegerLines { lines, zero });
    Ok(Planned { work, tiling: Tiling::by_rows_and_channels(step.output, step.macs, LINE) })
}

/// The only element of a tensor of bytes, as it would be stored.
pub(crate) fn stored_byte(tensor: &Tensor) -> Result<i32, Error> {
    let byte = tensor.widened()?.first().copied().unwrap_or(0);
    Ok(if tensor.dtype() == DType::I8 { byte + 128 } else { byte })
}

impl Work for IntegerLines {
    fn scratch_bytes(&self) -> usize {
        SUMS * size_of::<i32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let lines = &self.lines;
        let sums = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        let zero = match self.zero {
            Ok(zero) => zero,
            Err(input) => {
                let zero = inputs.view(input);
                zero.bytes[zero.layout.origin()].into()
            }
        };
        let finish = |_: usize, _: usize, sums: &[i32], results: &mut [i32]| results.copy_from_slice(sums);
        let b = lines.packed.as_deref().map_or(&[][..], Vec::as_slice);
        lines.vectorizer.run(Walk { lines, a: inputs.view(0).bytes, b, zero, sums, tile, finish });
        Ok(())
    }
}
