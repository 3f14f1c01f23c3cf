//! Classification: what was taken for what.

use std::collections::BTreeMap;

/// How often a sample of each class was taken for each other: only pairs that happened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Confusion(BTreeMap<(u32, u32), u64>);

impl Confusion {
    /// Counts one sample.
    pub fn add(&mut self, truth: u32, found: u32) {
        *self.0.entry((truth, found)).or_default() += 1;
    }

    /// How many samples there are.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many were taken for what they are.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.0.iter().filter(|((truth, found), _)| truth == found).map(|(_, count)| count).sum()
    }

    /// `(truth, found, count)`, ascending.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u32, u64)> {
        self.0.iter().map(|((truth, found), count)| (*truth, *found, *count))
    }

    /// Of every class that is there or was found: how often it is right, and how often it is there or was found, taken together.
    pub fn classes(&self) -> impl Iterator<Item = (u32, u64, u64)> {
        let mut classes: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for (truth, found, count) in self.pairs() {
            classes.entry(truth).or_default().1 += count;
            let class = classes.entry(found).or_default();
            class.1 += count;
            if truth == found {
                class.0 += count;
            }
        }
        classes.into_iter().map(|(class, (hits, all))| (class, hits, all))
    }

    /// The mean over classes of the harmonic mean of precision and recall, over every class that is there or was found, as
    /// scikit-learn's `f1_score(average="macro", zero_division=0)`.
    #[must_use]
    pub fn macro_f1(&self) -> f64 {
        let f1 = |(_, hits, all): (u32, u64, u64)| 2.0 * hits as f64 / all as f64;
        let (sum, count) =
            self.classes().map(f1).fold((0.0, 0.0), |(sum, count), f1| (sum + f1, count + 1.0));
        sum / count
    }
}

impl FromIterator<(u32, u32)> for Confusion {
    fn from_iter<I: IntoIterator<Item = (u32, u32)>>(pairs: I) -> Self {
        let mut confusion = Self::default();
        pairs.into_iter().for_each(|(truth, found)| confusion.add(truth, found));
        confusion
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_and_f1_is_the_mean_over_classes() {
        let confusion: Confusion = [(0, 0), (0, 0), (0, 1), (1, 1), (2, 0)].into_iter().collect();
        assert_eq!((confusion.samples(), confusion.hits()), (5, 3));
        assert_eq!(confusion.pairs().collect::<Vec<_>>(), [(0, 0, 2), (0, 1, 1), (1, 1, 1), (2, 0, 1)]);
        // Class 0: 4 / (3 + 3); class 1: 2 / (1 + 2); class 2: never found.
        assert!((confusion.macro_f1() - (4.0 / 6.0 + 2.0 / 3.0) / 3.0).abs() < 1e-15);
    }
}
