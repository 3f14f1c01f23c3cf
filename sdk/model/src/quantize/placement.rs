//! Which tensors of a float model are quantized: those that the operations with an integer form read and write. What
//! follows from the rules of [`crate::passes`] and costs nothing is used:
//!
//! - Relu and Clip after an operation become its bounds, so Quantize comes after them.
//! - An element-wise function of one quantized tensor becomes one table, however many operations it is spelt in: nothing
//!   is quantized inside.
//! - Operations that only move or select elements keep scale and zero point, so all their tensors share one pair.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::error::Error;
use crate::graph::{BinaryOp, FloatOp, Graph, MatMul, Node, Op, ReduceOp, UnaryOp, ValueId};
use crate::tensor::{DType, Tensor};

/// A convolution or matrix product with constant weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The node's name.
    pub name: String,
    /// Index of the node in [`Graph::nodes`].
    pub node: usize,
    /// The activation that it reads.
    pub input: ValueId,
    /// Its weights.
    pub weights: ValueId,
    /// The axis of the weights along which output channels lie.
    pub axis: usize,
    /// Its bias, if it has one.
    pub bias: Option<ValueId>,
    /// Whether ONNX's operator can have a bias.
    pub takes_bias: bool,
    /// What the node itself writes.
    pub sum: ValueId,
    /// The same after Relu and Clip: what is quantized.
    pub output: ValueId,
    /// Axis of `sum` along which channels lie; the last one is `None`.
    pub channel_axis: Option<usize>,
}

/// A tensor that is quantized.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedTensor {
    /// The value in the float graph.
    pub value: ValueId,
    /// Tensors of one group have one scale and zero point.
    pub group: usize,
    /// Whether its elements are to be looked at for the group's range; otherwise they are another's, moved.
    pub observed: bool,
}

/// An operation that has no integer form here.
#[derive(Clone, Debug, PartialEq)]
pub struct StaysFloat {
    /// The node's name.
    pub node: String,
    /// Why.
    pub reason: String,
}

/// Where a model is quantized.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The layers that get integer weights, in execution order.
    pub layers: Vec<Layer>,
    /// The tensors that get Quantize and Dequantize, in execution order; constants among them.
    pub tensors: Vec<QuantizedTensor>,
    /// Number of groups.
    pub groups: usize,
    /// Operations of the float model without an integer form, and layers that were asked to stay.
    pub float: Vec<StaysFloat>,
}

impl Placement {
    /// Finds what is quantized. Layers named in `keep` stay in float.
    ///
    /// # Errors
    /// [`Error::NothingToQuantize`]; [`Error::NotFinite`] for weights or biases with NaN or infinity.
    pub fn of(graph: &Graph, keep: &BTreeSet<String>) -> Result<Self, Error> {
        let mut search = Search::of(graph);
        for (i, node) in graph.nodes.iter().enumerate() {
            search.look_at(i, node, keep)?;
        }
        if search.integer.is_empty() {
            let reasons: Vec<String> =
                search.float.iter().take(5).map(|f| format!("`{}`: {}", f.node, f.reason)).collect();
            return Err(Error::NothingToQuantize { reasons: reasons.join("; ") });
        }
        for i in search.integer.clone() {
            search.need_around(i);
        }
        Ok(search.finish())
    }
}

/// What a node can become.
enum Form {
    Layer(Box<Layer>),
    Integer,
    Elsewhere,
    Float(String),
}

struct Search<'a> {
    graph: &'a Graph,
    producers: HashMap<ValueId, usize>,
    readers: HashMap<ValueId, Vec<usize>>,
    outputs: HashSet<ValueId>,
    /// For each element-wise function of one tensor: that tensor.
    roots: HashMap<ValueId, ValueId>,
    layers: Vec<Layer>,
    integer: BTreeSet<usize>,
    float: Vec<StaysFloat>,
    needed: HashSet<ValueId>,
    /// Union-find over values.
    parents: Vec<usize>,
}

impl<'a> Search<'a> {
    fn of(graph: &'a Graph) -> Self {
        let mut readers: HashMap<ValueId, Vec<usize>> = HashMap::new();
        for (i, node) in graph.nodes.iter().enumerate() {
            for &id in &node.inputs {
                readers.entry(id).or_default().push(i);
            }
        }
        Self {
            graph,
            producers: graph.nodes.iter().enumerate().map(|(i, node)| (node.output, i)).collect(),
            readers,
            outputs: graph.outputs.iter().map(|port| port.value).collect(),
            roots: HashMap::new(),
            layers: Vec::new(),
            integer: BTreeSet::new(),
            float: Vec::new(),
            needed: HashSet::new(),
            parents: (0..graph.values.len()).collect(),
        }
    }

