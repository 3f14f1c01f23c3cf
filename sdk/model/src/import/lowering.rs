//! Walks an ONNX graph once and lowers each node into the draft.

use std::collections::HashMap;

use super::attributes::Attributes;
use super::{MAX_OPSET, MIN_OPSET, ops, qoperator};
use crate::error::Error;
use crate::graph::{Dim, Draft, Ints, MoveOp, Op, Port, ValueId};
use crate::limits::{MAX_NAME_BYTES, MAX_PORTS, MAX_RANK};
use crate::numerics::narrow::number;
use crate::onnx::{self, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use crate::tensor::{DType, Quant, Tensor};
use crate::{passes, reference};

pub(super) fn lower(model: &ModelProto) -> Result<Draft, Error> {
    let no_graph = || Error::NotOnnx { reason: "it holds no graph".into() };
    let graph = model.graph.as_ref().ok_or_else(no_graph)?;
    let mut lowering = Lowering {
        draft: Draft { name: name_or(&graph.name, "model"), ..Draft::default() },
        values: HashMap::new(),
        dequantized: HashMap::new(),
        vectors: HashMap::new(),
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
    /// What those values are, where they are vectors: quantizers write an operator's parameters so too.
    vectors: HashMap<ValueId, Tensor>,
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

    /// Notes what the last node, which dequantizes, made of a constant.
    fn dequantizes(&mut self, id: ValueId, constant: ValueId) -> Result<(), Error> {
        let Some(tensor) = self.draft.tensor(constant) else { return Ok(()) };
        let is_vector = tensor.shape().len() == 1;
        self.dequantized.insert(id, constant);
        if let Some(node) = self.draft.nodes.last().filter(|_| is_vector) {
            let alone = passes::alone(&self.draft, node, |_| None).freeze()?;
            self.vectors.extend(reference::run(&alone, Vec::new())?.pop().map(|real| (id, real)));
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
        let tensor = self.lowering.draft.tensor(id).or_else(|| self.lowering.vectors.get(&id));
        tensor.map(Some).ok_or_else(|| {
            let name = self.node.input.get(i).map_or("", String::as_str);
            self.unsupported(format!("input {i} (`{name}`) is computed at run time"), "a constant there")
        })
    }

    /// An input that must be a constant.
    pub(super) fn constant(&self, i: usize) -> Result<&Tensor, Error> {
        self.optional_constant(i)?.ok_or_else(|| self.malformed(format!("input {i} is missing")))
    }

    /// The constant behind a value, if it is one.
    pub(super) fn constant_at(&self, id: ValueId) -> Option<&Tensor> {
        self.lowering.draft.tensor(id)
    }

    /// Whether a value is a constant without elements: how exporters leave an input out.
    pub(super) fn is_empty(&self, id: ValueId) -> bool {
        self.constant_at(id).is_some_and(Tensor::is_empty)
    }

    /// Whether a value is a constant of one element, a positive zero.
    pub(super) fn is_zero(&self, id: ValueId) -> bool {
        self.constant_at(id).is_some_and(|tensor| tensor.to_bytes().iter().all(|&byte| byte == 0))
    }

    /// Integers from a constant input of any integer type.
    pub(super) fn constant_ints(&self, i: usize) -> Result<Option<Vec<i64>>, Error> {
        let Some(tensor) = self.optional_constant(i)? else { return Ok(None) };
        self.integers(i, tensor).map(Some)
    }

    fn integers(&self, i: usize, tensor: &Tensor) -> Result<Vec<i64>, Error> {
        if tensor.len() > 2 * MAX_RANK || tensor.dtype().is_float() {
            let found = format!("{} elements of {}", tensor.len(), tensor.dtype());
            return Err(self.malformed(format!("input {i} has {found}, integers for the axes were expected")));
        }
        let element = |k| i64::try_from(number(tensor.data(), k).int());
        let ints: Result<Vec<i64>, _> = (0..tensor.len()).map(element).collect();
        ints.map_err(|_| self.malformed(format!("input {i} has integers beyond 64 bits")))
    }

    /// Integers that decide a shape: those of a constant, or an input that is added to `inputs`.
    pub(super) fn ints_operand(&self, i: usize, inputs: &mut Vec<ValueId>) -> Result<Option<Ints>, Error> {
        let Some(id) = self.optional(i)? else { return Ok(None) };
        if let Some(tensor) = self.constant_at(id) {
            return self.integers(i, tensor).map(|ints| Some(Ints::Given(ints)));
        }
        if self.dtype(id) != DType::I64 {
            return Err(self.unsupported(format!("input {i} is computed as {}", self.dtype(id)), "i64"));
        }
        inputs.push(id);
        Ok(Some(Ints::Input(inputs.len() - 1)))
    }

    /// Any number of integers, from a constant i64 input or, in older opsets, from an attribute.
    pub(super) fn int_list_any(&self, input: usize, attribute: &'a str) -> Result<Option<Vec<i64>>, Error> {
        match self.optional_constant(input)? {
            Some(tensor) => match tensor.as_i64() {
                Ok(ints) => Ok(Some(ints.to_vec())),
                Err(_) => Err(self.malformed(format!("input {input} is not i64"))),
            },
            None => Ok(self.attributes.ints(attribute)?.map(<[i64]>::to_vec)),
        }
    }

    /// Adds an f32 constant.
    pub(super) fn float_constant(
        &mut self,
        suffix: &str,
        shape: Vec<usize>,
        values: Vec<f32>,
    ) -> Result<ValueId, Error> {
        let tensor = Tensor::f32(shape, values)?;
        Ok(self.add_constant(suffix, tensor))
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

    /// The quantization under which a value is read.
    pub(super) fn quant(&self, id: ValueId) -> Option<Quant> {
        self.lowering.draft.value(id).quant
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
        let constant = matches!(op, Op::Dequantize { .. }).then_some(inputs[0]);
        let name = self.name();
        self.lowering.draft.node(name, op, inputs, id);
        if let Some(constant) = constant {
            self.lowering.dequantizes(id, constant)?;
        }
        self.attributes.finish()
    }

    /// Whether output `k` has a name.
    pub(super) fn wants(&self, k: usize) -> bool {
        self.node.output.get(k).is_some_and(|name| !name.is_empty())
    }

    /// Writes output `k` of a node with several, if it has a name.
    pub(super) fn write(
        &mut self,
        k: usize,
        op: Op,
        inputs: Vec<ValueId>,
        dtype: DType,
        quant: Option<Quant>,
    ) -> Result<(), Error> {
        if !self.wants(k) {
            return Ok(());
        }
        let output = self.node.output[k].clone();
        let id = self.lowering.draft.activation(&output, dtype, quant);
        self.lowering.define(&output, id)?;
        let name = if k == 0 { self.name() } else { format!("{}.{k}", self.name()) };
        self.lowering.draft.node(name, op, inputs, id);
        Ok(())
    }

    /// Like [`Lowered::write`], keeping the first input's type and quantization.
    pub(super) fn write_kept(&mut self, k: usize, op: Op, inputs: Vec<ValueId>) -> Result<(), Error> {
        let (dtype, quant) = (self.dtype(inputs[0]), self.lowering.draft.value(inputs[0]).quant);
        self.write(k, op, inputs, dtype, quant)
    }

    /// Writes output `k` of a node with several as a movement of the first input.
    pub(super) fn write_moved(&mut self, k: usize, op: MoveOp, inputs: Vec<ValueId>) -> Result<(), Error> {
        self.write_kept(k, Op::Move(op), inputs)
    }

    /// Ends a node whose outputs were written one by one.
    pub(super) fn finish(&self) -> Result<(), Error> {
        self.attributes.finish()
    }

    /// Adds an operation whose result only this node's others read.
    pub(super) fn step(&mut self, op: Op, inputs: Vec<ValueId>, dtype: DType) -> ValueId {
        let name = format!("{}.step", self.name());
        let id = self.lowering.draft.activation(&name, dtype, None);
        self.lowering.draft.node(name, op, inputs, id);
        id
    }

    /// Lowers the node to a movement of its first input, whose type and quantization are kept.
    pub(super) fn emit_moved(&mut self, op: MoveOp, inputs: Vec<ValueId>) -> Result<(), Error> {
        let (dtype, quant) = (self.dtype(inputs[0]), self.lowering.draft.value(inputs[0]).quant);
        if let Some(&other) = inputs[1..op.carried()].iter().find(|&&id| self.dtype(id) != dtype) {
            return Err(self.malformed(format!("its inputs have types {dtype} and {}", self.dtype(other))));
        }
        self.emit(Op::Move(op), inputs, dtype, quant)
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
