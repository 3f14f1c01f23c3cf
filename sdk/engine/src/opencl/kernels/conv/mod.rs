//! Convolutions: what all variants share.

mod blocks;
pub(super) mod dot;
mod frame;
pub(super) mod plain;

use std::sync::Arc;

use tilemark_model::graph::{Bounds, Conv};
use tilemark_model::{Op, shape};

use super::epilogue::Epilogue;
use super::{Arg, Build, Kernel, Launch, Needs, Site, Suits, int};
use crate::error::Error;
use crate::opencl::api::Buffer;
use crate::plan::stored_zero_point;
use dot::Dot;
pub(super) use frame::Frame;

pub(super) const KERNELS: &[Kernel] = &[
    variant("conv/opencl", Needs::Nothing, Suits::Any, plain::build),
    variant("conv/opencl:blocks8", Needs::Nothing, Suits::Cpu, |site| blocks::build(site, 8)),
    variant("conv/opencl:blocks4", Needs::Nothing, Suits::Other, |site| blocks::build(site, 4)),
    variant("conv/opencl:mma", Needs::Mma, Suits::Gpu, |site| dot::mma(site, false)),
    #[cfg(feature = "emulate-mma")]
    variant("conv/opencl:mma-emulated", Needs::EmulatedMma, Suits::Other, |site| dot::mma(site, true)),
    variant("conv/opencl:tiles-dp4a", Dot::Dp4a.needs(), Suits::Gpu, |site| dot::tiles(site, Dot::Dp4a)),
    variant("conv/opencl:tiles-dot", Dot::Extension.needs(), Suits::Gpu, |site| {
        dot::tiles(site, Dot::Extension)
    }),
    variant("conv/opencl:tiles", Dot::Written.needs(), Suits::Gpu, |site| dot::tiles(site, Dot::Written)),
    variant("conv/opencl:lanes-dp4a", Dot::Dp4a.needs(), Suits::Other, |site| dot::lanes(site, Dot::Dp4a, 4)),
    variant("conv/opencl:lanes-dot", Dot::Extension.needs(), Suits::Other, |site| {
        dot::lanes(site, Dot::Extension, 4)
    }),
    variant("conv/opencl:lanes", Dot::Written.needs(), Suits::Other, |site| {
        dot::lanes(site, Dot::Written, 4)
    }),
];

const fn variant(name: &'static str, needs: Needs, suits: Suits, build: Build) -> Kernel {
    Kernel { name, needs, suits, build }
}

/// A convolution to lower.
pub(super) struct Layer<'a> {
    site: &'a Site<'a>,
    pub(super) conv: &'a Conv,
    bounds: Bounds,
    /// `[O, C, KH, KW]`, with C the input channels of a group.
    weights: &'a [u8],
    pub(super) outputs: usize,
    channels: usize,
    height: usize,
    pub(super) width: usize,
}

impl<'a> Layer<'a> {
    pub(super) fn new(site: &'a Site<'a>) -> Result<Self, Error> {
        let step = site.step;
        let inconsistent = || Error::internal(&step.node.name, "is no convolution with weights");
        let Op::Conv(conv, bounds) = &step.node.op else { return Err(inconsistent()) };
        let weights = step.graph.constant_bytes(step.node.inputs[1]).ok_or_else(inconsistent)?;
        let &[outputs, channels, height, width] = step.shapes.of(step.node.inputs[1]) else {
            return Err(inconsistent());
        };
        Ok(Self { site, conv, bounds: *bounds, weights, outputs, channels, height, width })
    }

    /// Output channels of a group.
    fn group_outputs(&self) -> usize {
        self.outputs / self.conv.groups
    }

    pub(super) fn taps(&self) -> usize {
        self.height * self.width
    }

    /// The weight of an output channel for a tap and an input channel of its group; zero beyond either.
    pub(super) fn weight(&self, output: usize, tap: usize, channel: usize) -> u8 {
        let within = output < self.outputs && channel < self.channels;
        if within { self.weights[(output * self.channels + channel) * self.taps() + tap] } else { 0 }
    }

    /// Weights of this variant on the device, made by `pack` the first time.
    pub(super) fn packed(
        &self,
        variant: &'static str,
        pack: impl FnOnce() -> Vec<u8>,
    ) -> Result<Arc<Buffer>, Error> {
        self.site.step.packed(variant, || self.site.opened.constants(&pack()))
    }

    /// The arguments that all entry points of `conv.cl` have in common. Items read `read` channels of a pixel at once.
    pub(super) fn arguments(
        &self,
        frame: &Frame,
        weights: Arc<Buffer>,
        read: usize,
    ) -> Result<Vec<Arg>, Error> {
        let (site, step) = (self.site, self.site.step);
        let zero = stored_zero_point(step.graph, step.node.inputs[0])?;
        let byte = u8::try_from(zero).map_err(|_| Error::internal(&step.node.name, "zero point"))?;
        let border = || site.opened.constants(&vec![byte; site.inputs[0].layout.grid.channels + read + 16]);
        let border = step.packed("border/opencl", border)?;
        // Items may ask for the epilogue's numbers of 64 channels at once.
        let epilogue = Epilogue::new(site, self.bounds, self.outputs + 64)?;
        let ints = |numbers: [usize; 4]| Arg::Int4(numbers.map(int));
        let [strides, dilations] = [self.conv.window.strides, self.conv.window.dilations];
        let mut args = vec![Arg::Arena, Arg::Constants(weights), Arg::Constants(border)];
        args.extend(epilogue.constants());
        args.extend(frame.tensors());
        args.push(ints([self.height, self.width, self.channels, self.group_outputs()]));
        args.push(ints([strides[0], strides[1], dilations[0], dilations[1]]));
        args.push(Arg::Int4([int(frame.before[0]), int(frame.before[1]), zero, int(read)]));
        args.extend(epilogue.tail(frame.other()));
        Ok(args)
    }

    /// Rows above and columns left of the image.
    fn before(&self) -> Result<[usize; 2], Error> {
        let grid = self.site.inputs[0].layout.grid;
        let misfit = || Error::internal(&self.site.step.node.name, "has a window that does not fit");
        let extent = shape::output_extent(&self.conv.window, [grid.rows, grid.columns], false);
        Ok(extent.ok_or_else(misfit)?.before)
    }
}
