//! The device's book: how far each grant was used. Two files say it, so that putting back an older one of either shows: a log
//! of receipts for each grant, and one signed witness over the ends of all logs.
//!
//! A step is written to the log, then to the witness, then it counts. So after a crash the log is at most one receipt
//! ahead, whose units nobody got: budget can be lost, never gained.

use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tilemark_bundle::{
    DeviceId, DeviceKey, Digest, Error as BundleError, LicenseError, PayloadType, Receipt, SignedGrant, Step,
    Usage, durable, json, limits,
};

use super::refusal::Unlicensed;
use crate::error::Error;

/// Told of every step of a write; tests end the process there.
pub(super) type Probe = fn(durable::Step);

/// The book of one device.
#[derive(Clone, Debug)]
pub(super) struct Book {
    dir: PathBuf,
    device: Arc<DeviceKey>,
    /// Whether the witness must exist.
    witnessed: bool,
    probe: Probe,
}

/// What the device says about the ends of all logs.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Witness {
    schema: u64,
    device: DeviceId,
    entries: Vec<Entry>,
}

/// How far one grant was used.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Entry {
    /// The grant's id.
    pub(super) grant: Digest,
    /// The digest of its claims.
    pub(super) digest: Digest,
    receipts: u64,
    head: Digest,
    used: u64,
    time: u64,
}

const WITNESS: PayloadType = PayloadType::new("application/vnd.tilemark.witness.v1+json");
const SCHEMA: u64 = 1;
/// A witness of some ten thousand grants.
const MAX_WITNESS_BYTES: usize = 4 << 20;
/// The end of a log that is looked at: the last receipt and what a crash left after it.
const TAIL_BYTES: u64 = 4 * limits::MAX_RECEIPT_BYTES as u64;

/// The book while no other thread or process can change it.
pub(super) struct Open<'a> {
    book: &'a Book,
    witness: Witness,
    _lock: std::fs::File,
}

impl Book {
    pub(super) fn new(dir: PathBuf, device: Arc<DeviceKey>, witnessed: bool, probe: Probe) -> Self {
        Self { dir, device, witnessed, probe }
    }

    pub(super) fn device(&self) -> &DeviceKey {
        &self.device
    }

    /// Takes the book; it is given back when the result is dropped.
    pub(super) fn open(&self) -> Result<Open<'_>, Error> {
        durable::make_private_dir(&self.dir.join("receipts"))?;
        let lock = durable::lock(&self.dir)?;
        Ok(Open { witness: self.read_witness()?, book: self, _lock: lock })
    }

    /// Looks into the book without the right to change it, also on a disk that cannot be written.
    pub(super) fn peek(&self, grant: &SignedGrant) -> Result<Option<Usage>, Error> {
        let witness = self.read_witness()?;
        witness.find(grant).map(|entry| self.reconcile(entry, grant)).transpose()
    }

    /// What is recorded of installed grants.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, Error> {
        Ok(self.read_witness()?.entries)
    }

    /// Every receipt of a grant, one a line.
    pub(super) fn receipts(&self, grant: Digest) -> Result<Vec<u8>, Error> {
        let path = self.log_path(grant);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            other => other.map_err(|source| Error::Io { path, source })?,
        };
        Ok(bytes.get(..durable::whole_lines(&bytes)).unwrap_or_default().to_vec())
    }

    fn read_witness(&self) -> Result<Witness, Error> {
        let path = self.witness_path();
        let damaged = |error| unusable(&path, error);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound && self.witnessed => {
                return Err(Unlicensed::StateMissing { path }.into());
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Witness { schema: SCHEMA, device: self.device.id(), entries: Vec::new() });
            }
            other => other.map_err(|source| Error::Io { path: path.clone(), source })?,
        };
        let payload = self.device.public().open(WITNESS, &bytes).map_err(damaged)?;
        let witness: Witness = json::from_slice("witness", &payload, MAX_WITNESS_BYTES).map_err(damaged)?;
        if witness.schema != SCHEMA {
            let reason = format!("schema {}, this SDK reads {SCHEMA}", witness.schema);
            return Err(Unlicensed::StateDamaged { path, reason }.into());
        }
        Ok(witness)
    }

    /// Compares the end of a log with the witness: equal, or one receipt ahead after a crash.
    fn reconcile(&self, entry: &Entry, grant: &SignedGrant) -> Result<Usage, Error> {
        let path = self.log_path(entry.grant);
        let restored = |found: u64| {
            let grant = short(entry.grant);
            Error::from(Unlicensed::StateRestored { grant, found, expected: entry.receipts })
        };
        let damaged = |error| unusable(&path, error);
        let recorded = entry.usage();
        let Some(line) = last_line(&path)? else {
            return if entry.receipts == 0 { Ok(recorded) } else { Err(restored(0)) };
        };
        let (receipt, digest) = Receipt::read(&line, self.device.public()).map_err(damaged)?;
        if digest == entry.head {
            return Ok(recorded);
        }
        if receipt.seq != entry.receipts + 1 || receipt.previous != entry.head {
            return Err(restored(receipt.seq));
        }
        recorded.follow(grant, &receipt, digest).map_err(damaged)
    }

    fn log_path(&self, grant: Digest) -> PathBuf {
        self.dir.join("receipts").join(format!("{grant}.log"))
    }

    fn witness_path(&self) -> PathBuf {
        self.dir.join("witness.json")
    }
}

