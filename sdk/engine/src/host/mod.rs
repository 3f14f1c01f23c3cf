//! The host device: kernels by CPU level, the memory they work in and the executor that runs them.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
pub(crate) mod cost;
pub(crate) mod cpu;
pub(crate) mod crew;
#[cfg(all(feature = "emulate-cpu", target_arch = "x86_64", target_os = "linux"))]
mod emulation;
pub(crate) mod executor;
pub(crate) mod fallback;
pub(crate) mod kernels;
pub(crate) mod memory;
pub(crate) mod pages;
mod peak;
pub(crate) mod ports;
pub(crate) mod simd;
pub(crate) mod staging;
pub(crate) mod vectorize;

pub use cpu::{CpuLevel, LEVEL_VARIABLE};
pub use kernels::{KernelInfo, all_kernels};
pub use peak::peak_macs_per_second;
