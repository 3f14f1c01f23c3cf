use std::slice::from_ref;
use std::sync::Arc;

use tilemark_bundle::{Digest, sha256};

use super::*;
use crate::eval::Classes;
use crate::eval::data::{Dataset, Kind};
use crate::eval::html::tests::report;
use crate::eval::report::Kept;
use crate::eval::tally::Done;

fn evaluation() -> Evaluation {
    Evaluation::new(Metric::Accuracy)
}

fn kept(items: &[Item], results: impl IntoIterator<Item = Digest>, dataset: Arc<Dataset>) -> Arc<Kept> {
    let done = |(item, result): (&Item, Digest)| Done { leaf: result, ms: 1.0, item: item.clone(), result };
    Arc::new(Kept { done: items.iter().zip(results).map(done).collect(), dataset })
}

/// A report of three samples with these results.
fn of(device: &str, results: [&str; 3]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        std::fs::create_dir_all(folder.path().join("cat")).unwrap();
        std::fs::write(folder.path().join("cat").join(name), b"x").unwrap();
    }
    let classes = Classes::new(vec!["cat".into()]);
    let dataset = Arc::new(Dataset::open(folder.path(), Kind::Class, &classes).unwrap());
    let results = results.map(|result| sha256(result.as_bytes()));
    let kept = kept(&vec![Item::class(0, [0]); 3], results, dataset);
    Report { device: device.into(), samples: 3, failed: 0, kept, ..report() }
}

#[test]
fn a_device_that_gives_other_bits_is_an_error_that_names_the_first_sample() {
    let (host, same) = (of("host", ["1", "2", "3"]), of("opencl:0:0", ["1", "2", "3"]));
    let compared = Comparison::of(&evaluation(), &[host.clone(), same], from_ref(&host)).unwrap();
    assert_eq!((compared.points.len(), compared.samples), (3, 3));
    let other = of("opencl:0:0", ["1", "other", "another"]);
    let error = Comparison::of(&evaluation(), from_ref(&host), &[host.clone(), other]).unwrap_err();
    assert_eq!(error.code(), "TM0565");
    assert!(error.to_string().ends_with("on host and opencl:0:0: they differ first at cat/b.png"), "{error}");
}

#[test]
fn what_is_beaten_in_all_is_not_on_the_front() {
    let with = |value: f64, ms: f64, bundle_bytes: u64| {
        let mut report = Report { bundle_bytes, ..report() };
        report.metrics[0].value = value;
        report.latency_ms.median = ms;
        report
    };
    let reports =
        [with(0.9, 2.0, 5), with(0.8, 1.0, 5), with(0.8, 2.0, 5), with(0.7, 9.0, 4), with(0.9, 2.0, 5)];
    let front =
        |metric| points(metric, reports.iter()).iter().map(|point| point.on_front).collect::<Vec<_>>();
    assert_eq!(front(Metric::Accuracy), [true, true, false, true, true]);
    // Of errors fewer are better.
    assert_eq!(front(Metric::Wer), [false, true, false, true, false]);
}

/// Two apps' reports of these answers to samples of class 0.
fn answers(first: &[Item], second: &[Item]) -> [Report; 2] {
    let one = |app: &str, items: &[Item]| {
        let results = items.iter().map(|item| sha256(&serde_json::to_vec(item).unwrap()));
        let kept = kept(items, results, Arc::default());
        let (samples, failed) = (items.len() as u64, 0);
        Report { app: app.into(), identity: sha256(app.as_bytes()), samples, failed, kept, ..report() }
    };
    [one("acme/one", first), one("acme/two", second)]
}

fn compare(evaluation: &Evaluation, first: &[Item], second: &[Item]) -> Comparison {
    let [first, second] = answers(first, second);
    Comparison::of(evaluation, &[first], &[second]).unwrap()
}

/// Right `right` times, then wrong.
fn right(right: usize, of: usize) -> Vec<Item> {
    (0..of).map(|at| Item::class(0, [u32::from(at >= right)])).collect()
}

