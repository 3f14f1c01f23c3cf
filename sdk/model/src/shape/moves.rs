//! Shapes of operations that move or select elements.

use super::resize::{ResizedAxis, resized};
use super::{NodeShapes, broadcast};
use crate::error::Error;
use crate::graph::{Ints, MoveOp, Resize, Target};
use crate::limits::MAX_RANK;

/// One axis of a slice: where it starts, its step, and how many elements it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) start: usize,
    pub(crate) step: i64,
    pub(crate) count: usize,
}

impl NodeShapes<'_> {
    pub(super) fn moved(&self, op: &MoveOp) -> Result<Vec<usize>, Error> {
        let x = self.input(0);
        match op {
            MoveOp::Pad { pads, axes, filled, .. } => {
                if *filled {
                    let one = self.input(1).iter().product::<usize>() == 1;
                    self.require(one, || format!("a fill of shape {:?}", self.input(1)))?;
                }
                self.padded(&self.ints(pads)?, axes.as_deref(), op)
            }
            MoveOp::Slice { starts, ends, axes, steps } => {
                let ranges =
                    self.ranges(&self.ints(starts)?, &self.ints(ends)?, axes.as_deref(), steps.as_deref())?;
                Ok(ranges.iter().map(|range| range.count).collect())
            }
            MoveOp::Part { axis, index, count } => {
                let axis = self.axis(*axis, x.len())?;
                let mut out = x.to_vec();
                let chunk = x[axis].div_ceil(*count);
                out[axis] = x[axis].saturating_sub(index.saturating_mul(chunk)).min(chunk);
                Ok(out)
            }
            MoveOp::Gather { axis } => {
                let axis = self.axis(*axis, x.len())?;
                Ok([&x[..axis], self.input(1), &x[axis + 1..]].concat())
            }
            MoveOp::GatherElements { axis } => {
                let axis = self.axis(*axis, x.len())?;
                let indices = self.input(1);
                let fits = indices.len() == x.len() && (0..x.len()).all(|i| i == axis || indices[i] <= x[i]);
                self.require(fits, || format!("indices {indices:?} for {x:?}"))?;
                Ok(indices.to_vec())
            }
            MoveOp::GatherNd { batch_dims } => self.gather_nd(*batch_dims),
            MoveOp::Expand { shape } => {
                let target = self.lengths(shape)?;
                broadcast(x, &target).ok_or_else(|| self.fail(format!("{x:?} cannot become {target:?}")))
            }
            MoveOp::Tile { repeats } => {
                let repeats = self.lengths(repeats)?;
                self.require(repeats.len() == x.len(), || format!("{} repeats of {x:?}", repeats.len()))?;
                Ok(x.iter().zip(repeats).map(|(&n, times)| n.saturating_mul(times)).collect())
            }
            MoveOp::Reshape { allow_zero } => self.reshape(&self.ints(&Ints::Input(1))?, *allow_zero),
            MoveOp::DepthToSpace { block, .. } => match (x, block.checked_mul(*block)) {
                (&[n, c, h, w], Some(area)) if c.is_multiple_of(area) => {
                    Ok(vec![n, c / area, h.saturating_mul(*block), w.saturating_mul(*block)])
                }
                _ => Err(self.fail(format!("{x:?} in blocks of {block}"))),
            },
            MoveOp::SpaceToDepth { block } => match (x, block.checked_mul(*block)) {
                (&[n, c, h, w], Some(area)) if h.is_multiple_of(*block) && w.is_multiple_of(*block) => {
                    Ok(vec![n, c.saturating_mul(area), h / block, w / block])
                }
                _ => Err(self.fail(format!("{x:?} in blocks of {block}"))),
            },
            MoveOp::Resize(resize) => Ok(self.resized(resize)?.iter().map(|axis| axis.output).collect()),
        }
    }

    /// Integers that decide a shape: in the graph, or an input whose elements are known.
    pub(crate) fn ints(&self, ints: &Ints) -> Result<Vec<i64>, Error> {
        let i = match ints {
            Ints::Given(ints) => return Ok(ints.clone()),
            Ints::Input(i) => *i,
        };
        self.known(i)?.as_i64().map(<[i64]>::to_vec).map_err(|_| self.fail(format!("input {i} is not i64")))
    }

    /// The elements of an input that decide the output's shape. Nodes whose are not known are late, and not asked for one.
    pub(super) fn known(&self, i: usize) -> Result<&crate::Tensor, Error> {
        let unknown = || self.fail(format!("the elements of input {i} decide the shape, and are not known"));
        self.shapes.known(self.node.inputs[i]).ok_or_else(unknown)
    }

    /// Lengths of axes.
    pub(super) fn lengths(&self, ints: &Ints) -> Result<Vec<usize>, Error> {
        let ints = self.ints(ints)?;
        let lengths = ints.iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>();
        match lengths {
            Ok(lengths) if lengths.len() <= MAX_RANK => Ok(lengths),
            _ => Err(self.fail(format!("{ints:?} is no shape"))),
        }
    }

    pub(crate) fn resized(&self, resize: &Resize) -> Result<Vec<ResizedAxis>, Error> {
        let axes = match &resize.target {
            Target::Scales(scales) => resized(resize, self.input(0), Some(scales), None),
            Target::ScalesInput => resized(resize, self.input(0), Some(self.known(1)?.as_f32()?), None),
            Target::Sizes(sizes, _) => resized(resize, self.input(0), None, Some(&self.ints(sizes)?)),
        };
        axes.ok_or_else(|| self.fail(format!("{:?} of {:?}", resize.target, self.input(0))))
    }

    /// For each axis how much is added before and after.
    pub(crate) fn pads(&self, pads: &[i64], axes: Option<&[i64]>) -> Result<Vec<[i64; 2]>, Error> {
        let x = self.input(0);
        let all: Vec<i64> = (0..x.len() as i64).collect();
        let axes = axes.unwrap_or(&all);
        self.require(pads.len() == 2 * axes.len(), || {
            format!("{} pads for {} axes", pads.len(), axes.len())
        })?;
        let mut each = vec![[0; 2]; x.len()];
        for (i, &axis) in axes.iter().enumerate() {
            each[self.axis(axis, x.len())?] = [pads[i], pads[i + axes.len()]];
        }
        Ok(each)
    }

    fn padded(&self, pads: &[i64], axes: Option<&[i64]>, op: &MoveOp) -> Result<Vec<usize>, Error> {
        use crate::graph::PadMode;
        let MoveOp::Pad { mode, .. } = op else { return Err(self.fail("is no Pad".into())) };
        let x = self.input(0);
        let each = self.pads(pads, axes)?;
        let length = |(&n, &[before, after]): (&usize, &[i64; 2])| {
            let length = (n as i64).checked_add(before)?.checked_add(after)?;
            let reach = before.max(after);
            // What is repeated must exist; a reflection goes around once.
            let fits = match mode {
                PadMode::Constant => true,
                PadMode::Edge | PadMode::Wrap => n > 0 || reach <= 0,
                PadMode::Reflect => reach < (n as i64).max(1),
            };
            usize::try_from(length).ok().filter(|_| fits && before > i64::MIN && after > i64::MIN)
        };
        x.iter()
            .zip(&each)
            .map(length)
            .collect::<Option<_>>()
            .ok_or_else(|| self.fail(format!("{x:?} cannot be padded by {each:?}")))
    }

    pub(crate) fn ranges(
        &self,
        starts: &[i64],
        ends: &[i64],
        axes: Option<&[i64]>,
        steps: Option<&[i64]>,
    ) -> Result<Vec<Range>, Error> {
        let x = self.input(0);
        let mut ranges: Vec<Range> = x.iter().map(|&count| Range { start: 0, step: 1, count }).collect();
        let first: Vec<i64> = (0..starts.len() as i64).collect();
        let axes = axes.unwrap_or(&first);
        let fits = ends.len() == starts.len()
            && axes.len() == starts.len()
            && steps.is_none_or(|steps| steps.len() == starts.len());
        self.require(fits, || format!("{} starts, {} ends, {} axes", starts.len(), ends.len(), axes.len()))?;
        for (i, &axis) in axes.iter().enumerate() {
            let axis = self.axis(axis, x.len())?;
            let step = steps.map_or(1, |steps| steps[i]);
            ranges[axis] = range(x[axis], starts[i], ends[i], step)
                .ok_or_else(|| self.fail(format!("[{}:{}:{step}] of {}", starts[i], ends[i], x[axis])))?;
        }
        Ok(ranges)
    }

    fn gather_nd(&self, batch: usize) -> Result<Vec<usize>, Error> {
        let (x, indices) = (self.input(0), self.input(1));
        let bad = || self.fail(format!("indices {indices:?} for {x:?} with {batch} batch axes"));
        let (&tuple, places) = indices.split_last().ok_or_else(bad)?;
        let rank = batch.checked_add(tuple).filter(|&rank| rank <= x.len()).ok_or_else(bad)?;
        if places.len() < batch || places[..batch] != x[..batch] {
            return Err(bad());
        }
        Ok([places, &x[rank..]].concat())
    }
}

