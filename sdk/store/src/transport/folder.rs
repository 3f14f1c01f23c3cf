use std::fs::File;
use std::io::{ErrorKind, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use super::{Opened, Transport};
use crate::error::{Result, io};

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
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("open", &path)(error)),
        };
        file.seek(SeekFrom::Start(offset)).map_err(io("read", &path))?;
        Ok(Some(Opened { from: offset, reader: Box::new(file) }))
    }
}
