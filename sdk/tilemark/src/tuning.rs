//! What was measured of kernels, on disk: one small file for each model, CPU, level and number of threads.
//!
//! Nothing in it is trusted. A file counts if its SHA-256 holds and it is about the very model, machine and version that asks;
//! and what it names is looked up among the kernels that the step can have, so that the worst it can do is to name a slow
//! one. Any other file counts as none, and is written anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use serde::{Deserialize, Serialize};
use tilemark_bundle::{Digest, codec, sha256};
use tilemark_engine::{Device, TuningRecord, TuningStore};

use crate::kept::Kept;

/// Bytes of one file: 4096 layers of a long kernel name each.
const MAX_FILE_BYTES: u64 = 512 * 1024;
/// Files kept; the ones not written for longest make room.
const MAX_FILES: usize = 64;
const SCHEMA: u16 = 1;

/// A directory of measurements; it is made when something is first kept. Several processes may use it at once: files are
/// replaced whole, and of two that measure the same at once the later one's figures stay.
#[derive(Clone, Debug)]
pub struct TuningCache {
    kept: Kept,
    listener: Option<Listener>,
}

/// Hears how far timing is: layers done, and of how many.
#[derive(Clone)]
struct Listener(Arc<dyn Fn(usize, usize) + Send + Sync>);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

/// What there is in a [`TuningCache`].
#[derive(Clone, Debug, Serialize)]
pub struct TuningState {
    /// The directory.
    pub folder: PathBuf,
    /// Whether something can be kept there; if not, kernels are chosen by prediction.
    pub is_writable: bool,
    /// Files that can be used by this version: one for each model, CPU, level and number of threads.
    pub models: usize,
    /// Layers in them.
    pub layers: usize,
    /// Files that are damaged, of other versions, or of something else; they count for nothing.
    pub unusable: usize,
}

/// What a file holds, in the codec's layout, behind its SHA-256.
#[derive(Deserialize, Serialize)]
struct Entry {
    schema: u16,
    /// What it is about; see [`subject`].
    subject: String,
    record: TuningRecord,
}

impl TuningCache {
    /// A cache in `folder`, which need not exist.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        let kept = Kept { folder, extension: "tuning", max_bytes: MAX_FILE_BYTES, max_files: MAX_FILES };
        Self { kept, listener: None }
    }

    /// The same cache, which tells `listener` how many of the layers to time are done. On an OpenCL device timing takes up to ten
    /// seconds, the first time; on the host it is over before anybody could read of it, and tells nothing.
    #[must_use]
    pub fn with_listener(self, listener: impl Fn(usize, usize) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Listener(Arc::new(listener))), ..self }
    }

    /// What is there, and whether it can be added to.
    pub fn state(&self) -> TuningState {
        let (mut models, mut layers, mut unusable) = (0, 0, 0);
        for path in self.kept.files() {
            match read(&self.kept, &path) {
                Some(entry) if entry.is_current() => {
                    models += 1;
                    layers += entry.record.len();
                }
                _ => unusable += 1,
            }
        }
        let (folder, is_writable) = (self.kept.folder.clone(), self.kept.is_writable());
        TuningState { folder, is_writable, models, layers, unusable }
    }

    /// Files of another kind in the same directory.
    pub(crate) fn beside(&self, extension: &'static str) -> Kept {
        Kept { extension, ..self.kept.clone() }
    }

    /// The part of it that is about one graph on one device.
    pub(crate) fn store(&self, graph: Digest, device: &Device) -> Store {
        let subject = subject(graph, device);
        Store { path: self.kept.path(&subject), subject, cache: self.clone() }
    }
}

/// Measurements of one graph on one device.
#[derive(Debug)]
pub(crate) struct Store {
    cache: TuningCache,
    path: PathBuf,
    subject: String,
}

impl Store {
    fn write(&self, entry: &Entry) -> io::Result<()> {
        let record = codec::encode(entry).map_err(io::Error::other)?;
        self.cache.kept.write(&self.path, &record)
    }
}

impl TuningStore for Store {
    fn load(&self) -> TuningRecord {
        let entry = read(&self.cache.kept, &self.path)
            .filter(|entry| entry.is_current() && entry.subject == self.subject);
        entry.map(|entry| entry.record).unwrap_or_default()
    }

    fn is_writable(&self) -> bool {
        self.cache.kept.is_writable()
    }

    fn progress(&self, done: usize, of: usize) {
        self.cache.listener.iter().for_each(|listener| (listener.0)(done, of));
    }

    fn add(&self, record: &TuningRecord) {
        let mut all = self.load();
        all.merge(record);
        // Not kept is measured again: nothing that anybody should be stopped by, and `doctor` tells of it.
        let _ = self.write(&Entry { schema: SCHEMA, subject: self.subject.clone(), record: all });
    }
}

impl Entry {
    fn is_current(&self) -> bool {
        self.schema == SCHEMA && self.record.is_current()
    }
}

/// All that a measurement depends on, by its SHA-256.
fn subject(graph: Digest, device: &Device) -> String {
    sha256(format!("graph {graph}\n{}", device.measured_as()).as_bytes()).to_string()
}

