//! Packing: reproducible, and every mistake of a vendor has its code.

mod common;

use common::{APP_TOML, bundle, folder, key, model, pack_edited, package, picture, raw_package, verified};
use tilemark::Error;
use tilemark::pack::{Package, Severity};
use tilemark_bundle::AppIdentity;

#[test]
fn the_same_files_and_key_give_the_same_bytes() {
    let (vendor, second) = (key(), key());
    let once = package().sign(&[&vendor]).unwrap();
    assert_eq!(once, package().sign(&[&vendor]).unwrap());
    assert_eq!(raw_package(true).sign(&[&vendor]).unwrap(), raw_package(true).sign(&[&vendor]).unwrap());
    // Another key is another file of the same bundle.
    let other = package().sign(&[&second, &vendor]).unwrap();
    assert_ne!(once, other);
    assert_eq!(verified(once, &vendor).identity(), verified(other, &second).identity());
}

#[test]
fn the_bundle_holds_what_the_description_names() {
    let bundle = bundle(&package());
    let names: Vec<&str> = bundle.blobs().map(|(name, _)| name).collect();
    let expected = [
        "graph",
        "weights",
        "pipeline.json",
        "resources/labels.txt",
        "golden/0/image.npy",
        "golden/0/record",
    ];
    assert_eq!(names, expected);
    let app = &bundle.manifest().app;
    assert_eq!((app.release, app.license.as_str()), (7, "Apache-2.0"));
    assert!(bundle.manifest().limits.max_macs > 0);
}

