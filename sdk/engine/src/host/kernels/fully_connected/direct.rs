//! Fully connected layer for every x86-64 level: the input's rows are the left matrix as they lie.

use std::sync::Arc;

use tilemark_model::Op;

use crate::error::Error;
use crate::host::kernels::epilogue::Requant;
use crate::host::kernels::gemm::product::{Left, Product, Weights, tiling};
use crate::host::kernels::gemm::tile::Tiles;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::Lowering;

struct FullyConnected {
    product: Arc<Product>,
}

pub(super) fn build(
    step: &Lowering<'_>,
    kernel: &'static str,
    tiles: &'static Tiles,
) -> Result<Planned, Error> {
    let Op::FullyConnected(bounds) = step.node.op else {
        return Err(Error::internal(&step.node.name, "planned as FullyConnected"));
    };
    let product = step.packed(kernel, || {
        let missing = || Error::internal(&step.node.name, "lacks its weights");
        let weights = step.graph.constant_bytes(step.node.inputs[1]).ok_or_else(missing)?;
        let weights: &[i8] = bytemuck::cast_slice(weights);
        let (outputs, k) = (step.output.grid.channels, step.inputs[0].grid.channels);
        let weight = |output: usize, _: usize, i: usize| weights[output * k + i];
        let weights = Weights { outputs, groups: 1, runs: 1, length: k, weight };
        Ok(Product::new(tiles, &weights, &Requant::new(step, bounds)?))
    })?;
    let tiling = tiling(step.output, step.macs, Product::channel_step(tiles), true);
    Ok(Planned { work: Box::new(FullyConnected { product }), tiling })
}

impl Work for FullyConnected {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        let left = Left {
            first: &|image, row| x.layout.offset(image, row, 0),
            column: x.layout.row_stride(),
            columns: 1,
            is_flat: true,
            group: 0,
            runs: &[0],
        };
        self.product.run(x.bytes, &left, tile);
        Ok(())
    }
}
