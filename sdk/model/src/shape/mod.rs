//! Shape inference: given the shapes of the inputs, the shape of every value.

mod cost;
mod general;
mod images;
mod known;
mod late;
mod moves;
mod resize;
mod spatial;
#[cfg(test)]
mod tests;
mod window;

use crate::error::Error;
use crate::graph::{Dim, FloatOp, Graph, Node, Op, Port, ValueId};
use crate::limits::{MAX_ACTIVATION_BYTES, MAX_MACS, MAX_MATMUL_INNER, MAX_RANK};
use crate::tensor::{Tensor, element_count};

pub use cost::{macs, work};
pub(crate) use general::{gates, shape_range};
pub use images::is_per_image;
pub(crate) use resize::{ResizedAxis, coordinate};
pub(crate) use spatial::{NdAxis, transposed_axes, window_axes};
pub use window::{Extent, output_extent};

/// The shape of every value of one graph under given input shapes, and the elements of those small tensors that follow
/// from shapes alone.
///
/// Where the shape of a value depends on what a run computes (the boxes that survive NonMaxSuppression), it and all that
/// follows from it are *late*: [`reference::evaluate_late`](crate::reference::evaluate_late) finds their shapes one by one.
#[derive(Clone, Debug, PartialEq)]
pub struct Shapes {
    shapes: Vec<Vec<usize>>,
    known: Vec<Option<Tensor>>,
    late: Vec<bool>,
    spent: late::Spent,
}

impl Shapes {
    /// Shape of a value; nothing for one that is late.
    pub fn of(&self, id: ValueId) -> &[usize] {
        &self.shapes[id.index()]
    }

    /// Whether the shape of a value depends on values that only a run computes.
    pub fn is_late(&self, id: ValueId) -> bool {
        self.late[id.index()]
    }

    /// Whether any value is late.
    pub fn has_late(&self) -> bool {
        self.late.contains(&true)
    }

    /// The value itself, if it follows from the shapes of the inputs: what Shape gives and what is computed from it.
    /// Small constants that something like it is computed from are known too.
    pub fn known(&self, id: ValueId) -> Option<&Tensor> {
        self.known[id.index()].as_ref()
    }
}

/// Most elements of a quantized mean: `255 * n < 2^31`.
const MAX_MEAN: usize = (i32::MAX / 255) as usize;

/// The declared input shapes with every dynamic axis set to `dynamic` (1 for one image at a time).
pub fn declared(graph: &Graph, dynamic: usize) -> Vec<Vec<usize>> {
    let concrete = |dim: &Dim| match dim {
        Dim::Fixed(n) => *n,
        Dim::Dynamic(_) => dynamic,
    };
    graph.inputs.iter().map(|port| port.shape.iter().map(concrete).collect()).collect()
}

/// Infers every shape from those of the inputs, in the order of [`Graph::inputs`].
///
/// # Errors
/// [`Error::InputShape`] or [`Error::InputCount`] if the inputs are not what the model declares, [`Error::Shape`] if an
/// operation cannot take the shapes it gets, [`Error::LimitExceeded`] if the inference would be too large.
pub fn infer(graph: &Graph, inputs: &[Vec<usize>]) -> Result<Shapes, Error> {
    if inputs.len() != graph.inputs.len() {
        return Err(Error::InputCount { found: inputs.len(), expected: graph.inputs.len() });
    }
    let constant = |value: &crate::Value| value.constant.as_ref().map_or(Vec::new(), |c| c.shape.clone());
    let values = graph.values.len();
    let mut shapes = Shapes {
        shapes: graph.values.iter().map(constant).collect(),
        known: vec![None; values],
        late: vec![false; values],
        spent: late::Spent::default(),
    };
    for (port, shape) in graph.inputs.iter().zip(inputs) {
        check_input(port, shape)?;
        element_count(shape)?;
        shapes.shapes[port.value.index()] = shape.clone();
    }
    let mut bytes = 0usize;
    for node in &graph.nodes {
        known::look_up_constants(graph, node, &mut shapes);
        if late::waits(node, &shapes) {
            shapes.late[node.output.index()] = true;
            continue;
        }
        let shape = NodeShapes { node, shapes: &shapes }.output()?;
        bytes = bytes
            .saturating_add(element_count(&shape)?.saturating_mul(graph.value(node.output).dtype.size()));
        shapes.shapes[node.output.index()] = shape;
        known::evaluate(graph, node, &mut shapes)?;
    }
    if bytes > MAX_ACTIVATION_BYTES {
        let (found, limit) = (bytes as u64, MAX_ACTIVATION_BYTES as u64);
        return Err(Error::LimitExceeded { what: "bytes of activations", found, limit });
    }
    let found = work(graph, &shapes);
    if found > MAX_MACS {
        return Err(Error::LimitExceeded {
            what: "multiply-accumulates or elements looked at",
            found,
            limit: MAX_MACS,
        });
    }
    shapes.spent.work = found;
    Ok(shapes)
}

