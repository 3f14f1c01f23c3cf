//! Portable fully connected layer: the input's rows are the left matrix.

use std::sync::Arc;

use tilemark_model::Op;

use crate::error::Error;
use crate::host::kernels::epilogue::{LANES, Requant};
use crate::host::kernels::gemm::scalar::{Gemm, Panels, widen_bytes};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Lowering, Tiling};

struct FullyConnected {
    gemm: Arc<Gemm>,
    channels: usize,
}

pub(super) fn build(step: &Lowering<'_>) -> Result<Planned, Error> {
    let Op::FullyConnected(bounds) = step.node.op else {
        return Err(Error::internal(&step.node.name, "planned as FullyConnected"));
    };
    let gemm = step.packed("fully_connected/scalar", || {
        let missing = || Error::internal(&step.node.name, "lacks its weights");
        let weights = step.graph.constant_bytes(step.node.inputs[1]).ok_or_else(missing)?;
        let weights: &[i8] = bytemuck::cast_slice(weights);
        let (outputs, k) = (step.output.grid.channels, step.inputs[0].grid.channels);
        let panels = Panels::new(outputs, 1, k, |output, i| weights[output * k + i]);
        Ok(Gemm { panels, requant: Requant::new(step, bounds)? })
    })?;
    let tiling = Tiling::by_rows_and_channels(step.output, step.macs, LANES);
    let work = Box::new(FullyConnected { gemm, channels: step.output.grid.channels });
    Ok(Planned { work, tiling })
}

impl Work for FullyConnected {
    fn scratch_bytes(&self) -> usize {
        self.gemm.scratch_bytes(self.channels)
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        self.gemm.run(tile, 1, scratch, |[image, row, _], _, floats| widen_bytes(x.row(image, row), floats));
        Ok(())
    }
}
