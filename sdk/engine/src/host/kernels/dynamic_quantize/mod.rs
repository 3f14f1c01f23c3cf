//! Quantization by a tensor's own range, part by part: ONNX's DynamicQuantizeLinear.

mod portable;

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("dynamic_quantize", portable::build);