fn check_input(port: &Port, shape: &[usize]) -> Result<(), Error> {
    let fits = |(dim, &n): (&Dim, &usize)| match dim {
        Dim::Fixed(expected) => *expected == n,
        Dim::Dynamic(_) => n > 0,
    };
    if shape.len() == port.shape.len() && port.shape.iter().zip(shape).all(fits) {
        return Ok(());
    }
    let expected: Vec<String> = port
        .shape
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(n) => n.to_string(),
            Dim::Dynamic(name) => name.clone(),
        })
        .collect();
    Err(Error::InputShape {
        input: port.name.clone(),
        found: shape.to_vec(),
        expected: format!("[{}]", expected.join(", ")),
    })
}

/// The NumPy broadcast of two shapes, if there is one.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let axis = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|i| match (axis(a, i), axis(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// An axis that may count from the end, as an index below `rank`.
pub fn normalize_axis(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis + rank } else { axis };
    (0..rank).contains(&axis).then_some(axis).and_then(|axis| usize::try_from(axis).ok())
}

/// The shapes around one node.
pub(crate) struct NodeShapes<'a> {
    pub(crate) node: &'a Node,
    pub(crate) shapes: &'a Shapes,
}

impl NodeShapes<'_> {
    fn output(&self) -> Result<Vec<usize>, Error> {
        let x = self.input(0);
        let shape = match &self.node.op {
            Op::Conv(conv, _) | Op::Float(FloatOp::Conv(conv)) => self.conv(conv)?,
            Op::FullyConnected(_) => self.fully_connected()?,
            Op::MatMul(_) => {
                let inner = self.input(0).last().copied().unwrap_or(0);
                self.require(inner <= MAX_MATMUL_INNER, || {
                    format!("sums of {inner} products could overflow 32 bits; {MAX_MATMUL_INNER} cannot")
                })?;
                self.matmul(false, false)?
            }
            Op::Add(_) | Op::Mul(_) | Op::Float(FloatOp::Binary(_)) => broadcast(x, self.input(1))
                .ok_or_else(|| self.fail(format!("shapes {x:?} and {:?} do not broadcast", self.input(1))))?,
            Op::AveragePool(pool) | Op::MaxPool(pool) | Op::Float(FloatOp::AveragePool(pool)) => {
                self.pool(pool)?
            }
            Op::GlobalAveragePool | Op::Float(FloatOp::GlobalAveragePool) => self.global_pool()?,
            Op::Table => x.to_vec(),
            Op::Quantize { axis } | Op::Dequantize { axis } => {
                if let Some(axis) = axis {
                    self.scales(*axis)?;
                }
                x.to_vec()
            }
            Op::Concat { axis } => self.concat(*axis)?,
            Op::Reshape { shape, allow_zero } => self.reshape(shape, *allow_zero)?,
            Op::Flatten { axis } => self.flatten(*axis)?,
            Op::Squeeze { axes } => self.squeeze(axes)?,
            Op::Unsqueeze { axes } => self.unsqueeze(axes)?,
            Op::Transpose { perm } => {
                self.require(perm.len() == x.len(), || format!("permutes {} axes of {x:?}", perm.len()))?;
                perm.iter().map(|&axis| x[axis]).collect()
            }
            Op::Float(FloatOp::MatMul(m)) => self.matmul(m.trans_a, m.trans_b)?,
            Op::ReduceMean { axes, keep_dims } | Op::Float(FloatOp::Reduce { axes, keep_dims, .. }) => {
                self.reduce(axes, *keep_dims)?
            }
            Op::Float(op) => self.float(op)?,
            Op::Move(op) => self.moved(op)?,
            Op::General(op) => self.general(op)?,
        };
        self.require(shape.len() <= MAX_RANK, || format!("rank {} is beyond {MAX_RANK}", shape.len()))?;
        Ok(shape)
    }

    fn input(&self, i: usize) -> &[usize] {
        self.shapes.of(self.node.inputs[i])
    }

    fn fail(&self, reason: String) -> Error {
        Error::Shape { node: self.node.name.clone(), op: self.node.op.name().into(), reason }
    }

    fn require(&self, holds: bool, reason: impl FnOnce() -> String) -> Result<(), Error> {
        if holds { Ok(()) } else { Err(self.fail(reason())) }
    }

    fn axis(&self, axis: i64, rank: usize) -> Result<usize, Error> {
        normalize_axis(axis, rank).ok_or_else(|| self.fail(format!("axis {axis} of a tensor of rank {rank}")))
    }

    fn spatial(&self) -> Result<[usize; 2], Error> {
        match self.input(0) {
            &[_, _, h, w] => Ok([h, w]),
            other => Err(self.fail(format!("takes [N, C, H, W], got {other:?}"))),
        }
    }

    fn conv(&self, conv: &crate::graph::Conv) -> Result<Vec<usize>, Error> {
        let spatial = self.spatial()?;
        let (x, w) = (self.input(0), self.input(1));
        let fits = w.len() == 4
            && w[1].checked_mul(conv.groups) == Some(x[1])
            && w[0] % conv.groups == 0
            && w[2..] == conv.window.kernel;
        self.require(fits, || format!("input {x:?} does not fit weights {w:?} in {} groups", conv.groups))?;
        if self.node.op.is_float() && self.node.inputs.len() > 2 {
            self.require(self.input(2) == [w[0]], || {
                format!("bias {:?} for {} channels", self.input(2), w[0])
            })?;
        }
        let extent = self.extent(&conv.window, spatial, false)?;
        Ok(vec![x[0], w[0], extent.output[0], extent.output[1]])
    }

    fn pool(&self, pool: &crate::graph::Pool) -> Result<Vec<usize>, Error> {
        let spatial = self.spatial()?;
        let extent = self.extent(&pool.window, spatial, pool.ceil_mode)?;
        let x = self.input(0);
        self.mean_of(pool.window.kernel[0] * pool.window.kernel[1])?;
        Ok(vec![x[0], x[1], extent.output[0], extent.output[1]])
    }

    fn extent(&self, window: &crate::graph::Window, input: [usize; 2], ceil: bool) -> Result<Extent, Error> {
        output_extent(window, input, ceil).ok_or_else(|| {
            self.fail(format!("a window {:?} does not fit {input:?} with its padding", window.kernel))
        })
    }

    fn global_pool(&self) -> Result<Vec<usize>, Error> {
        let x = self.input(0);
        self.require(x.len() >= 3 && !x[2..].contains(&0), || format!("takes [N, C, ...], got {x:?}"))?;
        self.mean_of(x[2..].iter().product())?;
        Ok(x.iter().enumerate().map(|(i, &n)| if i < 2 { n } else { 1 }).collect())
    }

    /// A quantized mean sums into 32 bits.
    fn mean_of(&self, n: usize) -> Result<(), Error> {
        let float = self.node.op.is_float() || matches!(self.node.op, Op::MaxPool(_));
        self.require(float || (1..=MAX_MEAN).contains(&n), || {
            format!("averages {n} elements; 1 to {MAX_MEAN} sum into 32 bits")
        })
    }

    fn fully_connected(&self) -> Result<Vec<usize>, Error> {
        let (x, w) = (self.input(0), self.input(1));
        self.require(x.last() == Some(&w[1]), || format!("input {x:?} does not fit weights {w:?}"))?;
        Ok(x[..x.len() - 1].iter().copied().chain([w[0]]).collect())
    }

    /// One scale for all, or one per index of the axis.
    fn scales(&self, axis: i64) -> Result<(), Error> {
        let (x, scales) = (self.input(0), self.input(1));
        let fits = scales == [1] || x[self.axis(axis, x.len())?] == scales[0];
        self.require(fits, || format!("{} scales for axis {axis} of {x:?}", scales[0]))
    }

    fn concat(&self, axis: i64) -> Result<Vec<usize>, Error> {
        let mut out = self.input(0).to_vec();
        let axis = self.axis(axis, out.len())?;
        for i in 1..self.node.inputs.len() {
            let x = self.input(i);
            let others = |s: &[usize]| {
                s.iter().enumerate().filter(|&(i, _)| i != axis).map(|(_, &n)| n).collect::<Vec<_>>()
            };
            self.require(x.len() == out.len() && others(x) == others(&out), || {
                format!("cannot join {x:?} to {out:?}")
            })?;
            out[axis] = out[axis].saturating_add(x[axis]);
        }
        Ok(out)
    }

    fn reshape(&self, target: &[i64], allow_zero: bool) -> Result<Vec<usize>, Error> {
        let x = self.input(0);
        let total = element_count(x)?;
        let bad = || self.fail(format!("{x:?} cannot become {target:?}"));
        let mut shape = Vec::with_capacity(target.len());
        let mut free = None;
        for (i, &n) in target.iter().enumerate() {
            shape.push(match n {
                -1 if free.is_none() => {
                    free = Some(i);
                    1
                }
                0 if !allow_zero => *x.get(i).ok_or_else(bad)?,
                n => usize::try_from(n).map_err(|_| bad())?,
            });
        }
        let known = element_count(&shape)?;
        if let Some(i) = free {
            self.require(known > 0 && total % known == 0, || format!("{x:?} cannot become {target:?}"))?;
            shape[i] = total / known;
        }
        if element_count(&shape)? == total { Ok(shape) } else { Err(bad()) }
    }

    fn flatten(&self, axis: i64) -> Result<Vec<usize>, Error> {
        let x = self.input(0);
        // Flatten alone allows axis == rank.
        let axis = if axis == x.len() as i64 { x.len() } else { self.axis(axis, x.len())? };
        Ok(vec![element_count(&x[..axis])?, element_count(&x[axis..])?])
    }

    fn squeeze(&self, axes: &[i64]) -> Result<Vec<usize>, Error> {
        let x = self.input(0);
        let axes = axes.iter().map(|&a| self.axis(a, x.len())).collect::<Result<Vec<_>, _>>()?;
        let dropped = |i: usize| if axes.is_empty() { x[i] == 1 } else { axes.contains(&i) };
        self.require((0..x.len()).all(|i| !dropped(i) || x[i] == 1), || {
            format!("axes {axes:?} of {x:?} are not all 1")
        })?;
        Ok((0..x.len()).filter(|&i| !dropped(i)).map(|i| x[i]).collect())
    }

    fn unsqueeze(&self, axes: &[i64]) -> Result<Vec<usize>, Error> {
        let x = self.input(0);
        let rank = x.len() + axes.len();
        let mut axes = axes.iter().map(|&a| self.axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        self.require(rank == x.len() + axes.len(), || "names an axis twice".into())?;
        let mut rest = x.iter().copied();
        Ok((0..rank).map(|i| if axes.contains(&i) { 1 } else { rest.next().unwrap_or(1) }).collect())
    }

    fn matmul(&self, trans_a: bool, trans_b: bool) -> Result<Vec<usize>, Error> {
        let (a, b) = (self.input(0), self.input(1));
        let bad = || self.fail(format!("{a:?} and {b:?} cannot be multiplied"));
        let out = if trans_a || trans_b {
            let (&[a0, a1], &[b0, b1]) = (a, b) else { return Err(bad()) };
            let (m, k) = if trans_a { (a1, a0) } else { (a0, a1) };
            let (kb, n) = if trans_b { (b1, b0) } else { (b0, b1) };
            self.require(k == kb, || format!("{a:?} and {b:?} cannot be multiplied"))?;
            vec![m, n]
        } else {
            matmul_shape(a, b).ok_or_else(bad)?
        };
        if self.node.inputs.len() > 2 {
            let c = self.input(2);
            self.require(broadcast(c, &out).as_deref() == Some(&out), || {
                format!("{c:?} does not broadcast to {out:?}")
            })?;
        }
        Ok(out)
    }

    fn reduce(&self, axes: &[i64], keep_dims: bool) -> Result<Vec<usize>, Error> {
        let x = self.input(0);
        let axes = axes.iter().map(|&a| self.axis(a, x.len())).collect::<Result<Vec<_>, _>>()?;
        let reduced = |i: usize| axes.is_empty() || axes.contains(&i);
        self.mean_of((0..x.len()).filter(|&i| reduced(i)).map(|i| x[i]).product())?;
        let kept = (0..x.len()).filter(|&i| keep_dims || !reduced(i));
        Ok(kept.map(|i| if reduced(i) { 1 } else { x[i] }).collect())
    }
}

/// NumPy's `matmul`: rank-1 operands get an axis that the result loses; the axes before the last two broadcast.
fn matmul_shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let row = [1, *a.last()?];
    let column = [*b.last()?, 1];
    let (wide_a, wide_b) =
        (if a.len() == 1 { &row[..] } else { a }, if b.len() == 1 { &column[..] } else { b });
    let (batch_a, [m, k]) = wide_a.split_last_chunk::<2>()?;
    let (batch_b, [kb, n]) = wide_b.split_last_chunk::<2>()?;
    if k != kb {
        return None;
    }
    let mut out = broadcast(batch_a, batch_b)?;
    out.extend((a.len() > 1).then_some(*m));
    out.extend((b.len() > 1).then_some(*n));
    Some(out)
}
