//! How a kernel walks along several tensors together: at most four axes, runs of the innermost to a work item.

use super::{Arg, int};
use crate::plan::{Layout, Slot};

/// The axes of a result, and what each tensor adds to its offset along them.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// Sizes: images, rows, columns, channels, or what was made of them.
    sizes: [usize; 4],
    tensors: Vec<Strided>,
}

/// A tensor along a walk: offset of its first byte, bytes from place to place along each axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strided {
    pub(super) first: usize,
    pub(super) strides: [usize; 4],
}

/// Bytes of a run: what a work item takes.
pub(super) const RUN: usize = 16;
/// Items of a work-group. Every device takes as many, and they fill a GPU's lanes.
const GROUP: usize = 64;
/// Longest merged axis: a kernel counts in 32 bits, past the end up to a whole work-group.
const LONGEST: usize = 1 << 30;

impl Walk {
    /// Along tensors of one shape.
    pub(super) fn equal(slots: &[&Slot]) -> Self {
        let grid = slots.first().map_or([0; 4], |slot| sizes(&slot.layout));
        Self { sizes: grid, tensors: slots.iter().map(|slot| Strided::of(slot)).collect() }.merged()
    }

    /// Along a result of at most four axes and what broadcasts to it.
    pub(super) fn new(sizes: [usize; 4], tensors: Vec<Strided>) -> Self {
        Self { sizes, tensors }.merged()
    }

    /// Axes whose steps continue each other in all tensors become one, so that runs are long. Along the innermost axis the last
    /// tensor, which is the result, has bytes side by side before and after.
    fn merged(self) -> Self {
        let mut axes: Vec<(usize, Vec<usize>)> = Vec::new();
        let is_side_by_side = self.tensors.last().is_some_and(|result| result.strides[2] == 1);
        let stays = |axis: usize| match axis {
            3 => self.sizes[3] != 1 || self.sizes[2] == 1 || !is_side_by_side,
            _ => self.sizes[axis] != 1,
        };
        for axis in (0..4).filter(|&axis| stays(axis)) {
            let (size, strides): (_, Vec<usize>) =
                (self.sizes[axis], self.tensors.iter().map(|tensor| tensor.strides[axis]).collect());
            match axes.last_mut() {
                Some((outer, steps))
                    if *outer * size <= LONGEST
                        && steps.iter().zip(&strides).all(|(step, stride)| *step == stride * size) =>
                {
                    *outer *= size;
                    *steps = strides;
                }
                _ => axes.push((size, strides)),
            }
        }
        let mut merged = Self { sizes: [1; 4], tensors: self.tensors };
        for tensor in &mut merged.tensors {
            tensor.strides = [0, 0, 0, 1];
        }
        for (to, (size, strides)) in (4 - axes.len()..4).zip(axes) {
            merged.sizes[to] = size;
            for (tensor, stride) in merged.tensors.iter_mut().zip(strides) {
                tensor.strides[to] = stride;
            }
        }
        merged
    }

    /// The argument `size`.
    pub(super) fn size(&self) -> Arg {
        Arg::Int4(self.sizes.map(int))
    }

    /// Where a tensor's pixels lie, as the prelude has it.
    pub(super) fn at(&self, tensor: usize) -> Arg {
        self.tensors[tensor].at()
    }

    /// Bytes from channel to channel of a tensor.
    pub(super) fn step(&self, tensor: usize) -> i32 {
        int(self.tensors[tensor].strides[3])
    }

    /// Work items and work-groups: one item a run.
    pub(super) fn grid(&self) -> ([usize; 3], Option<[usize; 3]>) {
        runs(self.sizes)
    }
}

impl Strided {
    /// A value, image by image.
    pub(super) fn of(slot: &Slot) -> Self {
        let layout = &slot.layout;
        let first = slot.offset + layout.offset(0, 0, 0);
        let strides = [layout.image_stride(), layout.row_stride(), layout.column_stride(), 1];
        Self { first, strides }
    }

    /// A value of at most four axes, axis by axis.
    pub(super) fn along_axes(slot: &Slot) -> Self {
        Self::broadcast(slot.offset, &slot.layout, &slot.layout)
    }