    fn look_at(&mut self, i: usize, node: &Node, keep: &BTreeSet<String>) -> Result<(), Error> {
        if let Some(root) = self.root(node) {
            self.roots.insert(node.output, root);
            return Ok(());
        }
        match self.form(i, node)? {
            Form::Layer(layer) if keep.contains(&node.name) => {
                self.float.push(StaysFloat { node: layer.name, reason: "kept in float".into() });
            }
            Form::Layer(layer) => {
                self.layers.push(*layer);
                self.integer.insert(i);
            }
            Form::Integer => {
                self.integer.insert(i);
            }
            Form::Float(reason) => self.float.push(StaysFloat { node: node.name.clone(), reason }),
            Form::Elsewhere => {}
        }
        Ok(())
    }

    fn form(&self, i: usize, node: &Node) -> Result<Form, Error> {
        let Op::Float(op) = &node.op else { return Ok(Form::Elsewhere) };
        if self.bounds_another(node) {
            return Ok(Form::Elsewhere);
        }
        Ok(match op {
            FloatOp::Conv(_) => self.layer(i, node, 0, true, Some(1))?,
            FloatOp::MatMul(m) => self.product(i, node, m)?,
            FloatOp::Binary(BinaryOp::Add | BinaryOp::Mul)
            | FloatOp::AveragePool(_)
            | FloatOp::GlobalAveragePool
            | FloatOp::Reduce { op: ReduceOp::Mean, .. } => Form::Integer,
            FloatOp::ConvNd { .. } => {
                Form::Float("only convolutions over two axes have an integer form".into())
            }
            op => Form::Float(format!("{} has no integer form", op.name().trim_end_matches(" (f32)"))),
        })
    }

    fn product(&self, i: usize, node: &Node, m: &MatMul) -> Result<Form, Error> {
        let weights = node.inputs[1];
        if self.is_constant(weights) {
            let third = node.inputs.get(2);
            if m.alpha != 1.0 || m.trans_a || (third.is_some() && m.beta != 1.0) {
                return Ok(Form::Float("a product with alpha, beta or transA has no integer form".into()));
            }
            // MatMul has no third input; Gemm, which can have one, is told by having one or by a transpose.
            let gemm = third.is_some() || m.trans_b;
            return self.layer(i, node, usize::from(!m.trans_b), gemm, None);
        }
        let plain = m.alpha == 1.0 && !m.trans_a && !m.trans_b && node.inputs.len() == 2;
        Ok(if plain && !self.is_constant(node.inputs[0]) {
            Form::Integer
        } else {
            Form::Float("its weights are computed at run time".into())
        })
    }

    /// A layer, if its weights and bias are constants that fit.
    fn layer(
        &self,
        i: usize,
        node: &Node,
        axis: usize,
        takes_bias: bool,
        channel_axis: Option<usize>,
    ) -> Result<Form, Error> {
        let (input, weights) = (node.inputs[0], node.inputs[1]);
        let Some(tensor) = self.graph.constant(weights).filter(|tensor| tensor.shape().len() >= 2) else {
            return Ok(Form::Float("its weights are computed at run time".into()));
        };
        if self.is_constant(input) || (channel_axis.is_none() && tensor.shape().len() != 2) {
            return Ok(Form::Float("its weights are no matrix".into()));
        }
        check_finite(&self.graph.value(weights).name, &tensor)?;
        let bias = node.inputs.get(2).copied();
        if let Some(bias) = bias {
            match self.graph.constant(bias).filter(|b| b.len() == tensor.shape()[axis]) {
                Some(reals) => check_finite(&self.graph.value(bias).name, &reals)?,
                None => return Ok(Form::Float("its bias is no constant with one element a channel".into())),
            }
        }
        Ok(Form::Layer(Box::new(Layer {
            name: node.name.clone(),
            node: i,
            input,
            weights,
            axis,
            bias,
            takes_bias,
            sum: node.output,
            output: self.bounded(node.output),
            channel_axis,
        })))
    }

    fn is_constant(&self, id: ValueId) -> bool {
        self.graph.value(id).constant.is_some()
    }

    /// The value after the Relu and Clip that alone read `id`, one after the other.
    fn bounded(&self, mut id: ValueId) -> ValueId {
        while let Some(&[reader]) = self.readers.get(&id).map(Vec::as_slice)
            && !self.outputs.contains(&id)
            && is_bound(&self.graph.nodes[reader].op)
        {
            id = self.graph.nodes[reader].output;
        }
        id
    }

    /// Whether a node is Relu or Clip and becomes the bounds of the operation before it.
    fn bounds_another(&self, node: &Node) -> bool {
        let mut current = node;
        while is_bound(&current.op) {
            let id = current.inputs[0];
            let alone = self.readers.get(&id).is_some_and(|readers| readers.len() == 1);
            match self.producers.get(&id).filter(|_| alone && !self.outputs.contains(&id)) {
                Some(&i) => current = &self.graph.nodes[i],
                None => return false,
            }
        }
        self.takes_bounds(current) && !std::ptr::eq(current, node)
    }

