//! The declaration: what TOML and JSON accept, and that both mean the same.

use tilemark_pipeline::{Channels, Error, Fit, Layout, Mode, PostStage, PreStage, Spec};

const FULL: &str = r#"
[input]
image = { channels = "bgr", layout = "nhwc" }
[[pre]]
resize = { width = 256, height = 192, mode = "area", fit = "letterbox", pad = [114, 0, 255] }
[[pre]]
crop = { width = 224, height = 160 }
[[pre]]
normalize = { mean = [0.485, 0.456, 0.406], std = [0.229], divide = 255 }
[[post]]
dequantize = {}
[[post]]
softmax = {}
[[post]]
top_k = { k = 5, labels = "data/labels.txt" }
"#;

#[test]
fn toml_means_what_it_says() {
    let spec: Spec = toml::from_str(FULL).unwrap();
    let image = spec.input.image.as_ref().unwrap();
    assert_eq!((image.channels, image.layout), (Channels::Bgr, Some(Layout::Nhwc)));
    let [PreStage::Resize(resize), PreStage::Crop(crop), PreStage::Normalize(normalize)] = &spec.pre[..]
    else {
        panic!("{spec:?}")
    };
    assert_eq!((resize.width, resize.height, &resize.mode), (256, 192, &Mode::Area.into()));
    assert_eq!((resize.fit, resize.pad), (Fit::Letterbox, Some([114, 0, 255])));
    assert_eq!((crop.width, crop.height), (224, 160));
    assert_eq!((&normalize.mean[..], &normalize.std[..]), (&[0.485, 0.456, 0.406][..], &[0.229][..]));
    assert_eq!(normalize.divide, 255.0);
    assert!(matches!(&spec.post[..], [PostStage::Dequantize(_), PostStage::Softmax(_), PostStage::TopK(_)]));
    assert_eq!(spec.resources().unwrap(), ["data/labels.txt"]);
    assert!(spec.takes_image());
}

#[test]
fn json_carries_the_same_declaration() {
    let defaults = "input.image = {}\n[[pre]]\nresize = { width = 2, height = 3 }\n[[pre]]\nnormalize = { mean = [0.1], std = [3] }";
    for text in [FULL, defaults, ""] {
        let spec: Spec = toml::from_str(text).unwrap();
        let json = serde_json::to_string(&spec).unwrap();
        let back: Spec = serde_json::from_str(&json).unwrap();
        assert_eq!(back, spec);
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
    }
    assert_eq!(serde_json::to_string(&Spec::default()).unwrap(), r#"{"input":{},"pre":[],"post":[]}"#);
    let spec: Spec = toml::from_str(defaults).unwrap();
    let PreStage::Resize(resize) = &spec.pre[0] else { panic!() };
    assert_eq!((&resize.mode, resize.fit, resize.pad), (&Mode::Bilinear.into(), Fit::Stretch, None));
    assert_eq!(spec.input.image.unwrap().channels, Channels::Rgb);
}

#[test]
fn what_is_not_known_is_refused() {
    for text in [
        "colour = 1",
        "input.picture = {}",
        "input.image = { channel = \"rgb\" }",
        "input.image = { channels = \"cmyk\" }",
        "input.image = { layout = \"chw\" }",
        "[[pre]]\nrotate = {}",
        "[[pre]]",
        "[[pre]]\ncrop = { width = 1, height = 1 }\nresize = { width = 1, height = 1 }",
        "[[pre]]\nresize = { width = 1, height = 1, filter = \"area\" }",
        "[[pre]]\nresize = { width = 1, height = 1, mode = \"bicubic\" }",
        "[[pre]]\nresize = { width = 1, height = 1, fit = \"fill\" }",
        "[[pre]]\nresize = { width = 1 }",
        "[[pre]]\nresize = { width = -1, height = 1 }",
        "[[pre]]\nresize = { width = 1, height = 1, pad = [0, 0] }",
        "[[pre]]\nresize = { width = 1, height = 1, pad = [0, 0, 256] }",
        "[[pre]]\ncrop = { width = 1, height = 1, x = 0 }",
        "[[pre]]\nnormalize = { mean = [0], std = [1], scale = 2 }",
        "[[post]]\nsoftmax = { axis = 1 }",
        "[[post]]\ndequantize = { scale = 1 }",
        "[[post]]\ntop_k = { k = 5 }",
        "[[post]]\ntop_k = { k = 5, labels = \"l\", sorted = true }",
        "[[post]]\nargmax = {}",
    ] {
        assert!(toml::from_str::<Spec>(text).is_err(), "{text}");
    }
}

#[test]
fn file_names_stay_inside_the_app() {
    let long = "x".repeat(256);
    for name in [
        "",
        "/etc/passwd",
        "../key",
        "a/../b",
        "a//b",
        "a/",
        ".hidden",
        "a\\\\b",
        "C:x",
        "a b",
        "n\u{fc}",
        &long,
    ] {
        let spec: Spec =
            toml::from_str(&format!("[[post]]\ntop_k = {{ k = 1, labels = \"{name}\" }}")).unwrap();
        let error = spec.resources().unwrap_err();
        assert!(
            matches!(&error, Error::FileName { at, .. } if at == "post[0].top_k.labels"),
            "{name}: {error}"
        );
        assert_eq!(error.code(), "TM0320");
    }
}
