//! Stages against the same written again in Python; pictures with EXIF data against Pillow. The expected values are committed;
//! `sdk/testkit/python/stages_expected.py` makes them.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use tilemark_model::{DType, Tensor};
use tilemark_pipeline::{
    Detection, Done, Error, Given, Image, Interface, Pipeline, Resources, Result, Sound, Spec, TensorInfo,
};

/// The generator of the script.
struct Random(u32);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) as f32
    }
}

fn port(name: &str, shape: &[usize]) -> TensorInfo {
    let shape = shape.iter().copied().map(Some).collect();
    TensorInfo { name: name.into(), shape, dtype: DType::F32, quant: None }
}

/// A pipeline with these stages after a model of `input`.
fn pipeline(head: &str, post: &str, input: &[usize], output: &[usize]) -> Result<Pipeline> {
    let text = format!("{head}\npost = [{post}]");
    let spec: Spec = toml::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let interface = Interface { inputs: vec![port("x", input)], outputs: vec![port("y", output)] };
    let files = [("abc.txt".to_owned(), b"a\nb\nc\n".to_vec())];
    Pipeline::new(spec, interface, &files.into_iter().collect::<Resources>())
}

/// A picture as large as the model's, 64 x 48 unless said otherwise.
fn on_picture(post: &str, output: Tensor, last: bool) -> Done {
    let shape = if last { [1, 48, 64, 3] } else { [1, 3, 48, 64] };
    let head = "input.image = {}\npre = [{ resize = { width = 64, height = 48 } }]";
    let pipeline = pipeline(head, post, &shape, output.shape()).unwrap();
    let picture = Image::from_rgb(64, 48, vec![0; 64 * 48 * 3]).unwrap();
    pipeline.run(&Given::Image(&picture), |_, _| -> Result<Vec<Tensor>> { Ok(vec![output.clone()]) }).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// `label score numbers;...`
fn expected(text: &str) -> Vec<(String, f32, Vec<f32>)> {
    let one = |text: &str| {
        let numbers: Vec<f32> = text.split(' ').map(|n| n.parse().unwrap()).collect();
        (["a", "b", "c"][numbers[0] as usize].to_owned(), numbers[1], numbers[2..].to_vec())
    };
    text.split(';').filter(|text| !text.is_empty()).map(one).collect()
}

fn compare(found: &[Detection], theirs: &str, numbers: impl Fn(&Detection) -> Vec<f32>, seed: usize) {
    let theirs = expected(theirs);
    assert_eq!(found.len(), theirs.len(), "set {seed}");
    for (ours, (label, score, at)) in found.iter().zip(theirs) {
        assert_eq!((&ours.label, ours.score), (&label, score), "set {seed}");
        let numbers = numbers(ours);
        assert_eq!(numbers.len(), at.len());
        let apart = numbers.iter().zip(&at).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // The exponentials of numpy and of the contract may differ in their last bits.
        assert!(apart < 1e-3, "set {seed}: {numbers:?} and {at:?}");
    }
}

#[test]
fn every_orientation_is_pillows() {
    let mut seen = 0;
    for line in include_str!("data/orientation.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let image = Image::decode(&bytes(words[2])).unwrap();
        let size = (words[3].parse().unwrap(), words[4].parse().unwrap());
        assert_eq!((image.width(), image.height()), size, "{} {}", words[0], words[1]);
        let theirs = bytes(words[5]);
        let away = image.pixels().iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        let tolerance = if words[0] == "JPEG" { 3 } else { 0 }; // see decode.rs
        assert!(away <= tolerance, "{} {}: {away}", words[0], words[1]);
        seen += 1;
    }
    assert_eq!(seen, 24);
}

/// numpy's Fourier transform adds in another order, in f64 too; ours is rounded to f32 at the end: 2e-6 of the logarithms' size.
#[test]
fn spectra_are_numpys() {
    for line in include_str!("data/mel.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [seed, window, hop, fft, bands, low, high, offset, power, windows] = words[..10] else {
            panic!()
        };
        let mut random = Random(seed.parse().unwrap());
        let sound = (0..1600).map(|_| random.next() / 32_768.0 - 1.0).collect();
        let sound = Sound::from_samples(16_000, sound).unwrap();
        let (rows, columns): (usize, usize) = (windows.parse().unwrap(), bands.parse().unwrap());
        let theirs: Vec<f32> = words[10..].iter().map(|v| v.parse().unwrap()).collect();
        assert_eq!(theirs.len(), rows * columns);
        for first in [false, true] {
            let head = format!(
                "input.sound = {{ rate = 16000 }}\npre = [{{ frames = {{ size = 1600, hop = 800 }} }}, {{ log_mel = {{ window = {window}, \
                 hop = {hop}, fft = {fft}, bands = {bands}, low = {low}, high = {high}, offset = {offset}, power = {power}, \
                 bands_first = {first} }} }}]"
            );
            let shape = if first { [1, columns, rows] } else { [1, rows, columns] };
            let made =
                pipeline(&head, "{ top_k = { k = 2, labels = \"abc.txt\" } }", &shape, &[1, 3]).unwrap();
            let mut ours = Vec::new();
            let done = made.run(&Given::Sound(&sound), |_, inputs| -> Result<Vec<Tensor>> {
                ours = inputs[0].as_f32()?.to_vec();
                Ok(vec![Tensor::f32([1, 3], vec![0.5, 0.1, 0.7])?])
            });
            for (i, their) in theirs.iter().enumerate() {
                let our = if first { ours[i % columns * rows + i / columns] } else { ours[i] };
                assert!((our - their).abs() <= 2e-6 * their.abs().max(1.0), "{seed} {i}: {our} and {their}");
            }
            let labels = done.unwrap().outcome.labels.unwrap();
            assert_eq!(labels.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["c", "a"]);
        }
    }
    let other = "input.sound = { rate = 16000 }\npre = [{ frames = { size = 1600, hop = 800 } }, { log_mel = { window = 400, hop = 160, fft = 512, bands = 64, low = 125, high = 7500, offset = 0.001 } }]";
    let error =
        pipeline(other, "{ top_k = { k = 2, labels = \"abc.txt\" } }", &[1, 64, 8], &[1, 3]).unwrap_err();
    assert!(matches!(error, Error::ImageSize { .. }), "{error}");
}