#[test]
fn few_samples_and_ties_tell_nothing() {
    let cases = [(right(3, 3), right(0, 3)), (right(5, 5), right(0, 5)), (right(7, 9), right(7, 9))];
    for (first, second) in cases {
        let found = compare(&evaluation(), &first, &second);
        assert_eq!(found.better, Better::Unknown, "{}", found.conclusion);
        assert!(found.conclusion.contains("no proof that they are equally good"), "{}", found.conclusion);
    }
    // Six of six is the fewest that the exact test tells apart at 5 %.
    let found = compare(&evaluation(), &right(0, 6), &right(6, 6));
    assert_eq!(found.better, Better::Second);
    assert!(
        found.conclusion.starts_with("acme/two 1.2.0 is better than acme/one 1.2.0"),
        "{}",
        found.conclusion
    );
    assert!(found.conclusion.contains("at a level of 5 %") && found.conclusion.contains("p = 0.031"));
    let strict = Evaluation { confidence: 0.995, ..evaluation() };
    let found = compare(&strict, &right(0, 6), &right(6, 6));
    assert!(
        found.better == Better::Unknown && found.conclusion.contains("level of 0.5 %"),
        "{}",
        found.conclusion
    );
    let found = compare(&evaluation(), &right(0, 100), &right(100, 100));
    assert!(found.conclusion.contains("p < 0.0001"), "{}", found.conclusion);
}

/// Two pictures on which one app is better are chance, even if both times by as much: a bootstrap of them has no width.
#[test]
fn two_pictures_alike_do_not_tell() {
    use crate::eval::metric::pixels::Differences;
    let item = |squares| Item::Differences(Differences { squares, absolute: squares, samples: 192 });
    for metric in [Metric::Psnr, Metric::Mae] {
        let evaluation = Evaluation::new(metric);
        let found = compare(&evaluation, &vec![item(10); 2], &vec![item(1000); 2]);
        assert_eq!(found.better, Better::Unknown, "{}", found.conclusion);
        assert!(found.difference.low < 0.0 && found.difference.high > 0.0, "{:?}", found.difference);
    }
    let found = compare(&Evaluation::new(Metric::Psnr), &vec![item(10); 200], &vec![item(1000); 200]);
    assert_eq!(found.better, Better::First, "{}", found.conclusion);
    let found = compare(&Evaluation::new(Metric::Cer), &texts(1), &texts(9));
    assert_eq!(found.better, Better::First, "{}", found.conclusion);
}

/// Two hundred texts of twenty letters with so many errors each.
fn texts(errors: u64) -> Vec<Item> {
    use crate::eval::metric::text::Edits;
    vec![Item::Edits(Edits { characters: errors, of_characters: 20, words: 1, of_words: 4 }); 200]
}

#[test]
fn an_app_is_not_compared_with_itself_and_same_names_are_told_apart() {
    let [first, second] = answers(&right(5, 9), &right(7, 9));
    let itself = Comparison::of(&evaluation(), from_ref(&first), from_ref(&first)).unwrap();
    assert!(itself.conclusion.contains("as good as itself"), "{}", itself.conclusion);
    assert!((itself.difference.low + itself.difference.high).abs() < 1e-12, "{:?}", itself.difference);
    let renamed = Report { app: first.app.clone(), ..second };
    let found = Comparison::of(&evaluation(), &[first], &[renamed]).unwrap();
    assert!(found.conclusion.contains("the second (acme/one 1.2.0) alone on 2"), "{}", found.conclusion);
}

#[test]
fn samples_that_one_app_fails_on_are_left_out_and_that_is_said() {
    let mut second = right(9, 9);
    second[0] = Item::Failed("too small".into());
    let found = compare(&evaluation(), &right(9, 9), &second);
    assert_eq!(found.samples, 8);
    assert!(
        found.conclusion.contains("over the 8 samples that both could evaluate, of 9"),
        "{}",
        found.conclusion
    );
    let all = vec![Item::Failed("too small".into()); 9];
    let [first, second] = answers(&right(9, 9), &all);
    assert_eq!(Comparison::of(&evaluation(), &[first], &[second]).unwrap_err().code(), "TM0561");
}

/// Of equally good apps one is called better no more often than the level says.
#[test]
fn equal_apps_are_rarely_told_apart() {
    let mut random = stats::SplitMix64::new(12);
    let mut told = [0u32; 2];
    for _ in 0..300 {
        let mut draw =
            || -> Vec<Item> { (0..25).map(|_| Item::class(0, [u32::from(random.unit() < 0.3)])).collect() };
        let (first, second) = (draw(), draw());
        for (count, metric) in told.iter_mut().zip([Metric::Accuracy, Metric::F1]) {
            let evaluation = Evaluation { resamples: 400, ..Evaluation::new(metric) };
            *count += u32::from(compare(&evaluation, &first, &second).better != Better::Unknown);
        }
    }
    // 5 % of 300 and two standard deviations.
    assert!(told.iter().all(|count| *count <= 22), "{told:?}");
}
