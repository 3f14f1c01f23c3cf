//! Quantized depthwise convolution: every channel has its own window and feeds one output channel.

mod scalar;

use tilemark_model::graph::Conv;

use super::Kernel;
use crate::host::CpuLevel;

pub(crate) const KERNELS: &[Kernel] = &[Kernel {
    name: "depthwise/scalar",
    operation: "depthwise",
    level: CpuLevel::Scalar,
    build: scalar::build,
}];

/// Most taps of a depthwise window; larger ones run as grouped convolutions. No network comes near.
const MAX_TAPS: usize = 128;

/// Whether a convolution of weights `[O, C/groups, KH, KW]` is one that these kernels take.
pub(crate) fn applies(conv: &Conv, weights: &[usize]) -> bool {
    weights[0] == conv.groups && weights[1] == 1 && weights[2] * weights[3] <= MAX_TAPS
}
