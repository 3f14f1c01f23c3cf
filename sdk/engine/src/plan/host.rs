//! Steps on the host.

use std::sync::Arc;

use tilemark_model::{Op, Tensor, ValueId};

use super::Slot;
use super::layout::{Halo, Layout};
use super::lower::{Lower, Lowering};
use super::pick::Pick;
use super::tiling::Tiling;
use crate::error::Error;
use crate::host::fallback::{Fallback, Operand};
use crate::host::kernels::pairwise::Residual;
use crate::host::kernels::quantize::Quantizer;
use crate::host::kernels::{self, Kernel, Planned, Work};
use crate::host::staging::{Quantized, Staged};
use crate::host::vectorize::Vectorizer;

impl Lower<'_> {
    /// The work of a step with `kernel`, or else with the one of `kernels` that is picked, and all that became part of it.
    pub(super) fn on_host(
        &self,
        kernels: &'static [Kernel],
        kernel: Option<&'static Kernel>,
        step: Lowering<'_>,
        pick: &mut Option<Pick>,
    ) -> Result<(&'static Kernel, Planned), Error> {
        let (index, output, graph) = (step.index, step.output, self.source.graph);
        let none = || Error::internal(&step.node.name, "has no kernel at this level");
        let operation = kernels.first().ok_or_else(none)?.operation;
        let is_staged = !output.is_dense() && !self.writes_apart(index, operation, output.grid.channels);
        let quantization = step.end.filter(|end| matches!(end.op, Op::Quantize { .. }));
        let of_rows = |dtype| Layout::new(&output.shape, dtype, Halo::default()).in_order(output.order);
        let rows = of_rows(quantization.map_or(output.dtype, |_| graph.value(step.node.output).dtype));
        let step =
            Lowering { output: if is_staged || quantization.is_some() { &rows } else { output }, ..step };
        let kernel = match kernel {
            Some(kernel) => kernel,
            None => {
                let none = || Error::internal(&step.node.name, "has no kernel at this level");
                let picked = self.source.picker.pick(kernels, &step).ok_or_else(none)?;
                pick.insert(picked).kernel
            }
        };
        let Planned { work, tiling } = (kernel.build)(&step)?;
        let mut work = self.with_sum(index, work)?;
        if let Some(node) = quantization {
            let quantizer = Quantizer::new(graph, node.output, Vectorizer::new(self.source.picker.level))?;
            work = Box::new(Quantized::new(work, rows, &tiling, quantizer)?);
        }
        if is_staged {
            work = Box::new(Staged::new(work, of_rows(output.dtype), &tiling)?);
        }
        Ok((kernel, Planned { work, tiling }))
    }

    /// Whether a node's step itself writes pixels that lie apart. What becomes of its result goes through whole rows.
    pub(super) fn writes_apart(&self, node: usize, operation: &str, channels: usize) -> bool {
        let graph = self.source.graph;
        let ends_plainly = self.fusion.ends_in(node, graph) == graph.nodes[node].output;
        ends_plainly && kernels::writes_apart(operation, channels)
    }

    /// A node's work with the addition that is part of its step.
    fn with_sum(&self, index: usize, work: Box<dyn Work>) -> Result<Box<dyn Work>, Error> {
        let (graph, level) = (self.source.graph, self.source.picker.level);
        let Some(sum) = self.fusion.sum_of[index] else { return Ok(work) };
        let nodes = [Some(sum.node), self.fusion.end_of[sum.node]].map(|node| node.map(|i| &graph.nodes[i]));
        Ok(Box::new(Residual::new(work, graph, nodes, sum.is_second, level)?))
    }

    pub(super) fn fallback(&self, index: usize, output: &Slot) -> Result<Planned, Error> {
        let graph = self.source.graph;
        let mut activations = 0..;
        let operand = |&id: &ValueId| match (&graph.value(id).constant, self.shapes.known(id)) {
            (None, None) => Ok(Operand::Activation(activations.next().unwrap_or(0))),
            (None, Some(known)) => Ok(Operand::Constant(Arc::new(known.clone()))),
            (Some(_), _) => {
                let missing = || Error::internal(&graph.value(id).name, "lacks its bytes");
                let constant = || graph.constant(id).ok_or_else(missing);
                Ok(Operand::Constant(self.source.packed.get::<Tensor>(
                    id.index(),
                    "reference",
                    false,
                    constant,
                )?))
            }
        };
        let operands = graph.nodes[index].inputs.iter().map(operand).collect::<Result<_, Error>>()?;
        let (graph, shapes) = (Arc::clone(graph), Arc::clone(&self.shapes));
        let work: Box<dyn Work> = Box::new(Fallback { graph, shapes, node: index, operands });
        Ok(Planned { work, tiling: Tiling::single(&output.layout) })
    }
}