/// NumPy's rules for one axis of `n` elements.
fn range(n: usize, start: i64, end: i64, step: i64) -> Option<Range> {
    let n = i64::try_from(n).ok()?;
    let from_end = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
    let (start, end) = (from_end(start), from_end(end));
    let (start, end, distance) = if step > 0 {
        let (start, end) = (start.clamp(0, n), end.clamp(0, n));
        (start, end, end - start)
    } else {
        let (start, end) = (start.clamp(-1, n - 1), end.clamp(-1, n - 1));
        (start, end, start - end)
    };
    let _ = end;
    let magnitude = i64::try_from(step.unsigned_abs()).unwrap_or(i64::MAX);
    if magnitude == 0 {
        return None;
    }
    let count = if distance > 0 { (distance - 1) / magnitude + 1 } else { 0 };
    Some(Range { start: usize::try_from(start).unwrap_or(0), step, count: usize::try_from(count).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_numpy() {
        let of = |n, start, end, step| {
            let range = range(n, start, end, step).unwrap();
            (range.start, range.count)
        };
        assert_eq!(of(5, 1, -1, 1), (1, 3));
        assert_eq!(of(5, 0, i64::MAX, 2), (0, 3));
        assert_eq!(of(5, -1, i64::MIN, -1), (4, 5));
        assert_eq!(of(5, 4, 1, -2), (4, 2));
        assert_eq!(of(5, 7, 9, 1), (5, 0));
        assert_eq!(of(5, 3, 1, 1).1, 0);
        assert_eq!(range(5, 0, 5, 0), None);
        assert_eq!(of(0, 0, 9, -1).1, 0);
    }
}