/// The entry in a file; `None` if it is not a whole one.
fn read(kept: &Kept, path: &Path) -> Option<Entry> {
    codec::decode(&kept.read(path)?).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    use super::*;

    /// A record as this version writes it.
    fn current() -> TuningRecord {
        let mut record = TuningRecord::default();
        record.merge(&TuningRecord::default());
        record
    }

    fn store(folder: &Path, graph: &str) -> Store {
        TuningCache::at(folder).store(sha256(graph.as_bytes()), &Device::host())
    }

    /// Whether the store has nothing, and gets over it.
    fn is_rebuilt(store: &Store) -> bool {
        let was_empty = store.load() == TuningRecord::default();
        store.add(&current());
        was_empty && store.load() == current()
    }

    #[test]
    fn what_was_added_is_found_again_by_the_same_graph_alone() {
        let folder = tempfile::tempdir().unwrap();
        let a = store(folder.path(), "a");
        assert_eq!(a.load(), TuningRecord::default());
        a.add(&current());
        assert_eq!(store(folder.path(), "a").load(), current());
        assert_eq!(store(folder.path(), "b").load(), TuningRecord::default());
        let other = Device::host().with_threads(Device::host().threads() + 1).unwrap();
        let other = TuningCache::at(folder.path()).store(sha256(b"a"), &other);
        assert_eq!(other.load(), TuningRecord::default(), "another number of threads");
        let state = TuningCache::at(folder.path()).state();
        assert_eq!((state.models, state.layers, state.unusable, state.is_writable), (1, 0, 0, true));
    }

    #[test]
    fn damaged_and_cut_files_are_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), "a");
        store.add(&current());
        let whole = fs::read(&store.path).unwrap();
        for length in 0..whole.len() {
            fs::write(&store.path, &whole[..length]).unwrap();
            assert!(is_rebuilt(&store), "{length} bytes");
        }
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            fs::write(&store.path, bytes).unwrap();
            assert!(is_rebuilt(&store), "byte {place}");
        }
        fs::write(&store.path, vec![0; MAX_FILE_BYTES as usize + 1]).unwrap();
        assert_eq!(store.cache.state().unusable, 1);
        assert!(is_rebuilt(&store), "too large a file");
    }

    #[test]
    fn whole_files_about_something_else_count_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (store(folder.path(), "a"), store(folder.path(), "b"));
        b.add(&current());
        fs::copy(&b.path, &a.path).unwrap();
        assert!(is_rebuilt(&a), "another model's file");
        let entry = |schema, record| Entry { schema, subject: a.subject.clone(), record };
        a.write(&entry(SCHEMA + 1, current())).unwrap();
        assert_eq!(a.cache.state().unusable, 1);
        assert!(is_rebuilt(&a), "a later schema");
        a.write(&entry(SCHEMA, TuningRecord::default())).unwrap();
        assert!(is_rebuilt(&a), "a record of other kernels");
    }

    #[test]
    fn the_oldest_files_make_room_and_unfinished_ones_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let hours = |n: u64| SystemTime::now() - Duration::from_secs(3600 * n);
        let age =
            |path: &Path, n| File::options().write(true).open(path).unwrap().set_modified(hours(n)).unwrap();
        let part = |name: &str, n| {
            fs::write(folder.path().join(name), b"").unwrap();
            age(&folder.path().join(name), n);
        };
        part("dead.1.0.part", 5);
        part("alive.2.0.part", 0);
        for i in 0..MAX_FILES as u64 + 6 {
            let store = store(folder.path(), &i.to_string());
            store.add(&current());
            age(&store.path, 500 - i);
        }
        assert_eq!(TuningCache::at(folder.path()).state().models, MAX_FILES);
        assert!(store(folder.path(), "5").load().is_empty() && !store(folder.path(), "5").path.exists());
        assert!(store(folder.path(), "6").path.exists());
        assert!(!folder.path().join("dead.1.0.part").exists());
        assert!(folder.path().join("alive.2.0.part").exists());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_and_harms_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        for place in [file.clone(), file.join("tuning")] {
            let store = store(&place, "a");
            store.add(&current());
            assert_eq!((store.load(), store.is_writable()), (TuningRecord::default(), false));
            assert!(!store.cache.state().is_writable);
        }
        // A directory where the file should be.
        let store = store(&folder.path().join("tuning"), "a");
        fs::create_dir_all(&store.path).unwrap();
        store.add(&current());
        assert_eq!(store.load(), TuningRecord::default());
        let left = fs::read_dir(folder.path().join("tuning")).unwrap().count();
        assert_eq!(left, 1, "nothing half done is left behind");
    }

    #[test]
    fn readers_never_see_half_of_what_others_write() {
        let folder = tempfile::tempdir().unwrap();
        store(folder.path(), "a").add(&current());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let store = store(folder.path(), "a");
                    for _ in 0..50 {
                        store.add(&current());
                        assert_eq!(store.load(), current());
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
