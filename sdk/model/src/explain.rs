//! Why nodes run in f32: which missing Quantize or Dequantize keeps each from 8 bits.

use std::collections::HashMap;
use std::fmt;

use crate::graph::{BinaryOp, FloatOp, Graph, Node, Op, ReduceOp, UnaryOp, ValueId};

/// A node that runs in f32.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatNode<'a> {
    /// The node.
    pub node: &'a Node,
    /// What keeps it there.
    pub reason: FloatReason,
}

/// What keeps a node in f32; its text says what is missing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FloatReason {
    /// No 8-bit operation is defined for it.
    NoIntegerForm,
    /// An input is an f32 input of the model that nothing quantizes.
    InputNotQuantized {
        /// The input.
        input: String,
    },
    /// An input is the f32 result of another node.
    InputIsFloat {
        /// The value.
        input: String,
        /// The node that writes it.
        producer: String,
    },
    /// Constant weights, or another constant operand, are floats, or of a quantization that is not symmetric 8 bits with one
    /// scale or one an output channel.
    ConstantIsFloat {
        /// The constant.
        input: String,
    },
    /// The result is an output of the model, as f32.
    OutputIsFloat {
        /// The model's output.
        output: String,
    },
    /// A node reads the result as f32.
    OutputNotQuantized {
        /// The node.
        reader: String,
    },
    /// Inputs and output are quantized, but not by parameters that the 8-bit operation has.
    OtherForm,
}

impl fmt::Display for FloatReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FloatReason::NoIntegerForm => f.write_str("the operation has no integer form"),
            FloatReason::InputNotQuantized { input } => {
                write!(f, "input `{input}` of the model is not quantized")
            }
            FloatReason::InputIsFloat { input, producer } => {
                write!(f, "input `{input}` comes from float node `{producer}`")
            }
            FloatReason::ConstantIsFloat { input } => {
                write!(
                    f,
                    "`{input}` is not a symmetric 8-bit constant with one scale or one per output channel"
                )
            }
            FloatReason::OutputIsFloat { output } => {
                write!(f, "output not quantized: it is output `{output}` of the model")
            }
            FloatReason::OutputNotQuantized { reader } => {
                write!(f, "output not quantized: node `{reader}` reads it as f32")
            }
            FloatReason::OtherForm => {
                f.write_str("its attributes, bias or quantization do not fit the integer operation")
            }
        }
    }
}

/// Every node that runs in f32, in execution order, with the first reason found: activations are looked at before
/// the result, and that before weights.
/// Dequantize and Quantize themselves are not among them.
pub fn float_nodes(graph: &Graph) -> Vec<FloatNode<'_>> {
    let around = Around::of(graph);
    let floats = graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Float(op) => Some(FloatNode { node, reason: around.reason(node, op) }),
        _ => None,
    });
    floats.collect()
}

/// What an 8-bit form of an operation needs of its inputs: activations first, then weights and bias.
enum Form {
    /// Quantized activations, so many.
    Activations(usize),
    /// An activation and constant weights.
    Weighted,
    /// An activation and constant weights or another activation.
    Product,
    /// Of one quantized tensor, and scalars.
    Table,
    /// None.
    Missing,
}

fn form(op: &FloatOp) -> Form {
    match op {
        FloatOp::Conv(_) => Form::Weighted,
        FloatOp::MatMul(_) => Form::Product,
        FloatOp::Binary(BinaryOp::Add | BinaryOp::Mul) => Form::Activations(2),
        FloatOp::Unary(_) => Form::Table,
        FloatOp::AveragePool(_) | FloatOp::GlobalAveragePool => Form::Activations(1),
        FloatOp::Reduce { op: ReduceOp::Mean, .. } => Form::Activations(1),
        _ => Form::Missing,
    }
}

/// A graph with its connections looked up once.
struct Around<'a> {
    graph: &'a Graph,
    producers: HashMap<ValueId, &'a Node>,
    readers: HashMap<ValueId, Vec<&'a Node>>,
}

impl<'a> Around<'a> {
    fn of(graph: &'a Graph) -> Self {
        let mut readers: HashMap<ValueId, Vec<&Node>> = HashMap::new();
        for node in &graph.nodes {
            for &id in &node.inputs {
                readers.entry(id).or_default().push(node);
            }
        }
        let producers = graph.nodes.iter().map(|node| (node.output, node)).collect();
        Self { graph, producers, readers }
    }

    fn reason(&self, node: &Node, op: &FloatOp) -> FloatReason {
        let (activations, weights) = match form(op) {
            Form::Missing => return FloatReason::NoIntegerForm,
            Form::Activations(n) => (n, None),
            Form::Table => (1, None),
            Form::Weighted => (1, Some(1)),
            Form::Product if self.is_constant(node, 1) => (1, Some(1)),
            Form::Product => (2, None),
        };
        let operands = node.inputs.iter().take(activations).find_map(|&id| self.operand(id));
        // Import has folded the weights of every layer that stays in f32, so they say nothing until all else is there.
        let weights = || weights.and_then(|i| self.weights(node.inputs[i]));
        let missing = operands.or_else(|| self.result(node.output)).or_else(weights);
        missing.unwrap_or(FloatReason::OtherForm)
    }

    fn is_constant(&self, node: &Node, i: usize) -> bool {
        node.inputs.get(i).is_some_and(|&id| self.graph.value(id).constant.is_some())
    }

    /// What is wrong with an activation: nothing if it is dequantized by one scale.
    fn operand(&self, id: ValueId) -> Option<FloatReason> {
        let input = self.graph.value(id).name.clone();
        if self.graph.value(id).constant.is_some() {
            return Some(FloatReason::ConstantIsFloat { input });
        }
        match self.producers.get(&id) {
            None => Some(FloatReason::InputNotQuantized { input }),
            Some(node) if node.op == (Op::Dequantize { axis: None }) => None,
            Some(node) => Some(FloatReason::InputIsFloat { input, producer: node.name.clone() }),
        }
    }

    /// Weights that import could not keep as integers are f32 constants by now.
    fn weights(&self, id: ValueId) -> Option<FloatReason> {
        let input = self.graph.value(id).name.clone();
        match self.producers.get(&id) {
            Some(node) if matches!(node.op, Op::Dequantize { .. }) => None,
            Some(node) => Some(FloatReason::InputIsFloat { input, producer: node.name.clone() }),
            None if self.graph.value(id).constant.is_some() => Some(FloatReason::ConstantIsFloat { input }),
            None => Some(FloatReason::InputNotQuantized { input }),
        }
    }

    /// What is wrong with the result: nothing if one Quantize alone reads it, behind Relu and Clip.
    fn result(&self, mut id: ValueId) -> Option<FloatReason> {
        loop {
            if let Some(port) = self.graph.outputs.iter().find(|port| port.value == id) {
                return Some(FloatReason::OutputIsFloat { output: port.name.clone() });
            }
            let readers = self.readers.get(&id).map_or(&[][..], Vec::as_slice);
            let quantizes = |node: &&Node| node.op == (Op::Quantize { axis: None });
            match readers {
                [node] if quantizes(node) => return None,
                [node] if is_bound(&node.op) => id = node.output,
                readers => {
                    let float = readers.iter().find(|node| !quantizes(node))?;
                    return Some(FloatReason::OutputNotQuantized { reader: float.name.clone() });
                }
            }
        }
    }
}

fn is_bound(op: &Op) -> bool {
    matches!(op, Op::Float(FloatOp::Unary(UnaryOp::Relu | UnaryOp::Clip { .. })))
}