/// The label of a frame with the highest score counts, whichever frame it is.
#[test]
fn what_is_heard_in_any_frame_is_heard() {
    let head = "input.sound = { rate = 16000 }\npre = [{ frames = { size = 4, hop = 4 } }]";
    let made = pipeline(head, "{ top_k = { k = 2, labels = \"abc.txt\" } }", &[1, 4], &[1, 3]).unwrap();
    let sound = Sound::from_samples(16_000, vec![0.0; 12]).unwrap();
    let mut scores = [[0.5, 0.9, 0.1], [0.6, 0.2, 0.3], [0.1, 0.8, 0.7]].into_iter();
    let done = made.run(&Given::Sound(&sound), |_, _| -> Result<Vec<Tensor>> {
        Ok(vec![Tensor::f32([1, 3], scores.next().unwrap().to_vec())?])
    });
    let labels = done.unwrap().outcome.labels.unwrap();
    let labels: Vec<_> = labels.iter().map(|l| (l.name.as_str(), l.score)).collect();
    assert_eq!(labels, [("b", 0.9), ("c", 0.7)]);
    let empty = Sound::from_samples(16_000, vec![]).unwrap();
    let done = made.run(&Given::Sound(&empty), |_, _| -> Result<Vec<Tensor>> { panic!("there is no frame") });
    assert!(done.unwrap().outcome.labels.unwrap().is_empty());
}

