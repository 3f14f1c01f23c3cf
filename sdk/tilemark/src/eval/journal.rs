//! What was evaluated so far, one line a sample, so that an evaluation that was killed goes on where it was.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tilemark_bundle::Digest;

use super::item::Item;
use crate::error::Error;
use crate::statistics::Histogram;

/// Longest line: an image with thousands of finds.
const MAX_LINE_BYTES: u64 = 16 << 20;
/// Of this module's form. 3: every sample has the digest of its file and label, and may be tried again.
const VERSION: u32 = 3;

/// What the first line says: an evaluation goes on only with the same.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Heading {
    journal: u32,
    pub(super) sdk: String,
    pub(super) app: Digest,
    pub(super) parameters: Vec<String>,
    pub(super) device: String,
    pub(super) metric: String,
    /// Of the samples' names and labels, in their order.
    pub(super) outline: Digest,
}

/// The one field that the first line of every version has.
#[derive(Deserialize)]
struct Version {
    journal: u32,
}

/// One sample.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Which, from 0.
    pub(super) at: usize,
    /// Its leaf in the tree over the set: of name, file and label.
    pub(super) leaf: Digest,
    /// How long the app took, in milliseconds.
    pub(super) ms: f64,
    pub(super) item: Item,
    /// A digest of the app's whole result, or of its having failed: the same on every device that gives the same bits.
    pub(super) result: Digest,
    /// What the first model got, counted, where a vendor counted too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) counted: Option<Histogram>,
}

/// A journal that is open for more.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Heading {
    pub(super) fn new(
        app: Digest,
        parameters: Vec<String>,
        device: String,
        metric: &str,
        outline: Digest,
    ) -> Self {
        let (sdk, metric) = (tilemark_bundle::sdk_version().to_string(), metric.to_owned());
        Self { journal: VERSION, sdk, app, parameters, device, metric, outline }
    }

    /// The line of it.
    fn line(&self) -> std::io::Result<Vec<u8>> {
        line(self)
    }
}

impl Journal {
    /// Opens or begins a journal and gives what is in it, in order; `take` says whether a sample may stand where it does.
    ///
    /// # Errors
    /// [`Error::Journal`] for one of another evaluation, one that is damaged before its last line, and what is no journal, all of which are left
    /// as they are; [`Error::Io`].
    pub(super) fn open(
        path: &Path,
        heading: &Heading,
        mut take: impl FnMut(Entry) -> bool,
    ) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let wrong = |reason: String| Error::Journal { path: path.to_owned(), reason };
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(wrong("it is no regular file".to_owned()));
        }
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        file.try_lock().map_err(|error| wrong(format!("another evaluation writes it: {error}")))?;
        let begin = heading.line().map_err(io)?;
        let mut reader = BufReader::new(&file);
        let (mut whole, mut number) = (0u64, 1u64);
        loop {
            let mut line = Vec::new();
            reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(io)?;
            if line.last() != Some(&b'\n') {
                if line.len() as u64 >= MAX_LINE_BYTES || (number == 1 && !begin.starts_with(&line)) {
                    return Err(wrong(format!("no journal of an evaluation: line {number} is none of one")));
                }
                break; // the end, or a line that was cut off when the process ended
            }
            if number == 1 {
                check(&line, heading).map_err(wrong)?;
            } else {
                let entry: Entry = serde_json::from_slice(&line)
                    .map_err(|error| wrong(format!("line {number} is damaged: {error}")))?;
                let at = entry.at;
                if !take(entry) {
                    return Err(wrong(format!("line {number} is of sample {at}, which cannot be there")));
                }
            }
            (whole, number) = (whole + line.len() as u64, number + 1);
        }
        file.set_len(whole).map_err(io)?;
        let mut journal = Self { path: path.to_owned(), file };
        journal.file.seek(SeekFrom::End(0)).map_err(io)?;
        if number == 1 {
            journal.write(&begin)?;
        }
        Ok(journal)
    }

    /// Adds a sample.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Journal`] for one that could not be read again.
    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), Error> {
        let line = line(entry).map_err(|source| Error::Io { path: self.path.clone(), source })?;
        if line.len() as u64 > MAX_LINE_BYTES {
            let reason =
                format!("sample {} takes {} bytes, a line may have {MAX_LINE_BYTES}", entry.at, line.len());
            return Err(Error::Journal { path: self.path.clone(), reason });
        }
        self.write(&line)
    }

    fn write(&mut self, line: &[u8]) -> Result<(), Error> {
        self.file.write_all(line).map_err(|source| Error::Io { path: self.path.clone(), source })
    }
}

