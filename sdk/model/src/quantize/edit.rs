//! Small edits of ONNX messages: names that are free, attributes, constants.

use std::collections::HashSet;

use crate::error::Error;
use crate::onnx::{self, AttributeProto, GraphProto, NodeProto, attribute_type};
use crate::tensor::{Data, Tensor};

/// Every name in use in a graph, so that new ones meet none.
pub(super) struct Names(HashSet<String>);

impl Names {
    pub(super) fn of(graph: &GraphProto) -> Self {
        let ports = graph.input.iter().chain(&graph.output).map(|port| port.name.clone());
        let constants = graph.initializer.iter().map(|tensor| tensor.name.clone());
        let node = |node: &NodeProto| [node.input.clone(), node.output.clone()].concat();
        Self(ports.chain(constants).chain(graph.node.iter().flat_map(node)).collect())
    }

    /// `stem_suffix`, with underscores behind it until nothing else has the name.
    pub(super) fn free(&mut self, stem: &str, suffix: &str) -> String {
        let mut name = format!("{stem}_{suffix}");
        while !self.0.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}

/// The attribute of a node, if it has it.
pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// Takes an attribute off a node.
pub(super) fn take_attribute(node: &mut NodeProto, name: &str) -> Option<AttributeProto> {
    let at = node.attribute.iter().position(|attribute| attribute.name == name)?;
    Some(node.attribute.remove(at))
}

pub(super) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i, r#type: attribute_type::INT, ..AttributeProto::default() }
}

pub(super) fn text(name: &str, s: &str) -> AttributeProto {
    let s = s.as_bytes().to_vec();
    AttributeProto { name: name.to_owned(), s, r#type: attribute_type::STRING, ..AttributeProto::default() }
}

/// A node of one output.
pub(super) fn node(op: &str, input: Vec<String>, output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        name: format!("{output}_{op}"),
        op_type: op.to_owned(),
        input,
        output: vec![output.to_owned()],
        attribute,
        domain: String::new(),
    }
}

/// Adds a constant.
pub(super) fn add_constant(graph: &mut GraphProto, name: &str, tensor: &Tensor) {
    graph.initializer.push(onnx::from_tensor(name, tensor));
}

pub(super) fn ints_tensor(ints: Vec<i64>) -> Result<Tensor, Error> {
    Tensor::new([ints.len()], Data::I64(ints))
}

/// Sets input `i` of a node; inputs before it that are not there are left out in ONNX's way.
pub(super) fn set_input(node: &mut NodeProto, i: usize, name: String) {
    if node.input.len() <= i {
        node.input.resize(i + 1, String::new());
    }
    node.input[i] = name;
}
