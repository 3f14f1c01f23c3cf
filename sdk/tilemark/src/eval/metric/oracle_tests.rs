//! Everything equals what `pycocotools`, `jiwer` and `scikit-learn` compute: `sdk/testkit/python/metrics_expected.py`.

use serde::Deserialize;

use super::classes::Confusion;
use super::detect::{Find, Frame, Matches, Thing, mean_average_precision};
use super::text::Edits;

#[derive(Deserialize)]
struct Expected {
    detection: Vec<Detection>,
    text: Vec<Text>,
    f1: Vec<Classes>,
}

#[derive(Deserialize)]
struct Detection {
    /// Each image's things: class, frame, crowd.
    things: Vec<Vec<(u32, Frame, bool)>>,
    /// And finds: class, score, frame.
    finds: Vec<Vec<(u32, f64, Frame)>>,
    map: f64,
    map_50: f64,
}

#[derive(Deserialize)]
struct Text {
    pairs: Vec<[String; 2]>,
    cer: f64,
    wer: f64,
}

#[derive(Deserialize)]
struct Classes {
    pairs: Vec<(u32, u32)>,
    macro_f1: f64,
}

fn expected() -> Expected {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/data/eval/metrics.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[track_caller]
fn near(found: f64, expected: f64, apart: f64) {
    assert!((found - expected).abs() <= apart, "{found}, expected {expected}");
}

#[test]
fn mean_average_precision_is_pycocotools() {
    let cases = expected().detection;
    assert!(cases.len() >= 3);
    for case in cases {
        let thing = |(class, frame, crowd): &(u32, Frame, bool)| Thing {
            class: *class,
            frame: *frame,
            crowd: *crowd,
        };
        let find =
            |(class, score, frame): &(u32, f64, Frame)| Find { class: *class, score: *score, frame: *frame };
        let image = |(things, finds): (&Vec<_>, &Vec<_>)| {
            let things: Vec<Thing> = things.iter().map(thing).collect();
            let finds: Vec<Find> = finds.iter().map(find).collect();
            Matches::of(&things, &finds)
        };
        let images: Vec<Matches> = case.things.iter().zip(&case.finds).map(image).collect();
        let (all, at_half) = mean_average_precision(&images);
        near(all, case.map, 1e-9);
        near(at_half, case.map_50, 1e-9);
    }
}

#[test]
fn error_rates_are_jiwers() {
    for case in expected().text {
        let mut sums = Edits::default();
        for [truth, found] in &case.pairs {
            sums += Edits::between(truth, found).unwrap();
        }
        near(sums.characters as f64 / sums.of_characters as f64, case.cer, 1e-15);
        near(sums.words as f64 / sums.of_words as f64, case.wer, 1e-15);
    }
}

#[test]
fn f1_is_scikit_learns() {
    for case in expected().f1 {
        near(case.pairs.into_iter().collect::<Confusion>().macro_f1(), case.macro_f1, 1e-14);
    }
}