    /// What lies at `offset` along the axes of what it broadcasts to, which are at most four, in memory order.
    pub(super) fn broadcast(offset: usize, layout: &Layout, to: &Layout) -> Self {
        let (own, missing) = (layout.strides(), to.shape.len() - layout.shape.len());
        let stride = |axis: usize| {
            let is_stretched = axis < missing || layout.shape[axis - missing] == 1;
            if is_stretched { 0 } else { own[axis - missing] }
        };
        let mut strides = [0; 4];
        let axes = to.memory_axes();
        for (to, axis) in (4 - axes.len()..4).zip(axes) {
            strides[to] = stride(axis);
        }
        Self { first: offset + layout.offset(0, 0, 0), strides }
    }

    pub(super) fn at(&self) -> Arg {
        let [image, row, column, _] = self.strides;
        Arg::Int4([self.first, image, row, column].map(int))
    }
}

/// A layout's extents in memory order.
pub(super) fn sizes(layout: &Layout) -> [usize; 4] {
    let grid = layout.grid;
    [grid.images, grid.rows, grid.columns, grid.channels]
}

/// Sizes of a layout's axes, which are at most four, in memory order.
pub(super) fn axes(layout: &Layout) -> [usize; 4] {
    let mut sizes = [1; 4];
    let axes = layout.memory_axes();
    for (to, axis) in (4 - axes.len()..4).zip(axes) {
        sizes[to] = layout.shape[axis];
    }
    sizes
}

/// Work items for runs of a tensor of these extents, in whole work-groups.
pub(super) fn runs([images, rows, columns, channels]: [usize; 4]) -> ([usize; 3], Option<[usize; 3]>) {
    groups([channels.div_ceil(RUN), columns, images * rows])
}

/// At least these many work items in each direction, in work-groups that the first directions fill first. Their sides are
/// powers of four, since drivers for CPUs compile a kernel once for every size of work-group.
pub(super) fn groups(items: [usize; 3]) -> ([usize; 3], Option<[usize; 3]>) {
    let (mut global, mut local, mut room) = (items, [1; 3], GROUP);
    for ((global, local), n) in global.iter_mut().zip(&mut local).zip(items) {
        *local = 1 << (n.clamp(1, room).ilog2() / 2 * 2);
        room /= *local;
        *global = n.next_multiple_of(*local);
    }
    (global, Some(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_merge_where_every_tensor_goes_on() {
        let dense = |first| Strided { first, strides: [60, 20, 5, 1] };
        let both = Walk::new([2, 3, 4, 5], vec![dense(0), dense(7)]);
        assert_eq!(both.sizes, [1, 1, 1, 120]);
        let broadcast = Strided { first: 0, strides: [5, 0, 0, 1] };
        let per_channel = Walk::new([2, 3, 4, 5], vec![dense(0), broadcast]);
        assert_eq!((per_channel.sizes, per_channel.tensors[1].strides), ([1, 2, 12, 5], [0, 5, 0, 1]));
        let of_all = Strided { first: 3, strides: [0; 4] };
        let scalar = Walk::new([2, 3, 4, 5], vec![dense(0), of_all]);
        assert_eq!((scalar.sizes, scalar.step(1)), ([1, 1, 1, 120], 0));
    }

    #[test]
    fn a_result_is_written_byte_by_byte_only_where_its_bytes_lie_side_by_side() {
        let one = Walk::new([1; 4], vec![Strided { first: 9, strides: [0; 4] }]);
        assert_eq!((one.sizes, one.grid()), ([1; 4], ([1; 3], Some([1; 3]))));
        let line = Walk::new([1, 1, 9, 1], vec![Strided { first: 0, strides: [9, 9, 1, 1] }]);
        assert_eq!(line.sizes, [1, 1, 1, 9]);
        let apart = Walk::new([1, 1, 9, 1], vec![Strided { first: 0, strides: [36, 36, 4, 1] }]);
        assert_eq!(apart.sizes, [1, 1, 9, 1]);
    }

    #[test]
    fn work_groups_are_whole() {
        assert_eq!(groups([1, 9, 5]), ([1, 12, 8], Some([1, 4, 4])));
        assert_eq!(groups([100, 2, 3]), ([128, 2, 3], Some([64, 1, 1])));
        assert_eq!(groups([20, 70, 3]), ([32, 72, 3], Some([16, 4, 1])));
    }
}
