//! Convolution as a matrix product whose left matrix is the image itself, for every x86-64 level.
//!
//! No row is gathered: all outputs read their taps at the same offsets from their own first tap, and taps that lie side
//! by side in the image (all channels of a window's row) are one run. So a first layer of three channels needs no
//! packing either: its 3x3 window is three runs of nine bytes, three quarters of whose steps are products that count.

use std::sync::Arc;

use super::{Geometry, attributes, weights};
use crate::error::Error;
use crate::host::kernels::epilogue::Requant;
use crate::host::kernels::gemm::product::{Left, Product, Weights, tiling};
use crate::host::kernels::gemm::tile::Tiles;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::Lowering;

struct Conv {
    product: Arc<Product>,
    geometry: Geometry,
    /// Offsets of the runs from the first tap.
    runs: Vec<usize>,
    group_channels: usize,
    columns: usize,
    is_flat: bool,
}

pub(super) fn build(
    step: &Lowering<'_>,
    kernel: &'static str,
    tiles: &'static Tiles,
) -> Result<Planned, Error> {
    let (conv, bounds) = attributes(step)?;
    let (weights, [outputs, group_channels, height, width]) = weights(step)?;
    let (x, y) = (&step.inputs[0], step.output);
    let geometry = Geometry::new(&conv.window, x, &step.node.name)?;
    // Taps of a window's row touch where nothing lies between them.
    let touch = conv.groups == 1 && conv.window.dilations[1] == 1;
    let taps_per_run = if touch { width } else { 1 };
    let runs: Vec<usize> = geometry.taps.iter().copied().step_by(taps_per_run).collect();
    let product = step.packed(kernel, || {
        let weight = |output: usize, run: usize, i: usize| {
            let (tap, channel) = (run * taps_per_run + i / group_channels, i % group_channels);
            weights[(output * group_channels + channel) * height * width + tap]
        };
        let length = taps_per_run * group_channels;
        let weights = Weights { outputs, groups: conv.groups, runs: runs.len(), length, weight };
        Ok(Product::new(tiles, &weights, &Requant::new(step, bounds)?))
    })?;
    let tiling = tiling(y, step.macs, Product::channel_step(tiles), conv.groups == 1);
    let is_flat = geometry.step[0] == geometry.step[1] * y.grid.columns;
    let columns = y.grid.columns;
    Ok(Planned { work: Box::new(Conv { product, geometry, runs, group_channels, columns, is_flat }), tiling })
}

impl Work for Conv {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let left = Left {
            first: &|image, row| self.geometry.first_tap(image, row, 0),
            column: self.geometry.step[1],
            columns: self.columns,
            is_flat: self.is_flat,
            group: self.group_channels,
            runs: &self.runs,
        };
        self.product.run(inputs.view(0).bytes, &left, tile);
        Ok(())
    }
}
