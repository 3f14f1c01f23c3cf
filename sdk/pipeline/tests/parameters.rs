//! What an integrator may set: what is declared wrongly, what is set wrongly, and that stages take it.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::collections::BTreeMap;

use tilemark_model::{DType, Tensor};
use tilemark_pipeline::{Error, Image, Interface, Pipeline, Result, Spec, TensorInfo, Value};

const FULL: &str = r#"
[input]
image = {}

[parameters.roi]
type = "region"
default = [0.0, 0.0, 1.0, 1.0]
description = "The part of the picture that counts"
[parameters.scaling]
type = "choice"
choices = ["bilinear", "nearest"]
default = "bilinear"
description = ""
[parameters.probabilities]
type = "bool"
default = false
description = ""
[parameters.threshold]
type = "float"
min = 0
max = 10.5
default = 0.5
description = "Scores below are left out"
[parameters.most]
type = "int"
min = 1
max = 3
default = 2
description = ""
[parameters.only]
type = "classes"
default = []
description = ""

[[pre]]
region = { area = { parameter = "roi" } }
[[pre]]
resize = { width = 4, height = 4, mode = { parameter = "scaling" } }
[[post]]
softmax = { enabled = { parameter = "probabilities" } }
[[post]]
top_k = { k = { parameter = "most" }, labels = "l.txt", threshold = { parameter = "threshold" }, classes = { parameter = "only" } }
"#;

fn make(text: &str) -> Result<Pipeline> {
    let port = |name: &str, shape: &[usize], dtype| TensorInfo {
        name: name.into(),
        shape: shape.iter().copied().map(Some).collect(),
        dtype,
        quant: None,
    };
    let interface = Interface {
        inputs: vec![port("x", &[1, 3, 4, 4], DType::U8)],
        outputs: vec![port("y", &[1, 3], DType::F32)],
    };
    let spec: Spec = toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let labels = [("l.txt".to_owned(), b"cat\ndog\nowl\n".to_vec())];
    Pipeline::new(spec, interface, &labels.into_iter().collect())
}

fn set(pipeline: &Pipeline, name: &str, value: impl Into<Value>) -> Result<Pipeline> {
    pipeline.with(&BTreeMap::from([(name.to_owned(), value.into())]))
}

fn labels(pipeline: &Pipeline) -> String {
    let scores = Tensor::f32([1, 3], vec![0.25, 3.0, 1.0]).unwrap();
    let outcome = pipeline.post(vec![scores]).unwrap();
    outcome.labels().iter().map(|label| format!("{} {:.2} ", label.name, label.score)).collect()
}

#[test]
fn stages_take_what_is_set() {
    let made = make(FULL).unwrap();
    assert_eq!(labels(&made), "dog 3.00 owl 1.00 ");
    assert_eq!(labels(&set(&made, "most", 1).unwrap()), "dog 3.00 ");
    assert_eq!(labels(&set(&made, "threshold", 1.5).unwrap()), "dog 3.00 ");
    assert_eq!(labels(&set(&made, "threshold", "1.5").unwrap()), "dog 3.00 ");
    assert_eq!(labels(&set(&made, "threshold", 10).unwrap()), "");
    assert_eq!(labels(&set(&made, "only", "owl; cat").unwrap()), "owl 1.00 ");
    assert_eq!(labels(&set(&made, "probabilities", true).unwrap()), "dog 0.83 ");
    // One beside the other, and back.
    let both =
        set(&set(&made, "only", vec!["owl".to_owned(), "cat".to_owned()]).unwrap(), "threshold", 0).unwrap();
    assert_eq!(labels(&both), "owl 1.00 cat 0.25 ");
    assert_eq!(labels(&set(&both, "only", "").unwrap()), "dog 3.00 owl 1.00 ");
    assert_eq!(both.values()["only"].to_string(), "owl; cat");
}

#[test]
fn a_region_and_a_mode_reach_the_picture() {
    let made = make(FULL).unwrap();
    // Four quarters of one colour each.
    let quarter = |x: u32, y: u32| [[10, 20], [30, 40]][usize::from(y >= 4)][usize::from(x >= 4)];
    let pixels = (0..64).flat_map(|at| [quarter(at % 8, at / 8); 3]).collect();
    let picture = Image::from_rgb(8, 8, pixels).unwrap();
    let first = |pipeline: &Pipeline| pipeline.pre_image(&picture).unwrap()[0].clone();
    let corner = set(&made, "roi", "0.5,0.5,1,1").unwrap();
    assert_eq!(first(&corner), Tensor::u8([1, 3, 4, 4], vec![40; 48]).unwrap());
    assert_eq!(
        first(&set(&made, "roi", [0.5, 0.0, 1.0, 0.5]).unwrap()),
        Tensor::u8([1, 3, 4, 4], vec![20; 48]).unwrap()
    );
    assert_ne!(first(&set(&made, "scaling", "nearest").unwrap()), first(&made));
}

