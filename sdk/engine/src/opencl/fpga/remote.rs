//! A session's part on an engine: its memory with constants and list in it, and the queue.

use std::ffi::CStr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tilemark_bitstreams::Form;
use tilemark_model::ValueId;

use super::super::Opened;
use super::super::api::{Arg, Buffer, Event, Fault, Queue};
use super::place;
use super::program::Program;
use crate::error::Error;
use crate::host::memory::Memory;
use crate::plan::Slot;

/// The kernels that run a list, `kernel(memory, list, tiles)`, each on a queue of its own; the last of them ends last.
const fn entries(form: Form) -> &'static [&'static CStr] {
    match form {
        Form::Engine => &[c"tilemark_run"],
        Form::Channels => &[c"tilemark_feed", c"tilemark_multiply", c"tilemark_drain"],
    }
}

/// What a session holds on an engine for one plan.
#[derive(Debug)]
pub(crate) struct Remote {
    opened: Arc<Opened>,
    program: Arc<Program>,
    /// One for each kernel but the last.
    others: Vec<Queue>,
    /// That of the last kernel, and of all copies.
    queue: Queue,
    timed: bool,
    memory: Buffer,
}

impl Remote {
    /// Makes memory for a plan, and writes what does not change.
    ///
    /// # Errors
    /// Those of the device.
    #[allow(unsafe_code, reason = "the copy has ended when this returns")]
    pub(crate) fn new(opened: &Arc<Opened>, program: &Arc<Program>, timed: bool) -> Result<Self, Error> {
        let (queue, memory) = (opened.queue(timed)?, opened.buffer(program.bytes())?);
        let kernels = opened.engine().map_or(1, |engine| entries(engine.form).len());
        let others = (1..kernels).map(|_| opened.queue(false)).collect::<Result<_, _>>()?;
        if !program.fixed.is_empty() {
            // SAFETY: `finish` waits for the copy, while the program is borrowed.
            let written = unsafe { queue.write(&memory, program.fixed_at, &program.fixed) };
            written.and_then(|_| queue.finish()).map_err(|fault| opened.fault(fault))?;
        }
        Ok(Self { opened: Arc::clone(opened), program: Arc::clone(program), others, queue, timed, memory })
    }

    pub(crate) fn is_timed(&self) -> bool {
        self.timed
    }

    /// Sends steps to the engine, as one list, without waiting for them.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn launch(&self, steps: Range<usize>) -> Result<(), Error> {
        let sent = self.send(steps).and_then(|_| self.queue.flush());
        sent.map_err(|fault| self.opened.fault(fault))
    }

    /// Runs a step and says how long the engine took for it, by its own clock.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn time(&self, step: usize) -> Result<Duration, Error> {
        let run = || {
            let Some(event) = self.send(step..step + 1)? else { return Ok(Duration::ZERO) };
            event.wait()?;
            event.nanoseconds().map(Duration::from_nanos)
        };
        run().map_err(|fault| self.opened.fault(fault))
    }

    fn send(&self, steps: Range<usize>) -> Result<Option<Event>, Fault> {
        let Some((list, tiles)) = self.program.list(steps).filter(|&(_, tiles)| tiles > 0) else {
            return Ok(None);
        };
        let Some(engine) = self.opened.engine() else { return Ok(None) };
        if !self.others.is_empty() {
            self.queue.finish()?; // the first kernel of a list must not read what the last one of the list before still writes
        }
        let word = |number: usize| Arg::Int(u32::try_from(number).unwrap_or(u32::MAX).cast_signed());
        let mut last = None;
        for (entry, queue) in entries(engine.form).iter().zip(self.others.iter().chain([&self.queue])) {
            let mut kernel = engine.program.kernel(entry)?;
            for (index, arg) in (0..).zip([Arg::Arena, word(list), word(tiles)]) {
                kernel.set(index, &arg, &self.memory)?;
            }
            last = Some(queue.launch(&kernel, [1; 3], Some([1; 3]))?);
            queue.flush()?;
        }
        Ok(last)
    }

    /// Packs a value from the host's arena into the engine's memory. Waits until it is there.
    ///
    /// # Errors
    /// Those of the device.
    #[allow(unsafe_code, reason = "the copy has ended when this returns")]
    pub(crate) fn upload(&self, memory: &mut Memory, value: ValueId, slot: &Slot) -> Result<(), Error> {
        let packed = place::pack(slot, memory.slice_mut(slot.range()), &self.program.spec.config);
        let at = self.address(value)?;
        // SAFETY: `finish` waits for the copy, while the bytes are here.
        let written = unsafe { self.queue.write(&self.memory, at, &packed) };
        written.and_then(|_| self.queue.finish()).map_err(|fault| self.opened.fault(fault))
    }

    /// Unpacks a value from the engine's memory into the host's arena, when all before has ended.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn download(&self, memory: &mut Memory, value: ValueId, slot: &Slot) -> Result<(), Error> {
        let config = &self.program.spec.config;
        let mut packed = vec![0; place::bytes(slot.layout.grid, config)];
        let read = self.queue.read(&self.memory, self.address(value)?, &mut packed);
        read.map_err(|fault| self.opened.fault(fault))?;
        place::unpack(slot, &packed, memory.slice_mut(slot.range()), config);
        Ok(())
    }

    fn address(&self, value: ValueId) -> Result<usize, Error> {
        let nowhere = || Error::internal("a value", "has no place in the engine's memory");
        self.program.address(value).map(|address| address as usize).ok_or_else(nowhere)
    }

    /// Waits until the engine has done all it was sent.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        self.queue.finish().map_err(|fault| self.opened.fault(fault))
    }
}
