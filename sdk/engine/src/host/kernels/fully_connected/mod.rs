//! Quantized matrix product with constant weights: `[..., K]` times `[N, K]` transposed.

mod direct;
mod scalar;

#[cfg(target_arch = "x86_64")]
pub(crate) use direct::suits_amx;

use super::Kernel;
use super::gemm::products;

pub(crate) const KERNELS: &[Kernel] = products!("fully_connected", scalar::build, direct::build);
