//! Everything equals what `scipy` and `statsmodels` compute: `sdk/testkit/python/stats_expected.py`.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Expected {
    proportions: Vec<Proportion>,
    mcnemar: Vec<Pairs>,
    bootstrap: Vec<Resampled>,
    normal: Vec<[f64; 2]>,
    beta: Vec<[f64; 4]>,
}

#[derive(Deserialize)]
struct Proportion {
    hits: u64,
    samples: u64,
    confidence: f64,
    wilson: [f64; 2],
    exact: [f64; 2],
}

#[derive(Deserialize)]
struct Pairs {
    only_first: u64,
    only_second: u64,
    p_exact: f64,
    chi_squared: f64,
    p_chi_squared: f64,
}

#[derive(Deserialize)]
struct Resampled {
    values: Vec<f64>,
    resamples: usize,
    seed: u64,
    confidence: f64,
    percentile: [f64; 2],
    bca: [f64; 2],
}

fn expected() -> Expected {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/data/eval/stats.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[track_caller]
fn near(found: f64, expected: f64, relative: f64, what: &str) {
    let apart = (found - expected).abs();
    assert!(apart <= relative * expected.abs().max(1e-6), "{what}: {found}, expected {expected}");
}

#[test]
fn quantiles_are_scipys() {
    for [p, quantile] in expected().normal {
        near(special::normal_quantile(p), quantile, 1e-12, "normal");
    }
    for [p, a, b, quantile] in expected().beta {
        near(special::beta_quantile(p, a, b), quantile, 1e-8, "beta");
    }
}

#[test]
fn intervals_of_shares_are_statsmodels() {
    for case in expected().proportions {
        let what = format!("{} of {}", case.hits, case.samples);
        let found = wilson(case.hits, case.samples, case.confidence);
        near(found.low, case.wilson[0], 1e-10, &what);
        near(found.high, case.wilson[1], 1e-10, &what);
        let found = clopper_pearson(case.hits, case.samples, case.confidence);
        near(found.low, case.exact[0], 1e-8, &what);
        near(found.high, case.exact[1], 1e-8, &what);
    }
}

#[test]
fn mcnemars_test_is_statsmodels() {
    for case in expected().mcnemar {
        let found = mcnemar(case.only_first, case.only_second);
        let what = format!("{} against {}", case.only_first, case.only_second);
        near(found.p_exact, case.p_exact, 1e-9, &what);
        near(found.chi_squared, case.chi_squared, 1e-14, &what);
        near(found.p_chi_squared, case.p_chi_squared, 1e-11, &what);
    }
}

#[test]
fn bootstrap_intervals_are_scipys_on_the_same_draws() {
    let cases = expected().bootstrap;
    assert!(cases.len() >= 3);
    for case in cases {
        let values = &case.values;
        let draws = Bootstrap { resamples: case.resamples, seed: case.seed, confidence: case.confidence };
        let mean = |picks: &[usize]| picks.iter().map(|at| values[*at]).sum::<f64>() / picks.len() as f64;
        let found = draws.percentile(values.len(), mean);
        near(found.low, case.percentile[0], 1e-10, "percentile, low");
        near(found.high, case.percentile[1], 1e-10, "percentile, high");
        let found = draws.interval_of(values.len(), mean);
        near(found.low, case.bca[0], 1e-9, "corrected, low");
        near(found.high, case.bca[1], 1e-9, "corrected, high");
    }
}
