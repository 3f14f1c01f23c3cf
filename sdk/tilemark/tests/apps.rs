//! The apps in `examples/apps`, packed and run as their READMEs say: known answers, and golden vectors on the host.
//!
//! Their networks are made by `cargo xtask models`; where one is not there, its app is skipped, and the test says so.
#![allow(clippy::unwrap_used, reason = "helpers of a test: a panic names the line")]

mod common;

use std::path::Path;

use common::examples::{self, folder};
use tilemark::{App, Data, Device, Image, Input, Line, Output, Sound};

/// The app, with its golden vectors replayed.
fn app(name: &str, form: &str) -> Option<App> {
    let app = examples::app(name, form)?;
    app.replay(&Device::host()).unwrap().check().unwrap();
    Some(app)
}

fn run(app: &App, name: &str, sample: &str) -> Output {
    let sample = folder(name).join("samples").join(sample);
    app.session(Device::host()).unwrap().run(Input::image(sample).unwrap()).unwrap()
}

#[test]
fn the_reader_reads_every_character_of_the_ticket() {
    let Some(app) = app("reader", "") else { return };
    let output = run(&app, "reader", "ticket.png");
    // The network drops some spaces, in floats too.
    let lines: Vec<String> = output.lines().iter().map(|line: &Line| line.text.replace(' ', "")).collect();
    let expected = [
        "HARBOURSTATION",
        "Platform9Coach14Seat62",
        "Depart18:45Arrive21:07",
        "Total42.50EUR",
        "Ticketno.AX-7731-0526",
        "Validondayofissue",
    ];
    assert_eq!(lines, expected);
    let models = output.stages().iter().filter(|stage| stage.stage == "model");
    let calls: Vec<(&str, u64)> = models.map(|stage| (stage.step.as_str(), stage.calls)).collect();
    assert_eq!(calls, [("regions", 1), ("upright", 6), ("lines", 6)]);
}

#[test]
fn the_face_is_within_four_pixels_of_where_the_float_network_finds_it() {
    let (Some(int8), Some(float)) = (app("face", ""), app("face", "float.onnx")) else { return };
    let found = |app: &App| run(app, "face", "astronaut.png").detections().to_vec();
    let (int8, float) = (found(&int8), found(&float));
    assert_eq!((int8.len(), float.len()), (1, 1), "{int8:?} {float:?}");
    let apart = int8[0].frame.iter().zip(float[0].frame).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("the boxes are {apart:.2} pixels apart");
    assert!(apart <= 4.0 && int8[0].score > 0.7 && int8[0].points.len() == 6, "{int8:?} {float:?}");
}

/// `samples/astronaut-mask.png` is ONNX Runtime's mask of the same int8 file; `sdk/testkit/python/cutout_expected.py` made it.
#[test]
fn the_cutouts_mask_is_onnx_runtimes() {
    let Some(app) = app("cutout", "") else { return };
    let output = run(&app, "cutout", "astronaut.png");
    let mask = &output.outcome().pictures["mask"];
    let expected = std::fs::read(folder("cutout").join("samples/astronaut-mask.png")).unwrap();
    let expected = Image::decode(&expected).unwrap();
    assert_eq!((mask.width, mask.height), (expected.width(), expected.height()));
    let pairs = mask.samples.iter().zip(expected.pixels().chunks_exact(3));
    let (both, either) = pairs.fold((0u32, 0u32), |(both, either), (&a, b)| {
        let (a, b) = (a == 255, b[0] == 255);
        (both + u32::from(a && b), either + u32::from(a || b))
    });
    let iou = f64::from(both) / f64::from(either);
    println!("intersection over union {iou:.4}");
    assert!(iou >= 0.99, "{iou}");
}

/// `sdk/testkit/data/garment.txt` has ONNX Runtime's class for each test image; `sdk/testkit/python/garment_expected.py` made it.
#[test]
fn every_garment_gets_onnx_runtimes_class() {
    let app = app("garment", "").unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/models/garment/test-images.npy");
    let Ok(images) = std::fs::read(&data) else {
        println!("skipped: {} is not there; `cargo xtask models garment` makes it", data.display());
        return;
    };
    let Data::U8(pixels) = tilemark::npy::read(&images).unwrap().into_data() else {
        panic!("pixels are bytes")
    };
    let expected = include_str!("../../testkit/data/garment.txt").lines().last().unwrap();
    let mut session = app.session(Device::host()).unwrap();
    assert_eq!(pixels.len(), expected.len() * 28 * 28);
    for (i, (image, class)) in pixels.chunks_exact(28 * 28).zip(expected.bytes()).enumerate() {
        let rgb = image.iter().flat_map(|&p| [p; 3]).collect();
        let input = Input::pixels(Image::from_rgb(28, 28, rgb).unwrap());
        let output = session.run(input).unwrap();
        assert_eq!(output.labels()[0].index, usize::from(class - b'0'), "image {i}");
    }
}

/// A quarter of a second of six harmonics, at a rate that is resampled.
fn tone(hz: f64) -> Sound {
    let at = |i: u32| {
        let time = f64::from(i) / 44_100.0;
        (1..=6)
            .map(|k| (std::f64::consts::TAU * hz * f64::from(k) * time + f64::from(k)).sin() / f64::from(k))
            .sum::<f64>()
    };
    Sound::from_samples(44_100, (0..11_025).map(|i| (0.3 * at(i)) as f32).collect()).unwrap()
}

#[test]
fn the_tuner_hears_every_tone_within_fifty_cents() {
    let Some(app) = app("tuner", "") else { return };
    let mut session = app.session(Device::host()).unwrap();
    let mut worst = 0.0f64;
    // Two octaves and a half from the low A of a guitar, 5/4 semitones apart: notes and what lies between.
    for i in 0..25 {
        let hz = 110.0 * 2f64.powf(f64::from(i) * 1.25 / 12.0);
        let output = session.run(Input::samples(tone(hz))).unwrap();
        let heard = &output.outcome().values["hz"];
        assert_eq!(heard.len(), 3);
        let off = heard.iter().map(|found| 1200.0 * (found / hz).log2().abs()).fold(0.0, f64::max);
        let midi = 69.0 + 12.0 * (hz / 440.0).log2();
        assert!(off <= 50.0, "{hz} Hz is heard as {heard:?}");
        let label = &output.labels()[0];
        assert!((label.index as f64 - midi).abs() <= 1.0, "{} for {hz} Hz", label.name);
        worst = worst.max(off);
    }
    println!("at most {worst:.1} cents off");
    for silent in [vec![], vec![0.0; 100], vec![f32::NAN; 44_100]] {
        let output = session.run(Input::samples(Sound::from_samples(44_100, silent).unwrap())).unwrap();
        assert!(output.labels().is_empty(), "{:?}", output.outcome());
    }
    let picture = Input::pixels(Image::from_rgb(1, 1, vec![0; 3]).unwrap());
    assert_eq!(session.run(picture).unwrap_err().code(), "TM0315");
}
