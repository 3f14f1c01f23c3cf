//! Operations without a kernel of their own: the reference interpreter between two changes of layout.

use std::sync::Arc;

use tilemark_model::{Graph, Shapes, Tensor, reference};

use super::kernels::Work;
use super::memory::{Inputs, Tile};
use crate::error::Error;

/// Where an operand comes from.
pub(crate) enum Operand {
    /// The step's input of this number.
    Activation(usize),
    /// A constant of the graph.
    Constant(Arc<Tensor>),
}

/// One node as the specification computes it, in one tile.
pub(crate) struct Fallback {
    pub(crate) graph: Arc<Graph>,
    pub(crate) shapes: Arc<Shapes>,
    pub(crate) node: usize,
    pub(crate) operands: Vec<Operand>,
}

impl Work for Fallback {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let load = |operand: &Operand| match operand {
            Operand::Constant(tensor) => Ok(Arc::clone(tensor)),
            Operand::Activation(i) => {
                let view = inputs.view(*i);
                Ok(Arc::new(view.layout.load(view.bytes)?))
            }
        };
        let operands = self.operands.iter().map(load).collect::<Result<Vec<_>, Error>>()?;
        let operands: Vec<&Tensor> = operands.iter().map(Arc::as_ref).collect();
        let output = reference::evaluate(&self.graph, &self.graph.nodes[self.node], &operands, &self.shapes)?;
        tile.store(&output)
    }
}
