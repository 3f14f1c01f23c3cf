//! Labelled data: which samples there are, in a fixed order, and what each really is.

mod classes;
mod coco;
mod csv;
mod folder;
mod merkle;

use std::collections::HashSet;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tilemark_bundle::{Digest, sha256};

use super::metric::detect::Thing;
use super::stats::SplitMix64;
use crate::error::Error;
use crate::input::read_file;

pub use classes::Classes;
pub use merkle::{Merkle, leaf_of};

/// Most samples of a set: their names are in memory, their contents are not.
pub const MAX_SAMPLES: usize = 10_000_000;
/// Largest manifest, of either form.
const MAX_MANIFEST_BYTES: u64 = 1 << 30;
/// Largest text that a sample is labelled with: far more than is compared.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// Labelled samples: a folder with one folder a class, pictures with text files or masks beside them, a `manifest.csv`, or
/// a COCO file. Only names and labels are in memory.
#[derive(Debug, Default, PartialEq)]
pub struct Dataset {
    root: PathBuf,
    samples: Vec<Sample>,
    classes: Classes,
}

/// One sample. There may be millions, so it has no byte more than it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its file below the set's folder, with `/` between parts.
    pub name: Box<str>,
    /// What it is.
    pub truth: Truth,
}

/// What a sample really is.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// Of this class, by the app's numbers, called so in the data.
    Class(u32, Arc<str>),
    /// This is written on it.
    Text(Box<str>),
    /// What this file says is written on it.
    TextFile(Box<str>),
    /// These things are on it; and the digest of what the data says of them, by its own names.
    Things(Box<(Vec<Thing>, Digest)>),
    /// It is to become this picture, or its pixels are of the classes that this mask has.
    Picture(Box<str>),
}

/// What of a sample's truth is in a file of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Nothing.
    None,
    /// Text.
    Text(String),
    /// An encoded picture.
    Picture(Vec<u8>),
}

/// A sample as it was read, once.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The encoded input.
    pub bytes: Vec<u8>,
    /// What else was read.
    pub content: Content,
    /// The SHA-256 of the encoded input.
    pub file: Digest,
    /// The SHA-256 of the label, as the data has it.
    pub label: Digest,
    /// Its leaf in the tree over the set.
    pub leaf: Digest,
}

/// What a set's labels are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Classes.
    Class,
    /// Text.
    Text,
    /// Boxes.
    Things,
    /// Pictures or masks.
    Picture,
}

impl Dataset {
    /// Finds the samples at `path`: a folder, a CSV file or a COCO file. `classes` are the app's.
    ///
    /// # Errors
    /// [`Error::Dataset`], which names what does not fit: a class that the app does not know, a line, a file that is missing.
    pub fn open(path: &Path, kind: Kind, classes: &Classes) -> Result<Self, Error> {
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        let mut named = classes.clone();
        let (root, samples) = match ending.as_deref() {
            _ if path.is_dir() && path.join("manifest.csv").is_file() => {
                (path, csv::read(&path.join("manifest.csv"), kind, classes)?)
            }
            _ if path.is_dir() => (path, folder::read(path, kind, classes)?),
            Some("csv") => (parent(path), csv::read(path, kind, classes)?),
            Some("json") => {
                let samples;
                (samples, named) = coco::read(path, kind, classes)?;
                (parent(path), samples)
            }
            _ => {
                let io = |source| Error::Io { path: path.to_owned(), source };
                std::fs::metadata(path).map_err(io)?;
                return Err(wrong(path, "a folder, a .csv or a .json file is expected"));
            }
        };
        if samples.is_empty() {
            return Err(wrong(path, "no sample is there"));
        }
        check_count(path, samples.len())?;
        // Who counts a sample twice is surer than the samples make sure.
        let mut names = HashSet::with_capacity(samples.len());
        if let Some(twice) = samples.iter().find(|sample| !names.insert(&sample.name)) {
            return Err(wrong(path, format!("the sample {} is there twice", twice.name)));
        }
        Ok(Self { root: root.to_owned(), samples, classes: named })
    }

    /// The samples, in the order in which they are evaluated: a folder's by name, a manifest's as they are there.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Puts the samples into an order that depends on the seed alone, as if drawn: what begins with all of one class says
    /// nothing of the others when it is stopped early.
    pub fn shuffle(&mut self, seed: u64) {
        let mut random = SplitMix64::new(seed);
        for last in (1..self.samples.len()).rev() {
            self.samples.swap(last, random.below(last + 1));
        }
    }