#[test]
fn grids_are_numpys() {
    for (seed, line) in include_str!("data/grid.txt").lines().enumerate() {
        let (head, theirs) = line.split_once('|').unwrap();
        let rows: usize = head.split(' ').nth(1).unwrap().parse().unwrap();
        let (objectness, transposed) = (seed % 2 == 1, seed / 2 % 2 == 1);
        let strides = ["", "16", "8, 16"][seed % 3];
        let numbers = 7 + seed % 2;
        let mut random = Random(seed as u32);
        let mut values: Vec<f32> = (0..rows * numbers).map(|_| random.next() / 65_536.0).collect();
        let scale = if strides.is_empty() { 60.0 } else { 2.0 };
        values.chunks_exact_mut(numbers).for_each(|row| row[..4].iter_mut().for_each(|v| *v *= scale));
        let (values, shape) = match transposed {
            true => (
                (0..rows * numbers).map(|i| values[i % rows * numbers + i / rows]).collect(),
                [1, numbers, rows],
            ),
            false => (values, [1, rows, numbers]),
        };
        let stage = format!(
            "{{ grid = {{ labels = \"abc.txt\", min_score = 0.5, objectness = {objectness}, transposed = {transposed}, strides = [{strides}] }} }}"
        );
        let found =
            on_picture(&stage, Tensor::f32(shape, values).unwrap(), false).outcome.detections.unwrap();
        compare(&found, theirs, |found| found.frame.to_vec(), seed);
    }
}

#[test]
fn peaks_and_points_are_numpys() {
    for (seed, line) in include_str!("data/peaks.txt").lines().enumerate() {
        let [_, peaks, points] = line.split('|').collect::<Vec<_>>()[..] else { panic!() };
        let mut random = Random(seed as u32);
        let maps: Vec<f32> =
            (0..3 * 12 * 16).map(|_| random.next() as u32 % 64).map(|v| v as f32 / 64.0).collect();
        let last: Vec<f32> = (0..3 * 12 * 16).map(|i| maps[i % 3 * 192 + i / 3]).collect();
        for (shape, maps, is_last) in [([1, 3, 12, 16], maps, false), ([1, 12, 16, 3], last, true)] {
            let output = Tensor::f32(shape, maps).unwrap();
            let refine = seed % 2 == 1;
            let stage = format!(
                "{{ peaks = {{ labels = \"abc.txt\", min_score = 0.75, refine = {refine}, most = 20 }} }}"
            );
            let found = on_picture(&stage, output.clone(), is_last).outcome.detections.unwrap();
            compare(&found, peaks, |found| found.points.concat(), seed);
            let stage = format!("{{ points = {{ label = \"a\", min_score = 0.5, refine = {refine} }} }}");
            let found = on_picture(&stage, output, is_last).outcome.detections.unwrap();
            compare(&found, points, |found| found.points.concat(), seed);
        }
    }
}

#[test]
fn pictures_are_numpys() {
    for (seed, line) in include_str!("data/image.txt").lines().enumerate() {
        let mut random = Random(seed as u32);
        let values: Vec<f32> = (0..3 * 6 * 8).map(|_| random.next() / 16_384.0 - 2.0).collect();
        let (last, bgr) = (seed % 2 == 1, seed / 2 % 2 == 1);
        let channels = if bgr { "bgr" } else { "rgb" };
        let stage = format!(
            "{{ image = {{ channels = \"{channels}\", mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225], divide = 255 }} }}"
        );
        let shape = if last { [1, 6, 8, 3] } else { [1, 3, 6, 8] };
        let outcome = on_picture(&stage, Tensor::f32(shape, values).unwrap(), last).outcome;
        let picture = &outcome.pictures["image"];
        assert_eq!((picture.width, picture.height, picture.channels), (8, 6, 3));
        assert_eq!(picture.samples, bytes(line.split(' ').nth(1).unwrap()), "set {seed}");
        assert!(outcome.is_made());
    }
}

/// A picture of twice the size of the model's, letterboxed: what was put around it is cut off again.
#[test]
fn what_was_put_around_a_picture_is_no_part_of_the_picture_that_is_made() {
    let head = "input.image = {}\npre = [{ resize = { width = 8, height = 8, fit = \"letterbox\" } }]";
    let made = pipeline(head, "{ image = {} }", &[1, 3, 8, 8], &[1, 3, 16, 16]).unwrap();
    let picture = Image::from_rgb(16, 8, vec![9; 16 * 8 * 3]).unwrap();
    let values: Vec<f32> = (0..3 * 256).map(|i| (i % 256 / 16) as f32).collect();
    let output = Tensor::f32([1, 3, 16, 16], values).unwrap();
    let done = made.run(&Given::Image(&picture), |_, _| -> Result<Vec<Tensor>> { Ok(vec![output.clone()]) });
    let image = &done.unwrap().outcome.pictures["image"];
    assert_eq!((image.width, image.height), (16, 8));
    assert_eq!((image.samples[0], image.samples[16 * 8 * 3 - 1]), (4, 11));
}

