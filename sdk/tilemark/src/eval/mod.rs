//! Is this app good enough on my data, on my device?
//!
//! An [`Evaluation`] runs an app over labelled samples, one after the other, and keeps of each what the metric needs, in a journal if
//! it has one: who is interrupted goes on where it was. Numbers follow from integers, so they are the same on every device.

mod claim;
mod commit;
mod compare;
pub mod data;
mod drift;
mod html;
mod item;
mod journal;
mod mapping;
pub mod meters;
pub mod metric;
mod question;
mod report;
pub mod stats;
mod tally;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::App;
use crate::error::{Error, ErrorKind};
use crate::golden;
use crate::input::Input;
use crate::session::Session;
use crate::statistics::{self, Statistics};
use data::{Classes, Dataset, Loaded, Sample, leaf_of};
use item::Item;
use journal::{Entry, Heading, Journal};
use meters::Energy;
use stats::Bootstrap;
use tally::Tally;
use tilemark_bundle::{Digest, sha256};
use tilemark_engine::Device;

pub use claim::{Claim, Whose};
pub use commit::{Commitment, Opened, Opening};
pub use compare::{Better, ClassDifference, Comparison, Point};
pub use drift::{ChannelDrift, Drift};
pub use html::is_page;
pub use mapping::Mapping;
pub use metric::Metric;
pub use question::{Plan, StopWhen};
pub use report::{Confused, Counts, Data, DeviceFacts, Measured, Named, Report};
pub use tilemark_bundle::Count;

/// Samples that an error names.
const NAMED: usize = 10;
/// Of a bootstrap's resamples so many are beyond each end of the interval at least: else the ends are mere chance.
const LEAST_BEYOND: f64 = 10.0;
/// So many resamples are drawn at most.
const MAX_RESAMPLES: f64 = 20_000.0;

/// How to evaluate.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// What is measured.
    pub metric: Metric,
    /// Of the interval.
    pub confidence: f64,
    /// The share of samples that may fail; one more is an error.
    pub max_failed: f64,
    /// Of the bootstrap.
    pub resamples: usize,
    /// Of its draws.
    pub seed: u64,
    /// How many of the worst answers are named.
    pub worst: usize,
    /// When it is enough; for shares. Samples are then taken in a random order, always the same one.
    pub stop_when: Option<StopWhen>,
    /// Where to write what was done, and to go on.
    pub journal: Option<PathBuf>,
    /// Who chose the data, as the report says it.
    pub whose: Whose,
    /// What the app calls the classes that the data calls otherwise.
    pub mapping: Option<Mapping>,
    /// What the data has to be.
    pub committed: Option<Opened>,
}

impl Evaluation {
    /// The usual one: intervals of 95 %, up to 1 % of the samples may fail, no journal.
    #[must_use]
    pub fn new(metric: Metric) -> Self {
        let (resamples, seed, worst) = (2000, 2026, 10);
        Self {
            metric,
            confidence: 0.95,
            max_failed: 0.01,
            resamples,
            seed,
            worst,
            stop_when: None,
            journal: None,
            whose: Whose::Unsaid,
            mapping: None,
            committed: None,
        }
    }