    /// The app's classes; the data's, where the app has no list of them.
    #[must_use]
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// A digest of names and labels in their order: what a journal goes on with.
    #[must_use]
    pub fn outline(&self) -> Digest {
        let mut tree = Merkle::default();
        for sample in &self.samples {
            let mut bytes = Vec::new();
            merkle::field(&mut bytes, sample.name.as_bytes());
            merkle::field(&mut bytes, &sample.truth.bytes(&Content::None));
            tree.add(sha256(&bytes));
        }
        tree.root()
    }

    /// Reads a sample's files.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::InputTooLarge`]; [`Error::Dataset`] for text that is none, and for what is no file.
    pub fn load(&self, sample: &Sample) -> Result<Loaded, Error> {
        let bytes = read(&self.root.join(&*sample.name))?;
        let content = match &sample.truth {
            Truth::TextFile(file) => Content::Text(read_text(&self.root.join(&**file))?),
            Truth::Picture(file) => Content::Picture(read(&self.root.join(&**file))?),
            Truth::Class(..) | Truth::Text(_) | Truth::Things(_) => Content::None,
        };
        let (file, label) = (sha256(&bytes), sha256(&sample.truth.bytes(&content)));
        let leaf = leaf_of(&sample.name, file, label);
        Ok(Loaded { bytes, content, file, label, leaf })
    }
}

impl Truth {
    /// What the tree over the set is made of: the truth as the data has it, whatever app is asked.
    fn bytes(&self, content: &Content) -> Vec<u8> {
        match (self, content) {
            (Self::Class(_, name), _) => [b"class ", name.as_bytes()].concat(),
            (Self::Text(text), _) => [b"text ", text.as_bytes()].concat(),
            (Self::TextFile(_), Content::Text(text)) => [b"text ", text.as_bytes()].concat(),
            (Self::Picture(_), Content::Picture(bytes)) => {
                [&b"picture "[..], sha256(bytes).as_bytes()].concat()
            }
            (Self::TextFile(file) | Self::Picture(file), _) => [b"file ", file.as_bytes()].concat(),
            (Self::Things(things), _) => [&b"things "[..], things.1.as_bytes()].concat(),
        }
    }
}

pub(super) fn wrong(path: &Path, reason: impl Into<String>) -> Error {
    Error::Dataset { path: path.to_owned(), reason: reason.into() }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn check_count(path: &Path, samples: usize) -> Result<(), Error> {
    if samples <= MAX_SAMPLES {
        return Ok(());
    }
    Err(wrong(path, format!("{samples} samples or more, the limit is {MAX_SAMPLES}")))
}

/// Files below a folder that may be inputs of apps, by name.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<String>, Error> {
    folder::files_below(folder)
}

/// A sample's file. A pipe is none: nobody may ever write to it.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    check_file(path)?;
    read_file(path)
}

fn check_file(path: &Path) -> Result<(), Error> {
    let found = std::fs::metadata(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    if found.is_file() { Ok(()) } else { Err(wrong(path, "it is no regular file")) }
}

fn read_text(path: &Path) -> Result<String, Error> {
    let length = std::fs::metadata(path).map_or(0, |found| found.len());
    if length > MAX_TEXT_BYTES as u64 {
        return Err(wrong(path, format!("a text of {length} bytes, the limit is {MAX_TEXT_BYTES}")));
    }
    String::from_utf8(read(path)?).map_err(|_| wrong(path, "it is not UTF-8 text"))
}

/// The lines of a CSV file, each with its number.
pub(super) fn read_table(path: &Path) -> Result<Vec<(usize, Vec<String>)>, Error> {
    csv::table(path)
}

/// The whole of a manifest.
fn read_manifest(path: &Path) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    check_file(path)?;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(io)?
        .take(MAX_MANIFEST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(wrong(path, format!("larger than {MAX_MANIFEST_BYTES} bytes")));
    }
    Ok(bytes)
}

/// A file name in a manifest: below its folder, spelt as it is in a tree over the set.
fn check_name(name: &str) -> Result<Box<str>, String> {
    let name = name.trim();
    let mut parts = Vec::new();
    let mut plain = !name.chars().any(char::is_control);
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
            Component::CurDir => {}
            _ => plain = false,
        }
    }
    if !plain || parts.is_empty() {
        return Err(format!("`{}` is no file below its folder", name.escape_default()));
    }
    Ok(parts.join("/").into())
}
