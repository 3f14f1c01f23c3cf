//! Values whose shapes depend on what a run computes: which they are, and their shapes once the operands are there.

use super::{NodeShapes, Shapes, cost, element_count};
use crate::error::Error;
use crate::graph::{FloatOp, GeneralOp, Graph, Ints, MoveOp, Node, Op, Target};
use crate::limits::{MAX_LATE_BYTES, MAX_MACS};
use crate::tensor::Tensor;

/// What the late nodes of a run have taken so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spent {
    /// Bytes of their outputs.
    pub(super) bytes: u64,
    /// Work, in the unit of [`cost::work`]; starts with that of all other nodes.
    pub(super) work: u64,
}

/// Whether the shape of a node's output is not known before its operands are: it follows from elements that shapes do not
/// decide, or from another such shape.
pub(super) fn waits(node: &Node, shapes: &Shapes) -> bool {
    let unknown = |&i: &usize| node.inputs.get(i).is_some_and(|&id| shapes.known(id).is_none());
    node.inputs.iter().any(|&id| shapes.is_late(id)) || deciding(&node.op).iter().any(unknown)
}

/// The inputs whose elements decide the shape of the output.
fn deciding(op: &Op) -> Vec<usize> {
    let input = |ints: &Ints| match ints {
        Ints::Given(_) => None,
        Ints::Input(i) => Some(*i),
    };
    match op {
        Op::General(GeneralOp::NonZero) => vec![0],
        Op::General(GeneralOp::NonMaxSuppression { .. }) => vec![0, 1],
        Op::General(GeneralOp::Range) => vec![0, 1, 2],
        Op::General(GeneralOp::TopK { k: ints, .. } | GeneralOp::Fill { shape: ints })
        | Op::Move(MoveOp::Pad { pads: ints, .. } | MoveOp::Expand { shape: ints })
        | Op::Move(MoveOp::Tile { repeats: ints }) => input(ints).into_iter().collect(),
        Op::Move(MoveOp::Slice { starts, ends, .. }) => {
            [starts, ends].into_iter().filter_map(input).collect()
        }
        Op::Move(MoveOp::Reshape { .. }) => vec![1],
        Op::Move(MoveOp::Resize(resize)) | Op::Float(FloatOp::Resize(resize)) => match &resize.target {
            Target::Scales(_) => Vec::new(),
            Target::ScalesInput => vec![1],
            Target::Sizes(sizes, _) => input(sizes).into_iter().collect(),
        },
        _ => Vec::new(),
    }
}

impl Shapes {
    /// Finds the shape of a late node's output from its operands, within the limits of a run. Returns the inputs whose
    /// elements are known now; [`Shapes::forget`] lets go of them.
    ///
    /// # Errors
    /// [`Error::Shape`] if the node cannot take its operands, [`Error::LimitExceeded`] if this is too large.
    pub(crate) fn settle(
        &mut self,
        graph: &Graph,
        node: &Node,
        operands: &[&Tensor],
    ) -> Result<Vec<usize>, Error> {
        for (&id, operand) in node.inputs.iter().zip(operands) {
            self.shapes[id.index()] = operand.shape().to_vec();
            self.late[id.index()] = false;
        }
        let fresh = |i: &usize| node.inputs.get(*i).is_some_and(|&id| self.known(id).is_none());
        let fresh: Vec<usize> = deciding(&node.op).into_iter().filter(fresh).collect();
        for &i in &fresh {
            self.known[node.inputs[i].index()] = Some(operands[i].clone());
        }
        self.late[node.output.index()] = false;
        self.shapes[node.output.index()] = Vec::new();
        // Before the shape, which to find is most of the work of some operations; and with the output after it.
        self.limit_work(cost::of(node, self))?;
        let shape = NodeShapes { node, shapes: self }.output()?;
        let elements = element_count(&shape)? as u64;
        self.spent.bytes += elements * graph.value(node.output).dtype.size() as u64;
        if self.spent.bytes > MAX_LATE_BYTES {
            let what = "bytes of tensors whose shapes depend on values";
            return Err(Error::LimitExceeded { what, found: self.spent.bytes, limit: MAX_LATE_BYTES });
        }
        self.shapes[node.output.index()] = shape;
        self.spent.work = self.spent.work.saturating_add(cost::of(node, self));
        self.limit_work(0)?;
        Ok(fresh)
    }

    fn limit_work(&self, more: u64) -> Result<(), Error> {
        let found = self.spent.work.saturating_add(more);
        if found > MAX_MACS {
            let what = "multiply-accumulates or elements looked at";
            return Err(Error::LimitExceeded { what, found, limit: MAX_MACS });
        }
        Ok(())
    }

    /// Lets go of the elements that [`Shapes::settle`] looked at.
    pub(crate) fn forget(&mut self, node: &Node, fresh: &[usize]) {
        for &i in fresh {
            self.known[node.inputs[i].index()] = None;
        }
    }
}
