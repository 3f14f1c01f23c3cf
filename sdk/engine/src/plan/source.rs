//! What a plan is made from: a graph, and what runs it.

use std::sync::Arc;

use tilemark_bitstreams::Config;
use tilemark_model::Graph;

use super::packed::PackedWeights;
use super::pick::Picker;
use crate::opencl::Opened;
use crate::opencl::fpga::EngineSpec;

/// What a plan is made from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) graph: &'a Arc<Graph>,
    pub(crate) packed: &'a PackedWeights,
    pub(crate) picker: Picker<'a>,
    /// The OpenCL device that runs what it can; without it the host runs everything.
    pub(crate) opened: Option<&'a Arc<Opened>>,
    /// An engine without a device: what is made for it is looked at, and not run.
    pub(crate) rehearsed: Option<&'a EngineSpec>,
}

/// What takes steps that the host need not run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beside<'a> {
    Nothing,
    /// Those of an OpenCL device.
    Kernels,
    /// An FPGA's.
    Engine(&'a Config),
}

impl<'a> Source<'a> {
    /// The FPGA's engine that the plan is for.
    pub(super) fn engine(&self) -> Option<&'a EngineSpec> {
        self.rehearsed.or_else(|| Some(&self.opened?.engine()?.spec))
    }

    /// What takes steps beside the host.
    pub(super) fn beside(&self) -> Beside<'a> {
        match (self.engine(), self.opened) {
            (Some(engine), _) => Beside::Engine(&engine.config),
            (None, Some(_)) => Beside::Kernels,
            (None, None) => Beside::Nothing,
        }
    }
}
