//! Walks an ONNX graph once and lowers each node into the draft.

use std::collections::HashMap;

use super::attributes::Attributes;
use super::{MAX_OPSET, MIN_OPSET, ops, qoperator};
use crate::error::Error;
use crate::graph::{Dim, Draft, Op, Port, ValueId};
use crate::limits::{MAX_NAME_BYTES, MAX_PORTS, MAX_RANK};
use crate::onnx::{self, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use crate::tensor::{DType, Quant, Tensor};

pub(super) fn lower(model: &ModelProto) -> Result<Draft, Error> {
    let no_graph = || Error::NotOnnx { reason: "it holds no graph".into() };
    let graph = model.graph.as_ref().ok_or_else(no_graph)?;
    let mut lowering = Lowering {
        draft: Draft { name: name_or(&graph.name, "model"), ..Draft::default() },
        values: HashMap::new(),
        dequantized: HashMap::new(),
        opset: opset(model)?,
    };
    lowering.constants(graph)?;
    lowering.inputs(graph)?;
    for node in &graph.node {
        lowering.node(node)?;
    }
    lowering.outputs(graph)?;
    Ok(lowering.draft)
}

/// The node's own name, or one made from what it writes.
pub(super) fn node_name(node: &NodeProto) -> String {
    let output = node.output.first().map_or("", String::as_str);
    let mut name = name_or(&node.name, &name_or(output, &node.op_type));
    name.truncate(name.floor_char_boundary(MAX_NAME_BYTES / 2));
    name
}

fn name_or(name: &str, other: &str) -> String {
    if name.is_empty() { other.to_owned() } else { name.to_owned() }
}

fn opset(model: &ModelProto) -> Result<i64, Error> {
    let default = model.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    let found = default.map_or(0, |set| set.version);
    if (MIN_OPSET..=MAX_OPSET).contains(&found) {
        return Ok(found);
    }
    let domain = "ai.onnx".to_owned();
    Err(Error::UnsupportedOpset { domain, found, lowest: MIN_OPSET, highest: MAX_OPSET })
}

struct Lowering {
    draft: Draft,
    values: HashMap<String, ValueId>,
    /// The constant behind each value that dequantizes one.
    dequantized: HashMap<ValueId, ValueId>,
    opset: i64,
}

impl Lowering {
    fn node(&mut self, node: &NodeProto) -> Result<(), Error> {
        self.draft.check_constants(0)?;
        let constant = |name: &str| self.values.get(name).and_then(|&id| self.draft.tensor(id));
        let Some(spelled) = qoperator::spell_out(node, constant)? else {
            return ops::lower(&mut Lowered { lowering: self, node, attributes: &Attributes::new(node) });
        };
        for (name, tensor) in spelled.constants {
            let id = self.draft.constant(&name, tensor);
            self.define(&name, id)?;
        }
        spelled.nodes.iter().try_for_each(|node| {
            ops::lower(&mut Lowered { lowering: self, node, attributes: &Attributes::new(node) })
        })
    }

    fn constants(&mut self, graph: &GraphProto) -> Result<(), Error> {
        for proto in &graph.initializer {
            let id = self.draft.constant(&proto.name, onnx::to_tensor(proto)?);
            self.define(&proto.name, id)?;
        }
        Ok(())
    }

    fn inputs(&mut self, graph: &GraphProto) -> Result<(), Error> {
        for info in &graph.input {
            if self.draft.inputs.len() > MAX_PORTS {
                let (found, limit) = (graph.input.len() as u64, MAX_PORTS as u64);
                return Err(Error::LimitExceeded { what: "inputs", found, limit });
            }
            // Files before IR version 4 list every initializer among the inputs as well.
            if self.values.contains_key(&info.name) {
                continue;
            }
            let (dtype, shape) = port_type(info)?;
            let shape = shape.ok_or_else(|| port_error(info, "declares no shape"))?;
            let value = self.draft.activation(&info.name, dtype, None);
            self.define(&info.name, value)?;
            self.draft.inputs.push(Port { name: info.name.clone(), value, dtype, shape });
        }
        Ok(())
    }

    fn outputs(&mut self, graph: &GraphProto) -> Result<(), Error> {
        for info in &graph.output {
            let value = *self
                .values
                .get(&info.name)
                .ok_or_else(|| port_error(info, "is an output that no node writes"))?;
            let dtype = self.draft.value(value).dtype;
            let shape = port_type(info).ok().and_then(|(_, shape)| shape).unwrap_or_default();
            self.draft.outputs.push(Port { name: info.name.clone(), value, dtype, shape });
        }
        Ok(())
    }

    fn define(&mut self, name: &str, id: ValueId) -> Result<(), Error> {
        let fail = |reason: &str| Error::MalformedTensor {
            name: name.chars().take(64).collect(),
            reason: reason.into(),
        };
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(fail("its name is empty or too long"));
        }
        if self.values.insert(name.to_owned(), id).is_some() {
            return Err(fail("it is defined twice"));
        }
        Ok(())
    }
}

