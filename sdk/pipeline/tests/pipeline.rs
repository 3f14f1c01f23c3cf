//! Whole pipelines: what is refused when they are made, and what comes out of those that are not.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::path::Path;

use tilemark_model::{DType, Data, Quant, Tensor};
use tilemark_pipeline::{
    CODES, Error, Image, Interface, Label, Mode, Pipeline, Result, Spec, TensorInfo, npy,
};

fn port(name: &str, shape: &[usize], dtype: DType, quant: Option<Quant>) -> TensorInfo {
    // 0 stands for an axis of any size.
    let shape = shape.iter().map(|&size| (size != 0).then_some(size)).collect();
    TensorInfo { name: name.into(), shape, dtype, quant }
}

const QUANT: Option<Quant> = Some(Quant { scale: 0.25, zero_point: 4 });

/// A model that takes `input` and returns three f32 scores.
fn model(input: &[usize]) -> Interface {
    Interface {
        inputs: vec![port("x", input, DType::F32, None)],
        outputs: vec![port("y", &[1, 3], DType::F32, None)],
    }
}

fn make(spec: &str, interface: Interface) -> Result<Pipeline> {
    let spec: Spec = toml::from_str(spec).unwrap_or_else(|e| panic!("{spec}: {e}"));
    let files = [("l.txt", "cat\ndog\nowl\n"), ("two.txt", "cat\ndog\n"), ("bad.txt", "\u{1}")];
    Pipeline::new(
        spec,
        interface,
        &files.map(|(n, t)| (n.to_owned(), t.as_bytes().to_vec())).into_iter().collect(),
    )
}

fn image_spec(stages: &str) -> String {
    format!("[input]\nimage = {{}}\n{stages}")
}

fn refusal(spec: &str, interface: Interface) -> Error {
    make(spec, interface).err().unwrap_or_else(|| panic!("accepted: {spec}"))
}

const RESIZE: &str = "[[pre]]\nresize = { width = 8, height = 6 }\n";

#[test]
fn stages_out_of_range_are_refused_with_their_place() {
    for (stages, place) in [
        ("[[pre]]\nresize = { width = 0, height = 6 }", "pre[0].resize.width"),
        ("[[pre]]\nresize = { width = 8, height = 16385 }", "pre[0].resize.height"),
        ("[[pre]]\nresize = { width = 8, height = 6, pad = [1, 1, 1] }", "pre[0].resize.pad"),
        (
            "[[pre]]\nresize = { width = 8, height = 6 }\n[[pre]]\ncrop = { width = 9, height = 6 }",
            "pre[1].crop",
        ),
        (
            "[[pre]]\nresize = { width = 8, height = 6, fit = \"shortest\" }\n[[pre]]\ncrop = { width = 8, height = 7 }",
            "pre[1].crop",
        ),
        ("[[pre]]\ncrop = { width = 8, height = 0 }", "pre[0].crop.height"),
        ("[[pre]]\nnormalize = { mean = [1, 2], std = [1] }", "pre[0].normalize.mean"),
        ("[[pre]]\nnormalize = { mean = [nan], std = [1] }", "pre[0].normalize.mean"),
        ("[[pre]]\nnormalize = { mean = [], std = [1] }", "pre[0].normalize.mean"),
        ("[[pre]]\nnormalize = { mean = [1], std = [1, 0, 1] }", "pre[0].normalize.std"),
        ("[[pre]]\nnormalize = { mean = [1], std = [inf] }", "pre[0].normalize.std"),
        ("[[pre]]\nnormalize = { mean = [1], std = [1e-40] }", "pre[0].normalize.std"),
        ("[[pre]]\nnormalize = { mean = [1], std = [1], divide = 0 }", "pre[0].normalize.divide"),
        ("[[post]]\ntop_k = { k = 0, labels = \"l.txt\" }", "post[0].top_k.k"),
        ("[[post]]\ntop_k = { k = 4, labels = \"l.txt\" }", "post[0].top_k.k"),
    ] {
        let error = refusal(&image_spec(stages), model(&[1, 3, 0, 0]));
        assert!(matches!(&error, Error::Value { at, .. } if at == place), "{stages}: {error}");
        assert_eq!(error.code(), "TM0322");
    }
    let huge =
        refusal(&image_spec("[[pre]]\nresize = { width = 16384, height = 4097 }"), model(&[1, 3, 0, 0]));
    assert!(matches!(huge, Error::ImageTooLarge { .. }), "{huge}");
}

