//! Widened intervals contain the truth at least as often as they say, of few samples too: drawn from known truths, seeded.

use super::*;
use crate::eval::metric::classes::Confusion;
use crate::eval::metric::detect::{Find, Matches, Thing, mean_average_precision};

const TRIALS: u64 = 400;

fn draws(seed: u64) -> Bootstrap {
    Bootstrap { resamples: 200, seed, confidence: 0.95 }
}

/// Two standard deviations of a share of trials about 0.95.
fn least() -> f64 {
    least_of(TRIALS)
}

fn least_of(trials: u64) -> f64 {
    0.95 - 2.0 * (0.95 * 0.05 / trials as f64).sqrt()
}

/// The share of trials in which each interval has the truth: widened, and not.
fn covered(trial: impl FnMut(&mut SplitMix64, u64) -> [bool; 2]) -> [f64; 2] {
    covered_of(TRIALS, trial)
}

fn covered_of(trials: u64, mut trial: impl FnMut(&mut SplitMix64, u64) -> [bool; 2]) -> [f64; 2] {
    let mut random = SplitMix64::new(77);
    let mut counts = [0u64; 2];
    for seed in 0..trials {
        let held = trial(&mut random, seed);
        counts.iter_mut().zip(held).for_each(|(count, held)| *count += u64::from(held));
    }
    counts.map(|count| count as f64 / trials as f64)
}

fn mean(values: &[f64], picks: &[usize]) -> f64 {
    picks.iter().map(|at| values[*at]).sum::<f64>() / picks.len() as f64
}

