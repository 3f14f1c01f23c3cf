//! Variants for graphics processors: dot products of four bytes, from local memory or from registers alone.

use tilemark_kernels::{CONV_MMA, CONV_TILES};

use super::super::Needs;
use super::{Frame, Launch, Layer, Site};
use crate::error::Error;
use crate::opencl::launch::ProgramKey;

/// Who multiplies four bytes at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::opencl::kernels) enum Dot {
    /// Four multiplications, which a compiler may or may not join.
    Written,
    /// The extension for it.
    Extension,
    /// NVIDIA's instruction.
    Dp4a,
}

impl Dot {
    pub(in crate::opencl::kernels) const fn needs(self) -> Needs {
        match self {
            Dot::Written => Needs::Nothing,
            Dot::Extension => Needs::IntegerDot,
            Dot::Dp4a => Needs::Dp4a,
        }
    }

    fn options(self) -> &'static str {
        match self {
            Dot::Written => "",
            Dot::Extension => "-cl-std=CL3.0 -DTM_DOT=1",
            Dot::Dp4a => "-DTM_DOT=2",
        }
    }
}

/// Bytes of a quad.
const QUAD: usize = 4;
/// Pixels and channels of a work-group's tile.
const TILE: usize = 64;

/// Work-groups of 64 pixels by 64 channels; both matrices go through local memory.
pub(super) fn tiles(site: &Site<'_>, dot: Dot) -> Result<Option<Vec<Launch>>, Error> {
    let layer = Layer::new(site)?;
    // Quads of a step: half a step of zeros costs more than more steps.
    let step = if layer.channels.div_ceil(QUAD) % 8 == 0 { 8 } else { 4 };
    let name = if step == 8 { "conv/opencl:tiles of 8" } else { "conv/opencl:tiles of 4" };
    let channels = layer.channels.next_multiple_of(step * QUAD);
    let weights = layer.packed(name, || quads(&layer, TILE, channels))?;
    let frame = Frame::new(&layer)?;
    let args = layer.arguments(&frame, weights, channels)?;
    let options = format!("-DTM_TILE_STEP={step} {} {}", dot.options(), aligned(&layer, &frame));
    let [images, rows, columns, _] = frame.y.size;
    let blocks = layer.group_outputs().div_ceil(TILE);
    let (program, local) = (ProgramKey::new(CONV_TILES, options), [16, 16, 1]);
    let global = [blocks * 16, (images * rows * columns).div_ceil(TILE) * 16, layer.conv.groups];
    Ok(Some(vec![Launch { program, entry: "conv_tiles", args, global, local: Some(local) }]))
}

/// Work-groups of 64 pixels by 64 channels, by tensor cores or by an emulation of them.
pub(super) fn mma(site: &Site<'_>, emulated: bool) -> Result<Option<Vec<Launch>>, Error> {
    let layer = Layer::new(site)?;
    let channels = layer.channels.next_multiple_of(8 * QUAD);
    let weights = layer.packed("conv/opencl:tiles of 8", || quads(&layer, TILE, channels))?;
    let frame = Frame::new(&layer)?;
    let args = layer.arguments(&frame, weights, channels)?;
    let emulated = if emulated { "-DTM_MMA_EMULATED" } else { "" };
    let program = ProgramKey::new(CONV_MMA, format!("{emulated} {}", aligned(&layer, &frame)));
    let [images, rows, columns, _] = frame.y.size;
    let blocks = layer.group_outputs().div_ceil(TILE);
    let global = [blocks * 128, (images * rows * columns).div_ceil(TILE), layer.conv.groups];
    Ok(Some(vec![Launch { program, entry: "conv_mma", args, global, local: Some([128, 1, 1]) }]))
}

/// 4 channels of `pixels` pixels an item, without local memory.
pub(super) fn lanes(site: &Site<'_>, dot: Dot, pixels: usize) -> Result<Option<Vec<Launch>>, Error> {
    const BLOCK: usize = 4;
    let layer = Layer::new(site)?;
    let channels = layer.channels.next_multiple_of(QUAD);
    let weights = layer.packed("conv/opencl:lanes", || quads(&layer, BLOCK, channels))?;
    let frame = Frame::new(&layer)?;
    let args = layer.arguments(&frame, weights, channels)?;
    let options = format!("-DTM_LANE_PIXELS={pixels} {} {}", dot.options(), aligned(&layer, &frame));
    let (program, local) = (ProgramKey::new(CONV_TILES, options), [8, 4, 1]);
    let blocks = layer.conv.groups * layer.group_outputs().div_ceil(BLOCK);
    let runs = frame.y.size[2].div_ceil(pixels);
    let global = [blocks.next_multiple_of(local[0]), runs.next_multiple_of(local[1]), frame.lines()];
    Ok(Some(vec![Launch { program, entry: "conv_lanes", args, global, local: Some(local) }]))
}

/// The macro that allows loads of words, where every quad of a pixel begins at a multiple of its size.
fn aligned(layer: &Layer<'_>, frame: &Frame) -> &'static str {
    let [image, row, column, _] = frame.x.at.strides;
    let offsets = [frame.x.at.first, image, row, column, layer.channels];
    if offsets.into_iter().all(|offset| offset % QUAD == 0) { "-DTM_ALIGNED" } else { "" }
}

/// `[group][block of outputs][tap][quad of channels][output of the block]` quads, and as many again as an item may read past its
/// group: none are used.
fn quads(layer: &Layer<'_>, block: usize, channels: usize) -> Vec<u8> {
    let outputs = layer.group_outputs();
    let mut packed = Vec::new();
    for group in 0..layer.conv.groups {
        for first in (0..outputs).step_by(block) {
            for tap in 0..layer.taps() {
                for quad in (0..channels).step_by(QUAD) {
                    for output in first..first + block {
                        packed.extend((quad..quad + QUAD).map(|channel| match output < outputs {
                            true => layer.weight(group * outputs + output, tap, channel),
                            false => 0,
                        }));
                    }
                }
            }
        }
    }
    packed
}
