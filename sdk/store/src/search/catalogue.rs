//! The form in which the index is kept: searched in milliseconds, and every part of it checked when it is read.
//!
//! ```text
//! tilemark catalogue 2 MADE-FROM LENGTH CHECK              of the directory
//! TASK LICENCE PRICE TARGETS BEGIN LENGTH CHECK            the directory: a line a block
//! SPEEDS BEGIN LENGTH CHECK WORDS                          a block: a line for each app of one task, licence, price and targets
//! {...}{...}                                               the rows
//! ```
//!
//! Fields are between tabs, a check is the beginning of a part's SHA-256. Of the blocks only those are read in which something may be found, of the rows only those that are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};
use tilemark_bundle::{Digest, sha256};

use super::Query;
use crate::error::{Error, Result};
use crate::index::Row;

/// Rows as they are searched.
pub(crate) struct Catalogue<R> {
    blocks: Vec<Block>,
    from: Reader<R>,
    /// Where in the file the blocks begin, and where the rows.
    starts: [u64; 2],
}

/// The apps of one task, licence, price and targets. Few of them differ among many apps.
pub(super) struct Block {
    pub(super) task: String,
    pub(super) license: String,
    pub(super) price: String,
    /// Joined by commas.
    pub(super) targets: String,
    part: Part,
}

/// Where something is, and what it hashes to: damage is to be noticed, and nobody else writes there.
#[derive(Clone, Copy)]
struct Part {
    at: u64,
    length: usize,
    check: u64,
}

/// A file that is mostly read in its order.
struct Reader<R> {
    from: BufReader<R>,
    /// Where it is.
    at: u64,
}

/// A line of a block.
pub(super) struct Line<'a> {
    /// `CLASS=MICROSECONDS`, joined by commas.
    speeds: &'a str,
    part: Part,
    pub(super) words: &'a str,
}

/// What a catalogue begins with.
const MAGIC: &str = "tilemark catalogue 2";
/// Its first line: words, a SHA-256, numbers.
const MAX_HEAD_BYTES: u64 = 160;
/// A directory or a block: 4 million apps.
const MAX_BLOCK_BYTES: u64 = 1 << 30;
/// The largest row: an app's description, its targets, its speeds.
const MAX_ROW_BYTES: u64 = 1 << 20;
/// Read ahead of a row that is found: some of the next ones.
const READ_AHEAD: usize = 16 << 10;

/// The bytes of the catalogue of rows. `made_from` tells one state of the index from another.
pub(crate) fn build(rows: &[Row], made_from: Digest) -> Result<Vec<u8>> {
    let mut blocks: BTreeMap<[String; 4], String> = BTreeMap::new();
    let mut json = Vec::new();
    for row in rows {
        let text = serde_json::to_vec(row).map_err(|error| Error::invalid("index", error.to_string()))?;
        let words = [row.app.as_str(), &row.description, &row.license, &row.targets.join(" "), &row.task];
        let speeds: Vec<String> =
            row.speeds.iter().map(|(class, time)| format!("{}={time}", plain(class))).collect();
        let facts = [&row.task, &row.license, row.price.as_str(), &row.targets.join(",")].map(plain);
        let (part, words) = (Part::of(json.len(), &text), plain(words.join(" ")).to_lowercase());
        // A string takes everything.
        let _ = writeln!(blocks.entry(facts).or_default(), "{}\t{part}\t{words}", speeds.join(","));
        json.extend_from_slice(&text);
    }
    let (mut directory, mut lines) = (String::new(), String::new());
    for (facts, block) in &blocks {
        let part = Part::of(lines.len(), block.as_bytes());
        let _ = writeln!(directory, "{}\t{part}", facts.join("\t"));
        lines.push_str(block);
    }
    let Part { length, check, .. } = Part::of(0, directory.as_bytes());
    let head = format!("{MAGIC} {made_from} {length} {check:016x}\n");
    Ok([head.as_bytes(), directory.as_bytes(), lines.as_bytes(), &json].concat())
}

fn plain(text: impl AsRef<str>) -> String {
    text.as_ref().replace(|c: char| c.is_control(), " ")
}

impl Catalogue<File> {
    /// The catalogue that was kept at a path, if it was made from the same index.
    pub(crate) fn open(path: &Path, made_from: Digest) -> Option<Self> {
        Self::read(File::open(path).ok()?, made_from)
    }
}

impl<R: Read + Seek> Catalogue<R> {
    /// The catalogue in a file, if it was made from the same index and its directory is whole.
    pub(crate) fn read(from: R, made_from: Digest) -> Option<Self> {
        let mut from = BufReader::with_capacity(READ_AHEAD, from);
        let mut head = Vec::new();
        from.by_ref().take(MAX_HEAD_BYTES).read_until(b'\n', &mut head).ok()?;
        let words = text(&head)?.strip_suffix('\n')?.strip_prefix(&format!("{MAGIC} {made_from} "))?;
        let (length, check) = words.split_once(' ')?;
        let directory = Part::parse("0", length, check)?;
        let first = head.len() as u64;
        let mut from = Reader { from, at: first };
        let bytes = from.read(directory, first, MAX_BLOCK_BYTES).ok()?;
        let blocks: Vec<Block> = text(&bytes)?.lines().map(Block::split).collect::<Option<_>>()?;
        let first = first + bytes.len() as u64;
        let lines = blocks.iter().try_fold(first, |end, block| end.checked_add(block.part.length as u64))?;
        Some(Self { blocks, from, starts: [first, lines] })
    }

