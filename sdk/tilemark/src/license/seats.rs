//! Floating grants: as many sessions at once as there are seats, counted by file locks, which end with their process.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::Path;

use tilemark_bundle::{Digest, durable};

use super::book::short;
use super::refusal::Unlicensed;
use crate::error::Error;

/// One seat; free again when dropped, and when its process ends in any way.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    _lock: File,
}

impl Seat {
    /// Which one, from 0.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

/// More seats than one machine has sessions.
const MAX_SEATS: u64 = 4096;

/// Takes a free seat: not locked by another session, and not among those that `lent` says are with other devices.
pub(super) fn take(
    dir: &Path,
    grant: Digest,
    seats: u64,
    lent: &dyn Fn() -> Result<BTreeSet<u64>, Error>,
) -> Result<Seat, Error> {
    let dir = dir.join(grant.to_string());
    durable::make_private_dir(&dir)?;
    for number in 0..seats.min(MAX_SEATS) {
        let path = dir.join(number.to_string());
        let io = |source| Error::Io { path: path.clone(), source };
        let file = File::options().create(true).write(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            // Asked with the lock in hand: whoever lends a seat holds its lock until that is written down.
            Ok(()) if lent()?.contains(&number) => {}
            Ok(()) => return Ok(Seat { number, _lock: file }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
    }
    Err(Unlicensed::NoSeat { grant: short(grant), seats }.into())
}