#[test]
fn out_of_range_or_unknown_is_refused() {
    let made = make(FULL).unwrap();
    for (name, value) in [
        ("threshold", "10.6"),
        ("threshold", "-0.1"),
        ("threshold", "nan"),
        ("threshold", "much"),
        ("most", "0"),
        ("most", "4"),
        ("most", "1.5"),
        ("probabilities", "yes"),
        ("scaling", "area"),
        ("only", "wolf"),
        ("only", "dog, owl"),
        ("roi", "0,0,1"),
        ("roi", "0,0,1,1,1"),
        ("roi", "0,0,1,1.01"),
        ("roi", "0.5,0,0.5,1"),
        ("roi", "0,nan,1,1"),
    ] {
        let error = set(&made, name, value).unwrap_err();
        assert!(
            matches!(&error, Error::ParameterValue { name: found, .. } if found == name),
            "{value}: {error}"
        );
        assert_eq!(error.code(), "TM0338");
        assert!(error.is_setting() && !error.is_input());
    }
    assert_eq!(set(&made, "most", 0.5).unwrap_err().code(), "TM0338");
    let error = set(&made, "treshold", 0.5).unwrap_err();
    assert_eq!(error.code(), "TM0337");
    assert!(error.to_string().contains("threshold"), "{error}");
    let none = make("[input]\nimage = {}\n[[pre]]\nresize = { width = 4, height = 4 }").unwrap();
    assert!(set(&none, "k", 1).unwrap_err().to_string().contains("has none"));
}

#[test]
fn declarations_that_cannot_hold_are_refused_when_packing() {
    for (from, to, code) in [
        ("max = 3\n", "max = 4\n", "TM0322"), // more than there are labels
        ("min = 1\n", "min = 0\n", "TM0322"),
        ("default = 2", "default = 4", "TM0338"),
        ("default = 0.5", "default = 11", "TM0338"),
        ("max = 10.5", "max = inf", "TM0336"),
        ("max = 10.5", "max = -1", "TM0336"),
        ("default = []", "default = [\"wolf\"]", "TM0338"),
        ("\"nearest\"]", "\"cubic\"]", "TM0336"), // no mode
        ("default = [0.0,", "default = [1.0,", "TM0338"),
        ("{ parameter = \"most\" }", "2", "TM0336"), // then nothing takes it
        ("{ parameter = \"most\" }", "{ parameter = \"least\" }", "TM0336"),
        ("{ parameter = \"most\" }", "{ parameter = \"threshold\" }", "TM0336"),
        ("[parameters.only]", "[parameters.Only]", "TM0336"),
    ] {
        assert!(FULL.contains(from), "{from}");
        let text = FULL
            .replacen(from, to, 1)
            .replace("\"only\"", if from.contains("only") { "\"Only\"" } else { "\"only\"" });
        let error = make(&text).err().unwrap_or_else(|| panic!("accepted: {to}"));
        assert_eq!(error.code(), code, "{from} -> {to}: {error}");
        assert!(!error.hint().is_empty());
    }
    for bad in [
        "[parameters.k]\ntype = \"float\"\nmin = 0\ndefault = 0\ndescription = \"\"",
        "[parameters.k]\ntype = \"bool\"\ndefault = true\ndescription = \"\"\nmin = 0",
        "[parameters.k]\ntype = \"number\"\ndefault = true\ndescription = \"\"",
        "[[post]]\ntop_k = { k = { param = \"k\" }, labels = \"l.txt\" }",
        "[[post]]\ntop_k = { k = { parameter = \"k\", min = 1 }, labels = \"l.txt\" }",
        "[[post]]\ntop_k = { k = \"2\", labels = \"l.txt\" }",
    ] {
        assert!(toml::from_str::<Spec>(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_takes_no_parameter_is_written_as_before() {
    let text = "input.image = {}\n[[pre]]\nresize = { width = 2, height = 3 }\n[[post]]\nsoftmax = {}\n[[post]]\ntop_k = { k = 1, labels = \"l\" }";
    let json = serde_json::to_string(&toml::from_str::<Spec>(text).unwrap()).unwrap();
    let expected = r#"{"input":{"image":{"channels":"rgb"}},"pre":[{"resize":{"width":2,"height":3,"mode":"bilinear","fit":"stretch"}}],"post":[{"softmax":{}},{"top_k":{"k":1,"labels":"l"}}]}"#;
    assert_eq!(json, expected);
    let spec: Spec = toml::from_str(FULL).unwrap();
    let json = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
}