/// The model marks what is bright; the picture is larger than it in both directions.
#[test]
fn tiles_find_what_the_whole_picture_has() {
    let head = "input.image = {}\npre = [{ tiles = { width = 16, height = 16, overlap = 6 } }, { resize = { width = 16, height = 16, fit = \"letterbox\", align = \"start\" } }]";
    let (width, height) = (41usize, 23usize);
    let bright = |x: usize, y: usize| (5..=9).contains(&x) && (8..=12).contains(&y) || x == 30;
    let pixels =
        (0..width * height).flat_map(|i| [if bright(i % width, i / width) { 200 } else { 0 }; 3]).collect();
    let picture = Image::from_rgb(width as u32, height as u32, pixels).unwrap();
    let made = pipeline(head, "{ mask = { threshold = 0.5 } }", &[1, 3, 16, 16], &[1, 1, 16, 16]).unwrap();
    let mut runs = 0;
    let done = made.run(&Given::Image(&picture), |_, inputs| -> Result<Vec<Tensor>> {
        runs += 1;
        let values = inputs[0].as_f32()?[..256].iter().map(|v| v / 255.0).collect();
        Ok(vec![Tensor::f32([1, 1, 16, 16], values)?])
    });
    let outcome = done.unwrap().outcome;
    let mask = &outcome.pictures["mask"];
    assert_eq!((mask.width as usize, mask.height as usize, runs), (width, height, 8));
    for i in 0..width * height {
        assert_eq!(mask.samples[i] == 255, bright(i % width, i / width), "{} {}", i % width, i / width);
    }
    let share = mask.samples.iter().filter(|&&s| s == 255).count() as f64 / (width * height) as f64;
    assert_eq!(outcome.values["share"], [share]);
    assert!(!made.is_single());

    // One box around what is bright in each tile: that of the whole tile stays, parts of it are dropped.
    let post = "{ grid = { labels = \"abc.txt\", min_score = 0.5 } }";
    let made = pipeline(head, post, &[1, 3, 16, 16], &[1, 1, 7]).unwrap();
    let square = |x: usize, y: usize| (12..=15).contains(&x) && (3..=6).contains(&y);
    let pixels =
        (0..width * height).flat_map(|i| [if square(i % width, i / width) { 200 } else { 0 }; 3]).collect();
    let picture = Image::from_rgb(width as u32, height as u32, pixels).unwrap();
    let done = made.run(&Given::Image(&picture), |_, inputs| -> Result<Vec<Tensor>> {
        let map = &inputs[0].as_f32()?[..256];
        let lit: Vec<(f32, f32)> =
            (0..256).filter(|&i| map[i] > 0.0).map(|i| ((i % 16) as f32, (i / 16) as f32)).collect();
        let ends = |of: fn(&(f32, f32)) -> f32| {
            (lit.iter().map(of).fold(f32::INFINITY, f32::min), lit.iter().map(of).fold(-1.0, f32::max) + 1.0)
        };
        let ((left, right), (top, bottom)) = (ends(|p| p.0), ends(|p| p.1));
        let score = lit.len() as f32 / 16.0;
        let row =
            vec![(left + right) / 2.0, (top + bottom) / 2.0, right - left, bottom - top, score, 0.0, 0.0];
        Ok(vec![Tensor::f32([1, 1, 7], row)?])
    });
    let found = done.unwrap().outcome.detections.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].frame, found[0].score), ([12.0, 3.0, 16.0, 7.0], 1.0));
    for (from, to) in [
        ("overlap = 6", "overlap = 9"),
        ("width = 16, h", "width = 0, h"),
        ("overlap = 6", "overlap = 6, merge = 2"),
    ] {
        let error = pipeline(&head.replacen(from, to, 1), post, &[1, 3, 16, 16], &[1, 1, 7]).unwrap_err();
        assert_eq!(error.code(), "TM0322", "{to}: {error}");
    }
    let labels =
        pipeline(head, "{ top_k = { k = 1, labels = \"abc.txt\" } }", &[1, 3, 16, 16], &[1, 3]).unwrap_err();
    assert_eq!(labels.code(), "TM0362", "{labels}");
}

