//! Whether the images of a batch meet anywhere in a graph. Where they do not, a batch may as well be run image by image: each
//! image's values are then the same bits, since no operation's order of arithmetic depends on how many others there are.

use super::{Shapes, normalize_axis};
use crate::graph::{FloatOp, GeneralOp, Graph, Ints, MoveOp, Node, Op, ValueId};

/// Whether part `i` of every output along its first axis follows from part `i` of every input along its first axis alone. `whole`
/// and `one` are the shapes for a batch and for one image. No is also the answer for what is not understood.
pub fn is_per_image(graph: &Graph, whole: &Shapes, one: &Shapes) -> bool {
    let Some(&batch) = graph.inputs.first().and_then(|port| whole.of(port.value).first()) else {
        return false;
    };
    let mut images = Images { whole, one, batch, per_image: vec![false; graph.values.len()] };
    for port in &graph.inputs {
        if !images.is_cut(port.value) {
            return false;
        }
        images.per_image[port.value.index()] = true;
    }
    for node in &graph.nodes {
        if whole.known(node.output).is_some() {
            continue; // follows from shapes, so that `kind` compares it
        }
        if !images.keeps(node) {
            return false;
        }
        images.per_image[node.output.index()] = true;
    }
    graph.outputs.iter().all(|port| images.kind(port.value) == Kind::PerImage)
}

/// How a value depends on the images.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    /// Part `i` along the first axis on image `i`.
    PerImage,
    /// Not at all.
    Same,
    /// On how many there are.
    Size,
}

struct Images<'a> {
    whole: &'a Shapes,
    one: &'a Shapes,
    batch: usize,
    per_image: Vec<bool>,
}

