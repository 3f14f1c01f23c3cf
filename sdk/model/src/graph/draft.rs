//! The draft: a graph while it is being made and rewritten. Constants are whole tensors and nodes can be replaced
//! freely; [`Draft::freeze`] drops what nothing uses, orders the nodes and packs the constants.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{CONSTANT_ALIGN, Constant, GRAPH_SCHEMA, Graph, Node, Op, Port, Value, ValueId};
use crate::error::Error;
use crate::limits::{MAX_CONSTANT_BYTES, MAX_NAME_BYTES};
use crate::tensor::{DType, Quant, Tensor};

/// A value of a draft.
#[derive(Clone, Debug)]
pub struct DraftValue {
    /// The model's name for it.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Quantization, on 8-bit activations.
    pub quant: Option<Quant>,
    /// The tensor, if it is a constant.
    pub constant: Option<Tensor>,
}

/// A graph under construction.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The model's name.
    pub name: String,
    /// Every value made so far; ids stay valid, unused ones are dropped by [`Draft::freeze`].
    pub values: Vec<DraftValue>,
    /// The operations, in any order.
    pub nodes: Vec<Node>,
    /// Inputs of the whole.
    pub inputs: Vec<Port>,
    /// Outputs of the whole.
    pub outputs: Vec<Port>,
    /// Bytes of all constants made so far; [`Draft::constant`] keeps it.
    pub constant_bytes: u64,
}

impl Draft {
    /// Adds an activation.
    pub fn activation(&mut self, name: impl Into<String>, dtype: DType, quant: Option<Quant>) -> ValueId {
        self.add(DraftValue { name: name.into(), dtype, quant, constant: None })
    }

    /// Adds a constant.
    pub fn constant(&mut self, name: impl Into<String>, tensor: Tensor) -> ValueId {
        self.constant_bytes += tensor.len() as u64 * tensor.dtype().size() as u64;
        self.add(DraftValue { name: name.into(), dtype: tensor.dtype(), quant: None, constant: Some(tensor) })
    }

    /// Whether the constants made so far, and `more` bytes, stay within the limit. To be asked between constants: many
    /// operations of a small file can each have their own copy of one large tensor.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] if they do not.
    pub fn check_constants(&self, more: u64) -> Result<(), Error> {
        let found = self.constant_bytes.saturating_add(more);
        if found > MAX_CONSTANT_BYTES {
            return Err(Error::LimitExceeded {
                what: "bytes of constants",
                found,
                limit: MAX_CONSTANT_BYTES,
            });
        }
        Ok(())
    }

    fn add(&mut self, value: DraftValue) -> ValueId {
        // Import refuses more than MAX_VALUES tensors, far below u32::MAX.
        let id = ValueId(u32::try_from(self.values.len()).unwrap_or(u32::MAX));
        self.values.push(value);
        id
    }

    /// Adds a node.
    pub fn node(&mut self, name: impl Into<String>, op: Op, inputs: Vec<ValueId>, output: ValueId) {
        self.nodes.push(Node { name: name.into(), op, inputs, output });
    }

    /// A value by its id.
    pub fn value(&self, id: ValueId) -> &DraftValue {
        &self.values[id.index()]
    }

    /// The constant behind `id`, if it is one.
    pub fn tensor(&self, id: ValueId) -> Option<&Tensor> {
        self.value(id).constant.as_ref()
    }

    /// For each value the index of the node that writes it.
    pub fn producers(&self) -> HashMap<ValueId, usize> {
        self.nodes.iter().enumerate().map(|(i, node)| (node.output, i)).collect()
    }

