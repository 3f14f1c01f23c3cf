//! Convolutions with one filter per channel.

use tilemark_kernels::DEPTHWISE;

use super::conv::{Frame, Layer, plain};
use super::{Kernel, Launch, Needs, Site, Suits};
use crate::error::Error;
use crate::opencl::launch::ProgramKey;

pub(super) const KERNELS: &[Kernel] = &[
    Kernel { name: "depthwise/opencl", needs: Needs::Nothing, suits: Suits::Any, build: plain::build },
    Kernel {
        name: "depthwise/opencl:blocks",
        needs: Needs::Nothing,
        suits: Suits::Cpu,
        build: |site| build(site, &BLOCKS),
    },
    Kernel {
        name: "depthwise/opencl:lanes",
        needs: Needs::Nothing,
        suits: Suits::Gpu,
        build: |site| build(site, &LANES),
    },
];

/// Pixels of an item: more need more registers than there are.
const PIXELS: usize = 4;
/// Columns of kernels that are written out; wider ones are rare.
const MAX_COLUMNS: usize = 7;

/// A variant.
struct Shape {
    name: &'static str,
    /// Channels of an item.
    channels: usize,
    local: [usize; 3],
}

const BLOCKS: Shape = Shape { name: "depthwise/opencl:blocks", channels: 16, local: [1, 1, 1] };
const LANES: Shape = Shape { name: "depthwise/opencl:lanes", channels: 4, local: [16, 4, 1] };

/// Whether a convolution has one filter for each channel, as the kernels here want it.
pub(super) fn applies(conv: &tilemark_model::graph::Conv, weights: &[usize]) -> bool {
    conv.groups > 1 && weights.first() == Some(&conv.groups) && weights.get(1) == Some(&1)
}

fn build(site: &Site<'_>, shape: &Shape) -> Result<Option<Vec<Launch>>, Error> {
    let layer = Layer::new(site)?;
    let window = &layer.conv.window;
    if window.dilations[1] != 1 || layer.width > MAX_COLUMNS || window.strides[1] > 2 {
        return Ok(None);
    }
    let channels = layer.outputs.next_multiple_of(shape.channels);
    let pack = || {
        let mut packed = Vec::with_capacity(channels * layer.taps());
        for first in (0..channels).step_by(shape.channels) {
            for tap in 0..layer.taps() {
                packed.extend((first..first + shape.channels).map(|channel| layer.weight(channel, tap, 0)));
            }
        }
        packed
    };
    let weights = layer.packed(shape.name, pack)?;
    let frame = Frame::new(&layer)?;
    let args = layer.arguments(&frame, weights, shape.channels)?;
    let (columns, stride) = (layer.width, window.strides[1]);
    let options = format!(
        "-DTM_CHANNELS={} -DTM_PIXELS={PIXELS} -DTM_COLUMNS={columns} -DTM_STRIDE={stride}",
        shape.channels
    );
    let [across, along, _] = shape.local;
    let global = [
        (channels / shape.channels).next_multiple_of(across),
        frame.y.size[2].div_ceil(PIXELS).next_multiple_of(along),
        frame.lines(),
    ];
    let program = ProgramKey::new(DEPTHWISE, options);
    Ok(Some(vec![Launch { program, entry: "depthwise_run", args, global, local: Some(shape.local) }]))
}
