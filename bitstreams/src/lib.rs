//! FPGA targets, as data and arithmetic: what the engine of `rtl/` reads ([`Descriptor`]), how tensors lie in its memory
//! ([`Tensor`]), how layers are cut into tiles ([`Compiler`]), and what a target's manifest says ([`Manifest`]).
//!
//! Nothing here touches a device. `rtl/README.md` is the manual of the engine; its names are used here.

mod compile;
mod config;
mod container;
mod descriptor;
mod manifest;
mod memory;
mod sources;

pub use compile::{
    Add, AveragePool, Compiler, Conv, MaxPool, MeanMultiplier, Program, Refused, Requant, Table, Window,
};
pub use config::{ABI, Config, ID, NotThisEngine};
pub use container::{Container, ContainerError, Form, HEADER_BYTES, Header, MAX_ARTIFACT_BYTES};
pub use descriptor::{DESCRIPTOR_BYTES, Descriptor, Op, traffic};
pub use manifest::{
    Artifact, Kind, Manifest, ManifestError, Recipe, Resources, SCHEMA, Status, Target, Timing, Toolchain,
};
pub use memory::Tensor;
pub use sources::sources;
