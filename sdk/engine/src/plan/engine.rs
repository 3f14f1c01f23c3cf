//! Steps on an FPGA: what its engine runs of a plan, and what the app says of the rest.

use std::collections::HashMap;
use std::sync::Arc;

use tilemark_model::{Graph, Node, ValueId, shape};

use super::choose::Choice;
use super::lower::{Lower, is_float};
use super::packed::PackedWeights;
use super::pick::Picker;
use super::source::{Beside, Source};
use crate::device::Device;
use crate::error::Error;
use crate::opencl::fpga::{EngineSpec, HostLayers, LayerStep, Program, Target, judge};
use crate::tuning::TuningRecord;

/// A layer of 8-bit arithmetic that a target's engine cannot run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Name of the node.
    pub node: String,
    /// Its operation.
    pub operation: String,
    /// Why.
    pub reason: String,
}

impl Target {
    /// What its engine cannot run of a graph, without any device: for each of these layers, a plan leaves it to the host where
    /// the app allows that, and is refused where it does not. Nodes are judged one by one, before plans fuse them.
    ///
    /// # Errors
    /// [`Error::BitstreamDamaged`], and [`Error::Model`] for shapes that cannot be inferred.
    pub fn refusals(&self, graph: &Graph) -> Result<Vec<Refusal>, Error> {
        let config = self.config()?;
        let shapes = shape::infer(graph, &shape::declared(graph, 1))?;
        let reason = |node: &Node| match Choice::new(graph, node, &shapes, Beside::Nothing) {
            Choice::Kernels(..) => judge(graph, node, &shapes, &config).err(),
            Choice::Reference(why) => Some(why),
            _ => None,
        };
        let refusal = |node: &Node| {
            let (node, operation, reason) = (node.name.clone(), node.op.name().to_owned(), reason(node)?);
            Some(Refusal { node, operation, reason })
        };
        Ok(graph.nodes.iter().filter(|node| !is_float(&node.op)).filter_map(refusal).collect())
    }
}

/// Makes an engine's program for one input of a graph, and throws it away: whether it can be made, without a device.
///
/// # Errors
/// Those of [`Lower::engine_program`].
pub(crate) fn rehearse(graph: &Arc<Graph>, engine: &EngineSpec) -> Result<(), Error> {
    let shapes = Arc::new(shape::infer(graph, &shape::declared(graph, 1))?);
    let (packed, record) = (PackedWeights::default(), TuningRecord::default());
    let picker = Picker { level: Device::host().level()?, threads: 1, variant: None, record: &record };
    let source = Source { graph, packed: &packed, picker, opened: None, rehearsed: Some(engine) };
    Lower::new(source, shapes)?.engine_program().map(drop)
}

impl Lower<'_> {
    /// The engine's program, if the device is an FPGA.
    ///
    /// # Errors
    /// [`Error::LayerRefused`] if a layer of 8-bit arithmetic is left to the host and the app does not allow it; those of
    /// [`Program::new`].
    pub(super) fn engine_program(&self) -> Result<Option<Arc<Program>>, Error> {
        let Some(engine) = self.source.engine() else { return Ok(None) };
        let graph = self.source.graph;
        if engine.host_layers == HostLayers::Refused {
            let is_left = |i: &&usize| {
                let choice = &self.choices[**i];
                matches!(choice, Choice::Kernels(..) | Choice::Reference(_))
                    && !is_float(&graph.nodes[**i].op)
            };
            if let Some(&i) = self.order.iter().find(is_left) {
                let (node, target) = (&graph.nodes[i], engine.target.clone());
                let reason = match &self.choices[i] {
                    Choice::Kernels(_, why) | Choice::Reference(why) => why.clone(),
                    _ => String::new(),
                };
                let (name, operation) = (node.name.clone(), node.op.name().to_owned());
                return Err(Error::LayerRefused { target, node: name, operation, reason });
            }
        }
        let (steps, needed) = self.engine_steps();
        let program = Program::new(graph, &self.shapes, &steps, &needed, engine)?;
        Ok(Some(Arc::new(program)))
    }

    /// All steps, and what the host reads at the end, by the values whose bytes they are.
    fn engine_steps(&self) -> (Vec<LayerStep<'_>>, Vec<ValueId>) {
        let graph = self.source.graph;
        let mut roots: HashMap<ValueId, ValueId> = HashMap::new();
        let mut steps = Vec::with_capacity(self.order.len());
        for &index in &self.order {
            let root = |id: ValueId| roots.get(&id).copied().unwrap_or(id);
            let inputs: Vec<ValueId> = self.reads(index).map(root).collect();
            let output = self.fusion.ends_in(index, graph);
            let is_alias = matches!(self.choices[index], Choice::Alias);
            if let (true, Some(&input)) = (is_alias, inputs.first()) {
                roots.insert(output, input);
            }
            steps.push(LayerStep {
                node: &graph.nodes[index],
                table: self.fusion.end_of[index].map(|table| &graph.nodes[table]),
                inputs: if is_alias { Vec::new() } else { inputs },
                output,
                on_engine: matches!(self.choices[index], Choice::Layer(_)),
            });
        }
        let root = |id: ValueId| roots.get(&id).copied().unwrap_or(id);
        (steps, self.needed_on_host().map(root).collect())
    }
}
