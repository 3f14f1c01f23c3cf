//! What was learned of OpenCL devices, on disk: outcomes of the known-answer test, and built programs.
//!
//! A built program is code for a driver, so a file is handed on only if its SHA-256 holds and it is about the very source, options,
//! device and driver that ask. Anybody who may write here may write the user's other files too.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use tilemark_bundle::sha256;
use tilemark_engine::{Device, DeviceStore};

use crate::kept::Kept;

/// Bytes of one file: built programs have up to some hundred kilobytes each.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Files kept: some dozen programs for each of a few devices and drivers.
const MAX_FILES: usize = 256;
/// What contents begin with; behind it the SHA-256 of the subject, and then the bytes kept.
const SCHEMA: [u8; 2] = [1, 0];

/// A directory of what was learned of OpenCL devices. Losing it costs the time to test devices and build programs again. Several
/// processes may use it at once.
#[derive(Clone, Debug)]
pub struct DeviceCache(Kept);

/// What there is in a [`DeviceCache`].
#[derive(Clone, Debug, Serialize)]
pub struct DeviceCacheState {
    /// The directory.
    pub folder: PathBuf,
    /// Whether something can be kept there; if not, devices are tested and programs built at every start.
    pub is_writable: bool,
    /// Files that can be used by this version.
    pub entries: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// Files that are damaged or of other versions; they count for nothing.
    pub unusable: usize,
}

impl DeviceCache {
    /// A cache in `folder`, which need not exist.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self(Kept { folder, extension: "device", max_bytes: MAX_FILE_BYTES, max_files: MAX_FILES })
    }

    /// What is there, and whether it can be added to.
    pub fn state(&self) -> DeviceCacheState {
        let (mut entries, mut bytes, mut unusable) = (0, 0, 0);
        for path in self.0.files() {
            let contents = self.0.read(&path);
            match contents.as_deref().and_then(split) {
                Some((_, kept)) => {
                    entries += 1;
                    bytes += kept.len() as u64;
                }
                None => unusable += 1,
            }
        }
        let (folder, is_writable) = (self.0.folder.clone(), self.0.is_writable());
        DeviceCacheState { folder, is_writable, entries, bytes, unusable }
    }

    /// Forgets everything: devices are tested and programs built again.
    pub fn clear(&self) {
        for path in self.0.files() {
            let _ = fs::remove_file(path); // another process may have been quicker
        }
    }

    /// The same device, with what is learned of it kept here; the host as it is.
    #[must_use]
    pub fn keeps(&self, device: Device) -> Device {
        if device.facts().is_none() { device } else { device.with_store(Arc::new(self.clone())) }
    }
}

impl DeviceStore for DeviceCache {
    fn load(&self, subject: &str) -> Option<Vec<u8>> {
        let contents = self.0.read(&self.0.path(subject))?;
        let (about, bytes) = split(&contents)?;
        (about == sha256(subject.as_bytes()).as_bytes()).then(|| bytes.to_vec())
    }

    fn save(&self, subject: &str, bytes: &[u8]) {
        let about = sha256(subject.as_bytes());
        let contents = [SCHEMA.as_slice(), about.as_bytes(), bytes].concat();
        // Not kept is made again: nothing that anybody should be stopped by, and `doctor` tells of it.
        let _ = self.0.write(&self.0.path(subject), &contents);
    }
}

/// What a file's contents are about, by its SHA-256, and what was kept.
fn split(contents: &[u8]) -> Option<(&[u8; 32], &[u8])> {
    let (schema, rest) = contents.split_first_chunk()?;
    if *schema == SCHEMA { rest.split_first_chunk() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the cache has nothing of the subject, and gets over it.
    fn is_rebuilt(cache: &DeviceCache) -> bool {
        let was_empty = cache.load("a").is_none();
        cache.save("a", b"program");
        was_empty && cache.load("a").as_deref() == Some(b"program")
    }

    #[test]
    fn what_was_kept_is_given_back_to_its_subject_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DeviceCache::at(folder.path().join("deep"));
        assert!(is_rebuilt(&cache));
        assert_eq!((cache.load("b"), cache.load("a ")), (None, None));
        cache.save("a", b"newer");
        cache.save("b", b"");
        assert_eq!(cache.load("a").as_deref(), Some(b"newer".as_slice()));
        assert_eq!(cache.load("b").as_deref(), Some(b"".as_slice()));
        let state = cache.state();
        assert_eq!((state.entries, state.bytes, state.unusable, state.is_writable), (2, 5, 0, true));
        cache.clear();
        assert_eq!((cache.state().entries, cache.load("a")), (0, None));
    }

    #[test]
    fn damaged_cut_foreign_and_later_files_are_never_handed_on() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DeviceCache::at(folder.path());
        cache.save("a", b"program");
        let path = cache.0.path("a");
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(is_rebuilt(&cache), "{length} bytes");
        }
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert!(is_rebuilt(&cache), "byte {place}");
        }
        fs::write(&path, vec![0; MAX_FILE_BYTES as usize + 1]).unwrap();
        assert_eq!(cache.state().unusable, 1);
        assert!(is_rebuilt(&cache), "too large a file");
        cache.save("b", b"of b");
        fs::copy(cache.0.path("b"), &path).unwrap();
        assert!(is_rebuilt(&cache), "the file of another driver, say");
        let later = [[2, 0].as_slice(), sha256(b"a").as_bytes(), b"program"].concat();
        cache.0.write(&path, &later).unwrap();
        assert!(is_rebuilt(&cache), "a later schema");
    }

    #[test]
    fn the_number_and_size_of_files_have_limits() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DeviceCache::at(folder.path());
        for i in 0..MAX_FILES + 5 {
            cache.save(&i.to_string(), b"");
        }
        assert_eq!(cache.state().entries, MAX_FILES);
        cache.save("large", &vec![0; MAX_FILE_BYTES as usize]);
        assert_eq!(cache.load("large"), None);
    }

    #[test]
    fn a_place_that_cannot_be_written_harms_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let cache = DeviceCache::at(file.join("devices"));
        cache.save("a", b"program");
        assert_eq!((cache.load("a"), cache.state().is_writable), (None, false));
    }
}
