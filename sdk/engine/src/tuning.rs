//! Measurements of kernels: how long they may take, and where they outlive the process.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::MAX_TUNED_LAYERS;

/// The environment variable that says how long kernels may be timed: `off`, or milliseconds.
pub const TUNE_VARIABLE: &str = "TILEMARK_TUNE";
/// Version of [`TuningRecord`], and of what its numbers mean: raised when kernels change so much that old measurements no
/// longer say which is the fastest.
pub(crate) const TUNING_REVISION: u16 = 1;
/// Milliseconds that timing may take for one compiled graph, all its shapes together.
const USUAL_BUDGET: Duration = Duration::from_millis(150);
/// Longest budget that can be asked for.
const MAX_BUDGET: Duration = Duration::from_secs(60);

/// Whether kernels are timed when a graph is compiled. Never changes a result, only speed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tuning {
    /// Kernels are chosen by prediction alone; what was measured before is not read either.
    Off,
    /// What was not measured before is timed for at most so long, all shapes of a compiled graph together.
    Within(Duration),
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning::Within(USUAL_BUDGET)
    }
}

impl Tuning {
    /// What is usual on an OpenCL device: its kernels differ more than a processor's, and how is known only by trying.
    pub(crate) const ON_OPENCL: Self = Tuning::Within(Duration::from_secs(10));

    /// What [`TUNE_VARIABLE`] says, if it says something.
    ///
    /// # Errors
    /// [`Error::UnknownTuning`] if it says something else than `off` or a number of milliseconds up to 60000.
    pub fn from_environment() -> Result<Option<Self>, Error> {
        let word = std::env::var_os(TUNE_VARIABLE).filter(|word| !word.is_empty());
        word.map(|word| word.to_string_lossy().parse()).transpose()
    }

    /// How long timing may take; zero if it is off.
    pub(crate) fn budget(self) -> Duration {
        match self {
            Tuning::Off => Duration::ZERO,
            Tuning::Within(budget) => budget.min(MAX_BUDGET),
        }
    }
}

impl FromStr for Tuning {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        if word == "off" {
            return Ok(Tuning::Off);
        }
        let budget = word.parse().map(Duration::from_millis).ok().filter(|&budget| budget <= MAX_BUDGET);
        budget
            .map(Tuning::Within)
            .ok_or_else(|| Error::UnknownTuning { found: word.to_owned(), limit: MAX_BUDGET.as_millis() })
    }
}

/// The fastest kernel of each layer that was timed, on one CPU at one level with one number of threads.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct TuningRecord {
    /// [`TUNING_REVISION`].
    revision: u16,
    layers: BTreeMap<u64, Measured>,
}

/// The fastest kernel of a layer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Measured {
    /// Its name. One that no kernel for the layer has counts as not measured.
    pub(crate) kernel: String,
    pub(crate) nanoseconds: u64,
}

impl TuningRecord {
    /// How many layers it knows.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Whether this build wrote records like it; others say nothing about its kernels.
    pub fn is_current(&self) -> bool {
        self.revision == TUNING_REVISION && self.len() <= MAX_TUNED_LAYERS
    }

    /// Takes over what another record knows; beyond [`MAX_TUNED_LAYERS`] nothing new.
    pub fn merge(&mut self, other: &Self) {
        self.revision = TUNING_REVISION;
        for (&layer, measured) in &other.layers {
            if self.len() < MAX_TUNED_LAYERS || self.layers.contains_key(&layer) {
                self.layers.insert(layer, measured.clone());
            }
        }
    }

    pub(crate) fn get(&self, layer: u64) -> Option<&Measured> {
        self.layers.get(&layer)
    }

    pub(crate) fn insert(&mut self, layer: u64, measured: Measured) {
        self.revision = TUNING_REVISION;
        self.layers.insert(layer, measured);
    }
}

/// Where measurements outlive the process: the engine knows no files. One store is for one graph on one CPU at one level
/// with one number of threads.
pub trait TuningStore: Debug + Send + Sync {
    /// What was measured before; an empty record if there is nothing, or nothing that can be read.
    fn load(&self) -> TuningRecord;

    /// Whether something can be kept. If not, nothing is timed: it would have to be timed at every start.
    fn is_writable(&self) -> bool;

    /// Hears how many of the layers to time are done; timing them may take seconds.
    fn progress(&self, done: usize, of: usize) {
        let _ = (done, of);
    }

    /// Keeps what was measured now, beside what was there. Failing is not worth an error: it is measured again.
    fn add(&self, record: &TuningRecord);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(kernel: &str) -> Measured {
        Measured { kernel: kernel.into(), nanoseconds: 7 }
    }

    #[test]
    fn words_for_tuning_are_understood_or_refused() {
        assert_eq!("off".parse(), Ok(Tuning::Off));
        assert_eq!("0".parse(), Ok(Tuning::Within(Duration::ZERO)));
        assert_eq!("60000".parse(), Ok(Tuning::Within(MAX_BUDGET)));
        for word in ["", "on", "60001", "-1", "1.5", "18446744073709551616", "150ms"] {
            let error = word.parse::<Tuning>().unwrap_err();
            assert_eq!(error.code(), "TM0410", "{word}");
        }
        assert_eq!(Tuning::Within(Duration::MAX).budget(), MAX_BUDGET);
    }

    #[test]
    fn records_grow_to_their_limit_and_no_further() {
        let mut record = TuningRecord::default();
        assert!(!record.is_current());
        for layer in 0..MAX_TUNED_LAYERS as u64 {
            record.insert(layer, measured("old"));
        }
        let mut other = TuningRecord::default();
        other.insert(3, measured("new"));
        other.insert(u64::MAX, measured("new"));
        record.merge(&other);
        assert_eq!(record.get(3).unwrap().kernel, "new");
        assert_eq!((record.get(u64::MAX), record.len()), (None, MAX_TUNED_LAYERS));
        assert!(record.is_current());
        record.insert(u64::MAX, measured("one too many"));
        assert!(!record.is_current());
    }
}
