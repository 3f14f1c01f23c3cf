//! What this machine knows of a store: its newest root, timestamp and snapshot, and the latest time that was seen. These are the
//! floors below which no mirror can take it back, so they are kept apart from the cache, which may be deleted.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use tilemark_bundle::{Digest, durable};

use crate::error::{Error, Result, io};
use crate::limits::MAX_SNAPSHOT_BYTES;

#[derive(Clone, Debug)]
pub(crate) struct State {
    dir: PathBuf,
}

const ID: &str = "id";

/// A file of the state.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kept {
    Root,
    Timestamp,
    Snapshot,
}

impl Kept {
    fn file(self) -> &'static str {
        match self {
            Self::Root => "root.json",
            Self::Timestamp => "timestamp.json",
            Self::Snapshot => "snapshot.json",
        }
    }
}

impl State {
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    /// The bytes that were accepted last, if any were.
    pub(crate) fn read(&self, what: Kept) -> Result<Option<Vec<u8>>> {
        self.read_file(what.file())
    }

    /// Keeps accepted bytes; when this returns they survive a crash.
    pub(crate) fn write(&self, what: Kept, bytes: &[u8]) -> Result<()> {
        self.write_file(what.file(), bytes)
    }

    pub(crate) fn remove(&self, what: Kept) -> Result<()> {
        self.remove_file(what.file())
    }

    pub(crate) fn remove_file(&self, name: &str) -> Result<()> {
        let path = self.dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", &path)(error)),
            _ => durable::sync_dir(&self.dir).map_err(io("write", &self.dir)),
        }
    }

    /// The store, whatever its address and its keys become: the SHA-256 of the root that it was added by.
    pub(crate) fn id(&self) -> Result<Digest> {
        let bytes = self.read_file(ID)?.ok_or_else(|| self.damaged(ID, "not there".into()))?;
        let id = String::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok());
        id.ok_or_else(|| self.damaged(ID, "it is no digest".into()))
    }

    pub(crate) fn set_id(&self, id: Digest) -> Result<()> {
        self.write_file(ID, format!("{id}\n").as_bytes())
    }

    /// When the store was last asked with success, and the latest time that was seen; the clock does not go below it.
    pub(crate) fn last_refresh(&self) -> Result<Option<u64>> {
        let Some(bytes) = self.read_file("refreshed")? else { return Ok(None) };
        let seconds = String::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok());
        seconds.map(Some).ok_or_else(|| self.damaged("refreshed", "it is not a number of seconds".into()))
    }

    pub(crate) fn set_last_refresh(&self, seconds: u64) -> Result<()> {
        self.write_file("refreshed", format!("{seconds}\n").as_bytes())
    }

    /// One refresh at a time, whatever process it is in. Others wait for as long as a mirror may take.
    pub(crate) fn lock(&self) -> Result<fs::File> {
        durable::make_private_dir(&self.dir)?;
        Ok(durable::wait_for_lock(&self.dir)?)
    }

    pub(crate) fn damaged(&self, file: &str, reason: String) -> Error {
        Error::StateDamaged { path: self.dir.join(file), reason }
    }

    pub(crate) fn damaged_file(&self, what: Kept, error: &Error) -> Error {
        self.damaged(what.file(), error.to_string())
    }

    pub(crate) fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        read_bounded(&self.dir.join(name), MAX_SNAPSHOT_BYTES)
    }

    pub(crate) fn write_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        durable::make_private_dir(&self.dir)?;
        Ok(durable::replace(&self.dir.join(name), bytes, false, &|_| ())?)
    }
}

/// A small file; `None` if there is none.
pub(crate) fn read_bounded(path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(io("read", path))?;
    if bytes.len() as u64 > max {
        return Err(Error::EndlessData { what: path.display().to_string(), max });
    }
    Ok(Some(bytes))
}

/// Opens a file. Looks before: whoever opens a named pipe waits for its writer, who may never come.
pub(crate) fn open_regular(path: &Path) -> std::io::Result<fs::File> {
    match fs::metadata(path)?.is_file() {
        true => fs::File::open(path),
        false => Err(std::io::Error::new(ErrorKind::InvalidInput, "it is no regular file")),
    }
}
