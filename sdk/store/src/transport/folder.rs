use std::io::{ErrorKind, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use super::{Opened, Transport};
use crate::client::open_regular;
use crate::error::{Error, Result};

/// A folder: the store itself on its operator's machine, a stick, a mounted share.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    name: String,
}

impl Folder {
    /// The folder at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let name = path.display().to_string();
        Self { path, name }
    }
}

impl Transport for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self, path: &str, offset: u64, _patience: Duration) -> Result<Option<Opened>> {
        let path = self.path.join(path);
        // A mirror that fails, not this machine: the next one is asked.
        let failed = |error: std::io::Error| Error::Network {
            url: path.display().to_string(),
            reason: error.to_string(),
        };
        let mut file = match open_regular(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok(Some(Opened { from: offset, reader: Box::new(file) }))
    }
}
