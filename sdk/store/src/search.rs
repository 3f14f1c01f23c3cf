//! Finding apps among all that a store lists: by words, by what goes in and comes out, by where it runs and how fast, by licence
//! and price.
//!
//! The index is fetched in shards, and kept as one catalogue beside them: a line for each app with what is searched, and after
//! all lines the rows themselves, of which only those found are read. What the catalogue says is not trusted: what is installed
//! comes by its publisher's own listing, which is matched again.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};
use spdx::{Expression, LicenseReq, Licensee};
use tilemark_bundle::{Digest, sdk_version};

use crate::contract::TargetFacts;
use crate::error::{Error, Result};
use crate::gate::Price;
use crate::index::Row;

/// What is looked for; the default one finds everything that this SDK runs.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Query {
    words: Vec<String>,
    task: Option<Task>,
    runs_on: Vec<Hardware>,
    max_microseconds: Option<u64>,
    license: Option<Licensee>,
    price: Option<Price>,
}

/// A device that an app is to run on.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Hardware {
    /// The host, and what kernels are built for from source: everything but FPGAs. Its class is what speeds are told by.
    Source {
        /// `host`, `gpu`.
        class: String,
    },
    /// An FPGA, which runs the bitstreams that were built for it.
    Bitstream {
        /// The platform's name.
        platform: String,
        /// The device's name.
        name: String,
    },
}

/// What goes in and what comes out, each sorted.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Task {
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl Query {
    /// A query of words in name, description, licence, targets or task, in small letters or capitals; a word that contains `->` is
    /// a task.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a task without both ends, or two of them.
    pub fn parse<'t>(words: impl IntoIterator<Item = &'t str>) -> Result<Self> {
        let mut query = Self::default();
        for word in words {
            let word = word.replace('→', "->");
            if !word.contains("->") {
                query.words.extend(word.to_lowercase().split_whitespace().map(str::to_owned));
            } else if query.task.replace(Task::parse(&word)?).is_some() {
                return Err(Error::invalid(format!("the task {word:?}"), "it is the second one"));
            }
        }
        Ok(query)
    }

    /// Apps that run on one of these devices alone.
    #[must_use]
    pub fn runs_on(self, devices: Vec<Hardware>) -> Self {
        Self { runs_on: devices, ..self }
    }

    /// Apps whose publisher measured at most this on one of the devices; the host if none is named.
    #[must_use]
    pub fn within(self, microseconds: u64) -> Self {
        Self { max_microseconds: Some(microseconds), ..self }
    }

    /// Apps that may be used under this licence alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no SPDX licence.
    pub fn under(self, license: &str) -> Result<Self> {
        let parsed = Licensee::parse(license).map_err(|_| {
            Error::invalid(format!("the licence {license:?}"), "an SPDX name such as Apache-2.0 is expected")
        })?;
        Ok(Self { license: Some(parsed), ..self })
    }

    /// Apps at this price.
    #[must_use]
    pub fn at(self, price: Price) -> Self {
        Self { price: Some(price), ..self }
    }

    /// Whether a row may be found, by its line, but for task and licence: what is refused here is not read.
    fn may_accept(&self, line: &Line<'_>) -> bool {
        if self.price.is_some_and(|price| price.as_str() != line.price)
            || !self.words.iter().all(|word| line.words.contains(word.as_str()))
        {
            return false;
        }
        let bitstreams = |device: &Hardware| matches!(device, Hardware::Bitstream { .. });
        if line.targets != "host" && self.runs_on.iter().any(bitstreams) {
            return true; // its row says what they were built for
        }
        if self.runs_on.is_empty() && self.max_microseconds.is_none() {
            return true;
        }
        let class = |device: &'_ Hardware| match device {
            Hardware::Source { class } => line.is_within(class, self.max_microseconds),
            Hardware::Bitstream { .. } => false,
        };
        match self.runs_on.is_empty() {
            true => line.is_within("host", self.max_microseconds),
            false => self.runs_on.iter().any(class),
        }
    }

    /// Whether a row is found, but for its words, task and licence.
    fn accepts(&self, row: &Row) -> bool {
        if row.min_sdk > sdk_version() || self.price.is_some_and(|price| price != row.price) {
            return false;
        }
        let host = [Hardware::Source { class: "host".to_owned() }];
        let devices = match (self.runs_on.is_empty(), self.max_microseconds) {
            (true, None) => return true,
            (true, Some(_)) => &host[..],
            (false, _) => &self.runs_on[..],
        };
        let fast = |class: &str| match (self.max_microseconds, row.speeds.get(class)) {
            (None, _) => true,
            (Some(max), Some(found)) => *found <= max,
            (Some(_), None) => false, // nobody measured it
        };
        devices.iter().any(|device| device.runs(row).any(fast))
    }
}

