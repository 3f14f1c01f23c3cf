//! What every graph must satisfy before anything runs it. A graph may come from a hostile bundle, so this looks at
//! each index, type, constant and attribute; what passes can be relied on by backends.

mod hosted;

use std::collections::HashSet;

use super::{
    Bounds, Conv, FloatOp, GRAPH_SCHEMA, Graph, Node, Op, Pads, Pool, ValueId, Window, constant_range,
};
use crate::error::Error;
use crate::limits::{
    MAX_NAME_BYTES, MAX_NODES, MAX_PORTS, MAX_RANK, MAX_RATIO, MAX_SCALE, MAX_TENSOR_BYTES, MAX_VALUES,
    MIN_SCALE,
};
use crate::numerics;
use crate::tensor::{DType, Data, element_count};

/// Largest kernel, stride, dilation or pad along one axis.
const MAX_EXTENT: usize = 1 << 16;

pub(super) fn check(graph: &Graph) -> Result<(), Error> {
    if graph.schema != GRAPH_SCHEMA {
        let reason = format!("schema {} found, this version reads schema {GRAPH_SCHEMA}", graph.schema);
        return Err(Error::invalid_graph(&graph.name, reason));
    }
    limit("nodes", graph.nodes.len(), MAX_NODES)?;
    limit("values", graph.values.len(), MAX_VALUES)?;
    limit("inputs", graph.inputs.len(), MAX_PORTS)?;
    limit("outputs", graph.outputs.len(), MAX_PORTS)?;
    check_values(graph)?;
    check_order(graph)?;
    graph.nodes.iter().try_for_each(|node| NodeCheck { graph, node }.run())
}

fn limit(what: &'static str, found: usize, limit: usize) -> Result<(), Error> {
    if found > limit {
        return Err(Error::LimitExceeded { what, found: found as u64, limit: limit as u64 });
    }
    Ok(())
}

fn check_values(graph: &Graph) -> Result<(), Error> {
    let mut names = HashSet::new();
    for value in &graph.values {
        let fail = |reason: String| Err(Error::invalid_graph(&value.name, reason));
        if value.name.is_empty() || value.name.len() > MAX_NAME_BYTES {
            return fail(format!("a name of {} bytes; 1 to {MAX_NAME_BYTES} are allowed", value.name.len()));
        }
        if !names.insert(&value.name) {
            return fail("the name is used twice".into());
        }
        if let Some(quant) = value.quant {
            let Some((lo, hi)) = value.dtype.range() else {
                return fail(format!("a quantization on type {}", value.dtype));
            };
            if !(MIN_SCALE..=MAX_SCALE).contains(&quant.scale) || !(lo..=hi).contains(&quant.zero_point) {
                return fail(format!(
                    "scale {} or zero point {} out of range",
                    quant.scale, quant.zero_point
                ));
            }
        }
        if let Some(constant) = &value.constant {
            element_count(&constant.shape)?;
            if constant.shape.len() > MAX_RANK {
                return fail(format!("rank {} is beyond {MAX_RANK}", constant.shape.len()));
            }
            if constant_range(value, constant, graph.weights().len()).is_none() {
                return fail(format!(
                    "its bytes lie outside the weights blob of {} bytes",
                    graph.weights().len()
                ));
            }
        }
    }
    Ok(())
}

/// Every value is written once, before it is read.
fn check_order(graph: &Graph) -> Result<(), Error> {
    let mut defined: Vec<bool> = graph.values.iter().map(|value| value.constant.is_some()).collect();
    let mut define = |id: ValueId, at: &str| match defined.get_mut(id.index()) {
        Some(slot) if !*slot => {
            *slot = true;
            Ok(())
        }
        Some(_) => Err(Error::invalid_graph(at, "writes a value that exists already")),
        None => Err(Error::invalid_graph(at, "names a value that does not exist")),
    };
    for port in &graph.inputs {
        define(port.value, &port.name)?;
        if port.shape.len() > MAX_RANK {
            return Err(Error::invalid_graph(
                &port.name,
                format!("rank {} is beyond {MAX_RANK}", port.shape.len()),
            ));
        }
    }
    for node in &graph.nodes {
        for &input in &node.inputs {
            if !defined.get(input.index()).copied().unwrap_or(false) {
                return Err(Error::invalid_graph(&node.name, "reads a value that nothing wrote before"));
            }
        }
        match defined.get_mut(node.output.index()) {
            Some(slot) if !*slot => *slot = true,
            _ => {
                return Err(Error::invalid_graph(
                    &node.name,
                    "writes a value that is missing or exists already",
                ));
            }
        }
    }
    for port in &graph.outputs {
        if !defined.get(port.value.index()).copied().unwrap_or(false) {
            return Err(Error::invalid_graph(&port.name, "is an output that nothing writes"));
        }
    }
    if graph.outputs.is_empty() {
        return Err(Error::invalid_graph(&graph.name, "has no output"));
    }
    Ok(())
}