    /// For each value the indices of the nodes that read it, once per reading.
    pub fn consumers(&self) -> HashMap<ValueId, Vec<usize>> {
        let mut consumers: HashMap<ValueId, Vec<usize>> = HashMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            for &input in &node.inputs {
                consumers.entry(input).or_default().push(i);
            }
        }
        consumers
    }

    /// Whether `id` is an output of the whole.
    pub fn is_output(&self, id: ValueId) -> bool {
        self.outputs.iter().any(|port| port.value == id)
    }

    /// Makes every reader of a key, graph outputs included, read its value instead.
    pub fn rename_uses(&mut self, names: &HashMap<ValueId, ValueId>) {
        let inputs = self.nodes.iter_mut().flat_map(|node| &mut node.inputs);
        for id in inputs.chain(self.outputs.iter_mut().map(|port| &mut port.value)) {
            *id = names.get(id).copied().unwrap_or(*id);
        }
    }

    /// Removes the nodes at these indices.
    pub fn remove_nodes(&mut self, indices: &HashSet<usize>) {
        let mut index = 0..;
        self.nodes.retain(|_| index.next().is_some_and(|i| !indices.contains(&i)));
    }

    /// Removes every node whose output nothing reads. Returns how many.
    pub fn drop_dead_nodes(&mut self) -> usize {
        let producers = self.producers();
        let mut live = vec![false; self.nodes.len()];
        let mut queue: Vec<ValueId> = self.outputs.iter().map(|port| port.value).collect();
        while let Some(value) = queue.pop() {
            if let Some(&i) = producers.get(&value)
                && !std::mem::replace(&mut live[i], true)
            {
                queue.extend(&self.nodes[i].inputs);
            }
        }
        let before = self.nodes.len();
        let mut keep = live.into_iter();
        self.nodes.retain(|_| keep.next().unwrap_or(false));
        before - self.nodes.len()
    }

    /// Orders the nodes so that each follows those it reads from.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] if they form a cycle.
    pub fn sort(&mut self) -> Result<(), Error> {
        let producers = self.producers();
        let consumers = self.consumers();
        let mut waiting: Vec<usize> = self
            .nodes
            .iter()
            .map(|node| node.inputs.iter().filter(|input| producers.contains_key(input)).count())
            .collect();
        // Taking the lowest index first keeps the model's own order wherever it is a valid one.
        let mut ready: BTreeSet<usize> = (0..self.nodes.len()).filter(|&i| waiting[i] == 0).collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(i) = ready.pop_first() {
            order.push(i);
            for &reader in consumers.get(&self.nodes[i].output).into_iter().flatten() {
                waiting[reader] -= 1;
                if waiting[reader] == 0 {
                    ready.insert(reader);
                }
            }
        }
        if let Some(stuck) = waiting.iter().position(|&n| n > 0) {
            return Err(Error::invalid_graph(&self.nodes[stuck].name, "takes part in a cycle"));
        }
        let mut nodes: Vec<Option<Node>> = std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        self.nodes = order.into_iter().filter_map(|i| nodes[i].take()).collect();
        Ok(())
    }

    /// Drops what nothing uses, orders the nodes, packs the constants into one blob and checks the whole.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] if the draft is not a valid graph.
    pub fn freeze(mut self) -> Result<Graph, Error> {
        self.drop_dead_nodes();
        self.sort()?;
        let mut packer = Packer {
            draft: &self,
            renumbered: HashMap::new(),
            names: HashMap::new(),
            values: Vec::new(),
            weights: Vec::new(),
        };
        let inputs = self.inputs.iter().map(|port| packer.port(port)).collect();
        let nodes = self
            .nodes
            .iter()
            .map(|node| Node {
                name: node.name.clone(),
                op: node.op.clone(),
                inputs: node.inputs.iter().map(|&id| packer.value(id)).collect(),
                output: packer.value(node.output),
            })
            .collect();
        let outputs: Vec<Port> = self.outputs.iter().map(|port| packer.port(port)).collect();
        let Packer { values, weights, .. } = packer;
        let graph = Graph {
            schema: GRAPH_SCHEMA,
            name: self.name.clone(),
            values,
            nodes,
            inputs,
            outputs,
            weights: super::Weights::default(),
        };
        graph.with_weights(weights)
    }
}

/// Renumbers values in the order of first use and lays constants out.
struct Packer<'a> {
    draft: &'a Draft,
    renumbered: HashMap<ValueId, ValueId>,
    /// Names in use, with the last number that was put behind each.
    names: HashMap<String, usize>,
    values: Vec<Value>,
    weights: Vec<u8>,
}

impl Packer<'_> {
    fn port(&mut self, port: &Port) -> Port {
        Port { value: self.value(port.value), ..port.clone() }
    }

    fn value(&mut self, id: ValueId) -> ValueId {
        if let Some(&new) = self.renumbered.get(&id) {
            return new;
        }
        let value = self.draft.value(id);
        let constant = value.constant.as_ref().map(|tensor| {
            self.weights.resize(self.weights.len().next_multiple_of(CONSTANT_ALIGN), 0);
            let offset = self.weights.len() as u64;
            self.weights.extend_from_slice(&tensor.to_bytes());
            Constant { shape: tensor.shape().to_vec(), offset }
        });
        let new = ValueId(u32::try_from(self.values.len()).unwrap_or(u32::MAX));
        let name = self.unique(&value.name);
        self.values.push(Value { name, dtype: value.dtype, quant: value.quant, constant });
        self.renumbered.insert(id, new);
        new
    }

    /// Names that import made from a node's can meet another one, since ONNX does not make node names unique.
    fn unique(&mut self, name: &str) -> String {
        let name = cut(name);
        let Some(mut n) = self.names.get(name).copied() else {
            self.names.insert(name.to_owned(), 1);
            return name.to_owned();
        };
        let numbered = loop {
            n += 1;
            let numbered = format!("{name}#{n}");
            if !self.names.contains_key(&numbered) {
                break numbered;
            }
        };
        self.names.insert(name.to_owned(), n);
        self.names.insert(numbered.clone(), 1);
        numbered
    }
}

/// The name as far as it may be long, with room for a number.
fn cut(name: &str) -> &str {
    let most = MAX_NAME_BYTES - 16;
    if name.len() <= most { name } else { &name[..name.floor_char_boundary(most)] }
}