fn port_error(info: &ValueInfoProto, reason: &str) -> Error {
    Error::MalformedTensor { name: info.name.clone(), reason: reason.into() }
}

fn port_type(info: &ValueInfoProto) -> Result<(DType, Option<Vec<Dim>>), Error> {
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| port_error(info, "is not a tensor"))?;
    let unknown =
        || Error::UnsupportedType { name: info.name.clone(), found: onnx::type_name(tensor.elem_type) };
    let dtype = onnx::dtype(tensor.elem_type).ok_or_else(unknown)?;
    let Some(shape) = &tensor.shape else { return Ok((dtype, None)) };
    if shape.dim.len() > MAX_RANK {
        return Err(port_error(info, &format!("has rank {}, beyond {MAX_RANK}", shape.dim.len())));
    }
    let dim = |(i, dim): (usize, &onnx::DimensionProto)| match (dim.dim_value, &dim.dim_param) {
        (Some(n), _) => {
            usize::try_from(n).map(Dim::Fixed).map_err(|_| port_error(info, "has a negative axis"))
        }
        (None, Some(name)) if !name.is_empty() => Ok(Dim::Dynamic(name.chars().take(64).collect())),
        (None, _) => Ok(Dim::Dynamic(format!("axis{i}"))),
    };
    Ok((dtype, Some(shape.dim.iter().enumerate().map(dim).collect::<Result<_, _>>()?)))
}

/// One ONNX node being lowered: access to its operands and attributes, and ways to emit operations.
pub(super) struct Lowered<'a> {
    lowering: &'a mut Lowering,
    pub(super) node: &'a NodeProto,
    pub(super) attributes: &'a Attributes<'a>,
}

impl<'a> Lowered<'a> {
    pub(super) fn opset(&self) -> i64 {
        self.lowering.opset
    }

    pub(super) fn name(&self) -> String {
        node_name(self.node)
    }

    /// An input that must be there.
    pub(super) fn input(&self, i: usize) -> Result<ValueId, Error> {
        self.optional(i)?.ok_or_else(|| self.malformed(format!("input {i} is missing")))
    }

    /// An input that may be left out.
    pub(super) fn optional(&self, i: usize) -> Result<Option<ValueId>, Error> {
        let Some(name) = self.node.input.get(i).filter(|name| !name.is_empty()) else { return Ok(None) };
        let id = self.lowering.values.get(name).copied();
        id.map(Some)
            .ok_or_else(|| self.malformed(format!("it reads `{name}`, which nothing before it writes")))
    }

    /// An optional input that must be a constant if it is there.
    pub(super) fn optional_constant(&self, i: usize) -> Result<Option<&Tensor>, Error> {
        let Some(id) = self.optional(i)? else { return Ok(None) };
        let tensor = self.lowering.draft.tensor(id);
        tensor.map(Some).ok_or_else(|| {
            let name = self.node.input.get(i).map_or("", String::as_str);
            self.unsupported(format!("input {i} (`{name}`) is computed at run time"), "a constant there")
        })
    }

    /// An input that must be a constant.
    pub(super) fn constant(&self, i: usize) -> Result<&Tensor, Error> {
        self.optional_constant(i)?.ok_or_else(|| self.malformed(format!("input {i} is missing")))
    }

    /// Axes or a shape, from a constant i64 input or, in older opsets, from an attribute.
    pub(super) fn int_list(&self, input: usize, attribute: &'a str) -> Result<Option<Vec<i64>>, Error> {
        let ints = match self.optional_constant(input)? {
            Some(tensor) => {
                Some(tensor.as_i64().map_err(|_| self.malformed(format!("input {input} is not i64")))?)
            }
            None => self.attributes.ints(attribute)?,
        };
        match ints {
            Some(ints) if ints.len() > MAX_RANK => {
                Err(self.malformed(format!("{} {attribute}, at most {MAX_RANK} are possible", ints.len())))
            }
            ints => Ok(ints.map(<[i64]>::to_vec)),
        }
    }

    /// The number of axes of an input of the graph or a constant; of no other value is it known before shapes are.
    pub(super) fn rank(&self, id: ValueId) -> Option<usize> {
        let port = self.lowering.draft.inputs.iter().find(|port| port.value == id);
        port.map(|port| port.shape.len()).or_else(|| self.constant_shape(id).map(<[usize]>::len))
    }

