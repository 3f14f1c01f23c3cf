//! FPGAs: devices without a compiler, which take a program from a binary and then run whole networks from a command list.
//!
//! ```text
//! Target (a bitstream, and what it is for) --fits--> device --programmed--> Engine
//! Layer by layer: a node --emit--> tiles of the engine's list; Program: list, constants, where values lie; Remote: runs it
//! ```
//! The list is made with the plan, by `tilemark-bitstreams`, whose manual (`bitstreams/rtl/README.md`) has the words: tile, plane, block.
//! The engine's memory is its own: a value is packed when it goes there, and unpacked when it comes back.

mod layer;
mod place;
mod program;
mod remote;
mod target;

pub(crate) use layer::judge;
pub(crate) use program::{LayerStep, Program};
pub(crate) use remote::Remote;
pub(crate) use target::{Engine, EngineSpec, choose};
pub use target::{HostLayers, Target, Targets};
