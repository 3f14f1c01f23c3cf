//! Quantizing from data: folders, files, choices and what they cost.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;

use tilemark::npy;
use tilemark::quantize::{
    Activations, Evaluation, FloatModel, KeepFloat, Method, Options, Pixels, Quantized, Ranges, Samples,
    quantize, read_labels,
};
use tilemark::{Data, Error, Tensor};
use tilemark_model::{import, reference};
use tilemark_testkit::onnx::Builder;
use tilemark_testkit::onnx::float_net::{classifier, pictures};
use tilemark_testkit::random::SplitMix64;
use tilemark_testkit::temp::TempFolder;

fn model() -> FloatModel {
    FloatModel::read(&classifier().encode()).unwrap()
}

fn folder(inputs: &[Tensor]) -> TempFolder {
    let folder = TempFolder::new();
    for (i, input) in inputs.iter().enumerate() {
        folder.file(&format!("{i:03}.npy"), npy::write(input));
    }
    folder
}

fn with(options: Options, inputs: &[Tensor]) -> Quantized {
    let (model, folder) = (model(), folder(inputs));
    let samples = Samples::open(folder.path(), model.graph(), None).unwrap();
    quantize(model, &samples, None, &options, &()).unwrap()
}

fn refused(path: &Path) -> Error {
    match Samples::open(path, model().graph(), None) {
        Ok(samples) => (0..samples.count()).find_map(|i| samples.load(i).err()).expect("a refusal"),
        Err(error) => error,
    }
}

#[test]
fn the_best_candidate_is_written_and_the_report_says_so() {
    let made = with(Options::default(), &pictures(24, 1));
    let report = &made.report;
    assert_eq!((report.calibration_samples, report.layers.len()), (24, 7));
    assert_eq!(report.integer_macs, report.macs);
    assert!(report.float_nodes.is_empty() && report.kept_float.is_empty() && report.notes.is_empty());
    let best = report.candidates.iter().map(|candidate| candidate.snr_db).fold(0.0, f64::max);
    let written = report.candidates.iter().find(|c| c.name.starts_with(&report.ranges)).unwrap();
    assert!(best >= written.snr_db && best > 20.0);
    // What was simulated is what the integers give.
    assert!((report.quality.snr_db - best).abs() < 1.0, "{} {best}", report.quality.snr_db);
    assert!(report.quality.cosine > 0.99 && report.quality.top1_agreement.unwrap() > 0.8);
    assert!(report.layers.iter().all(|layer| layer.quantized && layer.snr_db > 15.0 && layer.lo < layer.hi));
}

#[test]
fn the_same_data_give_the_same_bytes() {
    let inputs = pictures(70, 2);
    assert_eq!(with(Options::default(), &inputs).onnx, with(Options::default(), &inputs).onnx);
}

#[test]
fn every_method_and_type_makes_a_model_near_the_float_one() {
    let inputs = pictures(16, 3);
    for method in [Method::MinMax, Method::Percentile(99.9), Method::Mse, Method::Entropy] {
        for activations in [Activations::U8, Activations::S8] {
            let options = Options { activations, ranges: Ranges::Method(method), ..Options::default() };
            let quality = with(options, &inputs).report.quality;
            assert!(quality.cosine > 0.98, "{method:?} {activations:?}: {quality:?}");
        }
    }
    let equalized = with(Options { equalize: true, ..Options::default() }, &inputs).report;
    assert!(equalized.equalized_pairs.unwrap() >= 1 && equalized.quality.cosine > 0.98);
}

/// The mean of each score over the calibration data, quantized minus float.
fn shifts(onnx: &[u8], inputs: &[Tensor]) -> Vec<f64> {
    let (graph, float) = (import(onnx).unwrap(), model());
    let mut shifts = vec![0.0; 5];
    for input in inputs {
        let run = |graph: &tilemark::Graph| {
            let found = reference::run(graph, vec![input.clone()]).unwrap();
            graph.declared(&graph.outputs[0], &found[0]).unwrap().as_f32().unwrap().to_vec()
        };
        for (shift, (a, b)) in shifts.iter_mut().zip(run(&graph).iter().zip(run(float.graph()))) {
            *shift += f64::from(a - b) / inputs.len() as f64;
        }
    }
    shifts
}

