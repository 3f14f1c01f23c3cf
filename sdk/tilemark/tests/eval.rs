//! The garment classifier, evaluated on the 10,000 test images of Fashion-MNIST: the same to the image at every level of this CPU.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do, and say what was skipped"
)]

mod common;

use std::path::{Path, PathBuf};

use common::garments;
use tilemark::eval::{Counts, Evaluation, Metric, Report, StopWhen};
use tilemark::{App, CpuLevel, Device, Picture};
use tilemark_testkit::temp::TempFolder;

fn evaluate(evaluation: &Evaluation, app: &App, device: &Device, data: &Path) -> Report {
    evaluation.run(app, device, data, &mut |_, _| {}).unwrap()
}

/// A report but for what the clock and the machine made of it.
fn timeless(report: &Report) -> Report {
    let mut report = report.clone();
    report.device = String::new();
    (report.peak_memory_bytes, report.joules, report.samples_per_second) = (None, None, 0.0);
    (report.latency_ms, report.latency_bins) = Default::default();
    report.device_facts.driver = String::new(); // names the level
    report
}

#[test]
fn ten_thousand_garments_are_the_same_at_every_level() {
    let Some(images) = garments::images() else { return };
    let app = garments::app();
    let accuracy = Evaluation::new(Metric::Accuracy);
    let whole = evaluate(&accuracy, &app, &Device::host(), images.path());
    // `sdk/testkit/data/garment.txt`: what ONNX Runtime gets right with the same network.
    assert_eq!(whole.counts, Counts::Hits { hits: 9050, of: 10_000 });
    assert_eq!((whole.samples, whole.failed, whole.metrics[0].value), (10_000, 0, 0.905));
    assert_eq!(whole.confusion.iter().map(|pair| pair.count).sum::<u64>(), 10_000);
    assert!(whole.metrics[0].low > 0.899 && whole.metrics[0].high < 0.911, "{:?}", whole.metrics);
    println!("{:?}, {:.0} a second, {:?}", whole.metrics, whole.samples_per_second, whole.latency_ms);

    let levels = [CpuLevel::Scalar, CpuLevel::Avx2, CpuLevel::Avx512Vnni, CpuLevel::Amx, CpuLevel::Neon];
    let mut ran = Vec::new();
    for level in levels {
        let device = Device::host().with_level(level);
        if let Err(error) = app.session(device.clone()) {
            println!("skipped: {level:?}: {error}");
            continue;
        }
        let report = evaluate(&accuracy, &app, &device, images.path());
        assert_eq!(
            (report.counts.clone(), report.answers),
            (whole.counts.clone(), whole.answers),
            "{level:?}"
        );
        assert_eq!(timeless(&report), timeless(&whole), "{level:?}");
        ran.push(level);
    }
    println!("the same at {ran:?}");
    assert!(ran.contains(&CpuLevel::Scalar));

    // Stopped early, it says what it knows; and the interval has the accuracy of them all.
    let rule = StopWhen::parse("within 3 % at 95 %").unwrap();
    let early =
        evaluate(&Evaluation { stop_when: Some(rule), ..accuracy }, &app, &Device::host(), images.path());
    assert!(early.stopped && early.samples < 2000, "{}", early.samples);
    let found = &early.metrics[0];
    assert_eq!(found.method, "anytime");
    assert!(found.low <= 0.905 && 0.905 <= found.high && found.high - found.low <= 0.06, "{found:?}");
}

/// `count` pictures of one colour, each another, in two folders of classes.
fn small(count: u32) -> TempFolder {
    let folder = TempFolder::new();
    for at in 0..count {
        let class = ["cat", "bird"][at as usize % 2];
        let path: PathBuf = folder.path().join(class);
        std::fs::create_dir_all(&path).unwrap();
        let colour = [(at % 251) as u8, (at / 251) as u8, (at % 7) as u8 * 36];
        let picture = Picture { width: 2, height: 2, channels: 3, samples: colour.repeat(4) };
        std::fs::write(path.join(format!("{at:06}.png")), picture.png().unwrap()).unwrap();
    }
    folder
}

fn tagger() -> App {
    common::load(&common::package())
}

