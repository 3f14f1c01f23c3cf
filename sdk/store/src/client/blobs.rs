//! Fetching blobs: by their digest, resumed where a download ended, from as many mirrors as it takes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use tilemark_bundle::{Digest, Hasher};

use crate::client::mirrors::{Mirrors, Pace};
use crate::error::{Error, Result, io};
use crate::limits::Patience;
use crate::transport::Transport;

/// Bytes read at once.
const CHUNK: usize = 1 << 18;

/// A blob that is to be fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// Where mirrors have it.
    pub(crate) path: &'a str,
    pub(crate) sha256: &'a Digest,
    pub(crate) size: u64,
    /// Where it begins in the part file: room for what comes before it in the bundle, all zeros.
    pub(crate) start: u64,
}

/// Fetches a blob into a part file of `folder`, and returns its path once it is whole and has its digest. `progress` is told of
/// every byte that is there, also of those that a download before left. A crash may still take the file: whoever keeps it syncs it.
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
    let fetched = mirrors.each(wanted.path, |transport| {
        // What an earlier, other mirror began may be garbage: then this one is asked for the whole.
        let resumed = length(&part) > 0;
        match attempt(transport, mirrors, wanted, &part, progress) {
            Err(Error::WrongHash { .. }) if resumed => attempt(transport, mirrors, wanted, &part, progress),
            outcome => outcome,
        }
    })?;
    fetched.map(|()| part).ok_or_else(|| Error::NotFound { what: format!("file {}", wanted.path) })
}

fn attempt(
    transport: &dyn Transport,
    mirrors: &Mirrors,
    wanted: Wanted<'_>,
    part: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<()>> {
    // On somebody else's drive it may be a link to a file that is to be overwritten.
    if part.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        std::fs::remove_file(part).map_err(io("remove", part))?;
    }
    let mut options = OpenOptions::new();
    let mut file =
        options.create(true).read(true).write(true).truncate(false).open(part).map_err(io("open", part))?;
    let mut have = length(part).saturating_sub(wanted.start).min(wanted.size);
    if have == 0 {
        // What was there is none of it, and the room has to be empty.
        file.set_len(0).map_err(io("write", part))?;
    }
    file.set_len(wanted.start + have).map_err(io("write", part))?;
    let mut hasher = hash(&mut file, part, wanted.start)?;
    if have < wanted.size {
        let patience = mirrors.patience().for_bytes(wanted.size - have);
        let Some(opened) = transport.open(wanted.path, have, patience)? else { return Ok(None) };
        if opened.from != have {
            // It knows no ranges, and sends the whole.
            (have, hasher) = (0, Hasher::new());
        }
        let mut arriving = Arriving { file: &mut file, part, start: wanted.start, at: have, hasher };
        let url = || format!("{}/{}", transport.name(), wanted.path);
        arriving.take(opened.reader, wanted.size, mirrors.patience(), progress).map_err(
            |error| match error {
                Error::Network { reason, .. } => Error::Network { url: url(), reason },
                Error::WrongLength { expected, found, .. } => {
                    Error::WrongLength { what: wanted.path.to_owned(), expected, found }
                }
                error => error,
            },
        )?;
        hasher = arriving.hasher;
    }
    let found = hasher.finish();
    if found != *wanted.sha256 {
        std::fs::remove_file(part).map_err(io("remove", part))?;
        let (what, expected) = (wanted.path.to_owned(), wanted.sha256.to_string());
        return Err(Error::WrongHash { what, expected, found });
    }
    progress(wanted.size);
    Ok(Some(()))
}

/// A blob that comes: hashed as it is written, so that it need not be read again.
struct Arriving<'a> {
    file: &'a mut File,
    part: &'a Path,
    start: u64,
    at: u64,
    hasher: Hasher,
}

impl Arriving<'_> {
    /// Writes what comes until the blob is as long as it should be; what comes after that is not read.
    fn take(
        &mut self,
        mut from: Box<dyn Read + Send>,
        size: u64,
        patience: Patience,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let part = self.part;
        self.file.set_len(self.start + self.at).map_err(io("write", part))?;
        self.file.seek(SeekFrom::Start(self.start + self.at)).map_err(io("write", part))?;
        let (mut buffer, mut pace) = (vec![0; CHUNK], Pace::new(patience));
        while self.at < size {
            let room = usize::try_from(size - self.at).unwrap_or(CHUNK).min(CHUNK);
            let broken = |reason: String| Error::Network { url: String::new(), reason };
            let count = match from.read(buffer.get_mut(..room).unwrap_or_default()) {
                // The file itself is cut short: no network is to blame, and asking again does not help.
                Ok(0) => {
                    return Err(Error::WrongLength { what: String::new(), expected: size, found: self.at });
                }
                Ok(count) => count,
                Err(error) => return Err(broken(error.to_string())),
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            self.file.write_all(bytes).map_err(io("write", part))?;
            self.hasher.update(bytes);
            self.at += count as u64;
            progress(self.at);
            pace.took(count).map_err(broken)?;
        }
        Ok(())
    }
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

pub(crate) fn digest(file: &mut File, path: &Path) -> Result<Digest> {
    Ok(hash(file, path, 0)?.finish())
}

/// Of all that is in a file from `start` on; it is then at its end.
fn hash(file: &mut File, path: &Path, start: u64) -> Result<Hasher> {
    file.seek(SeekFrom::Start(start)).map_err(io("read", path))?;
    let mut hasher = Hasher::new();
    hasher.update_from(file).map_err(io("read", path))?;
    Ok(hasher)
}
