//! Portable convolution: each output pixel's taps are gathered into a row, then a matrix product.

use std::sync::Arc;

use super::{Geometry, attributes, weights};
use crate::error::Error;
use crate::host::kernels::epilogue::{LANES, Requant};
use crate::host::kernels::gemm::scalar::{Gemm, Panels, widen_bytes};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Lowering, Tiling};

struct Conv {
    gemm: Arc<Gemm>,
    geometry: Geometry,
    /// Runs of consecutive bytes that make up one row: offset from the first tap, and length.
    runs: Vec<(usize, usize)>,
    /// Input channels of one group.
    group_channels: usize,
    columns: usize,
    channels: usize,
}

pub(super) fn build(step: &Lowering<'_>) -> Result<Planned, Error> {
    let (conv, bounds) = attributes(step)?;
    let (weights, [outputs, group_channels, height, width]) = weights(step)?;
    let gemm = step.packed("conv/scalar", || {
        let k = group_channels * height * width;
        // Packed in the order tap, channel: that in which bytes lie in a channels-last image.
        let weight = |output: usize, k: usize| {
            let (tap, channel) = (k / group_channels, k % group_channels);
            weights[(output * group_channels + channel) * height * width + tap]
        };
        let panels = Panels::new(outputs, conv.groups, k, weight);
        Ok(Gemm { panels, requant: Requant::new(step, bounds)? })
    })?;
    let geometry = Geometry::new(&conv.window, &step.inputs[0], &step.node.name)?;
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &tap in &geometry.taps {
        match runs.last_mut() {
            Some((start, len)) if *start + *len == tap => *len += group_channels,
            _ => runs.push((tap, group_channels)),
        }
    }
    let tiling = if conv.groups == 1 {
        Tiling::by_rows_and_channels(step.output, step.macs, LANES)
    } else {
        Tiling::by_rows(step.output, step.macs)
    };
    let (columns, channels) = (step.output.grid.columns, step.output.grid.channels);
    let work = Box::new(Conv { gemm, geometry, runs, group_channels, columns, channels });
    Ok(Planned { work, tiling })
}

impl Work for Conv {
    fn scratch_bytes(&self) -> usize {
        self.gemm.scratch_bytes(self.channels)
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        self.gemm.run(tile, self.columns, scratch, |[image, row, column], group, mut floats| {
            let first = self.geometry.first_tap(image, row, column) + group * self.group_channels;
            for &(offset, len) in &self.runs {
                let (run, rest) = floats.split_at_mut(len);
                widen_bytes(&x.bytes[first + offset..][..len], run);
                floats = rest;
            }
        });
        Ok(())
    }
}
