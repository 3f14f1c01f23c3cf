//! Floating grants: as many sessions at once as there are seats, counted by file locks, which end with their process.

use std::fs::{File, TryLockError};
use std::path::Path;

use tilemark_bundle::{Digest, durable};

use super::book::short;
use super::refusal::Unlicensed;
use crate::error::Error;

/// One seat; free again when dropped, and when its process ends in any way.
#[derive(Debug)]
pub(super) struct Seat {
    _lock: File,
}

/// More seats than one machine has sessions.
const MAX_SEATS: u64 = 4096;

/// Takes a free seat.
pub(super) fn take(dir: &Path, grant: Digest, seats: u64) -> Result<Seat, Error> {
    let dir = dir.join(grant.to_string());
    durable::make_private_dir(&dir)?;
    for number in 0..seats.min(MAX_SEATS) {
        let path = dir.join(number.to_string());
        let io = |source| Error::Io { path: path.clone(), source };
        let file = File::options().create(true).write(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => return Ok(Seat { _lock: file }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
    }
    Err(Unlicensed::NoSeat { grant: short(grant), seats }.into())
}
