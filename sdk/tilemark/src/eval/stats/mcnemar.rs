//! McNemar's test (1947): two apps on the same samples; only those that one of them gets right tell them apart.

use serde::{Deserialize, Serialize};

use super::special::{chi_squared_above, fair_at_most};

/// What the test says.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct McNemar {
    /// Samples that only the first gets right.
    pub only_first: u64,
    /// Samples that only the second gets right.
    pub only_second: u64,
    /// How likely such a difference, or a larger one, is between two equally good apps: exact, from the binomial distribution.
    pub p_exact: f64,
    /// The statistic with Edwards's correction, `(|b - c| - 1)² / (b + c)`.
    pub chi_squared: f64,
    /// The same probability, from the chi-squared distribution; near the exact one for more than about 25 samples.
    pub p_chi_squared: f64,
}

impl McNemar {
    /// `p = 0.0123`, as people write it: what is small is not zero.
    #[must_use]
    pub fn written(&self) -> String {
        if self.p_exact < 1e-4 { "p < 0.0001".to_owned() } else { format!("p = {:.4}", self.p_exact) }
    }
}

/// Compares two apps by the samples that only one of them gets right.
#[must_use]
pub fn mcnemar(only_first: u64, only_second: u64) -> McNemar {
    let (fewer, all) = (only_first.min(only_second), only_first.saturating_add(only_second));
    let (mut p_exact, mut chi_squared) = (1.0, 0.0);
    if all > 0 {
        let apart = only_first.abs_diff(only_second).saturating_sub(1) as f64;
        chi_squared = apart * apart / all as f64;
        // Of an even split each side is at least as likely as the whole.
        if only_first != only_second {
            p_exact = (2.0 * fair_at_most(fewer, all)).min(1.0);
        }
    }
    McNemar { only_first, only_second, p_exact, chi_squared, p_chi_squared: chi_squared_above(chi_squared) }
}