#[test]
fn correcting_biases_takes_the_mean_error_away() {
    let inputs = pictures(32, 4);
    let largest = |bias_correction| {
        let options =
            Options { bias_correction, ranges: Ranges::Method(Method::MinMax), ..Options::default() };
        let made = with(options, &inputs);
        assert_eq!(made.report.bias_corrected, bias_correction);
        shifts(&made.onnx, &inputs).into_iter().fold(0.0, |most: f64, shift| most.max(shift.abs()))
    };
    let (plain, corrected) = (largest(false), largest(true));
    assert!(corrected < 0.5 * plain, "{corrected} {plain}");
}

#[test]
fn the_layers_that_cost_most_are_kept() {
    let inputs = pictures(16, 5);
    let report = with(Options { keep_float: KeepFloat::Layers(2), ..Options::default() }, &inputs).report;
    assert_eq!(report.kept_float.len(), 2);
    let alone = |name: &str| report.layers.iter().find(|l| l.name == name).unwrap().alone_snr_db.unwrap();
    let worst_of_others = report
        .layers
        .iter()
        .filter(|layer| layer.quantized)
        .map(|layer| layer.alone_snr_db.unwrap())
        .fold(f64::MAX, f64::min);
    assert!(report.kept_float.iter().all(|name| alone(name) <= worst_of_others));
    assert!(report.integer_macs < report.macs);
    let kept: Vec<&str> =
        report.float_nodes.iter().filter(|n| n.reason == "kept in float").map(|n| n.node.as_str()).collect();
    assert!(
        kept.len() == 2 && report.kept_float.iter().all(|name| kept.contains(&name.as_str())),
        "{kept:?}"
    );

    let until = |wanted| {
        let options = Options { keep_float: KeepFloat::UntilSnr(wanted), ..Options::default() };
        let report = with(options, &inputs).report;
        (report.kept_float.len(), report.notes)
    };
    assert_eq!(until(5.0), (0, vec![]));
    let (kept, notes) = until(100.0);
    assert!(kept == 6 && notes[0].starts_with("100 dB were asked for; with 6 layers"), "{kept} {notes:?}");
}

#[test]
fn accuracy_is_counted_against_labels() {
    let inputs = pictures(40, 6);
    let float = model();
    let scores = |input: &Tensor| reference::run(float.graph(), vec![input.clone()]).unwrap().remove(0);
    let top = |input: &Tensor| {
        let scores = scores(input);
        let scores = scores.as_f32().unwrap();
        (0..5).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap()
    };
    // Every fourth label is wrong.
    let labels: Vec<usize> =
        inputs.iter().enumerate().map(|(i, x)| (top(x) + usize::from(i % 4 == 0)) % 5).collect();
    let (calibration, others) = (folder(&inputs[..20]), folder(&inputs));
    let open = |folder: &TempFolder| Samples::open(folder.path(), float.graph(), None).unwrap();
    let evaluation = Evaluation { samples: open(&others), labels: Some(labels) };
    let made = quantize(model(), &open(&calibration), Some(&evaluation), &Options::default(), &()).unwrap();
    let quality = made.report.quality;
    assert_eq!((quality.data, quality.samples), ("evaluation", 40));
    let accuracy = quality.accuracy.unwrap();
    assert_eq!(accuracy.float, 0.75);
    assert!((accuracy.int8 - 0.75).abs() <= 1.0 - quality.top1_agreement.unwrap() + 1e-9);
}

