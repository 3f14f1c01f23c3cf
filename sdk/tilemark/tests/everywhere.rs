//! The six apps of `examples/apps`: the same bytes at every level of the CPU, with every number of threads, and on every OpenCL device;
//! and what users bring that is no input: a defined result or an error that says what to do.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of a test: a panic names the line")]

mod common;

use common::examples::{folder, without_golden as app};
use common::garments;
use tilemark::eval::{Comparison, Counts, Evaluation, Metric, Report};
use tilemark::{
    App, CpuLevel, DType, Data, Device, Digest, Error, Image, Input, Picture, Sound, Tensor, sha256, survey,
};
use tilemark_testkit::random::SplitMix64;
use tilemark_testkit::temp::TempFolder;

/// Each app and what it is run on.
const APPS: [(&str, &str); 6] = [
    ("tagger", "chelsea.png"),
    ("garment", "ankle-boot.png"),
    ("reader", "ticket.png"),
    ("face", "astronaut.png"),
    ("cutout", "astronaut.png"),
    ("tuner", "a4.wav"),
];

/// Everything that a run gives, in bits: the result, the pictures, every tensor of every model that runs once.
fn digest(app: &App, device: &Device, input: &Input) -> Result<Digest, Error> {
    let output = app.session(device.clone())?.run(input.clone())?;
    let outcome = output.outcome();
    let mut bytes = serde_json::to_vec(outcome).unwrap();
    for (name, picture) in &outcome.pictures {
        bytes.extend(name.bytes().chain(picture.samples.iter().copied()));
    }
    for (name, tensor) in output.tensors() {
        bytes.extend(name.bytes().chain(tensor.to_bytes()));
    }
    Ok(sha256(&bytes))
}

/// On every level with one thread, and on the best one with two and three.
fn on_the_host(name: &str, sample: &str) {
    let Some(app) = app(name) else { return };
    let input = Input::file(folder(name).join("samples").join(sample)).unwrap();
    let device = |level, threads| Device::host().with_level(level).with_threads(threads).unwrap();
    let best = CpuLevel::detected();
    let expected = digest(&app, &device(best, 1), &input).unwrap();
    let levels = CpuLevel::ALL.into_iter().filter(|level| *level != best);
    let others = levels.map(|level| (level, 1)).chain([(best, 2), (best, 3)]);
    for (level, threads) in others {
        if !level.is_supported() || !level.has_kernels() {
            println!("skipped: this CPU has no {}", level.name());
            continue;
        }
        let found = digest(&app, &device(level, threads), &input).unwrap();
        assert_eq!(found, expected, "{name} at {} with {threads} threads", level.name());
        println!("{name}: {}, {threads} threads: the same bytes as {}", level.name(), best.name());
    }
}

#[test]
fn the_tagger_gives_the_same_bytes_at_every_level() {
    on_the_host(APPS[0].0, APPS[0].1);
}

#[test]
fn the_garment_app_gives_the_same_bytes_at_every_level() {
    on_the_host(APPS[1].0, APPS[1].1);
}

#[test]
fn the_reader_gives_the_same_bytes_at_every_level() {
    on_the_host(APPS[2].0, APPS[2].1);
}

#[test]
fn the_face_finder_gives_the_same_bytes_at_every_level() {
    on_the_host(APPS[3].0, APPS[3].1);
}

#[test]
fn the_cutout_gives_the_same_bytes_at_every_level() {
    on_the_host(APPS[4].0, APPS[4].1);
}

#[test]
fn the_tuner_gives_the_same_bytes_at_every_level() {
    on_the_host(APPS[5].0, APPS[5].1);
}

