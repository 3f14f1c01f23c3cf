//! What stands around an operation: Dequantize before it, Quantize after it.

use std::collections::HashMap;

use crate::error::Error;
use crate::graph::{Bounds, Draft, FloatOp, Node, Op, UnaryOp, ValueId};
use crate::numerics;
use crate::tensor::{Quant, Tensor};

/// Most Relu and Clip followed from an operation to its Quantize; many operations on one long chain would otherwise make
/// the search quadratic.
const MAX_CHAIN: usize = 16;

/// A draft with its connections looked up once.
pub(super) struct Surroundings<'a> {
    pub(super) draft: &'a Draft,
    producers: HashMap<ValueId, usize>,
    consumers: HashMap<ValueId, Vec<usize>>,
}

/// The Quantize that ends an island, and what a Relu or Clip before it leaves of the output's range.
pub(super) struct End {
    /// Index of the Quantize node.
    pub(super) quantize: usize,
    /// The 8-bit value it writes.
    pub(super) output: ValueId,
    /// Its quantization.
    pub(super) quant: Quant,
    /// The range left.
    pub(super) bounds: Bounds,
}

/// Constant weights or biases as the model holds them.
pub(super) struct QuantizedConstant<'a> {
    /// The integers.
    pub(super) tensor: &'a Tensor,
    /// One scale, or one an index of the axis.
    pub(super) scales: Vec<f32>,
    /// As many zero points.
    pub(super) zeros: Vec<i32>,
    /// The axis, if there are several scales.
    pub(super) axis: Option<i64>,
}

impl<'a> Surroundings<'a> {
    pub(super) fn of(draft: &'a Draft) -> Self {
        Self { draft, producers: draft.producers(), consumers: draft.consumers() }
    }

    /// The node that writes a value.
    pub(super) fn producer(&self, id: ValueId) -> Option<&'a Node> {
        self.producers.get(&id).map(|&i| &self.draft.nodes[i])
    }

    /// The 8-bit tensor behind a per-tensor Dequantize.
    pub(super) fn quantized(&self, id: ValueId) -> Option<(ValueId, Quant)> {
        let node = self.producer(id)?;
        matches!(node.op, Op::Dequantize { axis: None }).then_some(())?;
        Some((node.inputs[0], self.draft.value(node.inputs[0]).quant?))
    }

    /// The one node that reads a value, unless the value is an output of the graph too.
    pub(super) fn only_consumer(&self, id: ValueId) -> Option<(usize, &'a Node)> {
        match self.consumers.get(&id)?.as_slice() {
            &[i] if !self.draft.is_output(id) => Some((i, &self.draft.nodes[i])),
            _ => None,
        }
    }

    /// The per-tensor Quantize that alone reads `id`, directly or through Relu and Clip.
    pub(super) fn end(&self, mut id: ValueId) -> Option<End> {
        let mut clips = Vec::new();
        // Bounded, since every operation of a long chain looks along it.
        while clips.len() <= MAX_CHAIN {
            let (index, node) = self.only_consumer(id)?;
            match node.op {
                Op::Float(FloatOp::Unary(UnaryOp::Relu)) => clips.push((0.0, f32::MAX)),
                Op::Float(FloatOp::Unary(UnaryOp::Clip { lo, hi })) if lo <= hi => clips.push((lo, hi)),
                Op::Quantize { axis: None } => return self.bounded(index, node.output, &clips),
                _ => return None,
            }
            id = node.output;
        }
        None
    }

    /// Quantize is monotone, so clipping before it equals clamping its result to the quantized bounds.
    fn bounded(&self, quantize: usize, output: ValueId, clips: &[(f32, f32)]) -> Option<End> {
        let value = self.draft.value(output);
        let (quant, (mut lo, mut hi)) = (value.quant?, value.dtype.range()?);
        for &(least, most) in clips {
            // One clip after another: the later one has the last word.
            let [least, most] = [least, most].map(|real| numerics::quantize(real, quant, value.dtype));
            (lo, hi) = (lo.clamp(least, most), hi.clamp(least, most));
        }
        Some(End { quantize, output, quant, bounds: Bounds { lo, hi } })
    }

    /// The constant behind a Dequantize, per tensor or per axis.
    pub(super) fn constant(&self, id: ValueId) -> Result<Option<QuantizedConstant<'a>>, Error> {
        let Some(node) = self.producer(id) else { return Ok(None) };
        let Op::Dequantize { axis } = node.op else { return Ok(None) };
        let Some(tensor) = self.draft.tensor(node.inputs[0]) else { return Ok(None) };
        let (scales, zeros) = match axis {
            None => match self.draft.value(node.inputs[0]).quant {
                Some(quant) => (vec![quant.scale], vec![quant.zero_point]),
                None => return Ok(None),
            },
            Some(_) => match (self.draft.tensor(node.inputs[1]), self.draft.tensor(node.inputs[2])) {
                (Some(scales), Some(zeros)) => (scales.as_f32()?.to_vec(), zeros.widened()?),
                _ => return Ok(None),
            },
        };
        let axis = axis.filter(|_| scales.len() > 1);
        Ok(Some(QuantizedConstant { tensor, scales, zeros, axis }))
    }
}
