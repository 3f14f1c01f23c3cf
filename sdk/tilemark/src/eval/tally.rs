//! What was found so far, and what a report makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tilemark_bundle::Digest;
use tilemark_engine::Device;

use super::commit::Opened;
use super::data::{Dataset, Merkle};
use super::drift::Drift;
use super::item::{self, Item};
use super::journal::Entry;
use super::meters::{self, Bin, Latency};
use super::report::{self, Data, DeviceFacts, Kept, Named, Report};
use super::{Evaluation, parameters};
use crate::app::App;
use crate::error::Error;
use crate::statistics::{Histogram, Statistics};

/// Failures that a report names.
const NAMED_FAILURES: usize = 20;

/// One sample of it.
#[derive(Debug)]
pub(super) struct Done {
    /// Its leaf in the tree over the set.
    pub(super) leaf: Digest,
    /// How long the app took, in milliseconds.
    pub(super) ms: f64,
    pub(super) item: Item,
    /// A digest of the app's whole result.
    pub(super) result: Digest,
}

/// The same sample and the same answer: how long it took is not a part of either.
impl PartialEq for Done {
    fn eq(&self, other: &Self) -> bool {
        (self.leaf, &self.item, self.result) == (other.leaf, &other.item, other.result)
    }
}

/// What was found so far.
pub(super) struct Tally<'e> {
    evaluation: &'e Evaluation,
    data: &'e Arc<Dataset>,
    pub(super) done: Vec<Done>,
    /// What the first model got, of the samples that were counted.
    counted: BTreeMap<usize, Histogram>,
    failed: u64,
    hits: u64,
    judged: u64,
    /// The rule is met.
    pub(super) enough: bool,
    /// Some of it was found by another process.
    pub(super) resumed: bool,
}

impl<'e> Tally<'e> {
    pub(super) fn new(evaluation: &'e Evaluation, data: &'e Arc<Dataset>) -> Self {
        let (done, counted) = (Vec::with_capacity(data.samples().len()), BTreeMap::new());
        let (failed, hits, judged) = (0, 0, 0);
        Self { evaluation, data, done, counted, failed, hits, judged, enough: false, resumed: false }
    }

    /// Adds the next sample, or one that failed before and was tried again; false if it is neither. What it says is counted later, by
    /// [`Tally::count`].
    pub(super) fn take(&mut self, entry: Entry) -> bool {
        let Entry { at, leaf, ms, item, result, counted } = entry;
        let done = Done { leaf, ms, item, result };
        let is_next = at == self.done.len() && at < self.data.samples().len();
        match self.done.get_mut(at) {
            None if is_next => self.done.push(done),
            Some(before) if matches!(before.item, Item::Failed(_)) => *before = done,
            _ => return false,
        }
        counted.and_then(|counted| self.counted.insert(at, counted));
        true
    }

    /// Counts samples that were taken, in their order, until it is enough: what is beyond is left out, as if it had not been done.
    ///
    /// # Errors
    /// [`Error::TooManyFailed`].
    pub(super) fn count(&mut self, from: usize) -> Result<(), Error> {
        for at in from..self.done.len() {
            let Some(done) = self.done.get(at) else { break };
            if let Some(hit) = done.item.is_hit(self.evaluation.metric) {
                (self.hits, self.judged) = (self.hits + u64::from(hit), self.judged + 1);
                self.enough = report::is_enough(self.evaluation.stop_when.as_ref(), self.hits, self.judged);
            }
            self.failed += u64::from(matches!(done.item, Item::Failed(_)));
            let samples = self.data.samples().len() as u64;
            // A share of percent is no binary fraction: 29 % of 100 are 29.
            let allowed = (self.evaluation.max_failed * samples as f64 + 1e-6) as u64;
            if self.failed > allowed {
                let first = self.failures().next();
                let first = first.map_or(String::new(), |first| format!("{}: {}", first.name, first.what));
                return Err(Error::TooManyFailed { failed: self.failed, samples, allowed, first });
            }
            if self.enough {
                self.done.truncate(at + 1);
                self.counted.split_off(&(at + 1));
            }
        }
        Ok(())
    }

