//! OpenCL devices: which there are, what one is asked to do, and how a plan's steps run on one.
//!
//! ```text
//! survey -> Facts --open, known answers--> Opened: context, programs --build--> Launches in a plan --Remote--> commands in a queue
//! ```
//! A plan for such a device is made by the stages of any plan. Its arena exists twice, on the host and on the device, with
//! every value at the same offset of both; steps without a kernel here run on the host between, and what they need is
//! copied (`plan/route.rs`).

mod answer;
mod api;
#[cfg(test)]
mod faults;
pub(crate) mod fpga;
pub(crate) mod kernels;
mod launch;
mod opened;
mod part;
mod remote;
mod store;
mod survey;
mod tune;
mod uploads;

pub use fpga::{HostLayers, Target, Targets};
pub use kernels::{OpenclKernel, opencl_kernels};
pub(crate) use launch::Launch;
pub(crate) use opened::{Opened, condemn, open, outcome};
pub(crate) use part::Part;
pub use store::DeviceStore;
pub(crate) use store::times;
pub use survey::{Facts, PlatformReport, Survey, survey};
pub(crate) use tune::{Rival, Trial};
