//! Where movements take their elements from: axis by axis, since no place along one axis depends on another's.

use super::resize::nearest_places;
use crate::error::Error;
use crate::graph::{MoveOp, Node, Op, PadMode};
use crate::shape::{NodeShapes, Shapes, normalize_axis};

/// For every axis of the output and every place along it, what it adds to the offset of the source element; `None` where
/// the fill stands.
pub type Places = Vec<Vec<Option<usize>>>;

/// The places of a movement whose input has one of the `strides` an axis: Transpose, Pad, Slice, Split, Expand, Tile,
/// DepthToSpace, SpaceToDepth and nearest-neighbour Resize. `None` for any other operation.
///
/// # Errors
/// Those of shape inference, had it not refused the node.
pub fn places(node: &Node, shapes: &Shapes, strides: &[usize]) -> Result<Option<Places>, Error> {
    let (from, to) = (shapes.of(node.inputs[0]), shapes.of(node.output));
    let of = NodeShapes { node, shapes };
    // What `place` says about every place of every axis.
    let every = |place: &dyn Fn(usize, usize) -> Option<usize>| -> Places {
        to.iter().enumerate().map(|(axis, &n)| (0..n).map(|i| place(axis, i)).collect()).collect()
    };
    // The same where an axis of the output selects places of the input's same axis.
    let select =
        |place: &dyn Fn(usize, usize) -> usize| every(&|axis, i| Some(place(axis, i) * strides[axis]));
    let op = match &node.op {
        Op::Transpose { perm } => return Ok(Some(every(&|axis, i| Some(i * strides[perm[axis]])))),
        Op::Move(op) => op,
        _ => return Ok(None),
    };
    Ok(Some(match op {
        MoveOp::Pad { mode, pads, axes, .. } => {
            let pads = of.pads(&of.ints(pads)?, axes.as_deref())?;
            every(&|axis, i| padded(*mode, pads[axis][0], from[axis], i).map(|i| i * strides[axis]))
        }
        MoveOp::Slice { starts, ends, axes, steps } => {
            let ranges = of.ranges(&of.ints(starts)?, &of.ints(ends)?, axes.as_deref(), steps.as_deref())?;
            select(&|axis, i| {
                let range = ranges[axis];
                usize::try_from(range.start as i64 + range.step * i as i64).unwrap_or(0)
            })
        }
        MoveOp::Part { axis, index, count } => {
            let part = normalize_axis(*axis, to.len()).unwrap_or(0);
            let start = index * from[part].div_ceil(*count);
            select(&|axis, i| if axis == part { start + i } else { i })
        }
        MoveOp::Expand { .. } => {
            let missing = to.len() - from.len();
            let stretched = |axis: usize| axis < missing || from[axis - missing] == 1;
            every(&|axis, i| Some(if stretched(axis) { 0 } else { i * strides[axis - missing] }))
        }
        MoveOp::Tile { .. } => select(&|axis, i| i % from[axis].max(1)),
        MoveOp::Resize(op) => {
            let places = nearest_places(op, &of.resized(op)?);
            select(&|axis, i| places[axis][i])
        }
        MoveOp::DepthToSpace { block, column_row_depth } => {
            every(&|axis, i| Some(spread(*block, *column_row_depth, to[1], strides, axis, i)))
        }
        MoveOp::SpaceToDepth { block } => every(&|axis, i| Some(gathered(*block, from[1], strides, axis, i))),
        MoveOp::Gather { .. }
        | MoveOp::GatherElements { .. }
        | MoveOp::GatherNd { .. }
        | MoveOp::Reshape { .. } => return Ok(None),
    }))
}

/// What place `i` of an axis adds where blocks of channels become blocks of pixels, `channels` of them being left.
fn spread(
    block: usize,
    column_row_depth: bool,
    channels: usize,
    strides: &[usize],
    axis: usize,
    i: usize,
) -> usize {
    // Channels between neighbours in a block's column, in its row, and between channels.
    let [row, column, channel] =
        if column_row_depth { [block, 1, block * block] } else { [block * channels, channels, 1] };
    let (outer, inner) = (i / block, i % block);
    match axis {
        1 => i * channel * strides[1],
        2 => outer * strides[2] + inner * row * strides[1],
        3 => outer * strides[3] + inner * column * strides[1],
        _ => i * strides[axis],
    }
}

/// The same where blocks of pixels become channels, of which there were `channels`.
fn gathered(block: usize, channels: usize, strides: &[usize], axis: usize, i: usize) -> usize {
    match axis {
        1 => {
            let (place, channel) = (i / channels, i % channels);
            channel * strides[1] + place / block * strides[2] + place % block * strides[3]
        }
        2 | 3 => i * block * strides[axis],
        _ => i * strides[axis],
    }
}

/// The place of an axis of `n` elements, `before` of which are put in front, that element `i` is taken from.
fn padded(mode: PadMode, before: i64, n: usize, i: usize) -> Option<usize> {
    let (length, i) = (n as i64, i as i64 - before);
    let inside = match mode {
        PadMode::Constant => i,
        PadMode::Edge => i.clamp(0, length - 1),
        PadMode::Wrap => i.rem_euclid(length.max(1)),
        PadMode::Reflect if i < 0 => -i,
        PadMode::Reflect if i >= length => 2 * (length - 1) - i,
        PadMode::Reflect => i,
    };
    usize::try_from(inside).ok().filter(|&i| i < n)
}