    fn takes_bounds(&self, node: &Node) -> bool {
        match &node.op {
            Op::Float(FloatOp::Conv(_) | FloatOp::MatMul(_)) => true,
            Op::Float(FloatOp::Binary(BinaryOp::Add | BinaryOp::Mul)) => {
                !self.roots.contains_key(&node.output)
            }
            _ => false,
        }
    }

    /// The one tensor that an element-wise node computes a function of.
    fn root(&self, node: &Node) -> Option<ValueId> {
        if !matches!(node.op, Op::Float(FloatOp::Unary(_) | FloatOp::Binary(_))) || self.bounds_another(node)
        {
            return None;
        }
        let mut root = None;
        for &id in &node.inputs {
            if let Some(constant) = &self.graph.value(id).constant {
                if constant.shape.iter().product::<usize>() != 1 {
                    return None;
                }
                continue;
            }
            let from = self.roots.get(&id).copied().unwrap_or(id);
            if *root.get_or_insert(from) != from {
                return None;
            }
        }
        root
    }

    /// Asks for the tensors that an integer operation reads and writes.
    fn need_around(&mut self, i: usize) {
        let node = &self.graph.nodes[i];
        let read = match &node.op {
            Op::Float(FloatOp::Binary(_)) => 2,
            Op::Float(FloatOp::MatMul(_)) if !self.is_constant(node.inputs[1]) => 2,
            _ => 1,
        };
        for &id in &node.inputs[..read] {
            self.need(id);
        }
        let output = if self.takes_bounds(node) { self.bounded(node.output) } else { node.output };
        self.need(output);
    }

    /// Marks a tensor, and those before it from which it then follows in integers.
    fn need(&mut self, id: ValueId) {
        let mut work = vec![id];
        while let Some(id) = work.pop() {
            if self.graph.value(id).dtype != DType::F32 || !self.needed.insert(id) || self.is_constant(id) {
                continue;
            }
            match (self.roots.get(&id), self.producers.get(&id)) {
                (Some(&root), _) if self.is_integer(root) => work.push(root),
                (None, Some(&i)) if self.keeps_values(&self.graph.nodes[i]) => {
                    let node = &self.graph.nodes[i];
                    for &from in &node.inputs[..node.op.carried(node.inputs.len())] {
                        self.join(id, from);
                        work.push(from);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether a tensor is an input, or can be had as integers; a function of anything else is as well computed in f32.
    fn is_integer(&self, id: ValueId) -> bool {
        match self.producers.get(&id) {
            None => true,
            Some(i) if self.integer.contains(i) || self.needed.contains(&id) => true,
            Some(&i) => self.keeps_values(&self.graph.nodes[i]) || self.bounds_another(&self.graph.nodes[i]),
        }
    }

    /// Whether a node moves or selects elements of activations. A fill that is a constant would have to be quantized too.
    fn keeps_values(&self, node: &Node) -> bool {
        let carried = &node.inputs[..node.op.carried(node.inputs.len())];
        match &node.op {
            Op::Concat { .. } => true,
            Op::MaxPool(_) => true,
            op => op.is_movement() && !carried.iter().any(|&id| self.is_constant(id)),
        }
    }

    fn find(&mut self, id: ValueId) -> usize {
        let mut at = id.index();
        while self.parents[at] != at {
            self.parents[at] = self.parents[self.parents[at]];
            at = self.parents[at];
        }
        at
    }

    fn join(&mut self, a: ValueId, b: ValueId) {
        let (a, b) = (self.find(a), self.find(b));
        self.parents[a.max(b)] = a.min(b);
    }

    fn finish(mut self) -> Placement {
        let mut numbers: HashMap<usize, usize> = HashMap::new();
        let mut tensors = Vec::new();
        for i in 0..self.graph.values.len() {
            let id = ValueId(u32::try_from(i).unwrap_or(u32::MAX));
            if !self.needed.contains(&id) {
                continue;
            }
            let root = self.find(id);
            let next = numbers.len();
            let group = *numbers.entry(root).or_insert(next);
            let moved = self.producers.get(&id).is_some_and(|&p| self.keeps_values(&self.graph.nodes[p]));
            tensors.push(QuantizedTensor { value: id, group, observed: !moved });
        }
        Placement { layers: self.layers, tensors, groups: numbers.len(), float: self.float }
    }
}

fn is_bound(op: &Op) -> bool {
    matches!(op, Op::Float(FloatOp::Unary(UnaryOp::Relu | UnaryOp::Clip { .. })))
}

fn check_finite(name: &str, tensor: &Tensor) -> Result<(), Error> {
    match tensor.as_f32()?.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::NotFinite { tensor: name.to_owned(), element: at }),
    }
}