/// Whatever a model returns: defined results, in bounded time.
#[test]
fn nonsense_is_nothing_found() {
    let nonsense = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -0.0];
    for value in nonsense {
        let rows = Tensor::f32([1, 100_000, 7], vec![value; 700_000]).unwrap();
        let post = "{ grid = { labels = \"abc.txt\", min_score = 0.5 } }, { nms = { iou = 0.5 } }";
        assert!(on_picture(post, rows, false).outcome.detections.unwrap().is_empty(), "{value}");
        let maps = || Tensor::f32([1, 3, 12, 16], vec![value; 576]).unwrap();
        let peaks = on_picture("{ peaks = { labels = \"abc.txt\", min_score = 0.5 } }", maps(), false);
        assert_eq!(peaks.outcome.detections.unwrap().len(), if value > 0.5 { 100 } else { 0 }, "{value}");
        let points = on_picture("{ points = { label = \"a\", min_score = 0.5 } }", maps(), false);
        let points = points.outcome.detections.unwrap();
        assert!(points.len() == usize::from(value > 0.5) && points.iter().all(|p| p.points.len() == 3));
        let image = on_picture("{ image = {} }", maps(), false).outcome.pictures["image"].samples.clone();
        assert!(image.iter().all(|&s| s == if value > 0.0 { 255 } else { 0 }), "{value}");
    }
    // As many boxes as detectors have, all good: suppressed one by one against at most a hundred.
    let mut random = Random(1);
    let mut row = || [random.next() / 1024.0, random.next() / 1366.0, 2.0, 2.0, 0.9, 0.1, 0.1];
    let rows: Vec<f32> = (0..100_000).flat_map(|_| row()).collect();
    let post = "{ grid = { labels = \"abc.txt\", min_score = 0.5 } }, { nms = { iou = 0.5 } }";
    let found =
        on_picture(post, Tensor::f32([1, 100_000, 7], rows).unwrap(), false).outcome.detections.unwrap();
    assert_eq!(found.len(), 100);
}

#[test]
fn stages_that_do_not_fit_the_model_are_refused() {
    let head = "input.image = {}\npre = [{ resize = { width = 64, height = 48 } }]";
    for (post, output, code) in [
        ("{ grid = { labels = \"abc.txt\", min_score = 0.5 } }", &[1, 40, 8][..], "TM0365"),
        ("{ grid = { labels = \"abc.txt\", min_score = 0.5, transposed = true } }", &[1, 40, 7], "TM0365"),
        ("{ grid = { labels = \"abc.txt\", min_score = 0.5, strides = [16] } }", &[1, 13, 7], "TM0365"),
        ("{ grid = { labels = \"abc.txt\", min_score = 0.5, strides = [0] } }", &[1, 12, 7], "TM0322"),
        ("{ grid = { labels = \"no.txt\", min_score = 0.5 } }", &[1, 40, 7], "TM0321"),
        ("{ grid = { output = \"z\", labels = \"abc.txt\", min_score = 0.5 } }", &[1, 40, 7], "TM0364"),
        ("{ peaks = { labels = \"abc.txt\", min_score = 0.5 } }", &[1, 4, 12, 16], "TM0365"),
        ("{ peaks = { labels = \"abc.txt\", min_score = 0.5, most = 0 } }", &[1, 3, 12, 16], "TM0322"),
        ("{ points = { label = \"a\", min_score = 0.5 } }", &[1, 2000, 12, 16], "TM0365"),
        ("{ points = { label = \"a\\u0007\", min_score = 0.5 } }", &[1, 2, 12, 16], "TM0322"),
        ("{ image = {} }", &[1, 2, 12, 16], "TM0365"),
        ("{ image = { mean = [1, 2] } }", &[1, 3, 12, 16], "TM0322"),
        ("{ image = { divide = inf } }", &[1, 3, 12, 16], "TM0322"),
        ("{ image = {} }, { nms = { iou = 0.5 } }", &[1, 3, 12, 16], "TM0362"),
    ] {
        let error = pipeline(head, post, &[1, 3, 48, 64], output).unwrap_err();
        assert_eq!(error.code(), code, "{post}: {error}");
    }
}
