//! 16 output channels of some neighbouring pixels an item: for processors whose registers hold 16 sums.

use tilemark_kernels::CONV;

use super::{Frame, Launch, Layer, Site};
use crate::error::Error;
use crate::opencl::launch::ProgramKey;

/// Output channels of an item.
const BLOCK: usize = 16;
/// Input channels of a step of the loop.
const STEP: usize = 4;

pub(super) fn build(site: &Site<'_>, pixels: usize) -> Result<Option<Vec<Launch>>, Error> {
    let layer = Layer::new(site)?;
    let channels = layer.channels.next_multiple_of(STEP);
    let blocks = layer.group_outputs().div_ceil(BLOCK);
    let pack = || {
        let mut packed = Vec::with_capacity(layer.conv.groups * blocks * BLOCK * layer.taps() * channels);
        for group in 0..layer.conv.groups {
            for block in 0..blocks {
                for tap in 0..layer.taps() {
                    for channel in 0..channels {
                        packed.extend((block * BLOCK..(block + 1) * BLOCK).map(|output| {
                            let within = output < layer.group_outputs();
                            let output = group * layer.group_outputs() + output;
                            if within { layer.weight(output, tap, channel) } else { 0 }
                        }));
                    }
                }
            }
        }
        packed
    };
    let weights = layer.packed("conv/opencl:blocks", pack)?;
    let frame = Frame::new(&layer)?;
    let args = layer.arguments(&frame, weights, channels)?;
    let program = ProgramKey::new(CONV, format!("-DTM_PIXELS={pixels}"));
    let global = [layer.conv.groups * blocks, frame.y.size[2].div_ceil(pixels), frame.lines()];
    Ok(Some(vec![Launch { program, entry: "conv_blocks", args, global, local: Some([1, 1, 1]) }]))
}
