//! Signed documents that this machine was given: small JSON files in a folder of the home, each read under a limit.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use tilemark_bundle::{Error as BundleError, durable};

use crate::error::Error;

/// A folder of documents of one kind. What is in them is the caller's to check.
#[derive(Clone, Debug)]
pub(crate) struct Documents {
    pub(crate) dir: PathBuf,
    /// What messages call one.
    pub(crate) what: &'static str,
    /// Files beyond this are none.
    pub(crate) max_bytes: u64,
}

impl Documents {
    /// Keeps others from writing until it is dropped. The folder is made if it is not there.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        durable::make_private_dir(&self.dir)?;
        Ok(durable::lock(&self.dir)?)
    }

    /// Replaces a document, or adds it.
    pub(crate) fn write(&self, name: &str, text: &[u8]) -> Result<(), Error> {
        Ok(durable::replace(&self.path(name), text.trim_ascii(), false, &|_| ())?)
    }

    /// A document; nothing if there is none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.read_file(&self.path(name))
    }

    /// All of them.
    pub(crate) fn all(&self) -> Result<Vec<Vec<u8>>, Error> {
        let io = |source| Error::Io { path: self.dir.clone(), source };
        let files = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(io)?,
        };
        let mut all = Vec::new();
        for file in files {
            let path = file.map_err(io)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                all.extend(self.read_file(&path)?);
            }
        }
        Ok(all)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    fn read_file(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(io)?,
        };
        let (found, max) = (file.metadata().map_err(io)?.len(), self.max_bytes);
        if found > max {
            return Err(BundleError::TooLarge { what: self.what, found, max }.into());
        }
        let mut bytes = Vec::new();
        file.take(max).read_to_end(&mut bytes).map_err(io)?;
        Ok(Some(bytes))
    }
}
