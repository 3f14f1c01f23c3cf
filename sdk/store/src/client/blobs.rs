//! Fetching blobs: by their digest, resumed where a download ended, from as many mirrors as it takes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use tilemark_bundle::{Digest, Hasher};

use crate::client::mirrors::{Mirrors, Pace};
use crate::error::{Error, Result, io};
use crate::layout;
use crate::limits::Patience;
use crate::transport::Transport;

/// Bytes read at once.
const CHUNK: usize = 1 << 16;

/// A blob that is to be fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) sha256: &'a Digest,
    pub(crate) size: u64,
}

/// Fetches a blob into a part file of `folder`, and returns its path once it is whole and has its digest. `progress` is told of
/// every byte that is there, also of those that a download before left.
///
/// # Errors
/// [`Error::NotFound`], or why the mirrors' bytes were refused.
pub(crate) fn fetch(
    mirrors: &Mirrors,
    wanted: Wanted<'_>,
    folder: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<PathBuf> {
    let part = folder.join(format!("{}.part", wanted.sha256));
    let path = layout::blob(wanted.sha256);
    let fetched = mirrors.each(&path, |transport| {
        // What an earlier, other mirror began may be garbage: then this one is asked for the whole.
        let resumed = length(&part) > 0;
        match attempt(transport, mirrors, wanted, &path, &part, progress) {
            Err(Error::WrongHash { .. }) if resumed => {
                attempt(transport, mirrors, wanted, &path, &part, progress)
            }
            outcome => outcome,
        }
    })?;
    fetched.map(|()| part).ok_or_else(|| Error::NotFound { what: format!("file {path}") })
}

fn attempt(
    transport: &dyn Transport,
    mirrors: &Mirrors,
    wanted: Wanted<'_>,
    path: &str,
    part: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<()>> {
    // On somebody else's drive it may be a link to a file that is to be overwritten.
    if part.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        std::fs::remove_file(part).map_err(io("remove", part))?;
    }
    let mut file = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(part);
    let file = file
        .as_mut()
        .map_err(|error| io("open", part)(std::io::Error::new(error.kind(), error.to_string())))?;
    let mut have = length(part).min(wanted.size);
    if have < wanted.size {
        let patience = mirrors.patience().for_bytes(wanted.size - have);
        let Some(opened) = transport.open(path, have, patience)? else { return Ok(None) };
        have = opened.from.min(have);
        let url = || format!("{}/{path}", transport.name());
        append(file, have, wanted, opened.reader, part, mirrors.patience(), progress).map_err(|error| {
            match error {
                Error::Network { reason, .. } => Error::Network { url: url(), reason },
                Error::WrongLength { expected, found, .. } => {
                    Error::WrongLength { what: path.to_owned(), expected, found }
                }
                error => error,
            }
        })?;
    }
    file.set_len(wanted.size).map_err(io("write", part))?;
    let found = digest(file, part)?;
    if found != *wanted.sha256 {
        std::fs::remove_file(part).map_err(io("remove", part))?;
        return Err(Error::WrongHash { what: path.to_owned(), expected: wanted.sha256.to_string(), found });
    }
    file.sync_all().map_err(io("write", part))?;
    progress(wanted.size);
    Ok(Some(()))
}

/// Writes what comes from `have` on until the blob is as long as it should be; what comes after that is not read.
fn append(
    file: &mut File,
    have: u64,
    wanted: Wanted<'_>,
    mut from: Box<dyn Read + Send>,
    part: &Path,
    patience: Patience,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    file.set_len(have).map_err(io("write", part))?;
    file.seek(SeekFrom::Start(have)).map_err(io("write", part))?;
    let (mut at, mut buffer) = (have, vec![0; CHUNK]);
    let mut pace = Pace::new(patience);
    while at < wanted.size {
        let room = usize::try_from(wanted.size - at).unwrap_or(CHUNK).min(CHUNK);
        let broken = |reason: String| Error::Network { url: String::new(), reason };
        let count = match from.read(buffer.get_mut(..room).unwrap_or_default()) {
            // The file itself is cut short: no network is to blame, and asking again does not help.
            Ok(0) => {
                return Err(Error::WrongLength { what: String::new(), expected: wanted.size, found: at });
            }
            Ok(count) => count,
            Err(error) => return Err(broken(error.to_string())),
        };
        file.write_all(buffer.get(..count).unwrap_or_default()).map_err(io("write", part))?;
        at += count as u64;
        progress(at);
        pace.took(count).map_err(broken)?;
    }
    Ok(())
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

pub(crate) fn digest(file: &mut File, path: &Path) -> Result<Digest> {
    file.seek(SeekFrom::Start(0)).map_err(io("read", path))?;
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut buffer).map_err(io("read", path))? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}
