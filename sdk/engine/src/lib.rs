//! Compiles an integer graph to a plan for a device and runs it there, with the reference interpreter's bits.
//!
//! ```text
//! Graph --Compiled::new--> Compiled --plan(shapes)--> Plan: kernels chosen, tables fused, layouts, arena
//!                          Compiled --session()-----> Session --run(tensors)--> tensors
//! ```
//! How a graph becomes a plan and how to add a kernel, an operation or a device: `docs/engine.md`.

mod compiled;
mod device;
mod error;
mod fleet;
mod host;
mod known_answer;
pub mod limits;
mod opencl;
mod plan;
mod session;
mod tuning;

pub use compiled::Compiled;
pub use device::{Device, DeviceKind};
pub use error::{CODES, Error};
pub use fleet::Fleet;
pub use host::{CpuLevel, KernelInfo, LEVEL_VARIABLE, all_kernels, peak_macs_per_second};
pub use known_answer::known_answer;
pub use opencl::{
    DeviceStore, Facts, HostLayers, OpenclKernel, PlatformReport, Survey, Target, Targets, opencl_kernels,
    survey,
};
pub use plan::{Basis, EngineInfo, Plan, Refusal, StepInfo};
pub use session::Session;
pub use tuning::{TUNE_VARIABLE, Tuning, TuningRecord, TuningStore};

/// Whether this process asks for instructions in software that its devices lack: tests do.
#[cfg(any(
    feature = "emulate-mma",
    all(feature = "emulate-cpu", target_arch = "x86_64", target_os = "linux")
))]
pub(crate) fn emulates() -> bool {
    std::env::var_os("TILEMARK_TEST_EMULATE").is_some()
}
