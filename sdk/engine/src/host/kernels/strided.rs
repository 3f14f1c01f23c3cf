//! Walks over some axes of values that lie as they please.

use tilemark_model::shape::normalize_axis;

use crate::plan::Layout;

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
