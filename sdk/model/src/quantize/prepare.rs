//! A float model in the form that the quantizer works on.

use std::collections::{HashMap, HashSet};

use super::edit::add_constant;
use super::{normalization, opset};
use crate::error::Error;
use crate::graph::{Graph, ValueId};
use crate::import::import_model;
use crate::onnx::{self, GraphProto, ModelProto, NodeProto};
use crate::shape;
use crate::tensor::Tensor;

/// A float model: opset 13 or later, every constant an initializer, no identities, batch normalization folded. It computes
/// what the file computes, up to the rounding of folded weights.
#[derive(Clone, Debug)]
pub struct FloatModel {
    model: ModelProto,
    graph: Graph,
}

/// Operators of models that are quantized already.
const QUANTIZED: &[&str] = &[
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "ConvInteger",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
];

impl FloatModel {
    /// Reads a float model.
    ///
    /// # Errors
    /// [`Error::AlreadyQuantized`]; those of import; [`Error::UnsupportedOpset`] for a form that cannot be raised to
    /// opset 13.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut model = onnx::decode(bytes)?;
        let nodes = model.graph.iter().flat_map(|graph| &graph.node);
        for node in nodes {
            if QUANTIZED.contains(&node.op_type.as_str()) || node.domain == "com.microsoft" {
                return Err(Error::AlreadyQuantized { node: node.name.clone(), op: node.op_type.clone() });
            }
        }
        let first = Self::of(model.clone())?;
        opset::raise(&mut model, &first.ranks()?)?;
        let mut graph = model.graph.take().unwrap_or_default();
        drop_identities(&mut graph);
        inline_constants(&mut graph, &first.graph);
        normalization::fold(&mut graph, &first.ranks()?)?;
        drop_unused(&mut graph);
        "tilemark".clone_into(&mut model.producer_name);
        Self::of(ModelProto { graph: Some(graph), ..model })
    }

    fn of(model: ModelProto) -> Result<Self, Error> {
        let graph = import_model(&model)?.graph;
        Ok(Self { model, graph })
    }

    /// The program, with ONNX's names for its values.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(super) fn proto(&self) -> &ModelProto {
        &self.model
    }

    /// The same model with other constants under these names; names that are new are added as inputs by the caller.
    pub(super) fn with_constants(&self, constants: &[(String, Tensor)]) -> Result<Self, Error> {
        let mut model = self.model.clone();
        if let Some(graph) = &mut model.graph {
            for (name, tensor) in constants {
                graph.initializer.retain(|old| old.name != *name);
                add_constant(graph, name, tensor);
            }
        }
        Self::of(model)
    }

    fn ranks(&self) -> Result<HashMap<String, usize>, Error> {
        let shapes = shape::infer(&self.graph, &shape::declared(&self.graph, 1))?;
        let rank = |(i, value): (usize, &crate::Value)| {
            let id = ValueId(u32::try_from(i).unwrap_or(u32::MAX));
            (value.name.clone(), shapes.of(id).len())
        };
        Ok(self.graph.values.iter().enumerate().map(rank).collect())
    }
}

/// Takes out nodes that pass their input on. One that writes an output of the graph stays: the output's name is fixed.
fn drop_identities(graph: &mut GraphProto) {
    let outputs: HashSet<String> = graph.output.iter().map(|port| port.name.clone()).collect();
    let mut renamed: HashMap<String, String> = HashMap::new();
    graph.node.retain_mut(|node| {
        for name in &mut node.input {
            if let Some(source) = renamed.get(name) {
                name.clone_from(source);
            }
        }
        let used = node.output.iter().filter(|name| !name.is_empty()).count();
        let passes = matches!(node.op_type.as_str(), "Identity" | "Dropout") && used == 1;
        let (Some(from), Some(to)) = (node.input.first(), node.output.first()) else { return true };
        if !passes || outputs.contains(to) {
            return true;
        }
        renamed.insert(to.clone(), from.clone());
        false
    });
}

/// What import computed from constants becomes an initializer, Constant nodes among it; an initializer is no input.
fn inline_constants(graph: &mut GraphProto, imported: &Graph) {
    let known: HashMap<&str, ValueId> = imported
        .values
        .iter()
        .enumerate()
        .filter(|(_, value)| value.constant.is_some())
        .filter_map(|(i, value)| Some((value.name.as_str(), ValueId(u32::try_from(i).ok()?))))
        .collect();
    let mut made = Vec::new();
    graph.node.retain(|node| {
        let [output] = node.output.as_slice() else { return true };
        match known.get(output.as_str()).and_then(|&id| imported.constant(id)) {
            Some(tensor) => {
                made.push((output.clone(), tensor));
                false
            }
            None => true,
        }
    });
    for (name, tensor) in made {
        add_constant(graph, &name, &tensor);
    }
    let constants: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    graph.input.retain(|port| !constants.contains(port.name.as_str()));
}

/// Drops nodes and constants that no output needs.
fn drop_unused(graph: &mut GraphProto) {
    let mut needed: HashSet<String> = graph.output.iter().map(|port| port.name.clone()).collect();
    let mut kept: Vec<NodeProto> = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node).into_iter().rev() {
        if node.output.iter().any(|name| needed.contains(name)) {
            needed.extend(node.input.iter().filter(|name| !name.is_empty()).cloned());
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
}
