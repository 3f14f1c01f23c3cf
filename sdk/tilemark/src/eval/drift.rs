//! Whether a buyer's data looks like the vendor's: if not, what the vendor says of the app says little of it here.

use serde::Serialize;

use super::stats::SplitMix64;
use crate::statistics::{Histogram, PARTS, Statistics, add};

/// How far apart the two are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// Samples of the data that were looked at.
    pub samples: u64,
    /// Inputs that the vendor counted.
    pub vendor_inputs: u64,
    /// For each channel of the first model's input: the population stability index, 0 where both are the same.
    pub channels: Vec<ChannelDrift>,
    /// An index above this is called far.
    pub threshold: f64,
    /// Whether one of the channels is farther than the threshold, and farther than chance explains.
    pub far: bool,
    /// Whether there are enough samples to tell.
    pub enough: bool,
}

/// One channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChannelDrift {
    /// The index.
    pub index: f64,
    /// What the index is at most, 99 times of 100, between two sets of these sizes that are both drawn from the data.
    pub chance: f64,
}

/// The usual bound: above it two populations are said to differ much.
const THRESHOLD: f64 = 0.25;
/// Fewer samples say nothing of how much such samples vary.
const LEAST: usize = 20;
/// Samples that are counted, evenly spread over the data: more tell no more.
pub(super) const MOST: usize = 2000;
const DRAWS: usize = 300;
/// A part of the range that is never there counts as seldom, not as impossible.
const FLOOR: f64 = 1e-4;

impl Drift {
    /// Compares what a vendor counted with samples. `None` where there is nothing to compare, or the channels do not fit.
    pub(super) fn of(vendor: &Statistics, samples: &[&Histogram], seed: u64) -> Option<Self> {
        let expected = vendor.channels();
        if samples.is_empty() || samples.iter().any(|sample| sample.len() != expected.len()) {
            return None;
        }
        let all: Vec<usize> = (0..samples.len()).collect();
        let indexes = indexes(&expected, &sum(samples, &all));
        let enough = samples.len() >= LEAST;
        let chance =
            if enough { chance(samples, vendor.inputs, seed) } else { vec![f64::INFINITY; indexes.len()] };
        let channels: Vec<ChannelDrift> =
            indexes.into_iter().zip(chance).map(|(index, chance)| ChannelDrift { index, chance }).collect();
        let far = channels.iter().any(|channel| channel.index > THRESHOLD.max(channel.chance));
        let (count, vendor_inputs) = (samples.len() as u64, vendor.inputs);
        Some(Self { samples: count, vendor_inputs, channels, threshold: THRESHOLD, far, enough })
    }

    /// The largest index.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.channels.iter().map(|channel| channel.index).fold(0.0, f64::max)
    }

    /// What there is to say, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { samples, vendor_inputs, threshold, .. } = self;
        let largest = self.largest();
        if !self.enough {
            return format!(
                "{samples} samples are too few to tell whether they look like the vendor's; it takes {LEAST}"
            );
        }
        if self.far {
            return format!(
                "these samples do not look like the {vendor_inputs} inputs that the vendor counted: population stability index {largest:.2}, above \
                 {threshold}, and more than chance explains. What the vendor says of the app may not hold here"
            );
        }
        format!(
            "nothing says that these samples look otherwise than the {vendor_inputs} inputs that the vendor counted: population stability index {largest:.2}"
        )
    }
}

/// The population stability index of each channel: the sum over parts of `(p - q) ln(p / q)`.
fn indexes(one: &Histogram, other: &Histogram) -> Vec<f64> {
    let index = |(one, other): (&[u64; PARTS], &[u64; PARTS])| {
        let [one, other] = [one, other].map(shares);
        one.iter().zip(other).map(|(p, q)| (p - q) * libm::log(p / q)).sum()
    };
    one.iter().zip(other).map(index).collect()
}

fn shares(counts: &[u64; PARTS]) -> [f64; PARTS] {
    let all = counts.iter().sum::<u64>().max(1) as f64;
    counts.map(|count| (count as f64 / all).max(FLOOR))
}