    /// The rows that are found, in the order of the index.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a catalogue that was damaged.
    pub(crate) fn find(&mut self, query: &Query) -> Result<Vec<Row>> {
        let [lines, rows] = self.starts;
        let mut found: Vec<Part> = Vec::new();
        for block in self.blocks.iter().filter(|block| query.may_be_in(block)) {
            let bytes = self.from.read(block.part, lines, MAX_BLOCK_BYTES)?;
            let damaged = || Error::malformed(CATALOGUE, "a line is cut short");
            for line in Candidates::of(text(&bytes).ok_or_else(damaged)?, query) {
                let line = Line::split(line).ok_or_else(damaged)?;
                if query.may_accept(block, &line) {
                    found.push(line.part);
                }
            }
        }
        found.sort_unstable_by_key(|part| part.at);
        let read = |part: Part| {
            let bytes = self.from.read(part, rows, MAX_ROW_BYTES)?;
            serde_json::from_slice(&bytes).map_err(|error| Error::malformed(CATALOGUE, error.to_string()))
        };
        let rows = found.into_iter().map(read).collect::<Result<Vec<Row>>>()?;
        Ok(rows.into_iter().filter(|row| query.accepts(row)).collect())
    }
}

const CATALOGUE: &str = "catalogue";

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

impl Block {
    fn split(line: &str) -> Option<Self> {
        let mut fields = line.splitn(7, '\t');
        let mut next = || fields.next();
        let [task, license, price, targets] = [next()?, next()?, next()?, next()?].map(str::to_owned);
        Some(Self { task, license, price, targets, part: Part::parse(next()?, next()?, next()?)? })
    }
}

impl Part {
    fn of(at: usize, bytes: &[u8]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *sha256(bytes).as_bytes();
        Self { at: at as u64, length: bytes.len(), check: u64::from_be_bytes([a, b, c, d, e, f, g, h]) }
    }

    /// As it is written, and in no other way.
    fn parse(at: &str, length: &str, check: &str) -> Option<Self> {
        let small = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let check = Some(check).filter(|check| check.len() == 16 && small(check))?;
        let (at, length) = (at.parse().ok()?, length.parse().ok()?);
        Some(Self { at, length, check: u64::from_str_radix(check, 16).ok()? })
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\t{}\t{:016x}", self.at, self.length, self.check)
    }
}

impl<R: Read + Seek> Reader<R> {
    /// The bytes of a part, if they are those that were written.
    fn read(&mut self, part: Part, start: u64, max: u64) -> Result<Vec<u8>> {
        let gone = |error: std::io::Error| Error::malformed(CATALOGUE, error.to_string());
        let damaged = || Error::malformed(CATALOGUE, "a part of it was damaged");
        let to = start.checked_add(part.at).filter(|_| part.length as u64 <= max).ok_or_else(damaged)?;
        // What is read ahead already is not read again.
        match to.checked_sub(self.at).and_then(|ahead| i64::try_from(ahead).ok()) {
            Some(ahead) => self.from.seek_relative(ahead).map_err(gone)?,
            None => drop(self.from.seek(SeekFrom::Start(to)).map_err(gone)?),
        }
        // The length is not believed: a file that is shorter takes no more memory than it has bytes.
        let mut bytes = Vec::with_capacity(part.length.min(READ_AHEAD));
        self.from.by_ref().take(part.length as u64).read_to_end(&mut bytes).map_err(gone)?;
        self.at = to + bytes.len() as u64;
        let found = Part::of(0, &bytes);
        if (found.length, found.check) == (part.length, part.check) { Ok(bytes) } else { Err(damaged()) }
    }
}

impl<'a> Line<'a> {
    fn split(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(5, '\t');
        let mut next = || fields.next();
        let speeds = next()?;
        Some(Self { speeds, part: Part::parse(next()?, next()?, next()?)?, words: next()? })
    }

    /// Whether its app was measured at most so long on a device class, if that is asked.
    pub(super) fn is_within(&self, class: &str, max: Option<u64>) -> bool {
        let mut speeds = self.speeds.split(',').filter_map(|speed| speed.split_once('='));
        max.is_none_or(|max| {
            speeds.any(|(found, time)| found == class && time.parse().is_ok_and(|time: u64| time <= max))
        })
    }
}

/// Lines that may have all words of a query: those with its longest one, or all.
struct Candidates<'a> {
    lines: &'a str,
    at: usize,
    word: Option<Finder<'a>>,
}

impl<'a> Candidates<'a> {
    fn of(lines: &'a str, query: &'a Query) -> Self {
        let longest = query.words.iter().max_by_key(|word| word.len());
        Self { lines, at: 0, word: longest.map(Finder::new) }
    }
}

impl<'a> Iterator for Candidates<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.lines.get(self.at..).filter(|rest| !rest.is_empty())?;
        let bytes = rest.as_bytes();
        let start = match &self.word {
            Some(word) => memrchr(b'\n', &bytes[..word.find(bytes)?]).map_or(0, |newline| newline + 1),
            None => 0,
        };
        let end = memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length);
        self.at += end + 1;
        rest.get(start..end)
    }
}
