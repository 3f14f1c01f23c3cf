//! Shapes of operations on other element types, and of f32 operations.

use super::{NodeShapes, broadcast, element_count};
use crate::error::Error;
use crate::graph::{DynamicPart, FloatOp, GeneralOp, Recurrent, State};
use crate::numerics::narrow::number;
use crate::reference;

/// Gates of an LSTM and of a GRU.
pub(crate) fn gates(op: &FloatOp) -> usize {
    if matches!(op, FloatOp::Lstm(_)) { 4 } else { 3 }
}

impl NodeShapes<'_> {
    pub(super) fn general(&self, op: &GeneralOp) -> Result<Vec<usize>, Error> {
        let x = self.input(0);
        match op {
            GeneralOp::Cast { .. } | GeneralOp::Not | GeneralOp::Neg | GeneralOp::Abs => Ok(x.to_vec()),
            GeneralOp::Binary(_) | GeneralOp::Compare(_) | GeneralOp::Logic(_) => {
                self.broadcast(x, self.input(1))
            }
            GeneralOp::Where => self.broadcast(&self.broadcast(x, self.input(1))?, self.input(2)),
            GeneralOp::Shape { start, end } => Ok(vec![shape_range(x.len(), *start, *end).len()]),
            GeneralOp::Size => Ok(Vec::new()),
            GeneralOp::Reduce { axes, keep_dims, .. } => self.reduce(axes, *keep_dims),
            GeneralOp::ArgExtreme { ranking, keep_dims, .. } => {
                let axis = self.axis(ranking.axis, x.len())?;
                self.require(x[axis] > 0, || format!("axis {axis} of {x:?} has no element"))?;
                self.reduce(&[ranking.axis], *keep_dims)
            }
            GeneralOp::TopK { ranking, k, .. } => {
                let axis = self.axis(ranking.axis, x.len())?;
                let k = self.ints(k)?;
                let fitting = match k[..] {
                    [k] => usize::try_from(k).ok().filter(|&k| k <= x[axis]),
                    _ => None,
                };
                let count = fitting.ok_or_else(|| self.fail(format!("the first {k:?} of {}", x[axis])))?;
                Ok(x.iter().enumerate().map(|(i, &n)| if i == axis { count } else { n }).collect())
            }
            GeneralOp::Fill { shape } => self.lengths(shape),
            GeneralOp::Range => self.range(),
            GeneralOp::NonZero => {
                let x = self.known(0)?;
                let count = (0..x.len()).filter(|&i| number(x.data(), i).real() != 0.0).count();
                Ok(vec![x.shape().len(), count])
            }
            GeneralOp::NonMaxSuppression { .. } => {
                let (boxes, scores) = (self.input(0), self.input(1));
                let fits = matches!((boxes, scores), (&[b, n, 4], &[b2, _, n2]) if b == b2 && n == n2);
                self.require(fits, || format!("boxes {boxes:?} and scores {scores:?}"))?;
                let kept = reference::suppress(op, self.known(0)?, self.known(1)?)?;
                Ok(vec![kept.len(), 3])
            }
            GeneralOp::ArgMaxPool { pool, .. } => self.pool_nd(pool),
            GeneralOp::ConvInteger { window, groups } => {
                let shape = self.windows(window, *groups)?;
                self.zero_points(2, 1)?;
                self.zero_points(3, shape[1])?;
                Ok(shape)
            }
            GeneralOp::MatMulInteger => {
                let (a, b) = (x, self.input(1));
                let shape = super::matmul_shape(a, b);
                let shape =
                    shape.ok_or_else(|| self.fail(format!("{a:?} and {b:?} cannot be multiplied")))?;
                self.zero_points(2, if a.len() < 2 { 1 } else { a[a.len() - 2] })?;
                self.zero_points(3, if b.len() < 2 { 1 } else { b[b.len() - 1] })?;
                Ok(shape)
            }
            GeneralOp::DynamicQuantize(DynamicPart::Integers) => Ok(x.to_vec()),
            GeneralOp::DynamicQuantize(_) => Ok(Vec::new()),
        }
    }

    /// One zero point, or one for each of `lines` rows, columns or channels.
    fn zero_points(&self, i: usize, lines: usize) -> Result<(), Error> {
        let zeros = self.input(i);
        let one = zeros.len() <= 1 && zeros.iter().product::<usize>() == 1;
        self.require(one || zeros == [lines], || {
            format!("zero points of shape {zeros:?}; one or {lines} were expected")
        })
    }

    fn broadcast(&self, a: &[usize], b: &[usize]) -> Result<Vec<usize>, Error> {
        broadcast(a, b).ok_or_else(|| self.fail(format!("shapes {a:?} and {b:?} do not broadcast")))
    }

    /// `max(ceil((limit - start) / delta), 0)` elements.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked on the line before")]
    fn range(&self) -> Result<Vec<usize>, Error> {
        let mut ends = [0.0; 3];
        for (i, end) in ends.iter_mut().enumerate() {
            let x = self.known(i)?;
            self.require(x.len() == 1, || format!("input {i} of shape {:?}", x.shape()))?;
            *end = number(x.data(), 0).real();
        }
        let [start, limit, delta] = ends;
        let count = ((limit - start) / delta).ceil().max(0.0);
        self.require(delta != 0.0 && count < 1e9, || format!("from {start} to {limit} by {delta}"))?;
        Ok(vec![count as usize])
    }

    pub(super) fn float(&self, op: &FloatOp) -> Result<Vec<usize>, Error> {
        let x = self.input(0);
        match op {
            FloatOp::Softmax { axis, .. } | FloatOp::LogSoftmax { axis, .. } => {
                self.axis(*axis, x.len())?;
                Ok(x.to_vec())
            }
            FloatOp::ScaleShift | FloatOp::InstanceNorm { .. } => {
                let channels = x.get(1).copied();
                let fits = (1..3).all(|i| matches!(self.input(i), &[n] if Some(n) == channels));
                self.require(fits, || format!("{:?} and {:?} for {x:?}", self.input(1), self.input(2)))?;
                let empty = matches!(op, FloatOp::InstanceNorm { .. }) && (x.len() < 3 || x.contains(&0));
                self.require(!empty, || format!("takes [N, C, ...], got {x:?}"))?;
                Ok(x.to_vec())
            }
            FloatOp::Lrn { .. } => {
                self.require(x.len() >= 2, || format!("takes [N, C, ...], got {x:?}"))?;
                Ok(x.to_vec())
            }
            FloatOp::LayerNorm { axis, .. } => {
                let axis = self.axis(*axis, x.len())?;
                let fits =
                    (1..self.node.inputs.len()).all(|i| broadcast(self.input(i), x).as_deref() == Some(x));
                self.require(fits && !x[axis..].contains(&0), || {
                    format!("scale {:?} for {x:?} from axis {axis} on", self.input(1))
                })?;
                Ok(x.to_vec())
            }
            FloatOp::ConvNd { window, groups } => self.conv_nd(window, *groups),
            FloatOp::ConvTranspose(conv) => self.conv_transpose(conv),
            FloatOp::PoolNd(pool) => self.pool_nd(pool),
            FloatOp::GlobalMaxPool => self.global_pool(),
            FloatOp::Resize(resize) => Ok(self.resized(resize)?.iter().map(|axis| axis.output).collect()),
            FloatOp::Lstm(layer) | FloatOp::Gru(layer) => self.recurrent(layer, gates(op)),
            FloatOp::RoiAlign(roi) => {
                let (regions, batches) = (self.input(1), self.input(2));
                let fits = x.len() == 4
                    && !x[2..].contains(&0)
                    && matches!((regions, batches), (&[n, 4], &[m]) if n == m);
                self.require(fits, || format!("{x:?} with regions {regions:?} and {batches:?}"))?;
                Ok(vec![regions[0], x[1], roi.output[0], roi.output[1]])
            }
            // Of the shape of its input, or handled beside its 8-bit form.
            _ => Ok(x.to_vec()),
        }
    }

    fn recurrent(&self, layer: &Recurrent, gates: usize) -> Result<Vec<usize>, Error> {
        let (x, directions, hidden) = (self.input(0), layer.directions(), layer.hidden);
        let &[steps, batch, width] = x else {
            return Err(self.fail(format!("takes [steps, batch, inputs], got {x:?}")));
        };
        let gated = gates.saturating_mul(hidden);
        let mut expected = vec![
            vec![directions, gated, width],
            vec![directions, gated, hidden],
            vec![directions, gated.saturating_mul(2)],
        ];
        if gates == 4 {
            expected.extend([Vec::new(), Vec::new(), vec![directions, 3 * hidden]]);
        }
        for (i, shape) in (1..).zip(&expected).filter(|(_, shape)| !shape.is_empty()) {
            self.require(self.input(i) == shape, || {
                format!("input {i} of shape {:?}, {shape:?} expected", self.input(i))
            })?;
        }
        for i in 4..if gates == 4 { 6 } else { 5 } {
            let state = self.input(i);
            let fits = state == [directions, batch, hidden] || state == [directions, 1, hidden];
            self.require(fits, || format!("a state of shape {state:?} for a batch of {batch}"))?;
        }
        self.require(steps > 0, || "a sequence without steps".into())?;
        element_count(x)?;
        Ok(match layer.state {
            State::Sequence => vec![steps, directions, batch, hidden],
            State::Hidden | State::Cell => vec![directions, batch, hidden],
        })
    }
}

/// The axes that Shape tells of.
pub(crate) fn shape_range(rank: usize, start: i64, end: Option<i64>) -> std::ops::Range<usize> {
    let clamp = |i: i64| {
        let from_end = if i < 0 { i.saturating_add(rank as i64) } else { i };
        usize::try_from(from_end.clamp(0, rank as i64)).unwrap_or(0)
    };
    let (start, end) = (clamp(start), end.map_or(rank, clamp));
    start..end.max(start)
}
