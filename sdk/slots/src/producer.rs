//! The end that writes.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::atomic::Ordering;

use tilemark_model::TensorView;

use crate::contract::Contract;
use crate::error::Error;
use crate::ring::{Ring, Terms, make_folder, place, read_terms};

/// The one producer of a ring.
#[derive(Debug)]
pub struct Producer {
    ring: Ring,
    /// Locked as long as this lives.
    _lock: File,
    /// The slot that was written last.
    last: usize,
    /// The number of the next tensor.
    sequence: u64,
}

impl Producer {
    /// Opens ring `name` in `folder`, which is made if need be. A ring that was made with another contract or number of slots
    /// is closed and made anew: its consumers are told.
    ///
    /// # Errors
    /// [`Error::Taken`] if it has a producer; [`Error::Name`], [`Error::Unusable`], [`Error::Io`].
    pub fn open(folder: &Path, name: &str, contract: &Contract, slots: usize) -> Result<Self, Error> {
        let terms = Terms { slots, contract: contract.clone() };
        terms.payload()?;
        let own = place(folder, name)?;
        make_folder(&own)?;
        let path = own.join("producer.lock");
        let io = |source| Error::Io { path: path.clone(), source };
        let lock = File::create(&path).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Taken { ring: name.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        if !matches!(read_terms(&own, name), Ok(Some(found)) if found == terms) {
            retire(folder, &own, name)?;
            Ring::make(folder, name, &terms)?;
        }
        let ring = Ring::open(folder, name)?;
        let (newest, last) = ring.newest()?.unwrap_or((0, slots - 1));
        // An earlier producer may have died between writing a slot and telling of it.
        let written = (0..slots).map(|slot| ring.sequence(slot)).max().unwrap_or(0);
        Ok(Self { ring, _lock: lock, last, sequence: newest.max(written) + 1 })
    }

    /// A slot to write the next tensor into; `None` if all that may be written are being read. The newest one is never written,
    /// so with two slots a single slow reader holds the producer up: whether to wait or to drop is the caller's choice.
    ///
    /// # Errors
    /// [`Error::Io`] if a lock cannot be taken.
    pub fn begin(&mut self) -> Result<Option<Writing<'_>>, Error> {
        let newest = self.ring.newest()?.map(|(_, slot)| slot);
        let count = self.ring.slots.len();
        for slot in (1..=count).map(|step| (self.last + step) % count).filter(|slot| Some(*slot) != newest) {
            match self.ring.slots[slot].file.try_lock() {
                Ok(()) => {
                    self.ring.slots[slot].mapped.word().store(0, Ordering::Release);
                    return Ok(Some(Writing { producer: self, slot }));
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(self.ring.io(source)),
            }
        }
        Ok(None)
    }

    /// Copies a tensor into a slot and publishes it; its number, or `None` if every slot is being read.
    ///
    /// # Errors
    /// [`Error::Contract`] if it is not what the ring holds; those of [`Producer::begin`].
    pub fn publish(&mut self, tensor: TensorView<'_>) -> Result<Option<u64>, Error> {
        self.ring.terms.contract.check(&self.ring.name, &tensor)?;
        let Some(mut writing) = self.begin()? else { return Ok(None) };
        if let Some(bytes) = tensor.bytes() {
            writing.bytes_mut().copy_from_slice(bytes);
        }
        Ok(Some(writing.commit()))
    }
}

/// A slot that is being written. Dropped without [`Writing::commit`], nobody ever reads it.
#[derive(Debug)]
pub struct Writing<'a> {
    producer: &'a mut Producer,
    slot: usize,
}

impl Writing<'_> {
    /// The tensor's elements in row-major order, as this machine holds them.
    #[allow(unsafe_code, reason = "the exclusive lock of the slot is held")]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: `begin` took the file's exclusive lock, which is given back when this is dropped.
        unsafe { self.producer.ring.slots[self.slot].mapped.payload_mut() }
    }

    /// The number that it will have.
    pub fn sequence(&self) -> u64 {
        self.producer.sequence
    }

    /// Publishes it. Returns its number, one more than the last one's.
    pub fn commit(self) -> u64 {
        let Producer { ring, last, sequence, .. } = &mut *self.producer;
        let number = *sequence;
        ring.slots[self.slot].mapped.word().store(number, Ordering::Release);
        ring.publish(number, self.slot);
        (*last, *sequence) = (self.slot, number + 1);
        number
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        // A lock that cannot be given back goes with the file; the slot is passed over until then.
        let _ = self.producer.ring.slots[self.slot].file.unlock();
    }
}

/// Closes what an earlier producer made and removes its files: consumers that still have them see the end.
fn retire(folder: &Path, own: &Path, name: &str) -> Result<(), Error> {
    if let Ok(old) = Ring::open(folder, name) {
        old.close();
    }
    let io = |source| Error::Io { path: own.to_owned(), source };
    for entry in std::fs::read_dir(own).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.file_name().is_some_and(|file| file != "producer.lock") {
            std::fs::remove_file(&path).map_err(|source| Error::Io { path, source })?;
        }
    }
    Ok(())
}
