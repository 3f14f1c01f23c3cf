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

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::App;
use crate::error::{Error, ErrorKind};
use crate::golden;
use crate::input::Input;
use crate::session::Session;
use crate::statistics::{self, Statistics};
use data::{Classes, Dataset, Loaded, Merkle, Sample, leaf_of};
use item::Item;
use journal::{Entry, Heading, Journal};
use meters::{Bin, Energy, Latency};
use tilemark_engine::Device;

pub use claim::{Claim, Count, Whose};
pub use commit::{Commitment, Opened, Opening};
pub use compare::{Better, ClassDifference, Comparison, Point};
pub use drift::{ChannelDrift, Drift};
pub use mapping::Mapping;
pub use metric::Metric;
pub use question::{Plan, StopWhen};
pub use report::{Confused, Counts, Data, DeviceFacts, Measured, Named, Report};

/// Failures that a report names.
const NAMED_FAILURES: usize = 20;

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
            whose: Whose::Buyer,
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
        if self.stop_when.is_some() && !self.metric.is_share() {
            let reason = "only a share of samples, accuracy or top-5, can be stopped early";
            return Err(self.wrong(reason));
        }
        let named = Classes::new(app.pipeline().class_names());
        let named = self.mapping.iter().fold(named, |named, mapping| mapping.apply(named));
        let mut data = Dataset::open(data, self.metric.kind(), &named)?;
        if self.stop_when.is_some() {
            data.shuffle(self.seed);
        }
        if let Some(committed) = &self.committed {
            committed.check(&data)?;
        }
        let data = Arc::new(data);
        let total = data.samples().len() as u64;
        let (mut journal, entries) = self.journal(app, device, &data)?;
        let mut session = app.session(device.clone())?;
        let mut energy = Energy::begin();
        let vendor = Statistics::read(app.bundle())?;
        let every = data.samples().len().div_ceil(drift::MOST).max(1);
        let mut tally = Tally::new(self, &data, entries)?;
        while let Some(sample) = data.samples().get(tally.entries.len()).filter(|_| !tally.enough) {
            let at = tally.entries.len();
            progress(at as u64, total);
            let counts = vendor.is_some() && at % every == 0;
            let entry = self.evaluate(&mut session, &data, (at, sample), counts)?;
            if let Some(journal) = &mut journal {
                journal.add(&entry)?;
            }
            tally.add(entry)?;
            if at % 64 == 0 {
                energy.iter_mut().for_each(Energy::update);
            }
        }
        energy.iter_mut().for_each(Energy::update);
        progress(tally.entries.len() as u64, total);
        let report = tally.report(app, device);
        if let (Some(committed), None) = (&self.committed, &self.stop_when) {
            committed.check_root(report.data.root)?;
        }
        let drift = vendor.and_then(|vendor| tally.drift(&vendor));
        Ok(Report { drift, joules: energy.map(|energy| energy.joules()), ..report })
    }

    fn journal(
        &self,
        app: &App,
        device: &Device,
        data: &Dataset,
    ) -> Result<(Option<Journal>, Vec<Entry>), Error> {
        let Some(path) = &self.journal else { return Ok((None, Vec::new())) };
        let set = parameters(app).into_iter().chain(self.mapping.iter().map(Mapping::words));
        let heading = Heading {
            journal: 2,
            app: app.identity(),
            parameters: set.collect::<Vec<_>>().join(", "),
            device: device.id(),
            metric: self.metric.name().to_owned(),
            outline: data.outline(),
        };
        let (journal, entries) = Journal::open(path, &heading)?;
        if entries.len() > data.samples().len() {
            let reason = format!("{} samples are in it, {} in the data", entries.len(), data.samples().len());
            return Err(Error::Journal { path: path.clone(), reason });
        }
        Ok((Some(journal), entries))
    }

    /// Runs the app on one sample. What is wrong with the sample is its own; what is wrong with app, grant or device ends everything.
    fn evaluate(
        &self,
        session: &mut Session,
        data: &Dataset,
        (at, sample): (usize, &Sample),
        counts: bool,
    ) -> Result<Entry, Error> {
        let failed = |leaf, error: Error| Entry {
            at,
            leaf,
            ms: 0.0,
            item: Item::Failed(error.to_string()),
            result: None,
            counted: None,
        };
        let Loaded { bytes, content, leaf } = match data.load(sample) {
            Ok(loaded) => loaded,
            Err(error) => return Ok(failed(None, error)),
        };
        let input = match Input::encoded(&bytes) {
            Ok(input) => input,
            Err(error) => return Ok(failed(Some(leaf), error)),
        };
        let mut counted = None;
        let seen = |inputs: &[tilemark_model::Tensor]| {
            counted = inputs.first().filter(|_| counts).and_then(statistics::histogram);
        };
        let output = match session.run_seen(&input, seen) {
            Ok(output) => output,
            Err(error) if error.kind() == ErrorKind::BadInput => return Ok(failed(Some(leaf), error)),
            Err(error) => return Err(error),
        };
        let item = Item::of(self.metric, &sample.truth, &content, output.outcome(), data.classes());
        let times = output.ms();
        let item = item.map_err(|reason| self.wrong(reason))?;
        let result = Some(golden::outcome_digest(output.outcome())?);
        Ok(Entry { at, leaf: Some(leaf), ms: times.pre + times.infer + times.post, item, result, counted })
    }

    /// The claim that a report of this evaluation amounts to, to be signed by whoever ran it. `made` is in seconds since 1970.
    ///
    /// # Errors
    /// [`Error::Metric`] for an evaluation that was stopped early: what it looked at follows from its answers.
    pub fn claim(&self, report: &Report, made: u64) -> Result<Claim, Error> {
        if self.stop_when.is_some() {
            return Err(self.wrong("an evaluation that is stopped early makes no claim about the data"));
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

/// What was found so far.
struct Tally<'e> {
    evaluation: &'e Evaluation,
    data: &'e Arc<Dataset>,
    entries: Vec<Entry>,
    tree: Merkle,
    failed: u64,
    hits: u64,
    judged: u64,
    /// The rule is met.
    enough: bool,
}

impl<'e> Tally<'e> {
    fn new(evaluation: &'e Evaluation, data: &'e Arc<Dataset>, entries: Vec<Entry>) -> Result<Self, Error> {
        let (tree, none) = (Merkle::default(), Vec::with_capacity(data.samples().len()));
        let mut tally =
            Self { evaluation, data, entries: none, tree, failed: 0, hits: 0, judged: 0, enough: false };
        entries.into_iter().try_for_each(|entry| tally.add(entry))?;
        Ok(tally)
    }

    fn add(&mut self, entry: Entry) -> Result<(), Error> {
        let name = self.name(entry.at);
        // One that cannot be read has a place in the tree too.
        self.tree.add(entry.leaf.unwrap_or_else(|| leaf_of(&name, b"", b"unreadable")));
        if let Some(hit) = entry.item.is_hit(self.evaluation.metric) {
            (self.hits, self.judged) = (self.hits + u64::from(hit), self.judged + 1);
            self.enough |= report::is_enough(self.evaluation.stop_when.as_ref(), self.hits, self.judged);
        }
        let reason = match &entry.item {
            Item::Failed(reason) => Some(reason.clone()),
            _ => None,
        };
        self.entries.push(entry);
        let Some(reason) = reason else { return Ok(()) };
        self.failed += 1;
        let samples = self.data.samples().len() as u64;
        let allowed = (self.evaluation.max_failed * samples as f64) as u64;
        if self.failed > allowed {
            let first =
                self.failures().next().map_or(reason, |first| format!("{}: {}", first.name, first.what));
            return Err(Error::TooManyFailed { failed: self.failed, samples, allowed, first });
        }
        Ok(())
    }

    fn name(&self, at: usize) -> String {
        self.data.samples().get(at).map(|sample| sample.name.clone()).unwrap_or_default()
    }

    fn failures(&self) -> impl Iterator<Item = Named> {
        self.entries.iter().filter_map(|entry| match &entry.item {
            Item::Failed(reason) => Some(Named { name: self.name(entry.at), what: reason.clone() }),
            _ => None,
        })
    }

    /// How far the samples are from what the vendor counted.
    fn drift(&self, vendor: &Statistics) -> Option<Drift> {
        let counted: Vec<_> = self.entries.iter().filter_map(|entry| entry.counted.as_ref()).collect();
        Drift::of(vendor, &counted, self.evaluation.seed)
    }

    fn report(&self, app: &App, device: &Device) -> Report {
        let evaluation = self.evaluation;
        let good: Vec<&Entry> =
            self.entries.iter().filter(|entry| !matches!(entry.item, Item::Failed(_))).collect();
        let items: Vec<&Item> = good.iter().map(|entry| &entry.item).collect();
        let times: Vec<f64> = good.iter().map(|entry| entry.ms).collect();
        let seconds = times.iter().sum::<f64>() / 1e3;
        let classes = self.data.classes();
        Report {
            app: app.manifest().app.name.as_str().to_owned(),
            version: app.manifest().app.version.to_string(),
            identity: app.identity(),
            bundle_bytes: app.bundle().as_bytes().len() as u64,
            parameters: parameters(app),
            sdk: tilemark_bundle::sdk_version().to_string(),
            device: device.id(),
            device_facts: DeviceFacts::of(device),
            whose: evaluation.whose,
            committed: evaluation.committed.as_ref().map(Opened::root),
            samples: self.entries.len() as u64,
            failed: self.failed,
            metrics: report::measure(evaluation, &items),
            counts: report::counts(evaluation.metric, &items),
            confusion: report::confusion(&items, classes),
            data: Data { root: self.tree.root(), samples: self.data.samples().len() as u64 },
            answers: item::digest(self.entries.iter().map(|entry| &entry.item)),
            items: self.entries.iter().map(|entry| entry.item.clone()).collect(),
            results: self.entries.iter().map(Entry::bits).collect(),
            dataset: Arc::clone(self.data),
            stopped: self.enough && self.entries.len() < self.data.samples().len(),
            latency_bins: Bin::of(&times),
            latency_ms: Latency::of(times),
            samples_per_second: if seconds > 0.0 { good.len() as f64 / seconds } else { 0.0 },
            peak_memory_bytes: meters::peak_memory(),
            joules: None,
            drift: None,
            failures: self.failures().take(NAMED_FAILURES).collect(),
            worst: report::worst(&self.entries, evaluation.worst, |at| self.name(at), classes),
        }
    }
}
