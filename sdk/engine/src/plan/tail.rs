//! The host tail: nodes whose shapes depend on values, such as the boxes that survive NonMaxSuppression. No plan can give
//! them a place beforehand, so they run one by one as the specification computes them, after all other steps.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tilemark_model::{Graph, Shapes, Tensor, ValueId, reference};

use super::explain::StepInfo;
use super::lower::is_float;
use crate::error::Error;

/// Those nodes, in order.
#[derive(Default)]
pub(crate) struct Tail {
    nodes: Vec<(usize, StepInfo)>,
}

impl Tail {
    /// The late nodes of a graph under given shapes.
    pub(crate) fn new(graph: &Graph, shapes: &Shapes) -> Self {
        let late = graph.nodes.iter().enumerate().filter(|(_, node)| shapes.is_late(node.output));
        let nodes = late.map(|(i, node)| {
            let from = node.inputs.iter().find(|&&id| shapes.is_late(id));
            let why = match from {
                Some(&id) => format!("host tail: the shape of `{}` depends on values", graph.value(id).name),
                None => "host tail: the shape of its output depends on values".to_owned(),
            };
            let info = StepInfo {
                node: node.name.clone(),
                op: node.op.name().to_owned(),
                output: graph.value(node.output).name.clone(),
                kernel: "reference".to_owned(),
                why,
                float: is_float(&node.op),
                tail: true,
                ..StepInfo::default()
            };
            (i, info)
        });
        Self { nodes: nodes.collect() }
    }

    /// What it says about itself.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &StepInfo> {
        self.nodes.iter().map(|(_, info)| info)
    }

    /// Runs it, and shows `observe` what each node writes. `read` gives the values that the steps before wrote. Returns the
    /// graph's outputs among the results.
    ///
    /// # Errors
    /// Those of [`reference::evaluate_late`], and of `read`.
    pub(crate) fn run(
        &self,
        graph: &Graph,
        shapes: &Shapes,
        mut read: impl FnMut(ValueId) -> Result<Tensor, Error>,
        mut observe: impl FnMut(ValueId, &Tensor),
    ) -> Result<HashMap<ValueId, Tensor>, Error> {
        let mut values: HashMap<ValueId, Tensor> = HashMap::new();
        if self.nodes.is_empty() {
            return Ok(values);
        }
        let mut shapes = shapes.clone();
        let last_use = self.last_uses(graph);
        for (i, _) in &self.nodes {
            let node = &graph.nodes[*i];
            for &id in &node.inputs {
                if let Entry::Vacant(missing) = values.entry(id) {
                    missing.insert(read(id)?);
                }
            }
            let operands: Vec<&Tensor> = node.inputs.iter().filter_map(|id| values.get(id)).collect();
            let output = reference::evaluate_late(graph, node, &operands, &mut shapes)?;
            observe(node.output, &output);
            values.insert(node.output, output);
            for id in node.inputs.iter().filter(|id| last_use.get(id) == Some(i)) {
                values.remove(id);
            }
        }
        Ok(values)
    }

    /// For each value the last node of the tail that reads it; outputs of the graph stay.
    fn last_uses(&self, graph: &Graph) -> HashMap<ValueId, usize> {
        let reads =
            self.nodes.iter().flat_map(|&(i, _)| graph.nodes[i].inputs.iter().map(move |&id| (id, i)));
        let mut last: HashMap<ValueId, usize> = reads.collect();
        for port in &graph.outputs {
            last.remove(&port.value);
        }
        last
    }
}