#[test]
fn means_of_few_and_of_skewed_samples_are_covered() {
    // Of numbers between 0 and 1, and what they are on average.
    type Drawn = (&'static str, f64, fn(&mut SplitMix64) -> f64);
    let kinds: [Drawn; 6] = [
        ("one of fifty", 0.02, |random| f64::from(random.unit() < 0.02)),
        ("one of two", 0.5, |random| f64::from(random.unit() < 0.5)),
        ("nearly all", 0.98, |random| f64::from(random.unit() < 0.98)),
        ("even", 0.5, SplitMix64::unit),
        ("skewed", 1.0 / 9.0, |random| random.unit().powi(8)),
        ("mostly alike", 0.95 * 0.9, |random| if random.unit() < 0.05 { 0.0 } else { 0.9 }),
    ];
    let mut narrow = 0;
    for (name, truth, draw) in kinds {
        for count in [1usize, 3, 10, 30] {
            let extremes = Extremes { low: 0.0, high: 1.0, groups: vec![count as u64] };
            let [wide, plain] = covered(|random, seed| {
                let values: Vec<f64> = (0..count).map(|_| draw(random)).collect();
                let statistic = |picks: &[usize]| mean(&values, picks);
                [
                    draws(seed).widened(count, &extremes, statistic).contains(truth),
                    draws(seed).interval_of(count, statistic).contains(truth),
                ]
            });
            println!("{name}, {count} samples: {wide:.3}, not widened {plain:.3}");
            assert!(wide >= least(), "{name}, {count} samples: {wide}");
            narrow += u32::from(plain < least());
        }
    }
    assert!(narrow > 10, "there was nothing to widen");
}

#[test]
fn rates_of_errors_in_texts_are_covered() {
    for (count, wrong) in [(3usize, 0.02), (10, 0.02), (10, 0.2), (40, 0.02)] {
        let truth = wrong;
        let [wide, plain] = covered(|random, seed| {
            // Texts of up to twenty letters; a text that is hard to read is wholly wrong.
            let texts: Vec<(f64, f64)> = (0..count)
                .map(|_| {
                    let letters = 1.0 + random.below(20) as f64;
                    (if random.unit() < wrong { letters } else { 0.0 }, letters)
                })
                .collect();
            let rate = |picks: &[usize]| {
                let (errors, of) =
                    picks.iter().fold((0.0, 0.0), |sum, at| (sum.0 + texts[*at].0, sum.1 + texts[*at].1));
                errors / of
            };
            let extremes = Extremes { low: 0.0, high: 1.0, groups: vec![count as u64] };
            [
                draws(seed).widened(count, &extremes, rate).contains(truth),
                draws(seed).interval_of(count, rate).contains(truth),
            ]
        });
        println!("{wrong} of {count} texts: {wide:.3}, not widened {plain:.3}");
        assert!(wide >= least(), "{wrong} of {count} texts: {wide}");
    }
}

#[test]
fn f1_of_few_samples_a_class_is_covered() {
    // What each of three classes is taken for: the first is told well, the others less so.
    const SHARES: [[f64; 3]; 3] = [[0.95, 0.05, 0.0], [0.1, 0.8, 0.1], [0.0, 0.3, 0.7]];
    let truth = {
        let f1 = |class: usize| {
            let found: f64 = SHARES.iter().map(|row| row[class]).sum();
            2.0 * SHARES[class][class] / (1.0 + found)
        };
        (0..3).map(f1).sum::<f64>() / 3.0
    };
    for count in [9usize, 24] {
        let [wide, plain] = covered(|random, seed| {
            let pairs: Vec<(u32, u32)> = (0..count)
                .map(|at| {
                    let class = at % 3;
                    let (place, shares) = (random.unit(), SHARES[class]);
                    let found = if place < shares[0] {
                        0
                    } else if place < shares[0] + shares[1] {
                        1
                    } else {
                        2
                    };
                    (class as u32, found)
                })
                .collect();
            let f1 = |picks: &[usize]| picks.iter().map(|at| pairs[*at]).collect::<Confusion>().macro_f1();
            let group =
                |class| pairs.iter().filter(|(is, found)| *is == class || *found == class).count() as u64;
            let extremes = Extremes { low: 0.0, high: 1.0, groups: (0..3).map(group).collect() };
            [
                draws(seed).widened(count, &extremes, f1).contains(truth),
                draws(seed).interval_of(count, f1).contains(truth),
            ]
        });
        println!("f1 of {count} samples: {wide:.3}, not widened {plain:.3}");
        assert!(wide >= least(), "{count} samples: {wide}");
    }
}

/// An image with one thing of two classes, which is mostly found, sometimes beside it, and at times something else is.
fn image(random: &mut SplitMix64) -> Matches {
    let class = u32::from(random.unit() < 0.5);
    let frame = [10.0, 10.0, 20.0, 20.0];
    let mut finds = Vec::new();
    if random.unit() < 0.85 {
        let aside = [0.0, 1.0, 3.0][random.below(3)];
        finds.push(Find { class, score: random.unit(), frame: [10.0 + aside, 10.0, 20.0, 20.0] });
    }
    if random.unit() < 0.2 {
        finds.push(Find { class: 1 - class, score: 0.8 * random.unit(), frame: [60.0, 60.0, 9.0, 9.0] });
    }
    Matches::of(&[Thing { class, frame, crowd: false }], &finds)
}

#[test]
fn average_precision_of_few_images_is_covered() {
    let mut random = SplitMix64::new(5);
    let many: Vec<Matches> = (0..20_000).map(|_| image(&mut random)).collect();
    let (truth, _) = mean_average_precision(&many);
    // Fewer trials, since each sorts all finds of all resamples.
    let trials = 100;
    for count in [6usize, 12] {
        let [wide, plain] = covered_of(trials, |random, seed| {
            let images: Vec<Matches> = (0..count).map(|_| image(random)).collect();
            let map = |picks: &[usize]| mean_average_precision(picks.iter().map(|at| &images[*at])).0;
            let group =
                |class| images.iter().filter(|image| image.classes().any(|is| is == class)).count() as u64;
            let groups = (0..2).map(group).filter(|count| *count > 0).collect();
            let extremes = Extremes { low: 0.0, high: 1.0, groups };
            [
                draws(seed).widened(count, &extremes, map).contains(truth),
                draws(seed).interval_of(count, map).contains(truth),
            ]
        });
        println!("map {truth:.3} of {count} images: {wide:.3}, not widened {plain:.3}");
        assert!(wide >= least_of(trials), "{count} images: {wide}");
    }
}