impl Task {
    fn parse(text: &str) -> Result<Self> {
        let ends = |text: &str| -> Vec<String> {
            let separators = |c: char| c == '+' || c == ',' || c.is_whitespace();
            let mut ends: Vec<String> =
                text.split(separators).filter(|end| !end.is_empty()).map(str::to_lowercase).collect();
            ends.sort_unstable();
            ends
        };
        let (inputs, outputs) = text.split_once("->").unwrap_or((text, ""));
        let task = Self { inputs: ends(inputs), outputs: ends(outputs) };
        if task.inputs.is_empty() || task.outputs.is_empty() || outputs.contains("->") {
            return Err(Error::invalid(
                format!("the task {text:?}"),
                "such as \"image -> labels\" is expected",
            ));
        }
        Ok(task)
    }

    /// Whether an app that does `other` does this: from the same inputs, at least these outputs.
    fn is_done_by(&self, other: &str) -> bool {
        let Ok(other) = Self::parse(other) else { return false };
        self.inputs == other.inputs && self.outputs.iter().all(|output| other.outputs.contains(output))
    }
}

impl Hardware {
    /// The first of an app's bitstreams that fits; none on what takes none.
    #[must_use]
    pub fn target_of<'t>(&self, targets: &'t [TargetFacts]) -> Option<&'t str> {
        let Self::Bitstream { platform, name } = self else { return None };
        targets.iter().find(|facts| fits(facts, platform, name)).map(|facts| facts.target.as_str())
    }

    /// The device classes as which it runs an app: none if it does not.
    fn runs<'a>(&'a self, row: &'a Row) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        match self {
            Self::Source { class } => {
                let ships = row.targets.iter().any(|target| target == "host");
                Box::new(ships.then_some(class.as_str()).into_iter())
            }
            Self::Bitstream { platform, name } => {
                let fitting = row.built_for.iter().filter(move |facts| fits(facts, platform, name));
                Box::new(fitting.map(|facts| facts.target.as_str()))
            }
        }
    }
}

/// Whether a bitstream is for a device: both names have the words in them, in small letters or capitals.
fn fits(facts: &TargetFacts, platform: &str, name: &str) -> bool {
    let has = |text: &str, word: &str| text.to_lowercase().contains(&word.to_lowercase());
    has(platform, &facts.platform) && has(name, &facts.part)
}

/// Rows as they are searched.
pub(crate) struct Catalogue<R> {
    /// A [`Line`] for each row, its fields between tabs.
    lines: String,
    rows: R,
    /// Where rows begin in `rows`.
    start: u64,
}

/// A line of a catalogue, after its task.
struct Line<'a> {
    license: &'a str,
    price: &'a str,
    /// Joined by commas.
    targets: &'a str,
    /// `CLASS=MICROSECONDS`, joined by commas.
    speeds: &'a str,
    at: &'a str,
    length: &'a str,
    words: &'a str,
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

impl<'a> Line<'a> {
    fn split(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(8, '\t');
        let mut next = || fields.next();
        next()?; // the task, which was looked at before
        Some(Self {
            license: next()?,
            price: next()?,
            targets: next()?,
            speeds: next()?,
            at: next()?,
            length: next()?,
            words: next()?,
        })
    }

    fn is_within(&self, class: &str, max: Option<u64>) -> bool {
        let mut speeds = self.speeds.split(',').filter_map(|speed| speed.split_once('='));
        self.targets.split(',').any(|target| target == "host")
            && max.is_none_or(|max| {
                speeds.any(|(found, time)| found == class && time.parse().is_ok_and(|time: u64| time <= max))
            })
    }
}

/// What a catalogue begins with; then, on the same line, what it was made from and how long its lines are.
const MAGIC: &str = "tilemark catalogue 1";
/// The first line of a catalogue: its words, a SHA-256, a number.
const MAX_HEAD_BYTES: usize = 128;
/// The lines of a catalogue: 4 million apps.
const MAX_LINES_BYTES: u64 = 1 << 30;