/// The codes of `app.toml`'s mistakes, each made by one change.
#[test]
fn a_mistake_in_the_description_has_its_code() {
    for (from, to, code, says) in [
        ("release = 7", "release = 7\nchannel = 1", "TM0506", "channel"),
        ("release = 7\n", "", "TM0506", "release"),
        ("release = 7", "release = -1", "TM0506", "line 5"),
        ("[input]", "[inputs]", "TM0506", "inputs"),
        ("fit = \"crop\"", "fit = \"zoom\"", "TM0506", "zoom"),
        ("softmax = {}", "soft_max = {}", "TM0506", "soft_max"),
        ("[models.net]\nfile = \"net.onnx\"", "[models]", "TM0506", "0 models"),
        ("[input]", "[models.two]\nfile = \"b.onnx\"\n[input]", "TM0506", "2 models"),
        ("\"net.onnx\"", "\"none.onnx\"", "TM0501", "none.onnx"),
        ("\"net.onnx\"", "\"labels.txt\"", "TM0201", ""),
        ("\"photo.bmp\"", "\"none.bmp\"", "TM0501", "none.bmp"),
        ("\"photo.bmp\"", "\"labels.txt\"", "TM0301", ""),
        ("acme/tagger", "acme", "TM0140", "acme"),
        ("1.2.0", "1.2", "TM0141", "1.2"),
        ("Apache-2.0", "free as in beer", "TM0141", "app.license"),
        ("k = 2", "k = 5", "TM0322", "5"),
        ("k = 2", "k = 0", "TM0322", "0"),
        ("width = 8", "width = 9", "TM0328", "9"),
        ("width = 8", "width = 0", "TM0322", "0"),
        ("std = [50, 50, 50]", "std = [50, 0, 50]", "TM0322", "0"),
        ("mean = [127, 127, 127]", "mean = [127, 127]", "TM0322", "2"),
        ("channels = \"rgb\"", "channels = \"gray\"", "TM0326", "1 channel"),
        ("\"labels.txt\" }", "\"../labels.txt\" }", "TM0320", "../labels.txt"),
        ("\"labels.txt\" }", "\"none.txt\" }", "TM0501", "none.txt"),
        ("\"labels.txt\" }", "\"app.toml\" }", "TM0332", ""),
    ] {
        let error = pack_edited(from, to).expect_err(to);
        assert_eq!(error.code(), code, "{to}: {error}");
        assert!(error.to_string().contains(says), "{to}: {error}");
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn labels_must_be_one_a_class() {
    for (labels, code) in [("cat\ndog\nfish\n", "TM0332"), ("a\nb\nc\nd\ne\n", "TM0332"), ("", "TM0331")] {
        let folder = folder();
        folder.file("labels.txt", labels);
        let error = Package::from_description(folder.path().join("app.toml")).unwrap_err();
        assert_eq!(error.code(), code, "{labels:?}: {error}");
    }
}

#[test]
fn descriptions_and_vectors_are_bounded() {
    let folder = folder();
    let path = folder.file("app.toml", format!("{APP_TOML}#{}", " ".repeat(1 << 20)));
    assert_eq!(Package::from_description(path).unwrap_err().code(), "TM0506");
    let many = vec!["\"photo.bmp\""; 65].join(", ");
    let error = pack_edited("\"photo.bmp\"", &many).unwrap_err();
    assert!(matches!(&error, Error::Description { reason, .. } if reason.contains("65 golden")), "{error}");
    assert_eq!(Package::from_description(folder.path().join("none.toml")).unwrap_err().code(), "TM0501");
    let path = folder.file("app.toml", b"\xff\xfe");
    assert!(matches!(Package::from_description(path), Err(Error::Io { .. })));
}

#[test]
fn a_model_cut_short_at_any_length_is_refused() {
    let identity = || AppIdentity::new("acme/raw", "1.0.0", 1, "MIT", "").unwrap();
    let model = model(false);
    for length in 0..model.len() {
        let error = Package::from_model(&model[..length], identity()).expect_err("a cut model was packed");
        assert!(error.code().starts_with("TM02"), "{length}: {error}");
    }
}

#[test]
fn several_golden_pictures_are_several_vectors() {
    let folder = folder();
    folder.file("second.bmp", picture(2, 9, 40));
    let path =
        folder.file("app.toml", APP_TOML.replace("[\"photo.bmp\"]", "[\"photo.bmp\", \"second.bmp\"]"));
    let package = Package::from_description(path).unwrap();
    assert_eq!(package.golden_vectors(), 2);
    let replay = common::load(&package).replay(&tilemark::Device::host()).unwrap();
    replay.check().unwrap();
    assert_eq!(replay.vectors, 2);
}

#[test]
fn a_raw_models_golden_input_is_an_array_by_name() {
    let folder = folder();
    let start = APP_TOML.find("[input]").unwrap();
    let golden = |inputs: &str| {
        let text = format!("{}[golden]\ninputs = [{inputs}]\n", &APP_TOML[..start]);
        Package::from_description(folder.file("app.toml", text))
    };
    let tensor = tilemark::Tensor::f32([1, 3, 8, 8], vec![0.5; 192]).unwrap();
    folder.file("x.npy", tilemark::npy::write(&tensor));
    common::load(&golden("\"x=x.npy\"").unwrap()).replay(&tilemark::Device::host()).unwrap().check().unwrap();
    assert_eq!(golden("\"x.npy\"").unwrap_err().code(), "TM0506");
    assert_eq!(golden("\"y=x.npy\"").unwrap_err().code(), "TM0310");
    assert_eq!(golden("\"x=labels.txt\"").unwrap_err().code(), "TM0307");
}

#[test]
fn a_contract_says_what_goes_in_and_what_comes_out() {
    let tagger = common::load(&package()).contract().unwrap();
    assert_eq!(tagger.task, "image -> labels");
    let (input, output) = (&tagger.inputs[0], &tagger.outputs[0]);
    assert_eq!((input.dtype.as_str(), &input.shape[..], input.range), ("u8", &[0, 0, 3][..], Some([0, 255])));
    let classes = tilemark::sha256(common::LABELS.as_bytes());
    assert_eq!(
        (output.dtype.as_str(), &output.shape[..], output.classes),
        ("label", &[4][..], Some(classes))
    );
    for (batched, rows) in [(false, 1), (true, 0)] {
        let raw = common::load(&raw_package(batched)).contract().unwrap();
        assert_eq!(raw.task, "tensors -> tensors");
        assert_eq!((&raw.inputs[0].shape[..], raw.inputs[0].dtype.as_str()), (&[rows, 3, 8, 8][..], "f32"));
        assert_eq!(raw.outputs[0].shape, [rows, 4]);
    }
    let time = common::load(&package()).typical_time(&tilemark::Device::host()).unwrap();
    assert!(!time.is_zero());
}

#[test]
fn an_origin_is_signed_with_the_app() {
    let origin = "[origin]\nkind = \"component\"\ncode = \"MIT\"\ndata = \"CC0-1.0\"\n";
    let folder = folder();
    let package = Package::from_description(folder.file("app.toml", format!("{APP_TOML}{origin}"))).unwrap();
    let app = common::load(&package);
    let signed = app.manifest().origin.as_ref().unwrap();
    assert_eq!(
        (signed.kind, signed.code.as_deref(), &signed.weights),
        (tilemark::OriginKind::Component, Some("MIT"), &None)
    );
    let unknown = format!("{APP_TOML}{origin}price = \"free\"\n");
    let refused = Package::from_description(folder.file("app.toml", unknown)).unwrap_err();
    assert_eq!(refused.code(), "TM0506");
}

#[test]
fn findings_tell_what_a_vendor_should_know() {
    let codes = |package: &Package| package.findings().iter().map(|f| f.code).collect::<Vec<_>>();
    assert!(codes(&package()).is_empty(), "{:?}", package().findings());
    assert_eq!(codes(&raw_package(false)), ["golden-by-rule"]);
    let identity = AppIdentity::new("acme/raw", "1.0.0", 1, "LicenseRef-unspecified", "").unwrap();
    let unspecified = Package::from_model(&model(false), identity).unwrap();
    let finding = unspecified.findings().into_iter().find(|f| f.code == "license").unwrap();
    assert_eq!(finding.severity, Severity::Warning);
}
