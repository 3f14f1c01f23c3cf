//! A session's part on the device: arena, kernels with their arguments, queue.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::api::{Buffer, Event, Fault, Kernel, Queue};
use super::uploads::Uploads;
use super::{Launch, Opened};
use crate::error::Error;
use crate::host::memory::Memory;
use crate::plan::{Plan, READ_SLACK, Slot};

/// What a session holds on the device for one plan.
#[derive(Debug)]
pub(crate) struct Remote {
    opened: Arc<Opened>,
    queue: Queue,
    timed: bool,
    arena: Buffer,
    /// For each step the kernels that it launches, with their grids.
    steps: Vec<Vec<Prepared>>,
    /// Made when several runs follow each other.
    uploads: Option<Uploads>,
}

/// A launch with its kernel and arguments, ready to be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    kernel: Kernel,
    global: [usize; 3],
    local: Option<[usize; 3]>,
}

impl Prepared {
    pub(super) fn new(opened: &Opened, launch: &Launch, arena: &Buffer) -> Result<Self, Error> {
        let kernel = opened.kernel(launch, arena)?;
        Ok(Self { kernel, global: launch.global, local: launch.local })
    }

    fn launch(&self, queue: &Queue) -> Result<Event, Fault> {
        queue.launch(&self.kernel, self.global, self.local)
    }
}

/// Runs launches one after the other and waits for each. How long that took by the device's clock, or by ours where it has none.
pub(super) fn time(queue: &Queue, launches: &[Prepared]) -> Result<Duration, Fault> {
    let start = Instant::now();
    let mut nanoseconds = 0;
    for prepared in launches {
        let event = prepared.launch(queue)?;
        event.wait()?;
        nanoseconds += event.nanoseconds().unwrap_or(0);
    }
    Ok(if nanoseconds > 0 { Duration::from_nanos(nanoseconds) } else { start.elapsed() })
}

impl Remote {
    /// Makes memory and kernels for a plan. `timed` commands tell how long they took.
    ///
    /// # Errors
    /// [`Error::DeviceFault`] and [`Error::ProgramRefused`].
    pub(crate) fn new(opened: &Arc<Opened>, plan: &Plan, timed: bool) -> Result<Self, Error> {
        let arena = opened.buffer(plan.arena_bytes() + READ_SLACK)?;
        let prepare = |step: &crate::plan::Step| {
            let prepared = |launch| Prepared::new(opened, launch, &arena);
            step.launches().iter().map(prepared).collect()
        };
        let steps = plan.all_steps().iter().map(prepare).collect::<Result<_, Error>>()?;
        let (opened, queue) = (Arc::clone(opened), opened.queue(timed)?);
        Ok(Self { opened, queue, timed, arena, steps, uploads: None })
    }

    pub(crate) fn is_timed(&self) -> bool {
        self.timed
    }

    /// Sends steps to the device without waiting for them.
    ///
    /// # Errors
    /// [`Error::DeviceFault`].
    pub(crate) fn launch(&self, steps: Range<usize>) -> Result<(), Error> {
        let mut launches = self.steps[steps].iter().flatten();
        let sent = launches.try_for_each(|launch| launch.launch(&self.queue).map(drop));
        sent.and_then(|()| self.queue.flush()).map_err(|fault| self.opened.fault(fault))
    }

    /// Runs a step and says how long the device took for it.
    ///
    /// # Errors
    /// [`Error::DeviceFault`].
    pub(crate) fn time(&self, step: usize) -> Result<Duration, Error> {
        time(&self.queue, &self.steps[step]).map_err(|fault| self.opened.fault(fault))
    }

    /// Copies a value from the host's arena to the device's. What it says of `memory` holds until [`Remote::download`] or
    /// [`Remote::finish`] has returned: nothing of the value's place may change.
    ///
    /// # Errors
    /// [`Error::DeviceFault`].
    #[allow(unsafe_code, reason = "the copy may end after the call")]
    pub(crate) fn upload(&self, memory: &mut Memory, slot: &Slot) -> Result<(), Error> {
        let bytes = memory.slice_mut(slot.range());
        // SAFETY: the session keeps its memory, and writes to it only after a download or `finish`, which waits for all
        // commands before.
        let event = unsafe { self.queue.write(&self.arena, slot.offset, bytes) };
        event.map(drop).map_err(|fault| self.opened.fault(fault))
    }

    /// Sends the inputs of the next run, which go to these places, while the device may still be at this one; `store` writes them,
    /// given the number of each, its place and its bytes. The run before this one must have ended.
    ///
    /// # Errors
    /// [`Error::DeviceFault`], and those of `store`.
    pub(crate) fn send(
        &mut self,
        slots: &[Slot],
        store: impl FnMut(usize, &Slot, &mut [u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.uploads.is_none() {
            self.uploads = Some(Uploads::new(&self.opened, slots.iter().cloned())?);
        }
        self.uploads.as_mut().map_or(Ok(()), |uploads| uploads.send(store))
    }

    /// From the next launch on, the inputs sent last are those of the run.
    ///
    /// # Errors
    /// [`Error::DeviceFault`].
    pub(crate) fn place(&mut self) -> Result<(), Error> {
        let placed = self.uploads.as_mut().map_or(Ok(()), |uploads| uploads.place(&self.queue, &self.arena));
        placed.map_err(|fault| self.opened.fault(fault))
    }

    /// Copies a value from the device's arena to the host's, when all before has ended.
    ///
    /// # Errors
    /// [`Error::DeviceFault`].
    pub(crate) fn download(&self, memory: &mut Memory, slot: &Slot) -> Result<(), Error> {
        let bytes = memory.slice_mut(slot.range());
        let read = self.queue.read(&self.arena, slot.offset, bytes);
        read.map(drop).map_err(|fault| self.opened.fault(fault))
    }

    /// Waits until the device has done all it was sent.
    ///
    /// # Errors
    /// [`Error::DeviceFault`].
    pub(crate) fn finish(&self) -> Result<(), Error> {
        self.queue.finish().map_err(|fault| self.opened.fault(fault))
    }
}
