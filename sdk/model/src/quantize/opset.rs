//! Raises a model to opset 13, the first in which DequantizeLinear has one scale per channel. What changed its form
//! between opsets 7 and 13 is written in the new one; every operator that is not named here meant the same before.

use std::collections::HashMap;

use super::edit::{Names, add_constant, attribute, int, ints_tensor, set_input, take_attribute, text};
use crate::error::Error;
use crate::onnx::{GraphProto, ModelProto, NodeProto};
use crate::tensor::Tensor;

/// The opset that quantized models are written in, if they come with an older one.
const OPSET: i64 = 13;
/// The first IR version that goes with it.
const IR_VERSION: i64 = 7;
/// Older models write broadcasting and batch normalization in ways that no exporter in use does.
const LOWEST: i64 = 7;

/// Raises the opset. `ranks` has the number of axes of every value that import knows by its ONNX name.
pub(super) fn raise(model: &mut ModelProto, ranks: &HashMap<String, usize>) -> Result<(), Error> {
    let default = |domain: &str| matches!(domain, "" | "ai.onnx");
    let Some(set) = model.opset_import.iter_mut().find(|set| default(&set.domain)) else { return Ok(()) };
    let found = set.version;
    if found < LOWEST {
        let domain = "ai.onnx".to_owned();
        let highest = crate::import::MAX_OPSET;
        return Err(Error::UnsupportedOpset { domain, found, lowest: LOWEST, highest });
    }
    model.ir_version = model.ir_version.max(IR_VERSION);
    if found >= OPSET {
        return Ok(());
    }
    set.version = OPSET;
    let Some(graph) = &mut model.graph else { return Ok(()) };
    let mut raising = Raising { names: Names::of(graph), found, ranks };
    let mut nodes = std::mem::take(&mut graph.node);
    for node in &mut nodes {
        raising.node(graph, node)?;
    }
    graph.node = nodes;
    Ok(())
}

struct Raising<'a> {
    names: Names,
    found: i64,
    ranks: &'a HashMap<String, usize>,
}

impl Raising<'_> {
    fn node(&mut self, graph: &mut GraphProto, node: &mut NodeProto) -> Result<(), Error> {
        match node.op_type.as_str() {
            "Squeeze" | "Unsqueeze" | "ReduceSum" => self.ints(graph, node, "axes", 1)?,
            "Split" => self.ints(graph, node, "split", 1)?,
            "Slice" if self.found < 10 => {
                for (i, name) in ["starts", "ends", "axes"].into_iter().enumerate() {
                    self.ints(graph, node, name, i + 1)?;
                }
            }
            "Pad" if self.found < 11 => {
                self.ints(graph, node, "pads", 1)?;
                self.float(graph, node, "value", 2)?;
            }
            "Clip" if self.found < 11 => {
                self.float(graph, node, "min", 1)?;
                self.float(graph, node, "max", 2)?;
            }
            "TopK" if self.found < 10 => {
                if let Some(k) = take_attribute(node, "k") {
                    self.input(graph, node, "k", 1, &ints_tensor(vec![k.i])?);
                }
            }
            "Softmax" | "LogSoftmax" => self.softmax(node)?,
            "Upsample" | "Resize" if self.found < 11 => self.resize(graph, node)?,
            "Dropout" => drop(take_attribute(node, "ratio")),
            "BatchNormalization" => drop(take_attribute(node, "spatial")),
            _ => {}
        }
        Ok(())
    }

    /// An attribute of integers becomes an input.
    fn ints(
        &mut self,
        graph: &mut GraphProto,
        node: &mut NodeProto,
        name: &str,
        at: usize,
    ) -> Result<(), Error> {
        if let Some(found) = take_attribute(node, name) {
            self.input(graph, node, name, at, &ints_tensor(found.ints)?);
        }
        Ok(())
    }

    /// An attribute that is a float becomes an input.
    fn float(
        &mut self,
        graph: &mut GraphProto,
        node: &mut NodeProto,
        name: &str,
        at: usize,
    ) -> Result<(), Error> {
        if let Some(found) = take_attribute(node, name) {
            self.input(graph, node, name, at, &Tensor::f32([], vec![found.f])?);
        }
        Ok(())
    }

    fn input(
        &mut self,
        graph: &mut GraphProto,
        node: &mut NodeProto,
        what: &str,
        at: usize,
        tensor: &Tensor,
    ) {
        let stem = node.output.first().map_or("", String::as_str);
        let name = self.names.free(stem, what);
        add_constant(graph, &name, tensor);
        set_input(node, at, name);
    }

    /// Before opset 13 all axes from `axis` on were one; that is the same where it is the last one.
    fn softmax(&self, node: &mut NodeProto) -> Result<(), Error> {
        let axis = take_attribute(node, "axis").map_or(1, |axis| axis.i);
        let rank = node.input.first().and_then(|name| self.ranks.get(name)).map(|&rank| rank as i64);
        if axis != -1 && rank != Some(axis + 1) {
            return Err(Error::UnsupportedOp {
                node: node.name.clone(),
                op: node.op_type.clone(),
                reason: format!("axis {axis} of opset {} takes several axes together", self.found),
                supported: "the last axis, or opset 13 and later".into(),
            });
        }
        node.attribute.push(int("axis", -1));
        Ok(())
    }

    /// Resize had its present form since opset 11: a region of interest comes before the scales.
    fn resize(&mut self, graph: &mut GraphProto, node: &mut NodeProto) -> Result<(), Error> {
        if node.op_type == "Upsample" {
            node.op_type = "Resize".into();
            if let Some(scales) = take_attribute(node, "scales") {
                let tensor = Tensor::f32([scales.floats.len()], scales.floats)?;
                self.input(graph, node, "scales", 1, &tensor);
            }
        }
        let scales = node.input.get(1).cloned().unwrap_or_default();
        set_input(node, 1, String::new());
        set_input(node, 2, scales);
        if attribute(node, "mode").is_some_and(|mode| mode.s == b"bilinear") {
            take_attribute(node, "mode");
            node.attribute.push(text("mode", "linear"));
        }
        node.attribute.push(text("coordinate_transformation_mode", "asymmetric"));
        node.attribute.push(text("nearest_mode", "floor"));
        Ok(())
    }
}
