//! What a vendor does: check, pack, sign, inspect.

use tilemark_testkit::onnx::{Builder, Quantization, int};

use crate::workshop::{TINY_TOML, Workshop, sample};

#[test]
fn packing_twice_gives_the_same_bytes() {
    let shop = Workshop::with_sources();
    let first = shop.tilemark("pack app.toml --key vendor.key -o a.tmk").ok();
    let second = shop.tilemark("pack app.toml --key vendor.key -o b.tmk").ok();
    assert_eq!(shop.read("a.tmk"), shop.read("b.tmk"));
    assert_eq!(first.stdout.replace("a.tmk", "b.tmk"), second.stdout);
    assert_eq!(first.stderr, "", "progress is for terminals");
}

#[test]
fn a_model_alone_is_packed_for_raw_tensors() {
    let shop = Workshop::with_sources();
    shop.tilemark(
        "pack --model tiny.onnx --name acme/raw --version 2.0.1 --release 3 --key vendor.key -o raw.tmk",
    )
    .ok();
    let json = shop.tilemark("inspect raw.tmk --trust vendor.pub --json").ok().json();
    let app = &json["manifest"]["app"];
    assert_eq!((app["name"].as_str(), app["version"].as_str()), (Some("acme/raw"), Some("2.0.1")));
    assert_eq!((app["release"].as_u64(), app["license"].as_str()), (Some(3), Some("LicenseRef-unspecified")));
    let needs_name = "pack --model tiny.onnx --version 1.0.0 --key vendor.key -o x.tmk";
    assert_eq!(shop.tilemark(needs_name).code, 2);
    let bad_name = "pack --model tiny.onnx --name acme --version 1.0.0 --key vendor.key -o x.tmk";
    shop.tilemark(bad_name).fails(1, "TM0140");
    assert!(!shop.path("x.tmk").exists());
}

#[test]
fn what_cannot_be_packed_is_named_by_check_and_by_pack() {
    let shop = Workshop::with_sources();
    let cases = [
        (TINY_TOML.replace("\"labels.txt\"", "\"names.txt\""), "TM0501", "names.txt"),
        (TINY_TOML.replace("k = 2", "k = 6"), "TM0322", "5"),
        (TINY_TOML.replace("width = 8", "width = 9"), "TM0328", "9 x 8"),
        (TINY_TOML.replace("softmax = {}", "sotfmax = {}"), "TM0506", "sotfmax"),
        (TINY_TOML.replace("tiny.onnx", "labels.txt"), "TM0201", "ONNX"),
        (TINY_TOML.replace("acme/tiny", "Acme/tiny"), "TM0140", "Acme"),
        (TINY_TOML.replace("[app]", "[app"), "TM0506", "line 2"),
    ];
    for (toml, code, named) in cases {
        shop.write("bad.toml", &toml);
        let pack = shop.tilemark("pack bad.toml --key vendor.key -o bad.tmk").fails(1, code).says(named);
        assert_eq!(pack.stdout, "");
        let check = shop.tilemark("check bad.toml").fails(1, "TM0605");
        let check = check.prints(&format!("error[{code}]: ")).prints(named).prints("\n  help: ");
        assert!(!check.stdout.contains("ready"));
        let json = shop.tilemark("check bad.toml --json").json();
        assert_eq!(json["ok"], false);
        let finding = &json["findings"][0];
        assert_eq!((finding["severity"].as_str(), finding["code"].as_str()), (Some("error"), Some(code)));
        assert!(finding["message"].as_str().unwrap().contains(named) && finding["help"].is_string());
        assert!(!shop.path("bad.tmk").exists());
    }
    shop.tilemark("check nowhere.toml").fails(1, "TM0602").says("nowhere.toml");
}

#[test]
fn check_tells_all_that_is_wrong_at_once() {
    let shop = Workshop::with_sources();
    shop.write(
        "bad.toml",
        TINY_TOML.replace("width = 8", "width = 9").replace("\"labels.txt\"", "\"names.txt\""),
    );
    let json = shop.tilemark("check bad.toml --json").json();
    let findings = json["findings"].as_array().unwrap();
    let codes: Vec<&str> = findings.iter().filter_map(|finding| finding["code"].as_str()).collect();
    assert_eq!(codes, ["TM0501", "TM0328"]);
    shop.tilemark("check bad.toml").fails(1, "TM0605").says("2 errors");
}