#[test]
fn stages_out_of_place_are_refused() {
    let normalize = "[[pre]]\nnormalize = { mean = [1], std = [1] }\n";
    let top_k = "[[post]]\ntop_k = { k = 1, labels = \"l.txt\" }\n";
    let softmax = "[[post]]\nsoftmax = {}\n";
    for (spec, place) in [
        (RESIZE.to_owned(), "pre[0].resize"),
        (image_spec(&format!("{normalize}{RESIZE}")), "pre[1].resize"),
        (image_spec(&format!("{RESIZE}{normalize}{normalize}")), "pre[2].normalize"),
        (format!("{top_k}{softmax}"), "post[1]"),
        (format!("{top_k}{top_k}"), "post[1]"),
        (format!("{softmax}{softmax}"), "post[1].softmax"),
    ] {
        let error = refusal(&spec, model(&[1, 3, 0, 0]));
        assert!(matches!(&error, Error::StageOrder { at, .. } if at == place), "{spec}: {error}");
    }
    let many = refusal(&image_spec(&RESIZE.repeat(17)), model(&[1, 3, 6, 8]));
    assert!(matches!(many, Error::TooManyStages { list: "pre", found: 17, .. }), "{many}");
    let many = refusal(&"[[post]]\ndequantize = {}\n".repeat(17), model(&[1]));
    assert!(matches!(many, Error::TooManyStages { list: "post", found: 17, .. }), "{many}");
}

#[test]
fn a_pipeline_must_fit_its_models_input() {
    let spec = image_spec(RESIZE);
    for (shape, code) in [
        (&[1, 3, 6, 8][..], ""),
        (&[0, 3, 0, 0], ""),
        (&[1, 6, 8, 3], ""),
        (&[1, 3, 8, 6], "TM0328"),
        (&[1, 3, 6, 3], "TM0327"),
        (&[1, 0, 6, 0], "TM0327"),
        (&[1, 4, 6, 8], "TM0326"),
        (&[2, 3, 6, 8], "TM0326"),
        (&[3, 6, 8], "TM0326"),
    ] {
        let made = make(&spec, model(shape));
        assert_eq!(made.as_ref().err().map_or("", Error::code), code, "{shape:?}: {:?}", made.err());
    }
    let variable = refusal(&image_spec(""), model(&[1, 3, 6, 8]));
    assert!(
        matches!(&variable, Error::ImageSize { made, .. } if made == "pictures of varying"),
        "{variable}"
    );
    let shortest = image_spec("[[pre]]\nresize = { width = 8, height = 6, fit = \"shortest\" }");
    assert!(matches!(refusal(&shortest, model(&[1, 3, 6, 8])), Error::ImageSize { .. }));

    let mut two = model(&[1, 3, 6, 8]);
    two.inputs.push(port("z", &[1], DType::F32, None));
    assert!(matches!(refusal(&spec, two), Error::ImageInputs { .. }));
    let mut plain = model(&[1, 3, 6, 8]);
    plain.inputs[0].dtype = DType::I64;
    assert!(matches!(refusal(&spec, plain), Error::ImageType { dtype: DType::I64, .. }));
    let mut broken = model(&[1, 3, 6, 8]);
    broken.inputs[0] = port("x", &[1, 3, 6, 8], DType::U8, Some(Quant { scale: f32::NAN, zero_point: 0 }));
    assert!(matches!(refusal(&spec, broken), Error::Quantization { .. }));
}

#[test]
fn a_declared_layout_settles_an_ambiguous_shape() {
    let spec = |layout: &str| {
        format!("[input]\nimage = {{ layout = \"{layout}\" }}\n[[pre]]\nresize = {{ width = 3, height = 2 }}")
    };
    let picture = Image::from_rgb(3, 2, (0..18).collect()).unwrap();
    let run = |layout, shape: &[usize]| {
        make(&spec(layout), model(shape)).unwrap().pre_image(&picture).unwrap().remove(0)
    };
    let nchw = run("nchw", &[1, 3, 2, 3]);
    assert_eq!((nchw.shape(), &nchw.as_f32().unwrap()[..3]), (&[1, 3, 2, 3][..], &[0.0, 3.0, 6.0][..]));
    let nhwc = run("nhwc", &[1, 2, 3, 3]);
    assert_eq!((nhwc.shape(), &nhwc.as_f32().unwrap()[..3]), (&[1, 2, 3, 3][..], &[0.0, 1.0, 2.0][..]));
    assert!(matches!(refusal(&spec("nhwc"), model(&[1, 3, 2, 4])), Error::ImageShape { .. }));
}

