//! Finding apps among all that a store lists: by words, by what goes in and comes out, by where it runs and how fast, by licence
//! and price.
//!
//! The index is fetched in shards, and kept as one [`Catalogue`] beside them. What it says is not trusted: what is installed comes by
//! its publisher's own listing, which is matched again.

mod catalogue;
#[cfg(test)]
mod tests;

use spdx::{Expression, LicenseReq, Licensee};
use tilemark_bundle::{AppTarget, sdk_version};

use crate::error::{Error, Result};
use crate::gate::Price;
use crate::index::Row;

use catalogue::{Block, Line};

pub(crate) use catalogue::{Catalogue, build};

/// The class and the target that every machine has.
const HOST: &str = "host";

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

    /// Whether any row of a block may be found.
    fn may_be_in(&self, block: &Block) -> bool {
        self.price.is_none_or(|price| price.as_str() == block.price)
            && self.task.as_ref().is_none_or(|task| task.is_done_by(&block.task))
            && self.license.as_ref().is_none_or(|license| may_be_used(&block.license, license))
            && (self.takes_bitstreams(block) || self.takes_source(block))
    }

    /// Whether a row of such a block may be found, by its line: what is refused here is not read.
    fn may_accept(&self, block: &Block, line: &Line<'_>) -> bool {
        if !self.words.iter().all(|word| line.words.contains(word.as_str())) {
            return false;
        }
        if self.takes_bitstreams(block) || (self.runs_on.is_empty() && self.max_microseconds.is_none()) {
            return true; // the row says what they were built for
        }
        let class = |device: &Hardware| match device {
            Hardware::Source { class } => line.is_within(class, self.max_microseconds),
            Hardware::Bitstream { .. } => false,
        };
        match self.runs_on.is_empty() {
            true => line.is_within(HOST, self.max_microseconds),
            false => self.runs_on.iter().any(class),
        }
    }

    fn takes_bitstreams(&self, block: &Block) -> bool {
        let bitstreams = |device: &Hardware| matches!(device, Hardware::Bitstream { .. });
        block.targets != HOST && self.runs_on.iter().any(bitstreams)
    }

    fn takes_source(&self, block: &Block) -> bool {
        let anywhere = self.runs_on.is_empty() && self.max_microseconds.is_none();
        anywhere || block.targets.split(',').any(|target| target == HOST)
    }

    /// Whether a row is found, but for its words, task and licence.
    #[must_use]
    pub fn accepts(&self, row: &Row) -> bool {
        if row.min_sdk > sdk_version() || self.price.is_some_and(|price| price != row.price) {
            return false;
        }
        let host = [Hardware::Source { class: HOST.to_owned() }];
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
    pub fn target_of<'t>(&self, targets: &'t [AppTarget]) -> Option<&'t str> {
        let Self::Bitstream { platform, name } = self else { return None };
        targets.iter().find(|facts| fits(facts, platform, name)).map(|facts| facts.target.as_str())
    }

    /// The device classes as which it runs an app: none if it does not.
    fn runs<'a>(&'a self, row: &'a Row) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        match self {
            Self::Source { class } => {
                let ships = row.targets.iter().any(|target| target == HOST);
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
fn fits(facts: &AppTarget, platform: &str, name: &str) -> bool {
    let has = |text: &str, word: &str| text.to_lowercase().contains(&word.to_lowercase());
    has(platform, &facts.platform) && has(name, &facts.part)
}

/// Whether whoever accepts one licence alone may use what is under an expression.
fn may_be_used(expression: &str, license: &Licensee) -> bool {
    let satisfies = |req: &LicenseReq| license.satisfies(req);
    Expression::parse(expression).is_ok_and(|expression| expression.evaluate(satisfies))
}
