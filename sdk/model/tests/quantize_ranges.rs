//! Ranges from histograms, against what numpy finds on the values themselves (`sdk/testkit/python/ranges_expected.py`).

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use tilemark_model::quantize::{BINS, Histogram, Method, Range};
use tilemark_testkit::random::SplitMix64;

const EXPECTED: &str = include_str!("../../testkit/data/quantize/ranges.csv");
const N: usize = 20_000;

/// The same values as in the script, bit for bit.
fn distribution(name: &str) -> Vec<f32> {
    let floats = |seed| SplitMix64::new(seed).floats(N, -1.0, 1.0);
    let [a, b, c, d, v] = [1, 2, 3, 4, 5].map(floats);
    let bell: Vec<f32> = (0..N).map(|i| (a[i] + b[i]) + (c[i] + d[i])).collect();
    let tail = |v: f32| v / (1.01 - v.abs());
    match name {
        "bell" => bell,
        "rectified" => bell.iter().map(|x| (x * 3.0).max(0.0)).collect(),
        "tail" => v.into_iter().map(tail).collect(),
        "tail-rectified" => v.into_iter().map(|v| tail(v).max(0.0)).collect(),
        "uneven" => bell.iter().map(|&x| if x < 0.0 { x * 0.1 } else { x * x }).collect(),
        other => panic!("{other}"),
    }
}

/// Mean squared error of quantizing the values themselves.
fn error(values: &[f32], Range { lo, hi }: Range) -> f64 {
    let (lo, scale) = (f64::from(lo), (f64::from(hi) - f64::from(lo)) / 255.0);
    let zero = (-lo / scale).round_ties_even();
    let off = |x: f64| x - (((x / scale).round_ties_even() + zero).clamp(0.0, 255.0) - zero) * scale;
    values.iter().map(|&x| off(f64::from(x)).powi(2)).sum::<f64>() / values.len() as f64
}

fn histogram(values: &[f32]) -> Histogram {
    let extreme = |f: fn(f32, f32) -> f32| values.iter().copied().fold(0.0, f);
    let mut histogram = Histogram::new(Range::new(extreme(f32::min), extreme(f32::max)));
    // In two parts, as two threads would count.
    let (a, b) = values.split_at(values.len() / 3);
    let mut other = histogram.clone();
    histogram.add(a);
    other.add(b);
    histogram.merge(&other);
    histogram
}

#[test]
fn every_method_finds_what_numpy_finds() {
    let mut seen = 0;
    for line in EXPECTED.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [name, method, lo, hi, least] = cells[..] else { panic!("{line}") };
        let [lo, hi] = [lo, hi].map(|text| text.parse::<f32>().unwrap());
        let least: f64 = least.parse().unwrap();
        let values = distribution(name);
        let histogram = histogram(&values);
        let whole = histogram.range(Method::MinMax, 255);
        let bin = (whole.hi - whole.lo) / BINS as f32;
        let found = |method| histogram.range(method, 255);
        let near = |range: Range, bins: f32| {
            let off = (range.lo - lo).abs().max((range.hi - hi).abs());
            assert!(off <= bins * bin, "{line}: {range:?}, {} bins away", off / bin);
        };
        match method {
            "min-max" => assert_eq!(whole, Range { lo, hi }, "{line}"),
            "percentile 99" => near(found(Method::Percentile(99.0)), 1.0),
            "percentile 99.9" => near(found(Method::Percentile(99.9)), 1.0),
            "entropy" => near(found(Method::Entropy), 1.0),
            "mse" => {
                let range = found(Method::Mse);
                assert!(error(&values, range) <= 1.05 * least, "{line}: {range:?} {}", error(&values, range));
            }
            other => panic!("{other}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 25);
}

#[test]
fn tensors_without_values_keep_their_range() {
    for method in [Method::MinMax, Method::Percentile(99.0), Method::Entropy, Method::Mse] {
        let mut dead = Histogram::new(Range::new(0.0, 0.0));
        dead.add(&[0.0; 100]);
        assert_eq!(dead.range(method, 255), Range { lo: 0.0, hi: 0.0 });
        let mut constant = Histogram::new(Range::new(3.0, 3.0));
        constant.add(&[3.0; 100]);
        let Range { lo, hi } = constant.range(method, 255);
        assert!(lo == 0.0 && (2.9..=3.0).contains(&hi), "{method:?}: {hi}");
    }
}