#[test]
fn labels_must_fit_the_models_output() {
    let top_k = |labels: &str| format!("[[post]]\ntop_k = {{ k = 1, labels = \"{labels}\" }}");
    let with = |shape: &[usize], dtype, quant| Interface {
        inputs: vec![],
        outputs: vec![port("y", shape, dtype, quant)],
    };
    let floats = |shape: &[usize]| with(shape, DType::F32, None);
    for (spec, interface, code) in [
        (top_k("l.txt"), floats(&[1, 3]), ""),
        (top_k("l.txt"), floats(&[0, 3]), ""),
        (top_k("l.txt"), floats(&[3]), ""),
        (top_k("l.txt"), floats(&[1, 3, 1, 1]), ""),
        (top_k("l.txt"), floats(&[0, 0]), ""),
        (top_k("l.txt"), with(&[1, 3], DType::U8, QUANT), ""),
        (top_k("none.txt"), floats(&[1, 3]), "TM0321"),
        (top_k("../l.txt"), floats(&[1, 3]), "TM0320"),
        (top_k("bad.txt"), floats(&[1, 3]), "TM0331"),
        (top_k("two.txt"), floats(&[1, 3]), "TM0332"),
        (top_k("l.txt"), floats(&[2, 3]), "TM0334"),
        (top_k("l.txt"), floats(&[]), "TM0334"),
        (top_k("l.txt"), with(&[1, 3], DType::U8, None), "TM0335"),
        (top_k("l.txt"), model(&[1]).twice(), "TM0333"),
        ("[[post]]\nsoftmax = {}".to_owned(), floats(&[2, 3]), "TM0334"),
    ] {
        let made = make(&spec, interface.clone());
        assert_eq!(made.as_ref().err().map_or("", Error::code), code, "{spec} {interface:?}");
    }
}

trait Twice {
    fn twice(self) -> Self;
}

impl Twice for Interface {
    /// Every output once more.
    fn twice(mut self) -> Self {
        self.outputs.extend(self.outputs.clone());
        self
    }
}

#[test]
fn fits_and_channels_work_end_to_end() {
    // A 4 x 2 picture whose red counts pixels, and whose green and blue are fixed.
    let picture = Image::from_rgb(4, 2, (0..8).flat_map(|i| [i * 10, 200, 100]).collect()).unwrap();
    let run = |channels: &str, resize: &str, h: usize, w: usize| {
        let spec = format!("[input]\nimage = {{ channels = \"{channels}\" }}\n[[pre]]\n{resize}");
        let c = if channels == "gray" { 1 } else { 3 };
        let pipeline = make(&spec, model(&[1, c, h, w])).unwrap();
        pipeline.pre_image(&picture).unwrap().remove(0).as_f32().unwrap().to_vec()
    };
    let crop = "resize = { width = 2, height = 2, fit = \"crop\", mode = \"nearest\" }";
    assert_eq!(run("rgb", crop, 2, 2)[..4], [10.0, 20.0, 50.0, 60.0]);
    assert_eq!(run("bgr", crop, 2, 2)[8..], [10.0, 20.0, 50.0, 60.0]);
    assert_eq!(run("bgr", crop, 2, 2)[..5], [100.0, 100.0, 100.0, 100.0, 200.0]);
    let stretch = "resize = { width = 2, height = 1, mode = \"area\" }";
    assert_eq!(run("rgb", stretch, 1, 2)[..2], [25.0, 45.0]);
    let letterbox =
        "resize = { width = 4, height = 4, fit = \"letterbox\", mode = \"nearest\", pad = [1, 2, 3] }";
    let boxed = run("rgb", letterbox, 4, 4);
    assert_eq!(boxed[..5], [1.0, 1.0, 1.0, 1.0, 0.0]);
    assert_eq!(boxed[32..37], [3.0, 3.0, 3.0, 3.0, 100.0]);
    let middle = "resize = { width = 1, height = 1, fit = \"shortest\", mode = \"nearest\" }\n[[pre]]\ncrop = { width = 1, height = 1 }";
    assert_eq!(run("rgb", middle, 1, 1), [50.0, 200.0, 100.0]);
    // (19595 * 10 + 38470 * 200 + 7471 * 100 + 32768) >> 16
    assert_eq!(run("gray", crop, 2, 2)[0], 132.0);
}

