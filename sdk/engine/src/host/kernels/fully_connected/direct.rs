//! Fully connected layer: the input's rows are the left matrix as they lie.

use std::sync::Arc;

use tilemark_model::Op;

use crate::error::Error;
#[cfg(target_arch = "x86_64")]
use crate::host::CpuLevel;
use crate::host::kernels::epilogue::Requant;
#[cfg(target_arch = "x86_64")]
use crate::host::kernels::gemm::amx::TileProduct;
use crate::host::kernels::gemm::product::{Left, Product, Weights, tiling};
use crate::host::kernels::gemm::tiles::Tiles;
#[cfg(target_arch = "x86_64")]
use crate::host::kernels::gemm::x86;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::Lowering;

struct FullyConnected {
    product: Arc<Product>,
    /// Bytes from one row to the next, and of a row.
    row: usize,
    length: usize,
    /// Rows of a tile.
    rows: usize,
}

/// `packing` is the name of the kernel whose packed weights it shares; `claim` the multiply-accumulates of a tile.
pub(super) fn build(
    step: &Lowering<'_>,
    packing: &'static str,
    tiles: &'static Tiles,
    claim: u64,
) -> Result<Planned, Error> {
    let Op::FullyConnected(bounds) = step.node.op else {
        return Err(Error::internal(&step.node.name, "planned as FullyConnected"));
    };
    let (row, length) = (step.inputs[0].row_stride(), step.inputs[0].row_bytes());
    #[cfg(target_arch = "x86_64")]
    let (packing, tiles) = if tiles.level == CpuLevel::Amx && !suits_amx(step) {
        ("fully_connected/avx512vnni", &x86::AVX512VNNI)
    } else {
        (packing, tiles)
    };
    let product = step.packed(packing, || {
        let missing = || Error::internal(&step.node.name, "lacks its weights");
        let weights = step.graph.constant_bytes(step.node.inputs[1]).ok_or_else(missing)?;
        let weights: &[i8] = bytemuck::cast_slice(weights);
        let (outputs, k) = (step.output.grid.channels, step.inputs[0].grid.channels);
        let weight = |output: usize, _: usize, i: usize| weights[output * k + i];
        let weights = Weights { outputs, groups: 1, runs: 1, length: k, weight };
        Ok(Product::new(tiles, &weights, &Requant::new(step, bounds)?, step.pool()))
    })?;
    let tiling = tiling(step.output, step.macs, tiles, true, claim);
    let rows = tiling.region(0).rows.len();
    Ok(Planned { work: Box::new(FullyConnected { product, row, length, rows }), tiling })
}

/// Whether tiles of AMX would not be mostly empty.
#[cfg(target_arch = "x86_64")]
pub(crate) fn suits_amx(step: &Lowering<'_>) -> bool {
    let x = &step.inputs[0];
    TileProduct::pays(&left(x.row_stride(), x.row_bytes()), step.output.grid.rows)
}

/// Rows of `length` bytes, `row` bytes apart.
fn left(row: usize, length: usize) -> Left<'static> {
    Left { first: 0, image: 0, row, column: row, columns: 1, groups: 1, group: 0, runs: &[0], length }
}

impl Work for FullyConnected {
    fn scratch_bytes(&self) -> usize {
        self.product.scratch_bytes(&left(self.row, self.length), self.rows)
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        self.product.run(inputs.view(0).bytes, &left(self.row, self.length), tile, scratch);
        Ok(())
    }
}