    pub(super) fn dtype(&self, id: ValueId) -> DType {
        self.lowering.draft.value(id).dtype
    }

    /// The quantization under which a value is read, if it has one; a value that has none yet takes this one.
    pub(super) fn quant_or_set(&mut self, id: ValueId, quant: Quant) -> Quant {
        *self.lowering.draft.values[id.index()].quant.get_or_insert(quant)
    }

    /// Shape of a constant input, dequantized or not, if it is one.
    pub(super) fn constant_shape(&self, id: ValueId) -> Option<&[usize]> {
        let id = self.lowering.dequantized.get(&id).copied().unwrap_or(id);
        self.lowering.draft.tensor(id).map(Tensor::shape)
    }

    /// Adds a constant under a name made from the node's.
    pub(super) fn add_constant(&mut self, suffix: &str, tensor: Tensor) -> ValueId {
        let name = format!("{}.{suffix}", self.name());
        self.lowering.draft.constant(name, tensor) // counted: `lower` looks before the next node
    }

    /// Lowers the node to one operation whose output has this type and quantization.
    pub(super) fn emit(
        &mut self,
        op: Op,
        inputs: Vec<ValueId>,
        dtype: DType,
        quant: Option<Quant>,
    ) -> Result<(), Error> {
        let output = self.output()?;
        let id = self.lowering.draft.activation(&output, dtype, quant);
        self.lowering.define(&output, id)?;
        if matches!(op, Op::Dequantize { .. }) && self.lowering.draft.tensor(inputs[0]).is_some() {
            self.lowering.dequantized.insert(id, inputs[0]);
        }
        let name = self.name();
        self.lowering.draft.node(name, op, inputs, id);
        self.attributes.finish()
    }

    /// Lowers the node to an f32 operation; its inputs must be f32.
    pub(super) fn emit_float(
        &mut self,
        op: crate::graph::FloatOp,
        inputs: Vec<ValueId>,
    ) -> Result<(), Error> {
        for &id in &inputs {
            if self.dtype(id) != DType::F32 {
                let reason = format!("an input has type {}", self.dtype(id));
                return Err(self.unsupported(reason, "f32 tensors (quantized ones behind DequantizeLinear)"));
            }
        }
        self.emit(Op::Float(op), inputs, DType::F32, None)
    }

    /// Lowers the node to an operation that keeps its first input's type and quantization.
    pub(super) fn emit_kept(&mut self, op: Op, inputs: Vec<ValueId>) -> Result<(), Error> {
        let quant = self.lowering.draft.value(inputs[0]).quant;
        let dtype = self.dtype(inputs[0]);
        if let Some(other) = inputs.iter().map(|&id| self.dtype(id)).find(|&other| other != dtype) {
            return Err(self.malformed(format!("its inputs have types {dtype} and {other}")));
        }
        let draft = &self.lowering.draft;
        if inputs.iter().filter_map(|&id| draft.value(id).quant).any(|other| Some(other) != quant) {
            return Err(
                self.unsupported("its inputs are quantized differently", "one scale and zero point, or f32")
            );
        }
        self.emit(op, inputs, dtype, quant)
    }

    /// Makes the node's output another name of an existing value.
    pub(super) fn alias(&mut self, id: ValueId) -> Result<(), Error> {
        let output = self.output()?;
        self.lowering.define(&output, id)?;
        self.attributes.finish()
    }

    /// Makes the node's output a constant.
    pub(super) fn emit_constant(&mut self, tensor: Tensor) -> Result<(), Error> {
        let output = self.output()?;
        let id = self.lowering.draft.constant(&output, tensor);
        self.lowering.define(&output, id)?;
        self.attributes.finish()
    }

    fn output(&self) -> Result<String, Error> {
        match self.node.output.split_first() {
            Some((first, rest)) if !first.is_empty() && rest.iter().all(String::is_empty) => {
                Ok(first.clone())
            }
            _ => Err(self
                .unsupported(format!("outputs {:?} are used", self.node.output), "the first output alone")),
        }
    }

    pub(super) fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::MalformedNode { node: self.name(), op: self.node.op_type.clone(), reason: reason.into() }
    }

    pub(super) fn unsupported(&self, reason: impl Into<String>, supported: impl Into<String>) -> Error {
        let op = match self.node.domain.as_str() {
            "" | "ai.onnx" => self.node.op_type.clone(),
            domain => format!("{domain}.{}", self.node.op_type),
        };
        Error::UnsupportedOp { node: self.name(), op, reason: reason.into(), supported: supported.into() }
    }
}