#[test]
fn a_picture_that_a_stage_cannot_take_is_a_users_error() {
    let crop = make(&image_spec("[[pre]]\ncrop = { width = 8, height = 6 }"), model(&[1, 3, 6, 8])).unwrap();
    let small = Image::from_rgb(8, 5, vec![0; 120]).unwrap();
    let error = crop.pre_image(&small).unwrap_err();
    assert!(matches!(error, Error::TooSmallToCrop { stage: 0, width: 8, height: 5, .. }), "{error}");
    assert!(error.is_input());
    let stages = "[[pre]]\nresize = { width = 64, height = 64, fit = \"shortest\" }\n[[pre]]\ncrop = { width = 64, height = 64 }";
    let shortest = make(&image_spec(stages), model(&[1, 3, 64, 64])).unwrap();
    let thread = Image::from_rgb(16_384, 1, vec![0; 16_384 * 3]).unwrap();
    let error = shortest.pre_image(&thread).unwrap_err();
    assert!(matches!(error, Error::ImageTooLarge { width: 1_048_576, height: 64, .. }), "{error}");
    assert!(error.to_string().contains("pre[0].resize"), "{error}");
    let raw = make("", model(&[1, 3, 6, 8])).unwrap();
    assert!(matches!(raw.pre(b"whatever"), Err(Error::TakesTensors { .. })));
    assert!(!raw.takes_image() && shortest.takes_image());
}

#[test]
fn a_quantized_input_gets_the_bytes_that_quantizing_the_floats_gives() {
    let stages = "[[pre]]\nnormalize = { mean = [123.675, 116.28, 103.53], std = [58.395, 57.12, 57.375] }";
    let picture = Image::from_rgb(16, 48, (0..256).flat_map(|p| [p as u8; 9]).collect()).unwrap();
    for (dtype, zero_point) in [(DType::U8, 114), (DType::U8, 0), (DType::I8, -14), (DType::I8, 127)] {
        let quant = Some(Quant { scale: 0.018_658_2, zero_point });
        let interface = |dtype, quant| Interface {
            inputs: vec![port("x", &[0, 3, 0, 0], dtype, quant)],
            outputs: vec![],
        };
        let floats = make(&image_spec(stages), interface(DType::F32, None))
            .unwrap()
            .pre_image(&picture)
            .unwrap()
            .remove(0);
        let direct = make(&image_spec(stages), interface(dtype, quant)).unwrap();
        let named = [("x".to_owned(), floats)].into_iter().collect();
        assert_eq!(direct.pre_image(&picture).unwrap(), direct.interface().arrange(named).unwrap());
    }
}

#[test]
fn scores_become_labels() {
    let spec = "[[post]]\nsoftmax = {}\n[[post]]\ntop_k = { k = 2, labels = \"l.txt\" }";
    let pipeline = make(spec, model(&[1])).unwrap();
    let outcome = pipeline.post(vec![Tensor::f32([1, 3], vec![1.0, 3.0, 1.0]).unwrap()]).unwrap();
    let e = (-2f64).exp();
    let expected = [1.0 / (1.0 + 2.0 * e), e / (1.0 + 2.0 * e)];
    assert_eq!(
        outcome.labels().iter().map(|l| (l.name.as_str(), l.index)).collect::<Vec<_>>(),
        [("dog", 1), ("cat", 0)]
    );
    for (label, expected) in outcome.labels().iter().zip(expected) {
        assert!((f64::from(label.score) - expected).abs() < 1e-7, "{label:?}");
    }
    let keys: serde_json::Value = serde_json::to_value(&outcome).unwrap();
    assert_eq!(keys.as_object().unwrap().keys().collect::<Vec<_>>(), ["labels"]);
    assert_eq!(keys["labels"][0]["name"], "dog");

    // The same from quantized integers, and from the floats behind them.
    let mut quantized = model(&[1]);
    quantized.outputs[0] = port("y", &[1, 3], DType::U8, QUANT);
    let top = make("[[post]]\ntop_k = { k = 1, labels = \"l.txt\" }", quantized).unwrap();
    let integers = top.post(vec![Tensor::u8([1, 3], vec![4, 7, 8]).unwrap()]).unwrap();
    assert_eq!(integers.labels(), [Label { name: "owl".into(), index: 2, score: 1.0 }]);
    let floats = top.post(vec![Tensor::f32([1, 3], vec![0.0, 0.75, 1.0]).unwrap()]).unwrap();
    assert_eq!(floats.labels(), integers.labels());
}