/// The OpenCL devices to test on, which must be there where one is asked for.
fn opencl_devices() -> Vec<Device> {
    let wanted = std::env::var("TILEMARK_TEST_OPENCL").ok().filter(|platform| platform != "none");
    let survey = survey();
    let devices: Vec<_> = survey
        .devices()
        .filter(|facts| wanted.as_ref().is_none_or(|platform| facts.platform.contains(platform.as_str())))
        .map(Device::opencl)
        .collect();
    if devices.is_empty() {
        assert!(wanted.is_none(), "no OpenCL device of {wanted:?}");
        println!("skipped: no OpenCL device here");
    }
    devices
}

/// `cargo xtask test` runs it on each driver, which must be there.
#[test]
fn opencl_devices_give_every_apps_bytes() {
    let devices = opencl_devices();
    if devices.is_empty() {
        return;
    }
    for (name, sample) in APPS {
        let Some(app) = app(name) else { continue };
        let input = Input::file(folder(name).join("samples").join(sample)).unwrap();
        let expected = digest(&app, &Device::host(), &input).unwrap();
        for device in &devices {
            assert_eq!(digest(&app, device, &input).unwrap(), expected, "{name} on {}", device.description());
            println!("{name}: {}: the same bytes", device.description());
        }
    }
}

/// An evaluation counts the same there as on the host, sample for sample.
#[test]
fn opencl_devices_evaluate_garments_alike() {
    let devices = opencl_devices();
    let Some(app) = app("garment").filter(|_| !devices.is_empty()) else { return };
    let data = TempFolder::new();
    let mut random = SplitMix64::new(5);
    for (at, name) in app.pipeline().class_names().iter().cycle().take(60).enumerate() {
        let samples = random.bytes(28 * 28);
        let picture = Picture { width: 28, height: 28, channels: 1, samples };
        std::fs::create_dir_all(data.path().join(name)).unwrap();
        data.file(&format!("{name}/{at}.png"), picture.png().unwrap());
    }
    let evaluation = Evaluation::new(Metric::Accuracy);
    let on = |device: &Device| evaluation.run(&app, device, data.path(), &mut |_, _| {}).unwrap();
    let host = on(&Device::host());
    let reports: Vec<Report> = std::iter::once(host.clone()).chain(devices.iter().map(on)).collect();
    // An error if a single result differs by a bit, which names the sample.
    let compared = Comparison::of(&evaluation, &reports, &[host]).unwrap();
    assert_eq!(compared.points.len(), devices.len() + 2);
    println!("{} samples, the same on {} devices", compared.samples, reports.len());
}

/// The 10,000 test images of Fashion-MNIST: the same accuracy to the image, and the same answers.
#[test]
fn opencl_devices_evaluate_ten_thousand_garments_alike() {
    let devices = opencl_devices();
    let Some(images) = garments::images().filter(|_| !devices.is_empty()) else { return };
    let (app, evaluation) = (garments::app(), Evaluation::new(Metric::Accuracy));
    let on = |device: &Device| evaluation.run(&app, device, images.path(), &mut |_, _| {}).unwrap();
    let host = on(&Device::host());
    assert_eq!(host.counts, Counts::Hits { hits: 9050, of: 10_000 });
    for device in &devices {
        let report = on(device);
        assert_eq!(
            (&report.counts, report.answers),
            (&host.counts, host.answers),
            "{}",
            device.description()
        );
        println!("{}: {:?}, answers {}", device.description(), report.counts, report.answers);
        Comparison::of(&evaluation, &[host.clone(), report], std::slice::from_ref(&host)).unwrap();
    }
}

fn flat(width: u32, height: u32, value: u8) -> Input {
    let pixels = vec![value; width as usize * height as usize * 3];
    Input::pixels(Image::from_rgb(width, height, pixels).unwrap())
}