fn sum(samples: &[&Histogram], picks: &[usize]) -> Histogram {
    let mut sum = vec![[0; PARTS]; samples.first().map_or(0, |sample| sample.len())];
    picks.iter().filter_map(|at| samples.get(*at)).for_each(|sample| add(&mut sum, sample));
    sum
}

/// The index between two sets drawn from the samples, one as large as they are, one as large as the vendor's: its 99th percentile. Pixels of
/// one picture are alike, so what is drawn is pictures.
fn chance(samples: &[&Histogram], vendor: u64, seed: u64) -> Vec<f64> {
    let mut random = SplitMix64::new(seed);
    let vendor = usize::try_from(vendor).unwrap_or(MOST).min(MOST);
    let mut draw = |count: usize| -> Histogram {
        let picks: Vec<usize> = (0..count).map(|_| random.below(samples.len())).collect();
        sum(samples, &picks)
    };
    let mut found: Vec<Vec<f64>> = (0..DRAWS).map(|_| indexes(&draw(vendor), &draw(samples.len()))).collect();
    let channels = found.first().map_or(0, Vec::len);
    let at = (DRAWS * 99).div_ceil(100) - 1;
    let percentile = |channel: usize| {
        found.sort_by(|a, b| a[channel].total_cmp(&b[channel]));
        found[at][channel]
    };
    (0..channels).map(percentile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of some brightness each: pixels of one are alike, so few pictures are far from many.
    fn pictures(count: usize, middle: f64, random: &mut SplitMix64) -> Vec<Histogram> {
        let mut picture = || {
            let brightness = middle + 6.0 * (random.unit() + random.unit() - 1.0);
            let mut parts = [0; PARTS];
            for _ in 0..100 {
                let value = brightness + 3.0 * (random.unit() - 0.5);
                parts[(value.clamp(0.0, 15.0)) as usize] += 1;
            }
            vec![parts; 3]
        };
        (0..count).map(|_| picture()).collect()
    }

    fn drift(vendor: &[Histogram], samples: &[Histogram]) -> Drift {
        let counted = sum(&vendor.iter().collect::<Vec<_>>(), &(0..vendor.len()).collect::<Vec<_>>());
        let text = serde_json::json!({ "schema": 1, "inputs": vendor.len(), "channels": counted });
        let vendor: Statistics = serde_json::from_value(text).unwrap();
        Drift::of(&vendor, &samples.iter().collect::<Vec<_>>(), 7).unwrap()
    }

    #[test]
    fn the_index_is_the_books() {
        let part = |counts: [u64; 2]| {
            let mut parts = [0; PARTS];
            (parts[0], parts[1]) = (counts[0], counts[1]);
            vec![parts]
        };
        let found = indexes(&part([70, 30]), &part([50, 50]))[0];
        // 0.2 ln(0.7 / 0.5) - 0.2 ln(0.3 / 0.5).
        assert!((found - (0.2 * libm::log(1.4) - 0.2 * libm::log(0.6))).abs() < 1e-12, "{found}");
        assert_eq!(indexes(&part([7, 3]), &part([70, 30])), [0.0]);
    }

    #[test]
    fn small_sets_of_the_same_kind_give_no_alarm_and_others_do() {
        let mut random = SplitMix64::new(11);
        let (mut alarms, mut found, mut above) = (0, 0, 0);
        for _ in 0..60 {
            let vendor = pictures(40, 8.0, &mut random);
            let same = drift(&vendor, &pictures(25, 8.0, &mut random));
            alarms += u32::from(same.far);
            above += u32::from(same.largest() > THRESHOLD);
            found += u32::from(drift(&vendor, &pictures(25, 12.0, &mut random)).far);
        }
        assert!(above > 10, "the threshold alone would not have cried wolf: {above} of 60");
        assert!(alarms <= 3, "{alarms} of 60 false alarms");
        assert!(found >= 57, "{found} of 60 found");
    }

    #[test]
    fn few_samples_say_that_they_are_few() {
        let mut random = SplitMix64::new(3);
        let found = drift(&pictures(40, 8.0, &mut random), &pictures(5, 14.0, &mut random));
        assert!(!found.far && !found.enough && found.sentence().contains("too few"), "{found:?}");
    }
}