/// Types, constants and attributes of one node.
struct NodeCheck<'a> {
    graph: &'a Graph,
    node: &'a Node,
}

impl NodeCheck<'_> {
    fn run(&self) -> Result<(), Error> {
        match &self.node.op {
            Op::Conv(conv, bounds) => self.conv(conv, *bounds),
            Op::FullyConnected(bounds) => {
                self.arity(4..=4)?;
                self.bounds(*bounds)?;
                self.weighted(2)
            }
            Op::MatMul(bounds) | Op::Add(bounds) | Op::Mul(bounds) => {
                self.arity(2..=2)?;
                self.bounds(*bounds)?;
                self.binary()
            }
            Op::AveragePool(pool) => {
                self.arity(1..=1)?;
                self.window(&pool.window)?;
                self.mean()
            }
            Op::GlobalAveragePool | Op::ReduceMean { .. } => {
                self.arity(1..=1)?;
                self.mean()
            }
            Op::Table => self.table(),
            Op::MaxPool(Pool { window, .. }) => {
                self.arity(1..=1)?;
                self.window(window)?;
                self.kept()
            }
            op @ (Op::Concat { .. }
            | Op::Reshape { .. }
            | Op::Flatten { .. }
            | Op::Squeeze { .. }
            | Op::Unsqueeze { .. }
            | Op::Transpose { .. }
            | Op::Move(_)) => self.movement(op),
            Op::Quantize { axis } => {
                self.arity(1..=3)?;
                self.border(*axis, self.node.output, self.input(0))
            }
            Op::Dequantize { axis } => {
                self.arity(1..=3)?;
                self.border(*axis, self.input(0), self.node.output)
            }
            Op::Float(op) => self.float(op),
            Op::General(op) => self.general(op),
        }
    }

    fn movement(&self, op: &Op) -> Result<(), Error> {
        match op {
            Op::Concat { .. } => {
                self.arity(1..=MAX_VALUES)?;
                self.kept()
            }
            Op::Reshape { shape, .. } => {
                self.arity(1..=1)?;
                self.rank(shape.len())?;
                self.kept()
            }
            Op::Squeeze { axes } | Op::Unsqueeze { axes } => {
                self.arity(1..=1)?;
                self.rank(axes.len())?;
                self.kept()
            }
            Op::Transpose { perm } => {
                self.arity(1..=1)?;
                self.rank(perm.len())?;
                let distinct: HashSet<_> = perm.iter().filter(|&&axis| axis < perm.len()).collect();
                self.require(distinct.len() == perm.len(), "its permutation is none")?;
                self.kept()
            }
            Op::Flatten { .. } => {
                self.arity(1..=1)?;
                self.kept()
            }
            Op::Move(op) => self.moved(op),
            op => Err(Error::invalid_graph(op.name(), "moves nothing")),
        }
    }

    fn conv(&self, conv: &Conv, bounds: Bounds) -> Result<(), Error> {
        self.arity(4..=4)?;
        self.window(&conv.window)?;
        self.bounds(bounds)?;
        self.weighted(4)?;
        let shape = self.shape(1);
        let fits =
            conv.groups > 0 && shape[0].is_multiple_of(conv.groups) && shape[2..] == conv.window.kernel;
        self.require(fits, "its weights do not fit its groups or kernel")
    }

    /// x quantized, i8 weights `[O, ...]` of `rank`, i32 bias `[O]`, f32 multipliers `[O]`, quantized output; and no
    /// accumulator can overflow.
    fn weighted(&self, rank: usize) -> Result<(), Error> {
        self.quantized(&[self.input(0), self.node.output])?;
        for (i, dtype) in [(1, DType::I8), (2, DType::I32), (3, DType::F32)] {
            let value = self.graph.value(self.input(i));
            self.require(
                value.constant.is_some() && value.dtype == dtype,
                "lacks constant weights of the right type",
            )?;
        }
        let weights = self.shape(1);
        self.require(weights.len() == rank, "its weights have the wrong rank")?;
        self.require(!weights.contains(&0), "its weights are empty")?;
        let per_channel = [weights[0]];
        let fits = self.shape(2) == per_channel && self.shape(3) == per_channel;
        self.require(fits, "bias or multipliers do not have one entry per output channel")?;
        accumulator_bounds(self.graph, self.node)
    }

    /// Two quantized operands whose steps, in steps of the output, are of moderate size: any more and every result
    /// would be at the end of its range, any less and every product zero.
    fn binary(&self) -> Result<(), Error> {
        self.quantized(&[self.input(0), self.input(1), self.node.output])?;
        let scale = |id| self.graph.quant(id).map(|quant| quant.scale);
        let (a, b, y) = (scale(self.input(0))?, scale(self.input(1))?, scale(self.node.output)?);
        match self.node.op {
            // A sum of products can need all 31 bits, so its multiplier must not exceed 1.
            Op::MatMul(_) => self.ratio(MAX_RATIO * numerics::multiplier(a, b, y)),
            // The product of two 8-bit values has 16 bits.
            Op::Mul(_) => self.ratio(255.0 * numerics::multiplier(a, b, y)),
            _ => self.ratio(a / y).and_then(|()| self.ratio(b / y)),
        }
    }

    /// A quantized input and output, and the same of their steps.
    fn mean(&self) -> Result<(), Error> {
        self.quantized(&[self.input(0), self.node.output])?;
        self.ratio(self.graph.quant(self.input(0))?.scale / self.graph.quant(self.node.output)?.scale)
    }

    fn ratio(&self, ratio: f32) -> Result<(), Error> {
        let reason =
            format!("has scales whose ratio {ratio:e} is not between {MIN_SCALE:e} and {MAX_RATIO:e}");
        self.require((MIN_SCALE..=MAX_RATIO).contains(&ratio), &reason)
    }

    fn table(&self) -> Result<(), Error> {
        self.arity(2..=2)?;
        let (x, table) = (self.graph.value(self.input(0)), self.graph.value(self.input(1)));
        let output = self.graph.value(self.node.output);
        let fits = x.dtype.range().is_some()
            && output.dtype.range().is_some()
            && table.dtype == output.dtype
            && table.constant.as_ref().is_some_and(|c| c.shape == [256]);
        self.require(fits, "needs an 8-bit input and a constant table of 256 entries of the output's type")
    }

    /// A quantize (or dequantize) node: `ints` on the 8-bit side, `reals` on the other.
    fn border(&self, axis: Option<i64>, ints: ValueId, reals: ValueId) -> Result<(), Error> {
        let (ints, reals) = (self.graph.value(ints), self.graph.value(reals));
        self.require(reals.dtype == DType::F32, "needs f32 on its real side")?;
        if axis.is_none() {
            self.arity(1..=1)?;
            return self.require(ints.quant.is_some(), "needs a scale on its integer side");
        }
        self.arity(3..=3)?;
        let (scales, zeros) = (self.graph.value(self.input(1)), self.graph.value(self.input(2)));
        let fits = scales.dtype == DType::F32
            && zeros.dtype == DType::I32
            && matches!((&scales.constant, &zeros.constant), (Some(s), Some(z)) if s.shape.len() == 1 && s.shape == z.shape)
            && (ints.dtype.range().is_some() || ints.dtype == DType::I32);
        self.require(fits, "needs constant f32 scales and i32 zero points of one length")
    }

    fn float(&self, op: &FloatOp) -> Result<(), Error> {
        match op {
            FloatOp::Conv(conv) => {
                self.arity(2..=3)?;
                self.require(conv.groups > 0, "has no group")?;
                self.window(&conv.window)?;
            }
            FloatOp::MatMul(_) => self.arity(2..=3)?,
            FloatOp::Binary(_) => self.arity(2..=2)?,
            FloatOp::AveragePool(pool) => {
                self.arity(1..=1)?;
                self.window(&pool.window)?;
            }
            FloatOp::Reduce { axes, .. } => {
                self.arity(1..=1)?;
                self.rank(axes.len())?;
            }
            FloatOp::Unary(_) | FloatOp::GlobalAveragePool | FloatOp::Softmax { .. } => self.arity(1..=1)?,
            op => self.hosted_float(op)?,
        }
        let indices = self.index_operands(op);
        let operands = self.node.inputs.iter().chain([&self.node.output]).enumerate();
        let fits = |(i, &id): (usize, &ValueId)| {
            let expected = if indices.contains(&i) { DType::I64 } else { DType::F32 };
            self.graph.value(id).dtype == expected
        };
        self.require({ operands }.all(fits), "an f32 operation on another type")
    }

    fn input(&self, i: usize) -> ValueId {
        self.node.inputs[i]
    }

    /// Shape of a constant input; empty if it is none.
    fn shape(&self, i: usize) -> &[usize] {
        self.graph.value(self.input(i)).constant.as_ref().map_or(&[], |constant| &constant.shape)
    }

    fn arity(&self, allowed: std::ops::RangeInclusive<usize>) -> Result<(), Error> {
        self.require(allowed.contains(&self.node.inputs.len()), "has the wrong number of inputs")
    }

    fn rank(&self, rank: usize) -> Result<(), Error> {
        self.require(rank <= MAX_RANK, "has too many axes")
    }

    fn quantized(&self, ids: &[ValueId]) -> Result<(), Error> {
        self.require(ids.iter().all(|&id| self.graph.value(id).quant.is_some()), "needs quantized tensors")
    }

    /// Every input has the output's type, and its quantization where both have one: bytes are moved as they are.
    fn kept(&self) -> Result<(), Error> {
        let output = self.graph.value(self.node.output);
        let same = |&id: &ValueId| {
            let input = self.graph.value(id);
            input.dtype == output.dtype
                && (input.quant == output.quant || input.quant.is_none() || output.quant.is_none())
        };
        self.require(self.node.inputs.iter().all(same), "must keep type and quantization")
    }

    fn bounds(&self, bounds: Bounds) -> Result<(), Error> {
        let range = self.graph.value(self.node.output).dtype.range();
        let fits = range.is_some_and(|(lo, hi)| lo <= bounds.lo && bounds.lo <= bounds.hi && bounds.hi <= hi);
        self.require(fits, "has bounds outside its type")
    }

    fn window(&self, window: &Window) -> Result<(), Error> {
        let positive = [window.kernel, window.strides, window.dilations]
            .as_flattened()
            .iter()
            .all(|&n| (1..=MAX_EXTENT).contains(&n));
        let pads = match window.pads {
            Pads::Explicit(pads) => pads,
            Pads::SameUpper | Pads::SameLower => [0; 4],
        };
        let fits = positive && pads.iter().all(|&n| n <= MAX_EXTENT);
        self.require(
            fits && window.kernel[0] * window.kernel[1] <= MAX_TENSOR_BYTES,
            "has an impossible window",
        )
    }

    fn require(&self, holds: bool, reason: &str) -> Result<(), Error> {
        if holds {
            Ok(())
        } else {
            Err(Error::invalid_graph(&self.node.name, format!("{} {reason}", self.node.op.name())))
        }
    }
}

