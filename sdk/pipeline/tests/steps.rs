//! Pipelines of several steps: what is refused when they are made, and what the steps pass on.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use tilemark_model::{DType, Tensor};
use tilemark_pipeline::{
    Done, Error, Given, Image, Interface, Interfaces, Pipeline, Resources, Result, Spec, TensorInfo,
};

fn port(name: &str, shape: &[usize]) -> TensorInfo {
    let shape = shape.iter().copied().map(Some).collect();
    TensorInfo { name: name.into(), shape, dtype: DType::F32, quant: None }
}

fn model(input: &[usize], outputs: &[(&str, &[usize])]) -> Interface {
    Interface {
        inputs: vec![port("x", input)],
        outputs: outputs.iter().map(|(name, shape)| port(name, shape)).collect(),
    }
}

/// A map of text of 40 x 20, crops of 8 x 4 to two directions, and to text of three columns.
fn models() -> Interfaces {
    [
        ("find", model(&[1, 3, 20, 40], &[("map", &[1, 1, 20, 40])])),
        ("turn", model(&[1, 3, 4, 8], &[("y", &[1, 2])])),
        ("read", model(&[1, 3, 4, 8], &[("y", &[1, 3, 4])])),
    ]
    .map(|(name, interface)| (name.to_owned(), interface))
    .into_iter()
    .collect()
}