    pub(super) fn data(&self) -> &'e Dataset {
        self.data
    }

    pub(super) fn name(&self, at: usize) -> String {
        self.data.samples().get(at).map(|sample| sample.name.to_string()).unwrap_or_default()
    }

    fn failures(&self) -> impl Iterator<Item = Named> {
        self.done.iter().enumerate().filter_map(|(at, done)| match &done.item {
            Item::Failed(reason) => Some(Named { name: self.name(at), what: reason.clone() }),
            _ => None,
        })
    }

    /// How far the samples are from what the vendor counted.
    pub(super) fn drift(&self, vendor: &Statistics) -> Option<Drift> {
        Drift::of(vendor, &self.counted.values().collect::<Vec<_>>(), self.evaluation.seed)
    }

    /// What it amounts to.
    ///
    /// # Errors
    /// [`Error::Metric`] where the metric is no number: nothing was there to measure.
    pub(super) fn report(self, app: &App, device: &Device) -> Result<Report, Error> {
        let evaluation = self.evaluation;
        let classes = self.data.classes();
        let mut tree = Merkle::default();
        self.done.iter().for_each(|done| tree.add(done.leaf));
        let failures = self.failures().take(NAMED_FAILURES).collect();
        let items = self.done.iter().map(|done| &done.item).enumerate();
        let worst = report::worst(items, evaluation.worst, |at| self.name(at), classes);
        let good: Vec<&Done> =
            self.done.iter().filter(|done| !matches!(done.item, Item::Failed(_))).collect();
        let seconds = good.iter().map(|done| done.ms).sum::<f64>() / 1e3;
        let samples_per_second = if seconds > 0.0 { good.len() as f64 / seconds } else { 0.0 };
        let items: Vec<&Item> = good.iter().map(|done| &done.item).collect();
        let metrics = report::measure(evaluation, &items);
        if metrics.iter().any(|measured| !measured.value.is_finite()) {
            let reason = "of these samples none could be evaluated, or nothing is on them that it is of";
            return Err(evaluation.wrong(reason));
        }
        let counts = report::counts(evaluation.metric, &items, &metrics, classes);
        let confusion = report::confusion(&items, classes);
        drop(items);
        let mut times: Vec<f64> = good.iter().map(|done| done.ms).collect();
        times.sort_by(f64::total_cmp);
        drop(good);
        let (samples, dataset) = (self.done.len() as u64, Arc::clone(self.data));
        let stopped = self.enough && self.done.len() < self.data.samples().len();
        Ok(Report {
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
            samples,
            failed: self.failed,
            metrics,
            counts,
            confusion,
            data: Data { root: tree.root(), samples: self.data.samples().len() as u64 },
            answers: item::digest(self.done.iter().map(|done| &done.item)),
            kept: Arc::new(Kept { done: self.done, dataset }),
            stopped,
            latency_bins: Bin::of(&times),
            latency_ms: Latency::of(&times),
            samples_per_second,
            peak_memory_bytes: meters::peak_memory(),
            joules: None,
            drift: None,
            failures,
            worst,
        })
    }
}

#[cfg(test)]
mod tests {
    use tilemark_bundle::sha256;

    use super::super::data::{Classes, Kind};
    use super::super::{Metric, StopWhen};
    use super::*;

    fn data(count: usize) -> Arc<Dataset> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("cat")).unwrap();
        (0..count).for_each(|at| {
            std::fs::write(folder.path().join(format!("cat/{at:03}.png")), [at as u8]).unwrap()
        });
        let classes = Classes::new(vec!["cat".into()]);
        Arc::new(Dataset::open(folder.path(), Kind::Class, &classes).unwrap())
    }

    fn entry(at: usize, item: Item) -> Entry {
        Entry { at, leaf: sha256(&[at as u8]), ms: 1.0, item, result: sha256(b"result"), counted: None }
    }

    fn failed() -> Item {
        Item::Failed("no picture".to_owned())
    }

    fn hit() -> Item {
        Item::class(0, [0])
    }

    #[test]
    fn the_share_that_may_fail_is_counted_in_percent() {
        let data = data(100);
        for percent in 0..=100u32 {
            let max_failed = f64::from(percent) / 100.0;
            let evaluation = Evaluation { max_failed, ..Evaluation::new(Metric::Accuracy) };
            let mut tally = Tally::new(&evaluation, &data);
            (0..100).for_each(|at| {
                assert!(tally.take(entry(at, if at < percent as usize { failed() } else { hit() })))
            });
            assert!(tally.count(0).is_ok(), "{percent} of 100 may fail");
            let Some(more) = (percent < 100).then_some(percent as usize) else { continue };
            let mut tally = Tally::new(&evaluation, &data);
            (0..100).for_each(|at| assert!(tally.take(entry(at, if at <= more { failed() } else { hit() }))));
            let error = tally.count(0).unwrap_err();
            assert!(error.to_string().contains("the first: cat/000.png: no picture"), "{error}");
        }
    }

    #[test]
    fn a_sample_is_taken_once_unless_it_failed() {
        let (data, evaluation) = (data(3), Evaluation::new(Metric::Accuracy));
        let mut tally = Tally::new(&evaluation, &data);
        assert!(tally.take(entry(0, failed())) && tally.take(entry(1, hit())));
        assert!(!tally.take(entry(1, hit())) && !tally.take(entry(3, hit())));
        assert!(tally.take(entry(0, hit())) && tally.take(entry(2, hit())));
        tally.count(0).unwrap();
        assert_eq!((tally.failed, tally.done.len()), (0, 3));
    }

    #[test]
    fn what_is_beyond_enough_is_left_out() {
        let data = data(200);
        let stop_when = StopWhen::parse("within 20 % at 95 %").ok();
        let evaluation = Evaluation { stop_when, ..Evaluation::new(Metric::Accuracy) };
        let mut one_by_one = Tally::new(&evaluation, &data);
        let mut at = 0;
        while !one_by_one.enough {
            assert!(one_by_one.take(entry(at, hit())));
            one_by_one.count(at).unwrap();
            at += 1;
        }
        // A journal of a stricter rule has more.
        let mut resumed = Tally::new(&evaluation, &data);
        (0..200).for_each(|at| assert!(resumed.take(entry(at, hit()))));
        resumed.count(0).unwrap();
        assert_eq!((resumed.done.len(), resumed.hits, resumed.enough), (at, at as u64, true));
    }
}