impl Open<'_> {
    /// How far a grant was used; `None` if it was never installed.
    pub(super) fn usage(&self, grant: &SignedGrant) -> Result<Option<Usage>, Error> {
        self.witness.find(grant).map(|entry| self.book.reconcile(entry, grant)).transpose()
    }

    /// Begins the record of a grant.
    pub(super) fn install(&mut self, grant: &SignedGrant) -> Result<(), Error> {
        let Usage { receipts, head, used, time, .. } = Usage::none(grant);
        let (id, digest) = (grant.grant().id, grant.digest());
        self.witness.entries.push(Entry { grant: id, digest, receipts, head, used, time });
        self.write_witness()
    }

    /// Writes one more receipt, durably.
    pub(super) fn write(
        &mut self,
        grant: &SignedGrant,
        before: &Usage,
        step: Step,
        now: u64,
    ) -> Result<Usage, Error> {
        let Self { book, .. } = self;
        let (line, after) = Receipt::next(grant, before, step, now, &book.device)?;
        durable::append_line(&book.log_path(grant.grant().id), &line, true, &book.probe)?;
        for entry in &mut self.witness.entries {
            if entry.grant == grant.grant().id {
                (entry.receipts, entry.head, entry.used, entry.time) =
                    (after.receipts, after.head, after.used, after.time);
            }
        }
        self.write_witness()?;
        Ok(after)
    }

    fn write_witness(&self) -> Result<(), Error> {
        let Self { book, witness, .. } = self;
        let path = book.witness_path();
        let json = serde_json::to_vec(witness)
            .map_err(|error| Unlicensed::StateDamaged { path: path.clone(), reason: error.to_string() })?;
        let envelope = book.device.seal(WITNESS, json)?.to_json();
        Ok(durable::replace(&path, &envelope, true, &book.probe)?)
    }
}

impl Witness {
    fn find(&self, grant: &SignedGrant) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.grant == grant.grant().id)
    }
}

impl Entry {
    pub(super) fn usage(&self) -> Usage {
        let Self { receipts, head, used, time, .. } = *self;
        Usage { receipts, head, used, time }
    }
}

/// The first digits of an id, for messages.
pub(super) fn short(id: Digest) -> String {
    let mut text = id.to_string();
    text.truncate(12);
    text
}

/// What is wrong with a file of the book that cannot be read.
fn unusable(path: &Path, error: BundleError) -> Error {
    let path = path.to_owned();
    Error::from(match error {
        BundleError::License(LicenseError::NotSignedByDevice { .. }) => {
            Unlicensed::StateOfOtherDevice { path }
        }
        error => Unlicensed::StateDamaged { path, reason: error.to_string() },
    })
}

/// The last whole line of a log.
fn last_line(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut file = match std::fs::File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(io)?,
    };
    let length = file.metadata().map_err(io)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).map_err(io)?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail).map_err(io)?;
    let whole = tail.get(..durable::whole_lines(&tail)).unwrap_or_default();
    Ok(whole.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).map(<[u8]>::to_vec))
}
