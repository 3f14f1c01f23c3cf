//! A session's part on its device, whichever kind of device that is.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tilemark_model::ValueId;

use super::{Opened, fpga, remote};
use crate::error::Error;
use crate::host::memory::Memory;
use crate::plan::{Plan, Slot};

/// What a session holds on its device for one plan. Errors are those of the device.
#[derive(Debug)]
pub(crate) enum Part {
    /// Kernels, launched step by step.
    Kernels(remote::Remote),
    /// The lists of an FPGA's engine.
    Engine(fpga::Remote),
}

impl Part {
    /// Makes memory and what runs. `timed` commands tell how long they took.
    pub(crate) fn new(opened: &Arc<Opened>, plan: &Plan, timed: bool) -> Result<Self, Error> {
        match plan.engine() {
            Some(program) => fpga::Remote::new(opened, program, timed).map(Self::Engine),
            None => remote::Remote::new(opened, plan, timed).map(Self::Kernels),
        }
    }

    pub(crate) fn is_timed(&self) -> bool {
        match self {
            Self::Kernels(remote) => remote.is_timed(),
            Self::Engine(remote) => remote.is_timed(),
        }
    }

    /// Sends steps to the device without waiting for them.
    pub(crate) fn launch(&self, steps: Range<usize>) -> Result<(), Error> {
        match self {
            Self::Kernels(remote) => remote.launch(steps),
            Self::Engine(remote) => remote.launch(steps),
        }
    }

    /// Runs a step and says how long the device took for it.
    pub(crate) fn time(&self, step: usize) -> Result<Duration, Error> {
        match self {
            Self::Kernels(remote) => remote.time(step),
            Self::Engine(remote) => remote.time(step),
        }
    }

    /// Copies a value to the device; its place in `memory` must not change until [`Part::finish`] or a download has returned.
    pub(crate) fn upload(&self, memory: &mut Memory, value: ValueId, slot: &Slot) -> Result<(), Error> {
        match self {
            Self::Kernels(remote) => remote.upload(memory, slot),
            Self::Engine(remote) => remote.upload(memory, value, slot),
        }
    }

    /// Sends the inputs of the next run while the device may still be at this one; only where the plan
    /// [streams](Plan::streams).
    pub(crate) fn send(
        &mut self,
        slots: &[Slot],
        store: impl FnMut(usize, &Slot, &mut [u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Kernels(remote) => remote.send(slots, store),
            Self::Engine(_) => Err(Error::internal("a session", "streams to an engine")),
        }
    }

    /// From the next launch on, the inputs sent last are those of the run.
    pub(crate) fn place(&mut self) -> Result<(), Error> {
        match self {
            Self::Kernels(remote) => remote.place(),
            Self::Engine(_) => Err(Error::internal("a session", "streams to an engine")),
        }
    }

    /// Copies a value to the host, when all before has ended.
    pub(crate) fn download(&self, memory: &mut Memory, value: ValueId, slot: &Slot) -> Result<(), Error> {
        match self {
            Self::Kernels(remote) => remote.download(memory, slot),
            Self::Engine(remote) => remote.download(memory, value, slot),
        }
    }

    /// Waits until the device has done all it was sent.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        match self {
            Self::Kernels(remote) => remote.finish(),
            Self::Engine(remote) => remote.finish(),
        }
    }
}
