//! Runs a float graph, with every tensor open to be looked at or changed on the way.

use super::convolution::convolve;
use crate::error::Error;
use crate::graph::{BinaryOp, FloatOp, Graph, Node, Op, Port, ValueId};
use crate::reference;
use crate::shape::{self, Shapes};
use crate::tensor::Tensor;

/// A float graph ready to run, its constants unpacked. Constants can be replaced; many threads can run it at once.
#[derive(Clone, Debug)]
pub struct Forward<'a> {
    graph: &'a Graph,
    constants: Vec<Option<Tensor>>,
    /// For each node the values that no later node reads.
    dying: Vec<Vec<ValueId>>,
}

impl<'a> Forward<'a> {
    /// Unpacks a graph's constants.
    pub fn new(graph: &'a Graph) -> Self {
        let constants = (0..graph.values.len()).map(|i| graph.constant(id(i))).collect();
        let mut last = vec![None; graph.values.len()];
        for (i, node) in graph.nodes.iter().enumerate() {
            for value in node.inputs.iter().chain([&node.output]) {
                last[value.index()] = Some(i);
            }
        }
        for port in &graph.outputs {
            last[port.value.index()] = None;
        }
        let mut dying = vec![Vec::new(); graph.nodes.len()];
        for (value, at) in last.into_iter().enumerate() {
            if let Some(at) = at {
                dying[at].push(id(value));
            }
        }
        Self { graph, constants, dying }
    }

    /// What it runs.
    pub fn graph(&self) -> &'a Graph {
        self.graph
    }

    /// Uses another tensor for a constant; it has the shape of the old one.
    pub fn replace(&mut self, value: ValueId, tensor: Tensor) {
        self.constants[value.index()] = Some(tensor);
    }

    /// Runs `inputs`, in the order of the graph's. `tap` gets every tensor as soon as it is there, inputs first, and may
    /// change it for all that read it.
    ///
    /// # Errors
    /// Those of shape inference and evaluation, and of `tap`.
    pub fn run<E: From<Error>>(
        &self,
        inputs: Vec<Tensor>,
        mut tap: impl FnMut(ValueId, &mut Tensor) -> Result<(), E>,
    ) -> Result<Vec<Tensor>, E> {
        let shapes = self.shapes(&inputs)?;
        let mut values: Vec<Option<Tensor>> = vec![None; self.graph.values.len()];
        for (port, mut tensor) in self.graph.inputs.iter().zip(inputs) {
            tap(port.value, &mut tensor)?;
            values[port.value.index()] = Some(tensor);
        }
        for (i, node) in self.graph.nodes.iter().enumerate() {
            let mut output = self.evaluate(node, &values, &shapes)?;
            tap(node.output, &mut output)?;
            values[node.output.index()] = Some(output);
            for value in &self.dying[i] {
                values[value.index()] = None;
            }
        }
        Ok(self.outputs(&values)?)
    }

    /// Shapes of every value for these inputs.
    ///
    /// # Errors
    /// Those of shape inference; [`Error::Shape`] names the first node whose shape depends on values.
    pub fn shapes(&self, inputs: &[Tensor]) -> Result<Shapes, Error> {
        let given: Vec<_> = inputs.iter().map(|input| input.shape().to_vec()).collect();
        let shapes = shape::infer(self.graph, &given)?;
        match self.graph.nodes.iter().find(|node| shapes.is_late(node.output)) {
            None => Ok(shapes),
            Some(node) => Err(Error::Shape {
                node: node.name.clone(),
                op: node.op.name().into(),
                reason: "the shape of its output depends on values; quantize the network before it".into(),
            }),
        }
    }

    /// Values that nothing reads after node `i`.
    pub fn dying(&self, i: usize) -> &[ValueId] {
        &self.dying[i]
    }

    /// Computes one node from the values so far, by their index.
    ///
    /// # Errors
    /// Those of evaluation; [`Error::InvalidGraph`] if a value is not there.
    pub fn evaluate(&self, node: &Node, values: &[Option<Tensor>], shapes: &Shapes) -> Result<Tensor, Error> {
        let operand = |value: &ValueId| {
            values[value.index()].as_ref().or(self.constants[value.index()].as_ref()).ok_or_else(|| {
                let at = self.graph.value(*value).name.clone();
                Error::InvalidGraph { at, reason: "was never computed".into() }
            })
        };
        let operands = node.inputs.iter().map(operand).collect::<Result<Vec<_>, _>>()?;
        let shape = shapes.of(node.output);
        match (&node.op, operands.as_slice()) {
            _ if shape.contains(&0) => reference::evaluate(self.graph, node, &operands, shapes),
            (Op::Float(FloatOp::Conv(conv)), [x, weights, rest @ ..]) => {
                convolve(conv, x, weights, rest.first().copied(), shape)
            }
            (Op::Float(FloatOp::Binary(op)), [a, b]) if a.shape() == b.shape() => same_shape(*op, a, b)
                .unwrap_or_else(|| reference::evaluate(self.graph, node, &operands, shapes)),
            _ => reference::evaluate(self.graph, node, &operands, shapes),
        }
    }

    /// The graph's outputs among the values.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] if one is not there.
    pub fn outputs(&self, values: &[Option<Tensor>]) -> Result<Vec<Tensor>, Error> {
        let output = |port: &Port| {
            let found = values[port.value.index()].as_ref().or(self.constants[port.value.index()].as_ref());
            found.cloned().ok_or_else(|| Error::InvalidGraph {
                at: port.name.clone(),
                reason: "was never computed".into(),
            })
        };
        self.graph.outputs.iter().map(output).collect()
    }
}

/// The commonest functions of two tensors without broadcasting, which in the reference dominates their time.
fn same_shape(op: BinaryOp, a: &Tensor, b: &Tensor) -> Option<Result<Tensor, Error>> {
    let f: fn(f32, f32) -> f32 = match op {
        BinaryOp::Add => |a, b| a + b,
        BinaryOp::Sub => |a, b| a - b,
        BinaryOp::Mul => |a, b| a * b,
        _ => return None,
    };
    let (xs, ys) = (a.as_f32().ok()?, b.as_f32().ok()?);
    Some(Tensor::f32(a.shape(), xs.iter().zip(ys).map(|(&x, &y)| f(x, y)).collect()))
}

/// The id of the value with this index.
fn id(index: usize) -> ValueId {
    ValueId(u32::try_from(index).unwrap_or(u32::MAX)) // a graph has at most MAX_VALUES
}
