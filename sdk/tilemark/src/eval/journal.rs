//! What was evaluated so far, one line a sample, so that an evaluation that was killed goes on where it was.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tilemark_bundle::{Digest, sha256};

use super::item::Item;
use crate::error::Error;
use crate::statistics::Histogram;

/// Longest line: an image with thousands of finds.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// What the first line says: an evaluation goes on only with the same.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Heading {
    pub(super) journal: u32,
    pub(super) app: Digest,
    pub(super) parameters: String,
    pub(super) device: String,
    pub(super) metric: String,
    /// Of the samples' names and labels.
    pub(super) outline: Digest,
}

/// One sample.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Which, from 0.
    pub(super) at: usize,
    /// Its leaf in the tree over the set; nothing if it could not be read.
    pub(super) leaf: Option<Digest>,
    /// How long the app took, in milliseconds.
    pub(super) ms: f64,
    pub(super) item: Item,
    /// A digest of the app's whole result; nothing where there is none.
    pub(super) result: Option<Digest>,
    /// What the first model got, counted, where a vendor counted too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) counted: Option<Histogram>,
}

impl Entry {
    /// What is the same on every device that gives the same bits.
    pub(super) fn bits(&self) -> Digest {
        self.result.unwrap_or_else(|| sha256(b"failed"))
    }
}

/// A journal that is open for more.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens or begins a journal; what was in it, in order.
    ///
    /// # Errors
    /// [`Error::Journal`] for one of another evaluation, or one that is damaged before its last line; [`Error::Io`].
    pub(super) fn open(path: &Path, heading: &Heading) -> Result<(Self, Vec<Entry>), Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let wrong = |reason: String| Error::Journal { path: path.to_owned(), reason };
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        file.try_lock().map_err(|error| wrong(format!("another evaluation writes it: {error}")))?;
        let mut reader = BufReader::new(&file);
        let (mut entries, mut whole, mut first) = (Vec::new(), 0, true);
        loop {
            let mut line = Vec::new();
            reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(io)?;
            if line.last() != Some(&b'\n') {
                break; // the end, or a line that was cut off when the process ended
            }
            let number = entries.len() + 2;
            if first {
                let found: Heading = serde_json::from_slice(&line)
                    .map_err(|error| wrong(format!("no journal of an evaluation: {error}")))?;
                check(&found, heading).map_err(wrong)?;
                first = false;
            } else {
                let entry: Entry = serde_json::from_slice(&line)
                    .map_err(|error| wrong(format!("line {number} is damaged: {error}")))?;
                if entry.at != entries.len() {
                    return Err(wrong(format!(
                        "line {number} is of sample {}, not {}",
                        entry.at,
                        entries.len()
                    )));
                }
                entries.push(entry);
            }
            whole += line.len() as u64;
        }
        file.set_len(whole).map_err(io)?;
        let mut journal = Self { path: path.to_owned(), file };
        journal.file.seek(SeekFrom::End(0)).map_err(io)?;
        if first {
            journal.write(heading)?;
        }
        Ok((journal, entries))
    }

    /// Adds a sample.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), Error> {
        self.write(entry)
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), Error> {
        let io = |source| Error::Io { path: self.path.clone(), source };
        let mut bytes = serde_json::to_vec(line).map_err(|error| io(error.into()))?;
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(io)
    }
}

fn check(found: &Heading, expected: &Heading) -> Result<(), String> {
    let pairs = [
        ("journal version", found.journal.to_string(), expected.journal.to_string()),
        ("app", found.app.to_string(), expected.app.to_string()),
        ("parameters", found.parameters.clone(), expected.parameters.clone()),
        ("device", found.device.clone(), expected.device.clone()),
        ("metric", found.metric.clone(), expected.metric.clone()),
        ("data", found.outline.to_string(), expected.outline.to_string()),
    ];
    match pairs.into_iter().find(|(_, found, expected)| found != expected) {
        Some((what, found, expected)) => {
            Err(format!("of an evaluation of another {what}: {found}, this one is of {expected}"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn heading() -> Heading {
        let (metric, device) = ("accuracy".to_owned(), "host".to_owned());
        Heading {
            journal: 1,
            app: sha256(b"app"),
            parameters: String::new(),
            device,
            metric,
            outline: sha256(b"data"),
        }
    }

    fn entry(at: usize) -> Entry {
        let item = Item::Class { truth: 1, found: vec![2, 1] };
        Entry {
            at,
            leaf: Some(sha256(b"leaf")),
            ms: 0.1 + 0.2,
            item,
            result: Some(sha256(b"result")),
            counted: None,
        }
    }

    #[test]
    fn what_was_written_comes_back_and_a_torn_line_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, before) = Journal::open(&path, &heading()).unwrap();
        assert!(before.is_empty());
        (0..3).for_each(|at| journal.add(&entry(at)).unwrap());
        assert_eq!(Journal::open(&path, &heading()).unwrap_err().code(), "TM0563", "it is in use");
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for cut in [whole.len() - 1, whole.len() - 20] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (mut journal, before) = Journal::open(&path, &heading()).unwrap();
            assert_eq!(before, [entry(0), entry(1)]);
            journal.add(&entry(2)).unwrap();
            drop(journal);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_journal_of_something_else_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Journal::open(&path, &heading()).unwrap().0.add(&entry(0)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let other = Heading { outline: sha256(b"other"), ..heading() };
        let error = Journal::open(&path, &other).unwrap_err();
        assert!(error.code() == "TM0563" && error.to_string().contains("of another data"), "{error}");
        std::fs::write(&path, [&whole[..], b"{}\n", &whole[..0]].concat()).unwrap();
        let error = Journal::open(&path, &heading()).unwrap_err().to_string();
        assert!(error.contains("line 3 is damaged"), "{error}");
        std::fs::write(&path, b"my notes\n").unwrap();
        assert_eq!(Journal::open(&path, &heading()).unwrap_err().code(), "TM0563");
        assert_eq!(std::fs::read(&path).unwrap(), b"my notes\n");
    }
}