/// One pixel, one row, one column, pictures of nothing: no app falls over, and what is found lies on the picture.
#[test]
fn pictures_of_nothing_give_defined_results() {
    for (name, _) in &APPS[..5] {
        let Some(app) = app(name) else { continue };
        let mut session = app.session(Device::host()).unwrap();
        for (width, height, value) in [(1, 1, 0), (1, 600, 255), (600, 1, 128), (33, 17, 255), (640, 480, 0)]
        {
            let output = session.run(flat(width, height, value)).unwrap_or_else(|e| panic!("{name}: {e}"));
            let outcome = output.outcome();
            assert!(outcome.is_made(), "{name}");
            let inside =
                |[x, y]: [f32; 2]| (0.0..=width as f32).contains(&x) && (0.0..=height as f32).contains(&y);
            let lines = output.lines().iter().flat_map(|line| line.quad);
            let boxes =
                output.detections().iter().flat_map(|d| [[d.frame[0], d.frame[1]], [d.frame[2], d.frame[3]]]);
            assert!(lines.chain(boxes).all(inside), "{name} {width} x {height}: {outcome:?}");
            for mask in outcome.pictures.values() {
                assert_eq!((mask.width, mask.height), (width, height), "{name}");
            }
            assert!(output.labels().iter().all(|label| label.score.is_finite()), "{name}");
        }
    }
}

/// Silence, no sound at all, three hours of it, another rate, what is no number.
#[test]
fn sounds_of_nothing_give_defined_results() {
    let Some(app) = app("tuner") else { return };
    let mut session = app.session(Device::host()).unwrap();
    for samples in [vec![], vec![0.0; 1], vec![0.0; 1023], vec![f32::NAN; 5000], vec![f32::INFINITY; 5000]] {
        let input = Input::samples(Sound::from_samples(16_000, samples).unwrap());
        let output = session.run(input).unwrap();
        assert!(output.labels().is_empty(), "{:?}", output.outcome());
    }
    let hours = Sound::from_samples(16_000, vec![0.0; 3 * 3600 * 16_000]).unwrap_err();
    assert!(hours.code() == "TM0317" && hours.is_input(), "{hours}");
}

/// Another kind of input, or one that does not fit, is a user's error for every app, with a hint, and the session goes on.
#[test]
fn what_is_no_input_of_an_app_is_an_error_that_says_what_to_do() {
    for (name, sample) in APPS {
        let Some(app) = app(name) else { continue };
        let mut session = app.session(Device::host()).unwrap();
        let good = Input::file(folder(name).join("samples").join(sample)).unwrap();
        let sound = Input::samples(Sound::from_samples(16_000, vec![0.0; 2048]).unwrap());
        let other = if name == "tuner" { flat(8, 8, 0) } else { sound };
        let unknown = Input::tensors().tensor("nothing", Tensor::u8([1], vec![0]).unwrap());
        for bad in [other, unknown, Input::tensors()] {
            let error = session.run(bad).unwrap_err();
            assert_eq!(error.kind(), tilemark::ErrorKind::BadInput, "{name}: {error}");
            assert!(!error.hint().is_empty());
        }
        session.run(good).unwrap();
    }
    for bytes in [&b""[..], b"RIFF\0\0\0\0WAVE", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xd9", b"BM", b"GIF89a"]
    {
        assert_eq!(Input::image_bytes(bytes).unwrap_err().kind(), tilemark::ErrorKind::BadInput);
        assert_eq!(Input::sound_bytes(bytes).unwrap_err().kind(), tilemark::ErrorKind::BadInput);
    }
}

/// A float input takes tensors with what is no number in them: the result is defined, and the same each time.
#[test]
fn tensors_of_nan_give_the_same_result_each_time() {
    let app = app("tagger").unwrap();
    let port = app.graph().inputs[0].clone();
    let shape: Vec<usize> = tilemark::model::shape::declared(app.graph(), 1).remove(0);
    let count = shape.iter().product();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        let tensor = Tensor::new(shape.clone(), Data::F32(vec![value; count])).unwrap();
        assert_eq!(tensor.dtype(), DType::F32);
        let input = Input::tensors().tensor(&port.name, tensor);
        let [a, b] = [1, 2]
            .map(|threads| digest(&app, &Device::host().with_threads(threads).unwrap(), &input).unwrap());
        assert_eq!(a, b, "{value}");
    }
}
