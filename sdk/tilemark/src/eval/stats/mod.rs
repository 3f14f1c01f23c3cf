//! What can be said of an app from so many samples: intervals, paired tests, sizes, and when to stop.
//!
//! Everything here is computed from integers with portable functions, so that the same counts give the same numbers on every
//! machine. `cargo xtask expected` has `scipy` and `statsmodels` compute what the tests compare with.

mod bootstrap;
mod mcnemar;
mod plan;
mod proportion;
mod sequential;
mod special;

use serde::{Deserialize, Serialize};

pub use bootstrap::{Bootstrap, Extremes};
pub use mcnemar::{McNemar, mcnemar};
pub use plan::{samples_for_difference, samples_for_margin};
pub use proportion::{clopper_pearson, wilson};
pub use sequential::anytime;
pub use tilemark_model::random::SplitMix64;

/// Where a quantity lies, and how sure that is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Interval {
    /// The least value.
    pub low: f64,
    /// The largest one.
    pub high: f64,
    /// How often intervals made this way contain the quantity, at least or on average, as their maker says; in `(0, 1)`.
    pub confidence: f64,
}

impl Interval {
    /// Half of what lies between its ends.
    #[must_use]
    pub fn margin(&self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// Whether a value lies in it.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// A share in percent, with as many of six digits as it needs: 0.95 is `95`.
#[must_use]
pub fn percent(share: f64) -> String {
    let text = format!("{:.6}", 100.0 * share);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod coverage_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod widened_tests;
