//! An end that reads.

use std::fs::TryLockError;
use std::path::Path;
use std::time::{Duration, Instant};

use tilemark_model::TensorView;

use crate::contract::Contract;
use crate::error::Error;
use crate::ring::Ring;

/// How long a consumer looks again and again before it sleeps between two looks, and how long it sleeps then.
const SPIN: Duration = Duration::from_micros(50);
const NAP: Duration = Duration::from_micros(100);

/// One of a ring's consumers.
#[derive(Debug)]
pub struct Consumer {
    ring: Ring,
    /// The number of the last tensor that was read.
    seen: u64,
    /// How many were overwritten before they were read.
    missed: u64,
}

impl Consumer {
    /// Opens ring `name` in `folder`. Tensors that are there already are read too.
    ///
    /// # Errors
    /// [`Error::NoRing`] before the producer made it, [`Error::Contract`] if it holds anything else, [`Error::Damaged`].
    pub fn open(folder: &Path, name: &str, contract: &Contract) -> Result<Self, Error> {
        let ring = Ring::open(folder, name)?;
        if ring.terms.contract != *contract {
            let (found, expected) = (ring.terms.contract.to_string(), contract.to_string());
            return Err(Error::Contract { ring: name.to_owned(), found, expected });
        }
        Ok(Self { ring, seen: 0, missed: 0 })
    }

    /// The oldest tensor after the last one read, in the order of publishing; waits for one up to `timeout`. The slot is not
    /// written as long as the reading lives.
    ///
    /// # Errors
    /// [`Error::Closed`] when the producer began anew, [`Error::Io`] if a lock cannot be taken.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Reading<'_>>, Error> {
        let start = Instant::now();
        loop {
            if let Some((sequence, slot)) = self.take_oldest()? {
                self.saw(sequence);
                return Ok(Some(Reading { consumer: self, slot }));
            }
            let waited = start.elapsed();
            if waited >= timeout {
                return Ok(None);
            }
            if waited < SPIN { std::thread::yield_now() } else { std::thread::sleep(NAP) }
        }
    }

    /// The newest tensor, if it is another one than was read last: for those who want to be up to date, and not complete.
    ///
    /// # Errors
    /// Those of [`Consumer::next`].
    pub fn newest(&mut self) -> Result<Option<Reading<'_>>, Error> {
        while let Some((sequence, slot)) = self.ring.newest()?.filter(|newest| newest.0 > self.seen) {
            if self.lock(slot, sequence)? {
                self.saw(sequence);
                return Ok(Some(Reading { consumer: self, slot }));
            }
        }
        Ok(None)
    }

    /// How many tensors were overwritten, or passed over, between those that were read.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Counts what lies between this tensor and the last one. Before the first, nothing was missed.
    fn saw(&mut self, sequence: u64) {
        if self.seen > 0 {
            self.missed += sequence - self.seen - 1;
        }
        self.seen = sequence;
    }

    /// Locks the slot with the smallest number that was not read yet.
    fn take_oldest(&mut self) -> Result<Option<(u64, usize)>, Error> {
        loop {
            let Some((newest, _)) = self.ring.newest()? else { return Ok(None) };
            let all = (0..self.ring.slots.len()).map(|slot| (self.ring.sequence(slot), slot));
            // What is told already, and not only written.
            let there = all.filter(|(sequence, _)| *sequence > self.seen && *sequence <= newest);
            let Some((sequence, slot)) = there.min() else { return Ok(None) };
            if self.lock(slot, sequence)? {
                return Ok(Some((sequence, slot)));
            }
        }
    }

    /// Takes a slot's shared lock, if it still holds that tensor.
    fn lock(&self, slot: usize, sequence: u64) -> Result<bool, Error> {
        let file = &self.ring.slots[slot].file;
        match file.try_lock_shared() {
            Ok(()) if self.ring.sequence(slot) == sequence => Ok(true),
            Ok(()) => file.unlock().map(|()| false).map_err(|source| self.ring.io(source)),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(self.ring.io(source)),
        }
    }
}

/// A tensor where it lies. Its slot is not written before this is dropped.
#[derive(Debug)]
pub struct Reading<'a> {
    consumer: &'a mut Consumer,
    slot: usize,
}

impl Reading<'_> {
    /// The tensor.
    ///
    /// # Errors
    /// [`Error::Model`] if it is none: not for what a ring holds.
    pub fn view(&self) -> Result<TensorView<'_>, Error> {
        let Contract { dtype, shape, .. } = &self.consumer.ring.terms.contract;
        Ok(TensorView::of_bytes(*dtype, shape, self.bytes())?)
    }

    /// Its elements in row-major order, as this machine holds them.
    #[allow(unsafe_code, reason = "the shared lock of the slot is held")]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `lock` took the file's shared lock, which is given back when this is dropped.
        unsafe { self.consumer.ring.slots[self.slot].mapped.payload() }
    }

    /// Its number, one more than that of the tensor before.
    pub fn sequence(&self) -> u64 {
        self.consumer.seen
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        // A lock that cannot be given back goes with the file; the producer passes the slot over until then.
        let _ = self.consumer.ring.slots[self.slot].file.unlock();
    }
}
