//! `tilemark check`: everything that would fail later is told at once, with what to do about it.
#![allow(clippy::unwrap_used, reason = "helpers of a test: a panic names the line")]

mod common;

use tilemark::pack::{Finding, Package, Severity, check};
use tilemark::{Device, Input};
use tilemark_bitstreams::Container;
use tilemark_testkit::emulation::simulated;
use tilemark_testkit::onnx::{Builder, Quantization, int};
use tilemark_testkit::random::SplitMix64;
use tilemark_testkit::temp::TempFolder;

use common::APP_TOML;

/// What is found of the app in a folder after these edits of its `app.toml`.
fn found(folder: &TempFolder, edits: &[(&str, &str)]) -> Vec<Finding> {
    let text = edits.iter().fold(APP_TOML.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    let findings = check(folder.file("app.toml", text)).unwrap();
    assert!(findings.iter().all(|f| !f.help.is_empty() && !f.message.is_empty()), "{findings:?}");
    findings
}

fn codes(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn every_fault_is_told_not_only_the_first() {
    let folder = common::folder();
    assert!(found(&folder, &[]).is_empty());
    folder.file("labels.txt", "cat\ndog\nfish\n");
    let findings = found(
        &folder,
        &[("acme/", "Acme/"), ("width = 8", "width = 9"), ("\"photo.bmp\"", "\"none.bmp\", \"labels.txt\"")],
    );
    assert_eq!(codes(&findings), ["TM0140", "TM0328", "TM0332", "TM0501", "TM0301"], "{findings:?}");
    assert!(findings.iter().all(|finding| finding.severity == Severity::Error));
    let findings = found(&folder, &[("\"labels.txt\"", "\"no.txt\""), ("net.onnx", "labels.txt")]);
    assert_eq!(codes(&findings), ["TM0201", "TM0501"], "{findings:?}");
    let nowhere = check(folder.path().join("nowhere.toml")).unwrap_err();
    assert_eq!(nowhere.code(), "TM0501");
}

#[test]
fn a_normalization_that_the_input_cannot_hold_is_told() {
    let folder = common::folder();
    let findings = found(&folder, &[("std = [50, 50, 50]", "std = [50, 50, 5]")]);
    assert_eq!(codes(&findings), ["normalize-saturates"], "{findings:?}");
    assert!(findings[0].severity == Severity::Warning && findings[0].message.contains("photo.bmp"));
    // Of one channel of three, all but 26 of 256 values; resizing makes those in the middle more frequent.
    let share: f64 = findings[0].message.split('%').next().unwrap().parse().unwrap();
    assert!((15.0..33.4).contains(&share), "{share}");
}

#[test]
fn a_sample_that_does_not_give_its_declared_result_is_told_and_not_packed() {
    let folder = common::folder();
    let app = common::load(&common::package());
    let output =
        app.session(Device::host()).unwrap().run(Input::image(folder.path().join("photo.bmp")).unwrap());
    let outcome = serde_json::to_string(output.unwrap().outcome()).unwrap();
    let declare = ("inputs = [\"photo.bmp\"]", "inputs = [\"photo.bmp\"]\nresults = [\"photo.json\"]");
    folder.file("photo.json", &outcome);
    assert!(found(&folder, &[declare]).is_empty());
    folder.file("photo.json", r#"{"labels": [{"name": "elephant"}]}"#);
    let findings = found(&folder, &[declare]);
    assert_eq!(codes(&findings), ["TM0508"]);
    let message = &findings[0].message;
    assert!(message.contains("labels[0].name") && message.contains("elephant"), "{message}");
    let packed = Package::from_description(folder.path().join("app.toml")).unwrap_err();
    assert_eq!(packed.code(), "TM0508");
    folder.file("photo.json", "{");
    assert_eq!(codes(&found(&folder, &[declare])), ["TM0506"]);
    let two =
        ("inputs = [\"photo.bmp\"]", "inputs = [\"photo.bmp\"]\nresults = [\"labels.txt\", \"x.json\"]");
    assert_eq!(codes(&found(&folder, &[two])), ["TM0506", "TM0506"]);
}

/// Features of 16 numbers, then classes of 4: the second network's input has this scale.
fn chain(scale: f32) -> TempFolder {
    let mut random = SplitMix64::new(3);
    let mut layer = |name: &str, from: usize, quantization: Quantization| {
        let mut net = Builder::new(13);
        let x = net.input(name, &[1, from]);
        let x = net.qdq(&x, quantization);
        let y = net.gemm(&x, &mut random, 4, from);
        let y = net.qdq(&y, Quantization::u8(0.05, 128));
        net.output(&y);
        net.encode()
    };
    let folder = TempFolder::new();
    folder.file("body.onnx", layer("x", 16, Quantization::u8(0.02, 128)));
    folder.file("head.onnx", layer("f", 4, Quantization::u8(scale, 128)));
    folder
}

const CHAIN_TOML: &str = r#"
[app]
name = "acme/chain"
version = "1.0.0"
release = 1
license = "MIT"
[models.body]
file = "body.onnx"
[models.head]
file = "head.onnx"
[[step]]
name = "features"
model = "body"
[[step]]
name = "classes"
of = "features"
model = "head"
"#;

#[test]
fn scales_that_do_not_fit_at_a_join_are_told() {
    for (scale, told) in
        [(0.05, None), (0.06, None), (0.04, Some("lost")), (0.5, Some("10% of the second's range"))]
    {
        let folder = chain(scale);
        let findings = check(folder.file("app.toml", CHAIN_TOML)).unwrap();
        let join = findings.iter().find(|finding| finding.code == "join-scale");
        assert_eq!(join.is_some(), told.is_some(), "{scale}: {findings:?}");
        if let (Some(join), Some(told)) = (join, told) {
            assert!(join.message.contains(told) && join.message.contains("features."), "{}", join.message);
        }
    }
}

/// A network with a product of two computed tensors, which the FPGA's engine has no layer for.
fn product() -> Vec<u8> {
    let mut random = SplitMix64::new(5);
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 3, 8, 8]);
    let x = net.qdq(&x, Quantization::u8(0.02, 128));
    let half = |net: &mut Builder, random: &mut SplitMix64| {
        let y = net.conv(&x, random, [4, 3, 3, 3]).pads([1; 4]).add();
        net.qdq(&y, Quantization::u8(0.02, 128))
    };
    let (a, b) = (half(&mut net, &mut random), half(&mut net, &mut random));
    let y = net.node("Mul", &[&a, &b], vec![]);
    let y = net.qdq(&y, Quantization::u8(0.02, 128));
    let y = net.unary("GlobalAveragePool", &y);
    let y = net.qdq(&y, Quantization::u8(0.02, 128));
    let y = net.node("Flatten", &[&y], vec![int("axis", 1)]);
    net.output(&y);
    net.encode()
}

#[test]
fn layers_that_a_target_cannot_run_are_told() {
    let folder = common::folder();
    folder.file("engine.tmfpga", Container::encode(&simulated(), b"no bits").unwrap());
    let targets = |host: bool| {
        format!(
            "[golden]\ninputs = [\"photo.bmp\"]\n[targets]\nfpga = [\"engine.tmfpga\"]\nhost_layers = {host}\n"
        )
    };
    let golden = "[golden]\ninputs = [\"photo.bmp\"]\n";
    assert!(found(&folder, &[(golden, &targets(false))]).is_empty());
    folder.file("net.onnx", product());
    for (host, severity) in [(false, Severity::Error), (true, Severity::Note)] {
        let findings = found(&folder, &[(golden, &targets(host))]);
        assert_eq!(codes(&findings), ["target-layers"], "{findings:?}");
        assert_eq!(findings[0].severity, severity);
        assert!(
            findings[0].message.contains("Mul") && findings[0].message.contains("engine"),
            "{findings:?}"
        );
    }
}
