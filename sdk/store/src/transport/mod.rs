//! Where files come from. A transport is not trusted: whatever it gives is checked by who asked.

mod folder;
pub(crate) mod http;

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};

pub use folder::Folder;
pub use http::Http;

/// A place with a store's files.
pub trait Transport: Send + Sync {
    /// What messages call it.
    fn name(&self) -> &str;

    /// Begins to read the file at `path` (relative, with `/`), from `offset` on if it can; the whole answer takes `patience` at
    /// most. `None`: there is no such file.
    ///
    /// # Errors
    /// [`Error::Network`], [`Error::Io`].
    fn open(&self, path: &str, offset: u64, patience: Duration) -> Result<Option<Opened>>;
}

/// The bytes of a file, as they come.
pub struct Opened {
    /// Where they begin: what was asked for, or 0.
    pub from: u64,
    /// The bytes to the end of the file, or without end.
    pub reader: Box<dyn Read + Send>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("from", &self.from).finish_non_exhaustive()
    }
}

/// The transport for an address: `http:`, `https:`, `file:`, or a folder's path.
///
/// # Errors
/// [`Error::Invalid`] for another scheme.
pub fn of_address(address: &str) -> Result<Box<dyn Transport>> {
    let lower = address.to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Ok(Box::new(Http::new(address)));
    }
    let path = match lower.strip_prefix("file://") {
        // `file:///tmp/store`; a host between the slashes is not this machine.
        Some(rest) if rest.starts_with('/') => address.get("file://".len()..).unwrap_or_default(),
        Some(_) => return Err(Error::invalid(address, "a file address begins with file:///")),
        None if lower.contains("://") => {
            return Err(Error::invalid(address, "a store is at http://, https://, file:/// or in a folder"));
        }
        None => address,
    };
    Ok(Box::new(Folder::new(PathBuf::from(path))))
}

/// The same, where a folder has to be there: what is meant for a web address is not taken for a folder's name.
///
/// # Errors
/// [`Error::Invalid`].
pub(crate) fn check_address(address: &str) -> Result<()> {
    of_address(address)?;
    let lower = address.to_ascii_lowercase();
    let folder = if lower.starts_with("file://") { address.get("file://".len()..) } else { Some(address) };
    let web = lower.starts_with("http://") || lower.starts_with("https://");
    match folder.filter(|folder| !web && !PathBuf::from(folder).is_dir()) {
        None => Ok(()),
        Some(_) => Err(Error::invalid(address, "no folder is there; a web address begins with https://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (address, name) in [
            ("https://example.org/store/", "https://example.org/store"),
            ("file:///tmp/a", "/tmp/a"),
            ("/tmp/a", "/tmp/a"),
        ] {
            assert_eq!(of_address(address).unwrap().name(), name);
        }
        for bad in ["ftp://example.org", "file://host/a"] {
            assert_eq!(of_address(bad).err().unwrap().code(), "TM0835", "{bad}");
        }
    }
}
