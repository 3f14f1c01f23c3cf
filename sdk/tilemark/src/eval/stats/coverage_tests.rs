//! Intervals contain the truth as often as they say, by drawing from known truths. Seeded: the counts are the same every time.

use super::*;

const SHARES: [f64; 6] = [0.02, 0.1, 0.5, 0.77, 0.9, 0.99];
const TRIALS: u64 = 4000;

/// How many of so many draws hit.
fn hits(random: &mut SplitMix64, share: f64, samples: u64) -> u64 {
    (0..samples).map(|_| u64::from(random.unit() < share)).sum()
}

/// The share of trials whose interval has the truth.
fn coverage(share: f64, samples: u64, interval: impl Fn(u64, u64, f64) -> Interval) -> f64 {
    let mut random = SplitMix64::new(samples ^ share.to_bits());
    // The same count has the same interval.
    let mut known = std::collections::BTreeMap::new();
    let holds = (0..TRIALS).filter(|_| {
        let hits = hits(&mut random, share, samples);
        *known.entry(hits).or_insert_with(|| interval(hits, samples, 0.95).contains(share))
    });
    holds.count() as f64 / TRIALS as f64
}

/// Three standard deviations of a share of trials about 0.95.
fn noise() -> f64 {
    3.0 * (0.95 * 0.05 / TRIALS as f64).sqrt()
}

#[test]
fn clopper_and_pearsons_interval_covers_every_share() {
    for samples in [20, 100, 388] {
        for share in SHARES {
            let covered = coverage(share, samples, clopper_pearson);
            assert!(covered >= 0.95 - noise(), "{share} of {samples}: {covered}");
        }
    }
}

#[test]
fn wilsons_interval_covers_on_average_over_shares() {
    for samples in [20u64, 100, 388] {
        let mut random = SplitMix64::new(samples);
        let mut covered = 0;
        for _ in 0..TRIALS {
            let share = random.unit();
            let hits = hits(&mut random, share, samples);
            covered += u64::from(wilson(hits, samples, 0.95).contains(share));
        }
        let covered = covered as f64 / TRIALS as f64;
        assert!(covered >= 0.95 - noise(), "{samples}: {covered}");
    }
}

#[test]
fn an_anytime_interval_holds_after_every_sample_at_once() {
    for share in [0.1f64, 0.5, 0.9] {
        let mut random = SplitMix64::new(share.to_bits());
        let (walks, steps) = (400, 1000);
        let mut left = 0;
        for _ in 0..walks {
            let mut hits = 0;
            let leaves = (1..=steps).any(|samples| {
                hits += u64::from(random.unit() < share);
                !excludes_nothing(hits, samples, share)
            });
            left += u64::from(leaves);
        }
        // Looked at after every sample, an interval that is made to be looked at once would be left far more often.
        assert!(left as f64 <= 0.05 * walks as f64, "{share}: {left} of {walks}");
    }
}

/// Whether the true share is in the anytime interval: asked without bisection, since it is asked a million times.
fn excludes_nothing(hits: u64, samples: u64, share: f64) -> bool {
    let (s, f) = (hits as f64, (samples - hits) as f64);
    let ratio = special::ln_beta(s + 1.0, f + 1.0) - s * share.ln() - f * (-share).ln_1p();
    let inside = ratio < -(0.05f64).ln();
    if samples.is_multiple_of(100) {
        assert_eq!(inside, anytime(hits, samples, 0.95).contains(share), "{hits} of {samples}, {share}");
    }
    inside
}

#[test]
fn a_trial_of_the_planned_size_decides_four_of_five_duels() {
    let samples = samples_for_difference(0.10, 0.03, 0.95, 0.8);
    let mut random = SplitMix64::new(9);
    let decided = (0..TRIALS).filter(|_| {
        let (mut first, mut second) = (0, 0);
        for _ in 0..samples {
            match random.unit() {
                x if x < 0.065 => first += 1,
                x if x < 0.100 => second += 1,
                _ => {}
            }
        }
        // As planned for: without the correction, which costs a little.
        let apart = first as f64 - second as f64;
        apart > 0.0 && special::chi_squared_above(apart * apart / (first + second) as f64) < 0.05
    });
    let share = decided.count() as f64 / TRIALS as f64;
    assert!(share >= 0.8 - 0.01, "{share}");
    assert!(share < 0.85, "{share}: the size is larger than it has to be");
}

#[test]
fn equal_apps_are_told_apart_no_more_often_than_the_test_says() {
    let mut random = SplitMix64::new(4);
    let wrong = (0..TRIALS).filter(|_| {
        let first = hits(&mut random, 0.5, 60);
        mcnemar(first, 60 - first).p_exact < 0.05
    });
    assert!(wrong.count() as f64 <= 0.05 * TRIALS as f64);
}
