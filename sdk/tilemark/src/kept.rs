//! Files of a cache: small ones in one folder, replaced whole, each behind its SHA-256 and about one subject.
//!
//! Nothing in them is trusted. A file counts if its SHA-256 holds and it is about the very subject that asks; any other file counts
//! as none, and is written anew. Several processes may use a folder at once.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tilemark_bundle::sha256;

/// Names looked at in the directory: more are not ours.
const MAX_NAMES: usize = 4096;
/// A file that was begun and not finished is of a process that died, when it is so old.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A folder of such files; it is made when something is first kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) folder: PathBuf,
    /// How the names of its files end.
    pub(crate) extension: &'static str,
    /// Bytes of one file.
    pub(crate) max_bytes: u64,
    /// Files kept; the ones not written for longest make room.
    pub(crate) max_files: usize,
}

impl Kept {
    /// The file about a subject.
    pub(crate) fn path(&self, subject: &str) -> PathBuf {
        self.folder.join(sha256(subject.as_bytes()).to_string()).with_extension(self.extension)
    }

    /// Replaces a file.
    pub(crate) fn write(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let bytes = [sha256(contents).as_bytes().as_slice(), contents].concat();
        if bytes.len() as u64 > self.max_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        fs::create_dir_all(&self.folder)?;
        if !path.is_file() {
            self.make_room();
        }
        let unique = format!("{}.{}.part", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let part = path.with_extension(unique);
        let written = File::create_new(&part)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| fs::rename(&part, path));
        written.inspect_err(|_| drop(fs::remove_file(&part)))
    }

    /// The contents of a file; `None` if it is not a whole one.
    pub(crate) fn read(&self, path: &Path) -> Option<Vec<u8>> {
        // Something else than a file, such as a pipe, could make reading wait forever.
        if !fs::metadata(path).ok()?.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(self.max_bytes + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 > self.max_bytes {
            return None;
        }
        let (digest, contents) = bytes.split_first_chunk::<32>()?;
        (sha256(contents).as_bytes() == digest).then(|| contents.to_vec())
    }

    /// The finished files.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let Ok(folder) = fs::read_dir(&self.folder) else { return Vec::new() };
        let paths = folder.take(MAX_NAMES).filter_map(|entry| Some(entry.ok()?.path()));
        paths.filter(|path| path.extension().is_some_and(|extension| extension == self.extension)).collect()
    }

    /// Whether something can be kept.
    pub(crate) fn is_writable(&self) -> bool {
        let probe = self.folder.join(format!(".probe.{}.part", std::process::id()));
        let written = fs::create_dir_all(&self.folder).and_then(|()| fs::write(&probe, b""));
        written.and_then(|()| fs::remove_file(&probe)).is_ok()
    }

    /// Removes what was not written for longest, so that there is room for one more, and what nobody will finish.
    fn make_room(&self) {
        let age = |path: &PathBuf| {
            let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
            modified.map_or(Duration::MAX, |time| SystemTime::now().duration_since(time).unwrap_or_default())
        };
        let mut files: Vec<(Duration, PathBuf)> =
            self.files().into_iter().map(|path| (age(&path), path)).collect();
        files.sort();
        for (_, path) in files.iter().skip(self.max_files - 1) {
            let _ = fs::remove_file(path); // another process may have been quicker
        }
        let Ok(folder) = fs::read_dir(&self.folder) else { return };
        for path in folder.take(MAX_NAMES).filter_map(|entry| Some(entry.ok()?.path())) {
            if path.extension().is_some_and(|extension| extension == "part") && age(&path) > ABANDONED {
                let _ = fs::remove_file(path); // as above
            }
        }
    }
}
