//! The `tilemark` binary as scripts and people meet it: exit codes, JSON, messages, files.
//!
//! Every test has a folder and a `TILEMARK_HOME` of its own. Bundles are packed once and shared.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod browser;
mod careless;
#[cfg(feature = "store")]
mod chromium;
mod commit;
mod compare;
mod drift;
mod drivers;
#[cfg(feature = "store")]
mod escrow;
mod eval;
mod interop;
mod keys;
mod license;
mod machine;
mod metrics;
mod network;
mod pack;
mod parameters;
mod quantize;
#[cfg(feature = "store")]
mod registry;
mod run;
#[cfg(feature = "store")]
mod server;
#[cfg(feature = "store")]
mod site;
#[cfg(feature = "store")]
mod store;
mod tensors;
mod trust;
mod usage;
mod workshop;
