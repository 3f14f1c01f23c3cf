//! Putting a bundle together: fetch the blobs that are not here, each once, write the file beside the place that it is for, and
//! verify it as if a stranger had handed it over.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use tilemark_bundle::{Bundle, Digest, Floors, Head, Trust, Untrusted, durable};

use crate::client::blobs::{self, Wanted};
use crate::client::install::Progress;
use crate::client::mirrors::Mirrors;
use crate::error::{Error, Result, io};

/// A bundle that is put together.
pub(crate) struct Assembly<'a> {
    pub(crate) mirrors: &'a Mirrors,
    /// Where the mirrors have a blob.
    pub(crate) at: fn(&Digest) -> String,
    /// What the file begins with, which says what else is in it.
    pub(crate) head: &'a Head,
    pub(crate) trust: &'a Trust,
    /// What is there already, whole: its blobs are not fetched again.
    pub(crate) old: Option<&'a Bundle>,
}

/// A blob that was fetched: its file, where it begins in that, and how long it is.
struct Part {
    path: PathBuf,
    start: u64,
    size: u64,
    /// It has become the bundle's file.
    is_in_place: bool,
}

type Parts = BTreeMap<Digest, Part>;

/// A bundle beside the place that it is for.
pub(crate) struct Made {
    new: PathBuf,
    bundle: Bundle,
    fetched: Parts,
}

impl Assembly<'_> {
    /// Makes the bundle beside `path`, and verifies it. What is fetched is in `parts` until [`Made::replace`].
    pub(crate) fn make(&self, path: &Path, parts: &Path, progress: Progress<'_>) -> Result<Made> {
        let mut fetched = self.fetch(parts, progress)?;
        // A name of this process's own beside it: somebody else's file of that name, or a link, is not written through.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = path.with_file_name(name);
        let written = self.assemble(&new, &mut fetched).and_then(|file| self.verify(&new, &file));
        let bundle = written.inspect_err(|_| {
            // What lay where it belongs is a part again, and is not fetched again.
            if let Some(part) = fetched.values().find(|part| part.is_in_place) {
                let _ = fs::rename(&new, &part.path);
            }
            let _ = fs::remove_file(&new);
        })?;
        Ok(Made { new, bundle, fetched })
    }

    /// Fetches what is not there, each blob once.
    fn fetch(&self, parts: &Path, progress: Progress<'_>) -> Result<Parts> {
        let missing: BTreeMap<Digest, (u64, u64)> = (self.head.blobs())
            .filter(|(blob, _)| self.old_blob(&blob.sha256).is_none())
            .map(|(blob, range)| (blob.sha256, (blob.size, range.start)))
            .collect();
        let total = missing.values().map(|(size, _)| size).sum();
        let largest = missing.iter().max_by_key(|(_, (size, _))| *size).map(|(sha256, _)| *sha256);
        let (mut done, mut fetched) = (0, BTreeMap::new());
        for (sha256, (size, at)) in missing {
            let start = if largest == Some(sha256) { at } else { 0 };
            let wanted = Wanted { path: &(self.at)(&sha256), sha256: &sha256, size, start };
            let path = blobs::fetch(self.mirrors, wanted, parts, &mut |bytes| progress(done + bytes, total))?;
            done += size;
            fetched.insert(sha256, Part { path, start, size, is_in_place: false });
        }
        Ok(fetched)
    }

    /// The file: the head, and every blob at its place with zeros before it.
    fn assemble(&self, new: &Path, fetched: &mut Parts) -> Result<File> {
        let largest = fetched.values_mut().find(|part| part.start > 0);
        match largest {
            // It lies where it belongs: its part becomes the file. Not where that is on another disk.
            Some(part) if fs::rename(&part.path, new).is_ok() => part.is_in_place = true,
            _ => {
                let _ = fs::remove_file(new);
                File::create_new(new).map_err(io("write", new))?;
            }
        }
        let mut file = OpenOptions::new().write(true).open(new).map_err(io("write", new))?;
        file.write_all(self.head.as_bytes()).map_err(io("write", new))?;
        for (blob, range) in self.head.blobs() {
            file.seek(SeekFrom::Start(range.start)).map_err(io("write", new))?;
            match (self.old_blob(&blob.sha256), fetched.get(&blob.sha256)) {
                (Some(bytes), _) => file.write_all(bytes).map_err(io("write", new))?,
                (None, Some(part)) if part.is_in_place && part.start == range.start => {}
                (None, Some(part)) => part.copy_to(&mut file, new)?,
                (None, None) => return Err(Error::NotFound { what: format!("blob {}", blob.name) }),
            }
        }
        // A last blob without bytes begins at a page that is written by nobody.
        file.set_len(self.head.file_bytes()).map_err(io("write", new))?;
        Ok(file)
    }

    /// As if a stranger had handed it over: every byte is checked, in memory that nobody else writes. Meanwhile the file goes to
    /// the disk.
    fn verify(&self, new: &Path, file: &File) -> Result<Bundle> {
        let (bundle, synced) = std::thread::scope(|scope| {
            let syncing = scope.spawn(|| file.sync_all());
            let bundle = Untrusted::from_path(new).map(|file| file.verify(self.trust));
            (bundle, syncing.join())
        });
        // A thread that does nothing but this call does not panic.
        synced.unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into())).map_err(io("write", new))?;
        Ok(bundle?.map_err(tilemark_bundle::Refused::into_error)?)
    }

    fn old_blob(&self, sha256: &Digest) -> Option<&[u8]> {
        let mut stored = self.old?.stored();
        stored.find(|(blob, _)| blob.sha256 == *sha256).map(|(_, bytes)| bytes)
    }
}

impl Part {
    fn copy_to(&self, file: &mut File, new: &Path) -> Result<()> {
        let path = if self.is_in_place { new } else { &self.path };
        let mut from = File::open(path).map_err(io("read", path))?;
        from.seek(SeekFrom::Start(self.start)).map_err(io("read", path))?;
        std::io::copy(&mut from.take(self.size), file).map_err(io("write", new)).map(drop)
    }
}

impl Made {
    /// Takes the old one's place; bytes fetched and bytes reused.
    pub(crate) fn replace(self, path: &Path, floors: &Floors) -> Result<(u64, u64)> {
        fs::rename(&self.new, path).map_err(io("replace", path))?;
        let folder = path.parent().unwrap_or(path);
        durable::sync_dir(folder).map_err(io("write", folder))?;
        // After the rename: a floor above the bundle that is there would keep it from running.
        floors.record(&self.bundle.manifest().app, self.bundle.identity())?;
        let bytes = self.fetched.values().map(|part| part.size).sum();
        for part in self.fetched.values() {
            let _ = fs::remove_file(&part.path); // else it is found again, and used again
        }
        let all: u64 = self.bundle.manifest().blobs.iter().map(|blob| blob.size).sum();
        Ok((bytes, all.saturating_sub(bytes)))
    }
}