#[test]
fn samples_that_are_none_are_refused_with_their_name() {
    let empty = TempFolder::new();
    assert!(refused(empty.path()).to_string().contains("no picture"));
    let good = &pictures(1, 1)[0];
    let reshaped = good.clone().reshaped([1, 3, 8, 32]).unwrap();
    let mut values = good.as_f32().unwrap().to_vec();
    values[17] = f32::NAN;
    let cases = [
        ("shape", npy::write(&reshaped), "[1, 3, 8, 32]"),
        ("nan", npy::write(&Tensor::f32([1, 3, 16, 16], values).unwrap()), "element 17 is NaN"),
        ("bytes", npy::write(&Tensor::u8([1, 3, 16, 16], vec![1; 768]).unwrap()), "u8 elements"),
        ("cut", npy::write(good)[..400].to_vec(), "cut.npy"),
    ];
    for (name, bytes, part) in cases {
        let folder = TempFolder::new();
        folder.file(&format!("{name}.npy"), bytes);
        let error = refused(folder.path());
        assert_eq!(error.code(), "TM0520");
        assert!(error.to_string().contains(part) && error.to_string().contains(name), "{error}");
    }
    let mixed = folder(std::slice::from_ref(good));
    mixed.file("a.png", b"not looked at");
    assert!(refused(mixed.path()).to_string().contains("1 pictures and 1 .npy"));
    let pictures = TempFolder::new();
    pictures.file("a.jpg", b"not looked at");
    assert!(refused(pictures.path()).to_string().contains("app.toml"));
}

#[test]
fn one_file_of_many_rows_is_as_many_samples() {
    let inputs = pictures(5, 7);
    let all: Vec<f32> = inputs.iter().flat_map(|input| input.as_f32().unwrap().to_vec()).collect();
    let folder = TempFolder::new();
    let path = folder.file("all.npy", npy::write(&Tensor::f32([5, 3, 16, 16], all).unwrap()));
    let samples = Samples::open(&path, model().graph(), None).unwrap();
    assert_eq!(samples.count(), 5);
    assert_eq!((0..5).map(|i| samples.load(i).unwrap().remove(0)).collect::<Vec<_>>(), inputs);
    assert!(samples.name(3).ends_with("all.npy, row 3"));
}

#[test]
fn a_model_of_several_inputs_takes_a_folder_for_each() {
    let mut random = SplitMix64::new(12);
    let mut net = Builder::new(13);
    let sides = ["left/a", "right:b"].map(|name| net.input(name, &[1, 3, 4, 4]));
    let sum = net.node("Add", &[&sides[0], &sides[1]], vec![]);
    let y = net.float_conv(&sum, &mut random, [2, 3, 1, 1], 1, 1);
    net.output(&y);
    let model = FloatModel::read(&net.encode()).unwrap();
    let folder = TempFolder::new();
    let refusal = Samples::open(folder.path(), model.graph(), None).unwrap_err().to_string();
    assert!(refusal.contains("left_a, right_b"), "{refusal}");
    for side in ["left_a", "right_b"] {
        std::fs::create_dir(folder.path().join(side)).unwrap();
        for i in 0..9 {
            let values = random.floats(48, -1.0, 1.0);
            folder.file(&format!("{side}/{i}.npy"), npy::write(&Tensor::f32([1, 3, 4, 4], values).unwrap()));
        }
    }
    let samples = Samples::open(folder.path(), model.graph(), None).unwrap();
    assert_eq!(samples.count(), 9);
    let made = quantize(model, &samples, None, &Options::default(), &()).unwrap();
    assert_eq!(made.report.macs, made.report.integer_macs);
    assert!(made.report.quality.snr_db > 25.0);
    std::fs::remove_file(folder.path().join("left_a/4.npy")).unwrap();
    let model = FloatModel::read(&net.encode()).unwrap();
    let refusal = Samples::open(folder.path(), model.graph(), None).unwrap_err().to_string();
    assert!(refusal.contains("`4.npy` is there for 1 of 2"), "{refusal}");
}

#[test]
fn labels_are_numbers_one_for_each_sample() {
    let folder = TempFolder::new();
    let csv = folder.file("labels.csv", "name,class\na.png,3\nb.png, 0\n\n");
    assert_eq!(read_labels(&csv, 2).unwrap(), [3, 0]);
    let array = folder.file("labels.npy", npy::write(&Tensor::new([3], Data::I64(vec![2, 1, 0])).unwrap()));
    assert_eq!(read_labels(&array, 3).unwrap(), [2, 1, 0]);
    let words = folder.file("words.txt", "1\ncat\n");
    for (path, count, part) in [(&csv, 3, "2 labels for 3"), (&words, 2, "`cat`")] {
        let error = read_labels(path, count).unwrap_err();
        assert!(error.code() == "TM0520" && error.to_string().contains(part), "{error}");
    }
}