    /// Runs an app over the samples at `data`; `progress` is told how many are done, and of how many.
    ///
    /// # Errors
    /// [`Error::Dataset`], [`Error::Metric`], [`Error::TooManyFailed`], [`Error::Journal`], [`Error::NotCommitted`]; those of a session.
    pub fn run(
        &self,
        app: &App,
        device: &Device,
        data: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Report, Error> {
        let data = Arc::new(self.open(app, data)?);
        let total = data.samples().len() as u64;
        let mut session = app.session(device.clone())?;
        let mut energy = Energy::begin();
        let vendor = Statistics::read(app.bundle())?;
        let every = data.samples().len().div_ceil(drift::MOST).max(1);
        let mut tally = Tally::new(self, &data);
        let mut evaluate = |at: usize, sample: &Sample| {
            self.evaluate(&mut session, &data, (at, sample), vendor.is_some() && at.is_multiple_of(every))
        };
        let mut journal = self.journal(app, device, &mut tally)?;
        for at in self.changed(&tally, &data)? {
            let Some(sample) = data.samples().get(at) else { break };
            let entry = evaluate(at, sample)?;
            journal.iter_mut().try_for_each(|journal| journal.add(&entry))?;
            tally.take(entry);
        }
        tally.count(0)?;
        while let Some(sample) = data.samples().get(tally.done.len()).filter(|_| !tally.enough) {
            let at = tally.done.len();
            progress(at as u64, total);
            let entry = evaluate(at, sample)?;
            journal.iter_mut().try_for_each(|journal| journal.add(&entry))?;
            tally.take(entry);
            tally.count(at)?;
            energy.iter_mut().for_each(Energy::update);
        }
        progress(tally.done.len() as u64, total);
        // What another process used is not known.
        let joules = energy.filter(|_| !tally.resumed).map(|energy| energy.joules());
        let drift = vendor.as_ref().and_then(|vendor| tally.drift(vendor));
        let report = Report { drift, joules, ..tally.report(app, device)? };
        self.committed.iter().try_for_each(|committed| committed.check_root(report.data.root))?;
        Ok(report)
    }

    /// How many samples there are at `data`, once their labels are found to be the app's and what was committed to; nothing is run.
    ///
    /// # Errors
    /// [`Error::Dataset`], [`Error::Metric`], [`Error::NotCommitted`].
    pub fn check(&self, app: &App, data: &Path) -> Result<u64, Error> {
        Ok(self.open(app, data)?.samples().len() as u64)
    }

    fn open(&self, app: &App, data: &Path) -> Result<Dataset, Error> {
        self.possible()?;
        let named = Classes::new(app.pipeline().class_names());
        let named = self.mapping.iter().fold(named, |named, mapping| mapping.apply(named));
        let mut data = Dataset::open(data, self.metric.kind(), &named)?;
        if self.stop_when.is_some() {
            data.shuffle(self.seed);
        }
        self.committed.iter().try_for_each(|committed| committed.check(&data, self.metric))?;
        Ok(data)
    }

    /// What cannot be had is told before anything is run.
    fn possible(&self) -> Result<(), Error> {
        if self.stop_when.is_some() && !self.metric.is_share() {
            return Err(self.wrong("only a share of samples, accuracy or top-5, can be stopped early"));
        }
        if self.stop_when.is_some() && self.committed.is_some() {
            return Err(self.wrong("who stops early does not look at all that was committed to"));
        }
        let most = 1.0 - 2.0 * LEAST_BEYOND / MAX_RESAMPLES;
        if !self.metric.is_share() && self.confidence > most {
            let most = stats::percent(most);
            return Err(self.wrong(format!("a bootstrap's interval is for {most} % at most")));
        }
        Ok(())
    }

    /// How the bootstrap draws: more often for ends that are farther out.
    fn bootstrap(&self) -> Bootstrap {
        let needed = (2.0 * LEAST_BEYOND / (1.0 - self.confidence)).min(MAX_RESAMPLES);
        let resamples = self.resamples.max(libm::ceil(needed - 1e-6) as usize);
        Bootstrap { resamples, seed: self.seed, confidence: self.confidence }
    }

    fn journal(&self, app: &App, device: &Device, tally: &mut Tally) -> Result<Option<Journal>, Error> {
        let Some(path) = &self.journal else { return Ok(None) };
        let mut set = parameters(app);
        set.extend(self.mapping.iter().map(Mapping::words));
        let outline = tally.data().outline();
        let heading = Heading::new(app.identity(), set, device.id(), self.metric.name(), outline);
        let journal = Journal::open(path, &heading, |entry| tally.take(entry))?;
        tally.resumed = !tally.done.is_empty();
        Ok(Some(journal))
    }

    /// Samples of a journal that failed, and that somebody mended since: they are tried again.
    ///
    /// # Errors
    /// [`Error::Journal`], which names samples that were evaluated and are others now.
    fn changed(&self, tally: &Tally, data: &Dataset) -> Result<Vec<usize>, Error> {
        let (mut mended, mut changed) = (Vec::new(), Vec::new());
        for ((at, done), sample) in tally.done.iter().enumerate().zip(data.samples()) {
            let leaf = data.load(sample).map_or_else(|_| unreadable(sample), |loaded| loaded.leaf);
            match &done.item {
                _ if leaf == done.leaf => {}
                Item::Failed(_) => mended.push(at),
                _ => changed.push(at),
            }
        }
        let Some(path) = self.journal.as_ref().filter(|_| !changed.is_empty()) else { return Ok(mended) };
        let named: Vec<String> = changed.iter().take(NAMED).map(|at| tally.name(*at)).collect();
        let more = match changed.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let reason = format!("changed since they were evaluated: {}{more}", named.join(", "));
        Err(Error::Journal { path: path.clone(), reason })
    }

    /// Runs the app on one sample. What is wrong with the sample is its own; what is wrong with app, grant or device ends everything.
    fn evaluate(
        &self,
        session: &mut Session,
        data: &Dataset,
        (at, sample): (usize, &Sample),
        counts: bool,
    ) -> Result<Entry, Error> {
        let failed = |leaf, error: Error| {
            let (item, result) = (Item::Failed(error.to_string()), sha256(b"failed"));
            Entry { at, leaf, ms: 0.0, item, result, counted: None }
        };
        let Loaded { bytes, content, leaf, .. } = match data.load(sample) {
            Ok(loaded) => loaded,
            Err(error) => return Ok(failed(unreadable(sample), error)),
        };
        let input = match Input::encoded(&bytes) {
            Ok(input) => input,
            Err(error) => return Ok(failed(leaf, error)),
        };
        let mut counted = None;
        let seen = |inputs: &[tilemark_model::Tensor]| {
            counted = inputs.first().filter(|_| counts).and_then(statistics::histogram);
        };
        let output = match session.run_seen(&input, seen) {
            Ok(output) => output,
            Err(error) if error.kind() == ErrorKind::BadInput => return Ok(failed(leaf, error)),
            Err(error) => return Err(error),
        };
        let item = Item::of(self.metric, &sample.truth, &content, output.outcome(), data.classes());
        let times = output.ms();
        let item = item.map_err(|reason| self.wrong(reason))?;
        let result = golden::outcome_digest(output.outcome())?;
        Ok(Entry { at, leaf, ms: times.pre + times.infer + times.post, item, result, counted })
    }

    /// The claim that a report of this evaluation amounts to, to be signed by whoever ran it. `made` is in seconds since 1970.
    ///
    /// # Errors
    /// [`Error::Metric`] for an evaluation that was stopped early: what it looked at follows from its answers; and for one that does not say
    /// whose data it is of.
    pub fn claim(&self, report: &Report, made: u64) -> Result<Claim, Error> {
        if self.stop_when.is_some() {
            return Err(self.wrong("an evaluation that is stopped early makes no claim about the data"));
        }
        if self.whose == Whose::Unsaid {
            return Err(self.wrong("a claim says whose data it is of: the buyer's or the seller's"));
        }
        Ok(Claim::of(report, self.metric.name(), made))
    }

    fn wrong(&self, reason: impl Into<String>) -> Error {
        Error::Metric { metric: self.metric.name().to_owned(), reason: reason.into() }
    }
}

/// What the app's parameters are set to.
fn parameters(app: &App) -> Vec<String> {
    app.pipeline().values().iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// The leaf of a sample that cannot be read: it has a place in the tree too.
fn unreadable(sample: &Sample) -> Digest {
    leaf_of(&sample.name, sha256(b""), sha256(b"unreadable"))
}
