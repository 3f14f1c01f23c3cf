//! Bounded reads of files that somebody else may have prepared.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

/// Opens a regular file. Looks before opening: opening a named pipe would wait for its writer for ever.
pub(crate) fn open_regular(path: &Path) -> Result<(File, Metadata)> {
    let io = |action| move |source| Error::Io { action, path: path.into(), source };
    check_regular(path, &fs::metadata(path).map_err(io("open"))?)?;
    let file = File::open(path).map_err(io("open"))?;
    let metadata = file.metadata().map_err(io("read"))?;
    check_regular(path, &metadata)?;
    Ok((file, metadata))
}

/// Reads a text file of at most `max` bytes; `what` names it in errors.
pub(crate) fn read_text(path: &Path, what: &'static str, max: usize) -> Result<String> {
    let (file, _) = open_regular(path)?;
    let mut text = Vec::new();
    let bound = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut text).map_err(|source| Error::Io {
        action: "read",
        path: path.into(),
        source,
    })?;
    if text.len() > max {
        return Err(Error::TooLarge { what, found: text.len() as u64, max: max as u64 });
    }
    String::from_utf8(text).map_err(|_| Error::InvalidValue {
        field: what.into(),
        found: path.display().to_string(),
        expected: "a text file in UTF-8",
    })
}

fn check_regular(path: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let found = if metadata.is_dir() { "a directory" } else { "a device, pipe or socket" };
    Err(Error::NotAFile { path: path.into(), found, expected: "a regular file" })
}