const FIND: &str = "
[[step]]
name = \"regions\"
model = \"find\"
pre = [{ resize = { width = 40, height = 20 } }]
post = [{ regions = { threshold = 0.3, min_score = 0.5, unclip = 0 } }]
";
const TURN: &str = "
[[step]]
name = \"upright\"
for_each = \"regions\"
model = \"turn\"
pre = [{ resize = { width = 8, height = 4 } }]
post = [{ turn = { class = 1, min_score = 0.9 } }]
";
const READ: &str = "
[[step]]
name = \"lines\"
for_each = \"upright\"
model = \"read\"
pre = [{ resize = { width = 8, height = 4, mode = \"nearest\" } }]
post = [{ ctc = { symbols = \"abc.txt\" } }]
";

fn make(text: &str, models: Interfaces) -> Result<Pipeline> {
    let spec: Spec = toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let files = [("abc.txt", "a\nb\nc\n"), ("two.txt", "x\ny\n")];
    let files: Resources = files.map(|(n, t)| (n.to_owned(), t.as_bytes().to_vec())).into_iter().collect();
    Pipeline::new(spec, models, &files)
}

fn reader() -> Pipeline {
    make(&format!("input.image = {{}}\n{FIND}{TURN}{READ}"), models()).unwrap()
}

/// Two blocks of text on a picture of twice the map's size, the left one brighter than the right one; the model that reads
/// writes `ab` of the one that gets brighter, and `c` of the other. `turned` says which regions are upside down.
fn run(pipeline: &Pipeline, map: Vec<f32>, turned: f32) -> (Done, Vec<String>) {
    let mut seen = Vec::new();
    let pixels = (0..40 * 80).flat_map(|i| if i % 80 < 40 { [200; 3] } else { [100; 3] }).collect();
    let picture = Image::from_rgb(80, 40, pixels).unwrap();
    let done = pipeline.run(&Given::Image(&picture), |name, inputs| -> Result<Vec<Tensor>> {
        seen.push(name.to_owned());
        let first = inputs[0].as_f32()?[0];
        Ok(vec![match name {
            "find" => Tensor::f32([1, 1, 20, 40], map.clone())?,
            "turn" => Tensor::f32([1, 2], vec![1.0 - turned, turned])?,
            _ if first > 150.0 => {
                Tensor::f32([1, 3, 4], vec![0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0])?
            }
            _ => Tensor::f32([1, 3, 4], vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.75, 1.0, 0.0, 0.0, 0.0])?,
        }])
    });
    (done.unwrap(), seen)
}

/// Ones in columns 2 to 12 and 25 to 35 of rows 5 to 11.
fn two_blocks() -> Vec<f32> {
    let inside =
        |x: usize, y: usize| (5..=11).contains(&y) && ((2..=12).contains(&x) || (25..=35).contains(&x));
    (0..800).map(|i| if inside(i % 40, i / 40) { 1.0 } else { 0.0 }).collect()
}

#[test]
fn text_is_found_turned_and_read_where_it_stands() {
    let (done, seen) = run(&reader(), two_blocks(), 0.0);
    assert_eq!(seen, ["find", "turn", "turn", "read", "read"]);
    let lines = done.outcome.lines.unwrap();
    let texts: Vec<_> = lines.iter().map(|line| (line.text.as_str(), line.score)).collect();
    assert_eq!(texts, [("ab", 0.75), ("c", 0.75)]);
    // Middles of pixels 2 to 12 and 5 to 11 of the map, on a picture of twice the size.
    assert_eq!(lines[0].frame, [5.0, 11.0, 25.0, 23.0]);
    assert_eq!(lines[0].quad[0], [5.0, 11.0]);
    assert!(done.outcome.regions.is_none(), "what a later step reads is no result");
    let stages: Vec<_> = done.times.0.iter().map(|s| (s.step.as_str(), s.stage, s.calls)).collect();
    assert!(
        stages.contains(&("lines", "model", 2)) && stages.contains(&("regions", "post.regions", 1)),
        "{stages:?}"
    );
    assert_eq!(done.tensors.keys().collect::<Vec<_>>(), ["regions.map"]);
}

#[test]
fn a_turned_region_begins_at_its_other_end() {
    let (done, _) = run(&reader(), two_blocks(), 0.95);
    assert_eq!(done.outcome.lines.unwrap()[0].quad[0], [25.0, 23.0]);
    let (done, _) = run(&reader(), two_blocks(), 0.8); // not sure enough
    assert_eq!(done.outcome.lines.unwrap()[0].quad[0], [5.0, 11.0]);
}

#[test]
fn nothing_found_is_an_empty_result_and_runs_no_further_model() {
    for map in [vec![0.0; 800], vec![f32::NAN; 800]] {
        let (done, seen) = run(&reader(), map, 0.0);
        assert_eq!(seen, ["find"]);
        assert_eq!(serde_json::to_string(&done.outcome).unwrap(), r#"{"lines":[]}"#);
    }
}

#[test]
fn a_step_that_nothing_reads_is_part_of_the_result() {
    let pipeline = make(&format!("input.image = {{}}\n{FIND}"), only(&["find"])).unwrap();
    let (done, _) = run(&pipeline, two_blocks(), 0.0);
    let regions = done.outcome.regions.unwrap();
    assert_eq!((regions.len(), regions[0].score), (2, 1.0));
    assert!(pipeline.is_single() && !reader().is_single());
}

fn only(names: &[&str]) -> Interfaces {
    let all = [
        ("find", model(&[1, 3, 20, 40], &[("map", &[1, 1, 20, 40])])),
        ("turn", model(&[1, 3, 4, 8], &[("y", &[1, 2])])),
        ("read", model(&[1, 3, 4, 8], &[("y", &[1, 3, 4])])),
    ];
    let wanted = all.into_iter().filter(|(name, _)| names.contains(name));
    wanted.map(|(name, interface)| (name.to_owned(), interface)).collect()
}

#[test]
fn joins_that_cannot_be_are_refused_with_the_step_and_a_hint() {
    let all = format!("{FIND}{TURN}{READ}");
    for (from, to, code, step) in [
        ("for_each = \"regions\"", "for_each = \"region\"", "TM0361", "upright"),
        ("for_each = \"upright\"", "for_each = \"lines\"", "TM0361", "lines"),
        ("name = \"upright\"", "name = \"regions\"", "TM0360", "regions"),
        ("name = \"upright\"", "name = \"Up right\"", "TM0360", "Up right"),
        ("name = \"upright\"", "name = \"input\"", "TM0360", "input"),
        ("model = \"turn\"", "model = \"turns\"", "TM0361", "upright"),
        ("for_each = \"upright\"", "of = \"upright\"", "TM0362", "lines"),
        ("for_each = \"upright\"", "for_each = \"upright\"\nturn_tall = 0.5", "TM0322", "lines"),
        ("model = \"find\"", "turn_tall = 2\nmodel = \"find\"", "TM0322", "regions"),
        ("ctc = { symbols = \"abc.txt\" }", "ctc = { symbols = \"two.txt\" }", "TM0332", "lines"),
        ("ctc = { symbols = \"abc.txt\" }", "ctc = { symbols = \"no.txt\" }", "TM0321", "lines"),
        ("ctc = { symbols = \"abc.txt\" }", "mask = {}", "TM0365", "lines"),
        ("turn = { class = 1", "turn = { class = 2", "TM0322", "upright"),
        ("for_each = \"regions\"\n", "", "TM0362", "upright"),
        ("unclip = 0 }", "unclip = -1 }", "TM0322", "regions"),
        ("min_score = 0.5, unclip", "min_score = 1.5, unclip", "TM0322", "regions"),
        ("width = 40", "width = 41", "TM0328", "regions"),
    ] {
        let text = all.replacen(from, to, 1);
        assert_ne!(text, all, "{from}");
        let error =
            make(&format!("input.image = {{}}\n{text}"), models()).err().unwrap_or_else(|| panic!("{to}"));
        assert_eq!(error.code(), code, "{to}: {error}");
        assert!(matches!(&error, Error::Step { step: found, .. } if found == step), "{to}: {error}");
        assert!(!error.hint().is_empty());
    }
    let unused = make(&format!("input.image = {{}}\n{FIND}{TURN}"), models()).unwrap_err();
    assert!(matches!(&unused, Error::UnknownName { name, .. } if name == "read"), "{unused}");
    let tensors = make(&all, models()).unwrap_err();
    assert_eq!(tensors.code(), "TM0323", "{tensors}");
    let beside = format!("input.image = {{}}\n[[post]]\nsoftmax = {{}}\n{all}");
    assert_eq!(make(&beside, models()).unwrap_err().code(), "TM0323");
    let twice = format!("input.image = {{}}\n{FIND}{}", FIND.replace("\"regions\"", "\"again\""));
    assert_eq!(make(&twice, only(&["find"])).unwrap_err().code(), "TM0323");
}

/// A step with a fault hides nothing of the steps below it.
#[test]
fn every_fault_of_every_step_is_found() {
    let text = format!("input.image = {{}}\n{FIND}{TURN}{READ}")
        .replacen("width = 40", "width = 41", 1)
        .replacen("turn = { class = 1", "turn = { class = 2", 1)
        .replacen(
            "ctc = { symbols = \"abc.txt\" }",
            "ctc = { symbols = \"two.txt\" } }, { nms = { iou = 0.5 }",
            1,
        )
        .replacen("{ ctc", "{ sigmoid = { output = \"z\" } }, { ctc", 1);
    let spec: Spec = toml::from_str(&text).unwrap();
    let files: Resources = [("two.txt".to_owned(), b"x\ny\n".to_vec())].into_iter().collect();
    let of = |error: &Error| match error {
        Error::Step { step, .. } => format!("{step} {}", error.code()),
        _ => error.code().to_owned(),
    };
    let all =
        |models: &Interfaces| Pipeline::faults(&spec, models, &files).iter().map(of).collect::<Vec<_>>();
    let expected = ["regions TM0328", "upright TM0322", "lines TM0364", "lines TM0332", "lines TM0362"];
    assert_eq!(all(&models()), expected);
    // Nothing is said of what depends on a model that cannot be read.
    let mut unread = models();
    unread.insert_unknown("turn");
    assert_eq!(all(&unread), ["regions TM0328", "lines TM0364", "lines TM0332", "lines TM0362"]);
    assert!(Pipeline::new(spec.clone(), models(), &files).is_err());
}

#[test]
fn what_is_not_the_whole_app_is_refused() {
    let reader = reader();
    let picture = Image::from_rgb(2, 2, vec![0; 12]).unwrap();
    assert!(matches!(reader.pre_image(&picture), Err(Error::SeveralSteps { steps: 3 })));
    assert!(matches!(reader.post(Vec::new()), Err(Error::SeveralSteps { .. })));
    let tensors = Given::Tensors(vec![Tensor::f32([1, 3, 20, 40], vec![0.0; 2400]).unwrap()]);
    let error = reader.run(&tensors, |_, _| -> Result<Vec<Tensor>> { Ok(Vec::new()) }).unwrap_err();
    assert!(matches!(error, Error::InputKind { .. }) && error.is_input(), "{error}");
}

const TWO: &str = "
[[step]]
name = \"a\"
model = \"a\"
pre = [{ resize = { width = 8, height = 4 } }]
post = [{ top_k = { k = 3, labels = \"abc.txt\" } }]
[[step]]
name = \"b\"
model = \"b\"
pre = [{ resize = { width = 8, height = 4 } }]
post = [{ top_k = { k = 3, labels = \"abc.txt\" } }]
[[step]]
name = \"both\"
combine = { steps = [\"a\", \"b\"], rule = \"mean\", weights = [3, 1] }
post = [{ threshold = { min_score = 0.25 } }]
";

#[test]
fn labels_of_two_models_become_one_list() {
    let models = || -> Interfaces {
        let one = || model(&[1, 3, 4, 8], &[("y", &[1, 3])]);
        [("a".to_owned(), one()), ("b".to_owned(), one())].into_iter().collect()
    };
    let pipeline = make(&format!("input.image = {{}}\n{TWO}"), models()).unwrap();
    let picture = Image::from_rgb(8, 4, vec![0; 96]).unwrap();
    let done = pipeline.run(&Given::Image(&picture), |name, _| -> Result<Vec<Tensor>> {
        let scores = if name == "a" { vec![0.5, 0.25, 0.0] } else { vec![0.0, 1.0, 0.5] };
        Ok(vec![Tensor::f32([1, 3], scores)?])
    });
    let done = done.unwrap();
    let labels: Vec<_> = done.outcome.labels().iter().map(|l| (l.name.as_str(), l.index, l.score)).collect();
    assert_eq!(labels, [("b", 1, 0.4375), ("a", 0, 0.375)]);
    assert!(done.times.0.iter().any(|time| time.stage == "post.combine"));
    assert!(!pipeline.is_single());
    for (from, to, code) in [
        ("[\"a\", \"b\"]", "[\"a\", \"c\"]", "TM0361"),
        ("[\"a\", \"b\"]", "[\"a\"]", "TM0322"),
        ("weights = [3, 1]", "weights = [3]", "TM0322"),
        ("weights = [3, 1]", "weights = [3, 0]", "TM0322"),
        ("name = \"both\"", "name = \"both\"\nfor_each = \"a\"", "TM0362"),
        ("name = \"both\"", "name = \"both\"\nmodel = \"a\"", "TM0323"),
        ("threshold = { min_score = 0.25 }", "nms = { iou = 0.5 }", "TM0362"),
        ("threshold = { min_score = 0.25 }", "softmax = {}", "TM0323"),
        (
            "model = \"b\"\npre = [{ resize = { width = 8, height = 4 } }]\npost = [{ top_k = { k = 3, labels = \"abc.txt\" } }]",
            "model = \"b\"\npre = [{ resize = { width = 8, height = 4 } }]",
            "TM0362",
        ),
    ] {
        assert!(TWO.contains(from), "{from}");
        let error =
            make(&format!("input.image = {{}}\n{}", TWO.replacen(from, to, 1)), models()).unwrap_err();
        assert_eq!(error.code(), code, "{to}: {error}");
    }
}

#[test]
fn the_tensors_of_one_model_are_the_inputs_of_the_next() {
    let steps = "
        [[step]]\nname = \"body\"\nmodel = \"body\"\n
        [[step]]\nname = \"head\"\nof = \"body\"\nmodel = \"head\"\npost = [{ top_k = { k = 1, labels = \"abc.txt\" } }]\n";
    let chain = |features: &[usize]| -> Interfaces {
        let body = model(&[1, 4], &[("f", features)]);
        let head = model(&[1, 2], &[("y", &[1, 3])]);
        [("body".to_owned(), body), ("head".to_owned(), head)].into_iter().collect()
    };
    let error = make(steps, chain(&[1, 5])).unwrap_err();
    assert_eq!(error.code(), "TM0363", "{error}");
    assert!(error.to_string().contains("[1, 5]") && error.to_string().contains("[1, 2]"), "{error}");
    let pipeline = make(steps, chain(&[1, 2])).unwrap();
    let given = Given::Tensors(vec![Tensor::f32([1, 4], vec![1.0, 2.0, 3.0, 4.0]).unwrap()]);
    let done = pipeline.run(&given, |name, inputs| -> Result<Vec<Tensor>> {
        let sum: f32 = inputs[0].as_f32()?.iter().sum();
        Ok(vec![match name {
            "body" => Tensor::f32([1, 2], vec![sum, -1.0])?,
            _ => Tensor::f32([1, 3], vec![0.0, sum, 2.0])?,
        }])
    });
    let done = done.unwrap();
    assert_eq!((done.outcome.labels()[0].name.as_str(), done.outcome.labels()[0].score), ("b", 9.0));
    assert_eq!(done.tensors.keys().collect::<Vec<_>>(), ["body.f", "head.y"]);
}