impl Images<'_> {
    /// Whether a value has the batch as its first axis and nowhere else.
    fn is_cut(&self, id: ValueId) -> bool {
        let (whole, one) = (self.whole.of(id), self.one.of(id));
        let late = self.whole.is_late(id) || self.one.is_late(id);
        !late
            && whole.first() == Some(&self.batch)
            && one.first() == Some(&1)
            && whole.get(1..) == one.get(1..)
    }

    fn kind(&self, id: ValueId) -> Kind {
        match self.whole.known(id) {
            _ if self.per_image[id.index()] => Kind::PerImage,
            Some(known) if self.one.known(id) != Some(known) => Kind::Size,
            _ => Kind::Same, // constants, and what follows from shapes that both have
        }
    }

    fn rank(&self, id: ValueId) -> usize {
        self.whole.of(id).len()
    }

    /// Whether an operand lies along the output as broadcasting puts it without mixing images.
    fn broadcasts(&self, operand: ValueId, output: ValueId) -> bool {
        let (rank, own) = (self.rank(output), self.rank(operand));
        match self.kind(operand) {
            Kind::PerImage => own == rank,
            Kind::Same => own < rank || self.whole.of(operand).first() == Some(&1),
            Kind::Size => false,
        }
    }

    fn is_image(&self, id: ValueId) -> bool {
        self.kind(id) == Kind::PerImage
    }

    /// Whether the node reads an image, and beside it only what is the same for all.
    fn alone(&self, node: &Node) -> bool {
        let same = |id: &ValueId| self.kind(*id) == Kind::Same;
        node.inputs.split_first().is_some_and(|(&x, others)| self.is_image(x) && others.iter().all(same))
    }

    /// Whether the node reads some image, and broadcasting mixes none.
    fn paired(&self, node: &Node) -> bool {
        node.inputs.iter().any(|&id| self.is_image(id)) && self.spreads(node)
    }

    fn spreads(&self, node: &Node) -> bool {
        node.inputs.iter().all(|&id| self.broadcasts(id, node.output))
    }

    /// Whether an axis is not that of the images.
    fn apart(&self, x: ValueId, axis: i64) -> bool {
        normalize_axis(axis, self.rank(x)).is_some_and(|axis| axis != 0)
    }

    fn all_apart(&self, x: ValueId, axes: &[i64]) -> bool {
        !axes.is_empty() && axes.iter().all(|&axis| self.apart(x, axis))
    }

    /// Whether an operation on per-image values computes a per-image value.
    fn keeps(&self, node: &Node) -> bool {
        let Some(&x) = node.inputs.first() else { return false };
        self.is_cut(node.output)
            && match &node.op {
                Op::Conv(..)
                | Op::AveragePool(_)
                | Op::GlobalAveragePool
                | Op::MaxPool(_)
                | Op::Table
                | Op::Quantize { axis: None }
                | Op::Dequantize { axis: None } => self.alone(node),
                Op::FullyConnected(_) => self.alone(node) && self.rank(x) >= 2,
                Op::Quantize { axis: Some(axis) } | Op::Dequantize { axis: Some(axis) } => {
                    self.alone(node) && self.apart(x, *axis)
                }
                Op::Add(_) | Op::Mul(_) => self.paired(node),
                Op::MatMul(_) => self.multiplies(node, false),
                Op::ReduceMean { axes, .. } => self.alone(node) && self.all_apart(x, axes),
                Op::Concat { axis } => {
                    self.apart(x, *axis) && node.inputs.iter().all(|&id| self.is_image(id))
                }
                // The elements keep their order, so that equal first axes have equal parts.
                Op::Reshape { .. } | Op::Flatten { .. } | Op::Squeeze { .. } | Op::Unsqueeze { .. } => {
                    self.is_image(x)
                }
                Op::Transpose { perm } => self.is_image(x) && perm.first() == Some(&0),
                Op::Float(op) => self.keeps_float(node, x, op),
                Op::Move(op) => self.keeps_moved(node, x, op),
                Op::General(op) => self.keeps_general(node, x, op),
            }
    }

    fn keeps_float(&self, node: &Node, x: ValueId, op: &FloatOp) -> bool {
        match op {
            FloatOp::Binary(_) => self.paired(node),
            FloatOp::MatMul(m) => self.multiplies(node, m.trans_a),
            FloatOp::Reduce { axes, .. } => self.alone(node) && self.all_apart(x, axes),
            FloatOp::Softmax { axis, .. } | FloatOp::LogSoftmax { axis, .. } => {
                self.alone(node) && self.apart(x, *axis)
            }
            FloatOp::LayerNorm { axis, .. } => self.is_image(x) && self.apart(x, *axis) && self.spreads(node),
            FloatOp::Resize(resize) => self.alone(node) && resize.region.is_empty(),
            FloatOp::Conv(_)
            | FloatOp::Unary(_)
            | FloatOp::AveragePool(_)
            | FloatOp::GlobalAveragePool
            | FloatOp::ScaleShift
            | FloatOp::ConvNd { .. }
            | FloatOp::ConvTranspose(_)
            | FloatOp::PoolNd(_)
            | FloatOp::GlobalMaxPool
            | FloatOp::InstanceNorm { .. }
            | FloatOp::Lrn { .. } => self.alone(node),
            FloatOp::Lstm(_) | FloatOp::Gru(_) | FloatOp::RoiAlign(_) => false,
        }
    }

    fn keeps_moved(&self, node: &Node, x: ValueId, op: &MoveOp) -> bool {
        match op {
            MoveOp::Reshape { .. } => self.is_image(x),
            MoveOp::Slice { axes: Some(axes), .. } => self.alone(node) && self.all_apart(x, axes),
            MoveOp::Part { axis, .. } | MoveOp::Gather { axis } => self.alone(node) && self.apart(x, *axis),
            MoveOp::DepthToSpace { .. } | MoveOp::SpaceToDepth { .. } => self.alone(node),
            MoveOp::Resize(resize) => self.alone(node) && resize.region.is_empty(),
            MoveOp::Pad { pads: Ints::Given(pads), axes, .. } => {
                self.alone(node) && self.pads_apart(x, pads, axes.as_deref())
            }
            _ => false,
        }
    }

    fn keeps_general(&self, node: &Node, x: ValueId, op: &GeneralOp) -> bool {
        match op {
            GeneralOp::Binary(_) | GeneralOp::Compare(_) | GeneralOp::Logic(_) | GeneralOp::Where => {
                self.paired(node)
            }
            GeneralOp::Cast { .. } | GeneralOp::Not | GeneralOp::Neg | GeneralOp::Abs => self.is_image(x),
            GeneralOp::Reduce { axes, .. } => self.alone(node) && self.all_apart(x, axes),
            GeneralOp::ArgExtreme { ranking, .. } | GeneralOp::TopK { ranking, .. } => {
                self.alone(node) && self.apart(x, ranking.axis)
            }
            GeneralOp::ConvInteger { .. } => self.alone(node),
            _ => false,
        }
    }

    /// A matrix product whose rows, or whose outer matrices, are images.
    fn multiplies(&self, node: &Node, transposed: bool) -> bool {
        let &[a, b, ref added @ ..] = &node.inputs[..] else { return false };
        let (rank, in_a, in_b) = (self.rank(node.output), self.rank(a), self.rank(b));
        let a_fits = match self.kind(a) {
            Kind::PerImage => in_a == rank && in_a >= 2 && !transposed,
            Kind::Same => in_a < rank && rank >= 3,
            Kind::Size => false,
        };
        // As the rows of a matrix, images meet no other matrix's images.
        let b_fits = match self.kind(b) {
            Kind::PerImage => in_b == rank && rank >= 3,
            Kind::Same => in_b <= 2 || in_b < rank,
            Kind::Size => false,
        };
        let is_any = [a, b].iter().any(|&id| self.is_image(id));
        is_any && a_fits && b_fits && added.iter().all(|&id| self.broadcasts(id, node.output))
    }

    /// Whether pads leave the first axis alone.
    fn pads_apart(&self, x: ValueId, pads: &[i64], axes: Option<&[i64]>) -> bool {
        let rank = self.rank(x);
        let axes: Vec<i64> = axes.map_or_else(|| (0..rank as i64).collect(), <[i64]>::to_vec);
        pads.len() == 2 * axes.len()
            && axes.iter().enumerate().all(|(i, &axis)| match normalize_axis(axis, rank) {
                Some(0) => pads[i] == 0 && pads[i + axes.len()] == 0,
                Some(_) => true,
                None => false,
            })
    }
}