fn line(value: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn check(line: &[u8], expected: &Heading) -> Result<(), String> {
    let no_journal = |error| format!("no journal of an evaluation: {error}");
    let version: Version = serde_json::from_slice(line).map_err(no_journal)?;
    if version.journal != VERSION {
        return Err(format!("a journal of version {}, this one is of {VERSION}", version.journal));
    }
    let found: Heading = serde_json::from_slice(line).map_err(no_journal)?;
    let pairs = [
        ("version of the SDK", found.sdk.clone(), expected.sdk.clone()),
        ("app", found.app.to_string(), expected.app.to_string()),
        ("parameters", found.parameters.join(", "), expected.parameters.join(", ")),
        ("device", found.device.clone(), expected.device.clone()),
        ("metric", found.metric.clone(), expected.metric.clone()),
        ("data: other samples, labels or order", found.outline.to_string(), expected.outline.to_string()),
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
    use tilemark_bundle::sha256;

    use super::*;

    fn heading() -> Heading {
        Heading::new(sha256(b"app"), vec!["k=2".into()], "host".into(), "accuracy", sha256(b"data"))
    }

    fn entry(at: usize) -> Entry {
        let (item, leaf, result) = (Item::class(1, [2, 1]), sha256(b"leaf"), sha256(b"result"));
        Entry { at, leaf, ms: 0.1 + 0.2, item, result, counted: None }
    }

    /// A journal with what is in it.
    fn open(path: &Path, heading: &Heading) -> Result<(Journal, Vec<Entry>), Error> {
        let mut entries = Vec::new();
        let journal = Journal::open(path, heading, |entry| {
            let fits = entry.at == entries.len();
            entries.push(entry);
            fits
        })?;
        Ok((journal, entries))
    }

    #[test]
    fn what_was_written_comes_back_and_a_torn_line_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, before) = open(&path, &heading()).unwrap();
        assert!(before.is_empty());
        (0..3).for_each(|at| journal.add(&entry(at)).unwrap());
        assert_eq!(open(&path, &heading()).unwrap_err().code(), "TM0563", "it is in use");
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (mut journal, before) = open(&path, &heading()).unwrap();
            assert!(before.iter().enumerate().all(|(at, found)| *found == entry(at)), "{cut}");
            (before.len()..3).for_each(|at| journal.add(&entry(at)).unwrap());
            drop(journal);
            assert_eq!(std::fs::read(&path).unwrap(), whole, "{cut}");
        }
    }

    /// Whatever is not ours stays as it is, to the byte.
    #[track_caller]
    fn refused(path: &Path, bytes: &[u8], expected: &str) {
        std::fs::write(path, bytes).unwrap();
        let error = open(path, &heading()).unwrap_err();
        assert!(error.code() == "TM0563" && error.to_string().contains(expected), "{error}");
        assert_eq!(std::fs::read(path).unwrap(), bytes);
    }

    #[test]
    fn a_file_of_somebody_else_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let long = vec![b'x'; MAX_LINE_BYTES as usize + 1];
        for bytes in
            [&b"my notes\n"[..], b"my notes", b"{}", b"\n", b"{\"journal\":3}\n", b"\x89PNG\r\n\x1a\n", &long]
        {
            refused(&path, bytes, "no journal of an evaluation");
        }
        assert_eq!(open(folder.path(), &heading()).unwrap_err().code(), "TM0563", "a folder");
    }

    #[test]
    fn a_journal_of_something_else_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        open(&path, &heading()).unwrap().0.add(&entry(0)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        type Change = fn(&mut Heading);
        let others: [(Change, &str); 7] = [
            (|other| other.outline = sha256(b"other"), "of another data"),
            (|other| other.app = sha256(b"other"), "of another app"),
            (|other| other.parameters = vec!["k=3".into()], "of another parameters"),
            (|other| other.device = "opencl:0:0".into(), "of another device"),
            (|other| other.metric = "top-5".into(), "of another metric"),
            (|other| other.sdk = "0.0.1".into(), "of another version of the SDK"),
            (|other| other.journal = 2, "a journal of version 2"),
        ];
        for (change, expected) in others {
            let mut other = heading();
            change(&mut other);
            refused(&path, &[&other.line().unwrap()[..], b"{}\n"].concat(), expected);
        }
        refused(&path, b"{\"journal\":2,\"app\":\"x\"}\n", "a journal of version 2");
        refused(&path, &[&whole[..], b"{}\n"].concat(), "line 3 is damaged");
        refused(
            &path,
            &[&whole[..], &whole[heading().line().unwrap().len()..]].concat(),
            "line 3 is of sample 0",
        );
    }
}