#[test]
fn check_says_what_is_ready_and_what_could_be_better() {
    let shop = Workshop::with_sources();
    shop.tilemark("check app.toml").ok().prints("note[golden-by-rule]").prints("ready to pack");
    let json = shop.tilemark("check app.toml --json").ok().json();
    assert_eq!((json["ok"].as_bool(), json["findings"].as_array().unwrap().len()), (Some(true), 1));

    std::fs::copy(sample("coffee.png"), shop.path("coffee.png")).unwrap();
    shop.write("golden.toml", format!("{TINY_TOML}\n[golden]\ninputs = [\"coffee.png\"]\n"));
    assert_eq!(shop.tilemark("check golden.toml").ok().stdout, "ready to pack\n");
}

#[test]
fn signing_adds_a_signature_and_keeps_the_identity() {
    let shop = Workshop::with_tiny();
    shop.tilemark("keygen --out second").ok();
    shop.tilemark("sign tiny.tmk --key second.key -o two.tmk").ok();
    let [one, two] =
        ["tiny.tmk", "two.tmk"].map(|name| shop.tilemark(&format!("inspect {name} --json")).ok().json());
    assert_eq!(one["identity"], two["identity"]);
    assert_eq!([&one, &two].map(|json| json["signers"].as_array().unwrap().len()), [1, 2]);
    shop.tilemark("verify two.tmk --trust second.pub").ok();
    shop.tilemark("sign two.tmk --key vendor.key -o three.tmk").fails(1, "TM0163");
    assert!(!shop.path("three.tmk").exists());
}

#[test]
fn nothing_unverified_is_shown_as_if_it_were() {
    let shop = Workshop::with_tiny();
    let closed = shop.tilemark("inspect tiny.tmk").ok().prints(", not verified").prints("give --trust");
    assert!(!closed.stdout.contains("acme/tiny"));
    assert!(shop.tilemark("inspect tiny.tmk --json").ok().json().get("manifest").is_none());

    shop.tilemark("keygen --out stranger").ok();
    shop.tilemark("sign tiny.tmk --key stranger.key -o two.tmk").ok();
    let open = shop.tilemark("inspect two.tmk --trust vendor.pub").ok().prints("acme/tiny 1.2.0 (release 7)");
    let signers: Vec<&str> = open.stdout.lines().filter(|line| line.starts_with("signed by")).collect();
    assert_eq!(signers.iter().filter(|line| line.contains("unknown")).count(), 1, "{signers:?}");
}

/// A vendor sees which QuantizeLinear is missing.
#[test]
fn each_float_node_is_shown_with_its_reason() {
    let shop = Workshop::with_sources();
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 4]);
    let x = net.qdq(&x, Quantization::u8(0.5, 3));
    let y = net.node("Mul", &[&x, &x], vec![]);
    let y = net.node("LRN", &[&y], vec![int("size", 3)]);
    net.output(&y);
    shop.write("floats.onnx", net.encode());
    let reason = format!("output not quantized: node `{y}.node` reads it as f32");
    shop.tilemark("inspect floats.onnx").ok().prints(&format!("Mul (f32): {reason}"));
    let json = shop.tilemark("inspect floats.onnx --json").ok().json();
    assert_eq!(json["floats"][0]["reason"].as_str(), Some(reason.as_str()));
    assert_eq!(json["floats"][1]["reason"], "the operation has no integer form");
}

#[test]
fn a_model_is_shown_with_what_import_made_of_it() {
    let shop = Workshop::with_sources();
    let shown = shop.tilemark("inspect tiny.onnx --passes").ok();
    for text in
        ["image: f32 [1, 3, 8, 8], held as u8", "head/scores:0", "100.0% of them integer", "quantize-"]
    {
        assert!(shown.stdout.contains(text), "{text}: {}", shown.stdout);
    }
    let json = shop.tilemark("inspect tiny.onnx --json").ok().json();
    assert_eq!((json["macs"].as_u64(), json["integer_macs"].as_u64()), (Some(6932), Some(6932)));
}