#[test]
fn raw_outputs_come_back_with_small_ones_as_values() {
    let interface = Interface {
        inputs: vec![],
        outputs: vec![port("q", &[2], DType::U8, QUANT), port("n", &[0], DType::I64, None)],
    };
    let outputs =
        || vec![Tensor::u8([2], vec![4, 6]).unwrap(), Tensor::new([2000], Data::I64(vec![7; 2000])).unwrap()];
    let raw = make("", interface.clone()).unwrap().post(outputs()).unwrap();
    assert_eq!(serde_json::to_string(&raw).unwrap(), r#"{"values":{"q":[4.0,6.0]}}"#);
    assert_eq!(raw.outputs["n"].len(), 2000);
    let real = make("[[post]]\ndequantize = {}", interface.clone()).unwrap().post(outputs()).unwrap();
    assert_eq!(real.outputs["q"], Tensor::f32([2], vec![0.0, 0.5]).unwrap());
    assert_eq!(real.outputs["n"].dtype(), DType::I64);

    let pipeline = make("", interface).unwrap();
    assert!(matches!(pipeline.post(vec![]), Err(Error::OutputCount { expected: 2, found: 0 })));
    let swapped = pipeline.post(outputs().into_iter().rev().collect());
    assert!(matches!(swapped, Err(Error::OutputMismatch { name, .. }) if name == "q"));
}

#[test]
fn classes_known_only_after_a_run_are_checked_then() {
    let mut interface = model(&[1]);
    interface.outputs[0] = port("y", &[0, 0], DType::F32, None);
    let pipeline = make("[[post]]\ntop_k = { k = 1, labels = \"l.txt\" }", interface).unwrap();
    let scores = |shape: [usize; 2]| Tensor::f32(shape, vec![0.5; shape[0] * shape[1]]).unwrap();
    assert!(pipeline.post(vec![scores([1, 3])]).is_ok());
    assert!(matches!(
        pipeline.post(vec![scores([1, 4])]),
        Err(Error::LabelCount { labels: 3, classes: 4, .. })
    ));
    assert!(matches!(pipeline.post(vec![scores([2, 3])]), Err(Error::ScoreShape { .. })));
}

#[test]
fn a_photo_goes_in_as_the_tagger_wants_it() {
    let spec = image_spec(
        "[[pre]]\nresize = { width = 224, height = 224, mode = \"bilinear\", fit = \"crop\" }\n\
         [[pre]]\nnormalize = { mean = [127, 127, 127], std = [128, 128, 128] }",
    );
    let interface = Interface {
        inputs: vec![port(
            "x",
            &[0, 3, 224, 224],
            DType::U8,
            Some(Quant { scale: 1.0 / 128.0, zero_point: 127 }),
        )],
        outputs: vec![],
    };
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/photos/astronaut.png");
    let encoded = std::fs::read(photo).unwrap();
    let tensor = make(&spec, interface).unwrap().pre(&encoded).unwrap().remove(0);
    assert_eq!(tensor.shape(), [1, 3, 224, 224]);
    // With this quantization the table is the identity, so the tensor is the resized picture, plane by plane.
    let resized = Image::decode(&encoded).unwrap().resized(224, 224, Mode::Bilinear).unwrap();
    let planes = (0..3).flat_map(|c| resized.pixels().iter().copied().skip(c).step_by(3)).collect();
    assert_eq!(tensor.data(), &Data::U8(planes));
    assert_eq!(npy::read(&npy::write(&tensor)).unwrap(), tensor);
}

#[test]
fn every_code_is_listed_once_and_has_a_hint() {
    let codes: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
    assert!(codes.is_sorted() && codes.windows(2).all(|pair| pair[0] != pair[1]));
    let source = include_str!("../src/error/codes.rs");
    let used = |code: &str| source.matches(&format!("=> \"{code}\"")).count();
    assert!(codes.iter().all(|code| used(code) == 1), "{codes:?}");
    assert_eq!(source.matches("=> \"TM03").count(), codes.len());
    let error = Error::from(Tensor::u8([2], vec![]).unwrap_err());
    assert_eq!(error.code(), "TM0350");
    assert!(!error.hint().is_empty());
}