/// The products of an output channel must fit an i32 whatever the input: `255 * sum|w| < 2^31`. The bias is then added
/// in two's complement. (Quantizers give dead channels a bias next to -2^31 and weights next to nothing; adding its
/// magnitude to the bound would refuse EfficientNet-Lite0.) Multipliers must be normal and at most 1 where the
/// accumulator can reach 2^31, so that the scaled accumulator fits an i32 too.
fn accumulator_bounds(graph: &Graph, node: &Node) -> Result<(), Error> {
    let [Some(weights), Some(bias), Some(multipliers)] = [1, 2, 3].map(|i| graph.constant(node.inputs[i]))
    else {
        return Err(Error::invalid_graph(&node.name, "lacks constant weights"));
    };
    let (Data::I8(weights), bias) = (weights.data(), bias.widened()?) else {
        return Err(Error::invalid_graph(&node.name, "lacks i8 weights"));
    };
    let per_channel = weights.len() / bias.len();
    for (channel, (&bias, &multiplier)) in bias.iter().zip(multipliers.as_f32()?).enumerate() {
        let row = &weights[channel * per_channel..][..per_channel];
        let products = 255 * row.iter().map(|w| u64::from(w.unsigned_abs())).sum::<u64>();
        if products > i32::MAX as u64 {
            return Err(Error::AccumulatorOverflow { node: node.name.clone(), channel, found: products });
        }
        let largest = (products + u64::from(bias.unsigned_abs())).min(1 << 31);
        let scaled = largest as f64 * f64::from(multiplier);
        if !multiplier.is_normal() || multiplier < 0.0 || scaled > f64::from(i32::MAX) + 1.0 {
            let reason =
                format!("output channel {channel} has multiplier {multiplier:e}, which can exceed 32 bits");
            return Err(Error::invalid_graph(&node.name, reason));
        }
    }
    Ok(())
}