#[test]
fn an_evaluation_that_was_interrupted_goes_on_to_the_same_report() {
    let (app, data, device) = (tagger(), small(60), Device::host());
    let folder = TempFolder::new();
    let with = |name: &str| Evaluation {
        journal: Some(folder.path().join(name)),
        ..Evaluation::new(Metric::Accuracy)
    };
    let whole = evaluate(&with("whole"), &app, &device, data.path());
    let journal = std::fs::read(folder.path().join("whole")).unwrap();
    // Killed after any byte: within a line, and between two.
    for cut in [1, journal.len() / 3, journal.len() / 2, journal.len() - 1, journal.len()] {
        std::fs::write(folder.path().join("cut"), &journal[..cut]).unwrap();
        let done = journal[..cut].iter().filter(|byte| **byte == b'\n').count().saturating_sub(1) as u64;
        let mut first = None;
        let report = with("cut").run(&app, &device, data.path(), &mut |done, _| {
            first.get_or_insert(done);
        });
        assert_eq!((timeless(&report.unwrap()), first), (timeless(&whole), Some(done)), "{cut}");
    }
    // A changed picture is another set, and so is a swapped label.
    let (picture, other) = (data.path().join("cat/000000.png"), data.path().join("cat/000002.png"));
    let bytes = std::fs::read(&picture).unwrap();
    std::fs::copy(&other, &picture).unwrap();
    let error = with("cut").run(&app, &device, data.path(), &mut |_, _| {}).unwrap_err();
    assert!(error.code() == "TM0563" && error.to_string().ends_with("evaluated: cat/000000.png"), "{error}");
    std::fs::write(&picture, bytes).unwrap();
    std::fs::rename(&picture, data.path().join("bird/000000.png")).unwrap();
    let error = with("cut").run(&app, &device, data.path(), &mut |_, _| {}).unwrap_err();
    assert!(error.code() == "TM0563" && error.to_string().contains("another data"), "{error}");
}

#[test]
fn a_changed_picture_or_label_changes_the_root() {
    let (app, data) = (tagger(), small(9));
    let root = || evaluate(&Evaluation::new(Metric::Accuracy), &app, &Device::host(), data.path()).data.root;
    let before = root();
    assert_eq!(root(), before);
    std::fs::copy(data.path().join("cat/000002.png"), data.path().join("cat/000004.png")).unwrap();
    let changed = root();
    assert_ne!(changed, before);
    std::fs::rename(data.path().join("cat/000008.png"), data.path().join("bird/000008.png")).unwrap();
    assert_ne!(root(), changed);
}

#[test]
fn a_corrupt_picture_is_counted_and_named_and_too_many_end_it() {
    let (app, data) = (tagger(), small(20));
    std::fs::write(data.path().join("cat/000004.png"), b"no picture").unwrap();
    let strict = Evaluation::new(Metric::Accuracy);
    let error = strict.run(&app, &Device::host(), data.path(), &mut |_, _| {}).unwrap_err();
    assert_eq!(error.code(), "TM0562");
    assert!(
        error.to_string().starts_with("1 of 20 samples failed, at most 0 may; the first: cat/000004.png: ")
    );
    let lenient = Evaluation { max_failed: 0.05, ..strict };
    let report = evaluate(&lenient, &app, &Device::host(), data.path());
    assert_eq!((report.samples, report.failed), (20, 1));
    assert_eq!(report.failures[0].name, "cat/000004.png");
    let Counts::Hits { of, .. } = report.counts else { panic!("hits") };
    assert_eq!(of, 19);
}

#[test]
fn what_an_app_does_not_answer_cannot_be_measured() {
    let app = tagger();
    let folder = TempFolder::new();
    for name in ["images", "masks"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        let picture = Picture { width: 2, height: 2, channels: 1, samples: vec![0; 4] };
        std::fs::write(folder.path().join(name).join("a.png"), picture.png().unwrap()).unwrap();
    }
    let run = |evaluation: Evaluation| {
        evaluation.run(&app, &Device::host(), folder.path(), &mut |_, _| {}).unwrap_err().to_string()
    };
    let error = run(Evaluation::new(Metric::Iou));
    assert_eq!(error, "the metric iou cannot be measured: it makes no mask: no picture of one channel");
    let rule = StopWhen::parse("within 3 % at 95 %").ok();
    let error = run(Evaluation { stop_when: rule, ..Evaluation::new(Metric::Iou) });
    assert!(error.contains("can be stopped early"), "{error}");
}