/// Channels without weights, a tensor that is always zero, and one sample.
#[test]
fn dead_channels_and_one_sample_give_a_sane_model() {
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 1, 4, 4]);
    let weights = net.constant(&Tensor::f32([2, 1, 1, 1], vec![0.0, -1.0]).unwrap());
    let bias = net.constant(&Tensor::f32([2], vec![4.0, -100.0]).unwrap());
    let a = net.node("Conv", &[&x, &weights, &bias], vec![]);
    let second = net.constant(&Tensor::f32([1, 2, 1, 1], vec![0.0, 1.0]).unwrap());
    let dead = net.unary("Relu", &a);
    let b = net.node("Conv", &[&dead, &second], vec![]);
    let b = net.unary("Relu", &b); // always zero
    let third = net.constant(&Tensor::f32([1, 1, 1, 1], vec![2.0]).unwrap());
    let y = net.node("Conv", &[&b, &third], vec![]);
    net.output(&y);
    let model = FloatModel::read(&net.encode()).unwrap();
    let one = folder(&[Tensor::f32([1, 1, 4, 4], (0..16).map(|i| i as f32).collect()).unwrap()]);
    let samples = Samples::open(one.path(), model.graph(), None).unwrap();
    let report = quantize(model, &samples, None, &Options::default(), &()).unwrap().report;
    assert!(report.quality.snr_db >= 139.0, "all outputs are zero: {}", report.quality.snr_db);
    assert!(
        report.notes[0].contains("1 samples") && report.notes[1].contains("1 channels"),
        "{:?}",
        report.notes
    );
}

#[test]
fn activations_beyond_floats_name_the_tensor() {
    for (factor, part) in [(3e38, "NaN or infinite"), (1e36, "beyond any scale")] {
        let mut net = Builder::new(13);
        let x = net.input("x", &[1, 1, 2, 2]);
        let weights = net.constant(&Tensor::f32([1, 1, 1, 1], vec![factor]).unwrap());
        let y = net.node("Conv", &[&x, &weights], vec![]);
        let y = net.rename(&y, "huge");
        net.output(&y);
        let model = FloatModel::read(&net.encode()).unwrap();
        let one = folder(&[Tensor::f32([1, 1, 2, 2], vec![1.0, 2.0, 30.0, 200.0]).unwrap()]);
        let samples = Samples::open(one.path(), model.graph(), None).unwrap();
        let error = quantize(model, &samples, None, &Options::default(), &()).unwrap_err();
        assert_eq!(error.code(), "TM0521");
        assert!(error.to_string().contains(part) && error.to_string().contains("huge"), "{error}");
    }
}

#[test]
fn pictures_go_through_the_usual_steps() {
    let photos = tilemark_testkit::tagger::root().join("examples/apps/tagger/samples");
    let mut random = SplitMix64::new(13);
    let mut net = Builder::new(13);
    let x = net.input("image", &[1, 3, 32, 24]);
    let y = net.float_conv(&x, &mut random, [4, 3, 3, 3], 1, 2);
    net.output(&y);
    let model = FloatModel::read(&net.encode()).unwrap();
    let pixels = Pixels {
        channels: tilemark::quantize::Channels::Rgb,
        fit: tilemark::quantize::Fit::Crop,
        mean: vec![127.0],
        std: vec![64.0],
        divide: 1.0,
    };
    let steps = pixels.steps(model.graph()).unwrap();
    let samples = Samples::open(&photos, model.graph(), Some(&steps)).unwrap();
    let first = samples.load(0).unwrap();
    assert_eq!(first[0].shape(), [1, 3, 32, 24]);
    assert!(first[0].as_f32().unwrap().iter().all(|x| x.abs() < 2.1));
    assert!(quantize(model, &samples, None, &Options::default(), &()).unwrap().report.quality.snr_db > 25.0);
    let flat = FloatModel::read(&{
        let mut net = Builder::new(13);
        let x = net.input("x", &[1, 12]);
        let y = net.float_gemm(&x, &mut random, 5, 12);
        net.output(&y);
        net.encode()
    });
    assert_eq!(pixels.steps(flat.unwrap().graph()).unwrap_err().code(), "TM0520");
}