impl Catalogue<Cursor<Vec<u8>>> {
    /// The catalogue of rows, and the bytes to keep of it. `made_from` tells one state of the index from another.
    pub(crate) fn build(rows: &[Row], made_from: Digest) -> Result<(Self, Vec<u8>)> {
        let (mut lines, mut json) = (String::new(), Vec::new());
        for row in rows {
            let text = serde_json::to_vec(row).map_err(|error| Error::invalid("index", error.to_string()))?;
            let words = [row.app.as_str(), &row.description, &row.license, &row.targets.join(" "), &row.task];
            let plain = |text: &str| text.replace(|c: char| c.is_control(), " ");
            let (task, license, targets) =
                (plain(&row.task), plain(&row.license), plain(&row.targets.join(",")));
            let speeds: Vec<String> =
                row.speeds.iter().map(|(class, time)| format!("{}={time}", plain(class))).collect();
            let (price, speeds, words) =
                (row.price, speeds.join(","), plain(&words.join(" ")).to_lowercase());
            let (at, length) = (json.len(), text.len());
            // A string takes everything.
            let _ =
                writeln!(lines, "{task}\t{license}\t{price}\t{targets}\t{speeds}\t{at}\t{length}\t{words}");
            json.extend_from_slice(&text);
        }
        let head = format!("{MAGIC} {made_from} {}\n", lines.len());
        let file = [head.as_bytes(), lines.as_bytes(), &json].concat();
        Ok((Self { lines, rows: Cursor::new(json), start: 0 }, file))
    }
}

impl Catalogue<File> {
    /// The catalogue that was kept at a path, if it was made from the same index.
    pub(crate) fn open(path: &Path, made_from: Digest) -> Option<Self> {
        let mut rows = File::open(path).ok()?;
        let mut head = [0; MAX_HEAD_BYTES];
        let found = rows.read(&mut head).ok()?;
        let head = head.get(..found)?;
        let end = head.iter().position(|byte| *byte == b'\n')?;
        let words = std::str::from_utf8(head.get(..end)?).ok()?;
        let length: u64 = words.strip_prefix(&format!("{MAGIC} {made_from} "))?.parse().ok()?;
        let first = end as u64 + 1;
        if length > MAX_LINES_BYTES || first + length > rows.metadata().ok()?.len() {
            return None;
        }
        rows.seek(SeekFrom::Start(first)).ok()?;
        let mut lines = vec![0; usize::try_from(length).ok()?];
        rows.read_exact(&mut lines).ok()?;
        Some(Self { lines: String::from_utf8(lines).ok()?, rows, start: first + length })
    }
}

impl<R: Read + Seek> Catalogue<R> {
    /// The rows that are found, in the order of the index.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a catalogue that was damaged.
    pub(crate) fn find(&mut self, query: &Query) -> Result<Vec<Row>> {
        let (mut found, mut tasks, mut licenses) = (Vec::new(), HashMap::new(), HashMap::new());
        for line in Candidates::of(&self.lines, query) {
            let cut = || Error::malformed("catalogue", "a line is cut short");
            let (task, _) = line.split_once('\t').ok_or_else(cut)?;
            // Few differ among many apps.
            if let Some(wanted) = &query.task
                && !*tasks.entry(task).or_insert_with(|| wanted.is_done_by(task))
            {
                continue;
            }
            let Line { license, at, length, .. } = match Line::split(line).ok_or_else(cut)? {
                line if query.may_accept(&line) => line,
                _ => continue,
            };
            if let Some(wanted) = &query.license
                && !*licenses.entry(license).or_insert_with(|| may_be_used(license, wanted))
            {
                continue;
            }
            let row = read_row(&mut self.rows, self.start, at, length)?;
            if query.accepts(&row) {
                found.push(row);
            }
        }
        Ok(found)
    }
}

/// The largest row: an app's description, its targets, its speeds.
const MAX_ROW_BYTES: usize = 1 << 20;

fn read_row(rows: &mut (impl Read + Seek), start: u64, at: &str, length: &str) -> Result<Row> {
    let damaged = || Error::malformed("catalogue", "a row is not where it should be");
    let at: u64 = at.parse().map_err(|_| damaged())?;
    let length: usize = length.parse().ok().filter(|length| *length <= MAX_ROW_BYTES).ok_or_else(damaged)?;
    let mut text = vec![0; length];
    rows.seek(SeekFrom::Start(start.saturating_add(at))).map_err(|_| damaged())?;
    rows.read_exact(&mut text).map_err(|_| damaged())?;
    serde_json::from_slice(&text).map_err(|_| damaged())
}

/// Whether whoever accepts one licence alone may use what is under an expression.
fn may_be_used(expression: &str, license: &Licensee) -> bool {
    let satisfies = |req: &LicenseReq| license.satisfies(req);
    Expression::parse(expression).is_ok_and(|expression| expression.evaluate(satisfies))
}
