//! Convolution as a matrix product whose left matrix is the image itself.
//!
//! No row is gathered: all outputs read their taps at the same offsets from their own first tap, and taps that lie side
//! by side in the image (all channels of a window's row) are one run. So a first layer of three channels needs no
//! packing either: its 3x3 window is three runs of nine bytes, three quarters of whose steps are products that count.

use std::sync::Arc;

use super::{Geometry, attributes, weights};
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

struct Conv {
    product: Arc<Product>,
    place: Place,
    /// Rows of a tile.
    rows: usize,
}

/// Where the left matrix lies.
struct Place {
    geometry: Geometry,
    /// Offsets of the runs from the first tap, and their length.
    runs: Vec<usize>,
    length: usize,
    groups: usize,
    group_channels: usize,
    columns: usize,
}

/// `packing` is the name of the kernel whose packed weights it shares; `claim` the multiply-accumulates of a tile.
pub(super) fn build(
    step: &Lowering<'_>,
    packing: &'static str,
    tiles: &'static Tiles,
    claim: u64,
) -> Result<Planned, Error> {
    let (conv, bounds) = attributes(step)?;
    let (weights, [outputs, group_channels, height, width]) = weights(step)?;
    let place = Place::new(step)?;
    let (length, taps_per_run) = (place.length, place.length / group_channels);
    #[cfg(target_arch = "x86_64")]
    let (packing, tiles) = if tiles.level == CpuLevel::Amx && !suits_amx(step) {
        ("conv/avx512vnni", &x86::AVX512VNNI)
    } else {
        (packing, tiles)
    };
    let product = step.packed(packing, || {
        let weight = |output: usize, run: usize, i: usize| {
            let (tap, channel) = (run * taps_per_run + i / group_channels, i % group_channels);
            weights[(output * group_channels + channel) * height * width + tap]
        };
        let weights = Weights { outputs, groups: conv.groups, runs: place.runs.len(), length, weight };
        Ok(Product::new(tiles, &weights, &Requant::new(step, bounds)?, step.pool()))
    })?;
    let tiling = tiling(step.output, step.macs, tiles, conv.groups == 1, claim);
    let rows = tiling.region(0).rows.len();
    Ok(Planned { work: Box::new(Conv { product, place, rows }), tiling })
}

/// Whether tiles of AMX would not be mostly empty.
#[cfg(target_arch = "x86_64")]
pub(crate) fn suits_amx(step: &Lowering<'_>) -> bool {
    Place::new(step).is_ok_and(|place| TileProduct::pays(&place.left(), step.output.grid.rows))
}

impl Place {
    fn new(step: &Lowering<'_>) -> Result<Self, Error> {
        let (conv, _) = attributes(step)?;
        let (_, [_, group_channels, _, width]) = weights(step)?;
        let geometry = Geometry::new(&conv.window, &step.inputs[0], &step.node.name)?;
        // Taps of a window's row touch where nothing lies between them.
        let touch = conv.groups == 1 && conv.window.dilations[1] == 1 && step.inputs[0].is_dense();
        let taps_per_run = if touch { width } else { 1 };
        Ok(Self {
            runs: geometry.taps.iter().copied().step_by(taps_per_run).collect(),
            geometry,
            length: taps_per_run * group_channels,
            groups: conv.groups,
            group_channels,
            columns: step.output.grid.columns,
        })
    }

    fn left(&self) -> Left<'_> {
        Left {
            first: self.geometry.first_tap(0, 0, 0),
            image: self.geometry.image,
            row: self.geometry.step[0],
            column: self.geometry.step[1],
            columns: self.columns,
            groups: self.groups,
            group: self.group_channels,
            runs: &self.runs,
            length: self.length,
        }
    }
}

impl Work for Conv {
    fn scratch_bytes(&self) -> usize {
        self.product.scratch_bytes(&self.place.left(), self.rows)
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        self.product.run(inputs.view(0).bytes, &self.place.left(), tile, scratch);
        Ok(())
    }
}
