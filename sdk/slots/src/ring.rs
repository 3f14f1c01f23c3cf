//! A ring's files: `contract.json`, `head`, `producer.lock` and `0.slot` to `N-1.slot` in a folder of its name.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use crate::contract::Contract;
use crate::error::Error;
use crate::mapped::{HEADER, Mapped};

/// Most slots of a ring.
pub const MAX_SLOTS: usize = 64;
/// Most bytes of a slot.
pub const MAX_PAYLOAD: usize = 1 << 30;
/// Largest `contract.json`.
const MAX_CONTRACT: u64 = 16 * 1024;
/// The head of a ring that its producer gave up.
pub(crate) const CLOSED: u64 = u64::MAX;

/// Where rings are kept: `tilemark/slots` of the user's runtime directory (`XDG_RUNTIME_DIR`, in memory), or nothing if the
/// system names none.
pub fn runtime_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty())?;
    Some(PathBuf::from(folder).join("tilemark/slots"))
}

/// What `contract.json` holds.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Terms {
    pub(crate) slots: usize,
    pub(crate) contract: Contract,
}

impl Terms {
    /// Bytes of a slot's payload.
    pub(crate) fn payload(&self) -> Result<usize, Error> {
        let bytes = self.contract.bytes()?;
        if !(2..=MAX_SLOTS).contains(&self.slots) {
            let reason = format!("{} slots; 2 to {MAX_SLOTS} are allowed", self.slots);
            return Err(Error::Unusable { reason });
        }
        if bytes > MAX_PAYLOAD {
            let reason = format!("{bytes} bytes a slot; {MAX_PAYLOAD} are allowed");
            return Err(Error::Unusable { reason });
        }
        Ok(bytes)
    }
}

/// One slot as this process sees it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) file: File,
    pub(crate) mapped: Mapped,
}

/// A ring's files, opened by one end.
#[derive(Debug)]
pub(crate) struct Ring {
    pub(crate) name: String,
    pub(crate) terms: Terms,
    head: Mapped,
    pub(crate) slots: Vec<Slot>,
}

impl Ring {
    /// Opens what a producer made.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<Self, Error> {
        let own = place(folder, name)?;
        let terms = read_terms(&own, name)?.ok_or_else(|| no_ring(folder, name))?;
        let payload = terms.payload().map_err(|error| damaged(name, error))?;
        let map = |file: &str, payload: usize| -> Result<Slot, Error> {
            let path = own.join(file);
            let io = |source: std::io::Error| match source.kind() {
                std::io::ErrorKind::UnexpectedEof => damaged(name, format!("{file} {source}")),
                std::io::ErrorKind::NotFound => no_ring(folder, name),
                _ => Error::Io { path: path.clone(), source },
            };
            let file = OpenOptions::new().read(true).write(true).open(&path).map_err(io)?;
            let mapped = Mapped::new(&file, payload).map_err(io)?;
            Ok(Slot { file, mapped })
        };
        let head = map("head", 0)?.mapped;
        let slots = (0..terms.slots).map(|i| map(&format!("{i}.slot"), payload)).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), terms, head, slots })
    }

    /// Makes the files of a ring that nobody uses yet: the contract last, so that no consumer finds a part.
    pub(crate) fn make(folder: &Path, name: &str, terms: &Terms) -> Result<(), Error> {
        let own = place(folder, name)?;
        let payload = terms.payload()?;
        let make = |file: &str, bytes: usize| -> Result<(), Error> {
            let path = own.join(file);
            let file = File::create(&path).and_then(|file| file.set_len((HEADER + bytes) as u64));
            file.map_err(|source| Error::Io { path, source })
        };
        make("head", 0)?;
        (0..terms.slots).try_for_each(|i| make(&format!("{i}.slot"), payload))?;
        let draft = own.join("contract.json.new");
        let text = serde_json::to_vec(terms).map_err(|error| damaged(name, error))?;
        let written = File::create(&draft).and_then(|mut file| file.write_all(&text));
        written
            .and_then(|()| std::fs::rename(&draft, own.join("contract.json")))
            .map_err(|source| Error::Io { path: draft.clone(), source })
    }

    /// Sequence number and slot of the newest tensor; `None` before the first.
    pub(crate) fn newest(&self) -> Result<Option<(u64, usize)>, Error> {
        match self.head.word().load(Ordering::Acquire) {
            0 => Ok(None),
            CLOSED => Err(Error::Closed { ring: self.name.clone() }),
            head => {
                let slot = (head % MAX_SLOTS as u64) as usize;
                let missing = || damaged(&self.name, format!("its head names slot {slot}"));
                (slot < self.slots.len()).then_some(Some((head / MAX_SLOTS as u64, slot))).ok_or_else(missing)
            }
        }
    }

    /// Names the newest tensor.
    pub(crate) fn publish(&self, sequence: u64, slot: usize) {
        self.head.word().store(sequence * MAX_SLOTS as u64 + slot as u64, Ordering::Release);
    }

    /// Tells consumers that nothing comes any more.
    pub(crate) fn close(&self) {
        self.head.word().store(CLOSED, Ordering::Release);
    }

    /// The sequence number of a slot; 0 while it is written, or before it was.
    pub(crate) fn sequence(&self, slot: usize) -> u64 {
        self.slots[slot].mapped.word().load(Ordering::Acquire)
    }

    pub(crate) fn io(&self, source: std::io::Error) -> Error {
        Error::Io { path: PathBuf::from(&self.name), source }
    }
}

/// A ring's folder.
pub(crate) fn place(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    let is_one = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let fits = (1..=64).contains(&name.len()) && !name.starts_with('.') && name.chars().all(is_one);
    fits.then(|| folder.join(name)).ok_or_else(|| Error::Name { name: name.to_owned() })
}

/// Makes a ring's folder, for its owner alone.
pub(crate) fn make_folder(own: &Path) -> Result<(), Error> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(own).map_err(|source| Error::Io { path: own.to_owned(), source })
}

/// The terms that a ring has; `None` if there is no ring.
pub(crate) fn read_terms(own: &Path, name: &str) -> Result<Option<Terms>, Error> {
    let path = own.join("contract.json");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { path, source }),
    };
    let mut text = Vec::new();
    file.take(MAX_CONTRACT).read_to_end(&mut text).map_err(|source| Error::Io { path, source })?;
    serde_json::from_slice(&text).map(Some).map_err(|error| damaged(name, error))
}

fn no_ring(folder: &Path, name: &str) -> Error {
    Error::NoRing { ring: name.to_owned(), folder: folder.to_owned() }
}

pub(crate) fn damaged(name: &str, reason: impl std::fmt::Display) -> Error {
    Error::Damaged { ring: name.to_owned(), reason: reason.to_string() }
}
