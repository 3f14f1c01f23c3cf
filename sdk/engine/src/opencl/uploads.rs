//! The next run's inputs on their way while the device computes this one: two lanes of pinned memory and of memory on the device,
//! used in turn, and a queue of their own.

use std::sync::Arc;

use super::Opened;
use super::api::{Buffer, Event, Fault, Pinned, Queue};
use crate::error::Error;
use crate::plan::{ALIGN, Slot};

/// Inputs of two runs.
#[derive(Debug)]
pub(crate) struct Uploads {
    opened: Arc<Opened>,
    lanes: [Lane; 2],
    queue: Arc<Queue>,
    /// Where the inputs go, and where in a lane each lies.
    slots: Vec<(Slot, usize)>,
    /// The lane that is filled next.
    next: usize,
}

/// Inputs of one run.
#[derive(Debug)]
struct Lane {
    pinned: Pinned,
    staged: Buffer,
    /// Ends when the inputs are on the device.
    uploaded: Option<Event>,
}

impl Uploads {
    /// For inputs that go to these places of the arena.
    ///
    /// # Errors
    /// [`Error::DeviceFault`].
    pub(crate) fn new(opened: &Arc<Opened>, slots: impl IntoIterator<Item = Slot>) -> Result<Self, Error> {
        let mut bytes = 0;
        let place = |slot: Slot| {
            let at = bytes;
            bytes += slot.bytes.next_multiple_of(ALIGN);
            (slot, at)
        };
        let slots: Vec<(Slot, usize)> = slots.into_iter().map(place).collect();
        let queue = Arc::new(opened.queue(false)?);
        let lane = || {
            let pinned = opened.pinned(&queue, bytes)?;
            Ok::<_, Error>(Lane { pinned, staged: opened.buffer(bytes)?, uploaded: None })
        };
        let lanes = [lane()?, lane()?];
        Ok(Self { opened: Arc::clone(opened), lanes, queue, slots, next: 0 })
    }

    /// Sends the inputs of a run, which `store` writes: it is given the number of each, its place and its bytes. Waits for nothing.
    /// The run before the last one must have ended.
    ///
    /// # Errors
    /// [`Error::DeviceFault`], and those of `store`.
    #[allow(unsafe_code, reason = "the copy ends after the call")]
    pub(crate) fn send(
        &mut self,
        mut store: impl FnMut(usize, &Slot, &mut [u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let lane = &mut self.lanes[self.next];
        let bytes = lane.pinned.bytes();
        for (i, (slot, at)) in self.slots.iter().enumerate() {
            store(i, slot, &mut bytes[*at..][..slot.bytes])?;
        }
        // SAFETY: the bytes are written to again when the run of these inputs has ended, which waits for this copy.
        let event = unsafe { self.queue.write(&lane.staged, 0, bytes) };
        let uploaded = event.and_then(|event| self.queue.flush().map(|()| event));
        lane.uploaded = Some(uploaded.map_err(|fault| self.opened.fault(fault))?);
        self.next = 1 - self.next;
        Ok(())
    }

    /// Has `queue` put the inputs sent last in their places of `arena`, when they are there.
    pub(super) fn place(&mut self, queue: &Queue, arena: &Buffer) -> Result<(), Fault> {
        let lane = &mut self.lanes[1 - self.next];
        let Some(uploaded) = lane.uploaded.take() else { return Ok(()) };
        for (slot, at) in &self.slots {
            queue.copy([&lane.staged, arena], [*at, slot.offset], slot.bytes, &uploaded)?;
        }
        Ok(())
    }
}
