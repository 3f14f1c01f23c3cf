//! Walks over some axes of values that lie as they please, and steps that take their lines one by one.

use tilemark_model::shape::normalize_axis;

use super::{Planned, Work};
use crate::error::Error;
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::{Loop, Vectorizer};
use crate::plan::{Layout, Lowering, Tiling};

/// Axes to walk over, the outermost first: size, then elements from one place to the next in two values.
#[derive(Clone, Debug)]
pub(crate) struct Axes(Vec<[usize; 3]>);

impl Axes {
    /// These axes of `x` and of `y`, which has the same axes.
    pub(crate) fn new(x: &Layout, y: &Layout, axes: impl IntoIterator<Item = usize>) -> Self {
        let (from, to) = (x.strides(), y.strides());
        Self(axes.into_iter().map(|axis| [x.shape[axis], from[axis], to[axis]]).collect())
    }

    /// Axes by their size and their strides in both values.
    pub(crate) fn of(axes: Vec<[usize; 3]>) -> Self {
        Self(axes)
    }

    /// How many places there are.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|[size, ..]| size).product()
    }

    /// Whether the places of both values lie side by side.
    pub(crate) fn is_contiguous(&self) -> bool {
        let mut stride = 1;
        self.0.iter().rev().all(|&[size, x, y]| {
            let follows = size == 1 || (x == stride && y == stride);
            stride *= size;
            follows
        })
    }

    /// Takes out the innermost axis whose places lie side by side in both values: how many there are.
    pub(crate) fn take_lanes(&mut self) -> Option<usize> {
        let at = self.0.iter().rposition(|&[size, x, y]| size > 1 && x == 1 && y == 1)?;
        Some(self.0.remove(at)[0])
    }

    /// Calls `visit` with the offset of every place in both values, in row-major order.
    #[inline(always)]
    pub(crate) fn each(&self, mut visit: impl FnMut(usize, usize)) {
        // The innermost axis is a loop of its own.
        let (&[size, x, y], outer) = self.0.split_last().unwrap_or((&[1, 0, 0], &[]));
        let count: usize = outer.iter().map(|[size, ..]| size).product();
        for line in 0..count {
            let (mut rest, mut from, mut to) = (line, 0, 0);
            for &[size, x, y] in outer.iter().rev() {
                let place = rest % size;
                rest /= size;
                from += place * x;
                to += place * y;
            }
            for i in 0..size {
                visit(from + i * x, to + i * y);
            }
        }
    }
}

impl Axes {
    /// Reads the elements of `x` at these places after `from` to a line.
    #[inline(always)]
    fn read(&self, x: &[f32], from: usize, line: &mut [f32]) {
        if self.is_contiguous() {
            line.copy_from_slice(&x[from..][..line.len()]);
            return;
        }
        let mut line = line.iter_mut();
        self.each(|x_at, _| line.next().into_iter().for_each(|element| *element = x[from + x_at]));
    }

    /// Writes a line to these places of `y` after `to`.
    #[inline(always)]
    fn write(&self, line: &[f32], y: &mut [f32], to: usize) {
        if self.is_contiguous() {
            y[to..][..line.len()].copy_from_slice(line);
            return;
        }
        let mut line = line.iter();
        self.each(|_, y_at| line.next().into_iter().for_each(|element| y[to + y_at] = *element));
    }
}

/// What is computed of a line of floats.
pub(crate) trait OfLine: Send + Sync + 'static {
    /// The results of line `number`: in its own memory, or in `spare`, which is as long.
    fn line<'a>(&self, number: usize, line: &'a mut [f32], spare: &'a mut [f32]) -> &'a [f32];
}

/// Lines of floats that may lie anyhow, one by one through working memory.
struct LineByLine<L> {
    /// Of a line, and of all lines.
    inner: Axes,
    outer: Axes,
    of_line: L,
    vectorizer: Vectorizer,
}

/// A step from the first input to the output of the same shape, whose lines go along the axes `inner`; all lines go along `outer`.
pub(crate) fn line_by_line<L: OfLine>(
    step: &Lowering<'_>,
    [inner, outer]: [Vec<usize>; 2],
    of_line: L,
    vectorizer: Vectorizer,
) -> Planned {
    let (x, y) = (&step.inputs[0], step.output);
    let (inner, outer) = (Axes::new(x, y, inner), Axes::new(x, y, outer));
    Planned { work: Box::new(LineByLine { inner, outer, of_line, vectorizer }), tiling: Tiling::single(y) }
}

impl<L: OfLine> Work for LineByLine<L> {
    fn scratch_bytes(&self) -> usize {
        2 * self.inner.len() * size_of::<f32>()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let scratch = bytemuck::cast_slice_mut(&mut scratch[..self.scratch_bytes()]);
        let (x, y) = (bytemuck::cast_slice(inputs.view(0).bytes), bytemuck::cast_slice_mut(tile.whole()));
        self.vectorizer.run(Lines { step: self, x, y, scratch });
        Ok(())
    }
}

struct Lines<'a, L> {
    step: &'a LineByLine<L>,
    x: &'a [f32],
    y: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl<L: OfLine> Loop for Lines<'_, L> {
    #[inline(always)]
    fn run(self) {
        let LineByLine { inner, outer, of_line, .. } = self.step;
        let (line, spare) = self.scratch.split_at_mut(inner.len());
        let mut number = 0;
        outer.each(|from, to| {
            inner.read(self.x, from, line);
            inner.write(of_line.line(number, line, spare), self.y, to);
            number += 1;
        });
    }
}

/// The axes named (none: all of them) of `rank`, and the others; both ascending.
pub(crate) fn named(axes: &[i64], rank: usize) -> (Vec<usize>, Vec<usize>) {
    let is_named =
        |axis: &usize| axes.is_empty() || axes.iter().any(|&name| normalize_axis(name, rank) == Some(*axis));
    (0..rank).partition(is_named)
}

#[cfg(test)]
mod tests {
    use tilemark_model::DType;

    use super::*;
    use crate::plan::Halo;

    #[test]
    fn places_come_in_row_major_order_wherever_they_lie() {
        let x = Layout::new(&[1, 2, 3, 2], DType::F32, Halo::default()); // channels last
        let y = Layout::new(&[1, 2, 3, 2], DType::F32, Halo { left: 1, ..Halo::default() });
        let mut seen = Vec::new();
        Axes::new(&x, &y, [1, 3]).each(|from, to| seen.push((from, to)));
        assert_eq!(seen, [(0, 0), (2, 2), (1, 1), (3, 3)]);
        let mut all = Axes::new(&x, &x, 0..4);
        assert!(!all.is_contiguous());
        assert_eq!((all.len(), all.take_lanes(), all.len()), (12, Some(2), 6));
        assert_eq!(named(&[-1, 0], 3), (vec![0, 2], vec![1]));
    }
}
