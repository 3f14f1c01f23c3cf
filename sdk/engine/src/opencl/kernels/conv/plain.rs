//! One output element an item: any geometry, and what others are measured by.

use tilemark_kernels::CONV;

use super::super::GROUP;
use super::{Frame, Launch, Layer, Site};
use crate::error::Error;
use crate::opencl::launch::ProgramKey;

pub(in crate::opencl::kernels) fn build(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let layer = Layer::new(site)?;
    let pack = || {
        let mut packed = Vec::with_capacity(layer.weights.len());
        for output in 0..layer.outputs {
            for tap in 0..layer.taps() {
                packed.extend((0..layer.channels).map(|channel| layer.weight(output, tap, channel)));
            }
        }
        packed
    };
    let weights = layer.packed("conv/opencl", pack)?;
    let frame = Frame::new(&layer)?;
    let args = layer.arguments(&frame, weights, layer.channels)?;
    let program = ProgramKey::new(CONV, "");
    let global = [layer.outputs.next_multiple_of(GROUP), frame.y.size[2], frame.lines()];
    Ok(Some(vec![Launch { program, entry: "conv_plain", args, global, local: Some([GROUP, 1, 1]) }]))
}
