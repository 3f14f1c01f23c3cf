//! What an integrator relies on: bundles that are refused, and why.

use serde_json::{Value, json};
use tilemark_bundle::{BundleWriter, SigningKey, Trust, Untrusted};

use crate::workshop::Workshop;

/// A policy in which the keys of these names may sign apps of `acme`.
fn policy(shop: &Workshop, keys: &[&str], threshold: usize) -> Value {
    let pem = |name: &&str| String::from_utf8(shop.read(&format!("{name}.pub"))).unwrap();
    let key = |name: &&str| json!({ "name": name, "pem": pem(name) });
    json!({
        "schema": 1,
        "keys": keys.iter().map(key).collect::<Vec<_>>(),
        "publishers": [{ "publisher": "acme", "keys": keys, "threshold": threshold }],
        "revoked_keys": [],
        "revoked_bundles": [],
    })
}

/// The bundle is refused by `verify` with a verdict whose last fact fails, and by `run` before anything is run.
#[track_caller]
fn refused(shop: &Workshop, bundle: &str, trust: &str, code: &str, fact: &str) {
    let shown = shop.tilemark(&format!("verify {bundle} --trust {trust}")).fails(3, code);
    let last = shown.stdout.lines().last().expect("a verdict");
    assert!(last.starts_with(&format!("FAILS  {fact}")), "{last}");

    let ran = shop.tilemark(&format!("verify {bundle} --trust {trust} --json"));
    assert_eq!(ran.code, 3);
    let verdict = ran.json();
    let facts = verdict.as_array().expect("a list of facts");
    for fact in facts {
        assert_eq!(fact.as_object().unwrap().keys().collect::<Vec<_>>(), ["evidence", "fact", "holds"]);
    }
    let last = facts.last().expect("a fact");
    assert_eq!((last["fact"].as_str(), last["holds"].as_bool()), (Some(fact), Some(false)));

    let run = format!("run {bundle} --trust {trust} --tensor x=nowhere.npy --json");
    shop.write("nowhere.npy", tilemark::npy::write(&tilemark::Tensor::u8([1], vec![0]).unwrap()));
    shop.tilemark(&run).fails_in_json(3, code);
}

#[test]
fn an_authentic_bundle_has_a_verdict_of_facts() {
    let shop = Workshop::with_tiny();
    let json = shop.tilemark("verify tiny.tmk --trust vendor.pub --replay --json").ok().json();
    let facts: Vec<_> = json.as_array().unwrap().iter().map(|fact| fact["fact"].as_str().unwrap()).collect();
    let expected = [
        "well-formed",
        "signature",
        "not-revoked",
        "manifest-valid",
        "publisher-allowed",
        "threshold",
        "sdk-new-enough",
        "not-rolled-back",
        "blobs-intact",
        "floor-recorded",
        "golden-replayed",
    ];
    assert_eq!(facts, expected);
    assert!(json.as_array().unwrap().iter().all(|fact| fact["holds"] == true), "{json}");
    let without = shop.tilemark("verify tiny.tmk --trust vendor.pub").ok();
    assert!(without.stdout.lines().last().unwrap().starts_with("-      golden-replayed"));
}

#[test]
fn damaged_cut_and_foreign_files_are_refused() {
    let shop = Workshop::with_tiny();
    let bundle = shop.read("tiny.tmk");
    let changed = |at: usize| {
        let mut bytes = bundle.clone();
        bytes[at] ^= 1;
        bytes
    };
    shop.write("blob.tmk", changed(bundle.len() - 1));
    refused(&shop, "blob.tmk", "vendor.pub", "TM0152", "blobs-intact");
    shop.write("envelope.tmk", changed(100));
    refused(&shop, "envelope.tmk", "vendor.pub", "TM0106", "well-formed");
    shop.write("cut.tmk", &bundle[..bundle.len() - 1]);
    refused(&shop, "cut.tmk", "vendor.pub", "TM0102", "well-formed");
    shop.write("longer.tmk", [&bundle[..], b"x"].concat());
    refused(&shop, "longer.tmk", "vendor.pub", "TM0103", "well-formed");
    shop.write("no.tmk", "just text, and not a bundle at all");
    refused(&shop, "no.tmk", "vendor.pub", "TM0101", "well-formed");
    shop.write("empty.tmk", "");
    refused(&shop, "empty.tmk", "vendor.pub", "TM0101", "well-formed");
}

#[test]
fn a_file_that_cannot_be_read_is_no_verdict() {
    let shop = Workshop::with_tiny();
    let ran = shop.tilemark("verify nowhere.tmk --trust vendor.pub").fails(1, "TM0180");
    assert_eq!(ran.stdout, "");
    shop.tilemark("verify nowhere.tmk --trust vendor.pub --json").fails_in_json(1, "TM0180");
    shop.tilemark("verify tiny.tmk --trust nowhere.pub").fails(1, "TM0180");
    shop.tilemark("verify tiny.tmk --trust vendor.key").fails(1, "TM0160");
}

#[test]
fn a_strangers_key_is_not_trusted() {
    let shop = Workshop::with_tiny();
    shop.tilemark("keygen --out stranger").ok();
    refused(&shop, "tiny.tmk", "stranger.pub", "TM0131", "signature");
}

#[test]
fn revoked_keys_and_bundles_are_refused() {
    let shop = Workshop::with_tiny();
    let id = SigningKey::from_file(shop.path("vendor.key")).unwrap().public().id().to_string();
    let mut revoked = policy(&shop, &["vendor"], 1);
    shop.write("policy.json", revoked.to_string());
    shop.tilemark("verify tiny.tmk --trust policy.json").ok();

    revoked["revoked_keys"] = json!([{ "keyid": id, "reason": "laptop stolen" }]);
    shop.write("revoked.json", revoked.to_string());
    refused(&shop, "tiny.tmk", "revoked.json", "TM0132", "not-revoked");
    shop.tilemark("verify tiny.tmk --trust revoked.json").says("laptop stolen");

    let identity = Untrusted::from_path(shop.path("tiny.tmk")).unwrap().identity().to_string();
    let mut revoked = policy(&shop, &["vendor"], 1);
    revoked["revoked_bundles"] = json!([{ "identity": identity, "reason": "labels swapped" }]);
    shop.write("bundles.json", revoked.to_string());
    refused(&shop, "tiny.tmk", "bundles.json", "TM0133", "not-revoked");

    shop.write("typo.json", revoked.to_string().replace("revoked_keys", "revokedkeys"));
    shop.tilemark("verify tiny.tmk --trust typo.json").fails(1, "TM0112").says("revokedkeys");
}

#[test]
fn a_threshold_needs_that_many_signatures() {
    let shop = Workshop::with_tiny();
    shop.tilemark("keygen --out build --algorithm ecdsa-p256").ok();
    shop.write("both.json", policy(&shop, &["vendor", "build"], 2).to_string());
    refused(&shop, "tiny.tmk", "both.json", "TM0135", "threshold");
    shop.tilemark("sign tiny.tmk --key build.key -o both.tmk").ok();
    shop.tilemark("verify both.tmk --trust both.json").ok().prints("vendor: 2 keys signed, 2 needed: ");
}

#[test]
fn a_store_and_an_evaluator_must_sign_too_where_the_policy_says_so() {
    let shop = Workshop::with_tiny();
    let mut roles = policy(&shop, &["vendor"], 1);
    for name in ["store", "lab"] {
        shop.tilemark(&format!("keygen --out {name}")).ok();
        let pem = String::from_utf8(shop.read(&format!("{name}.pub"))).unwrap();
        roles["keys"].as_array_mut().unwrap().push(json!({ "name": name, "pem": pem }));
    }
    roles["publishers"][0]["roles"] = json!([
        { "role": "store", "keys": ["store"], "threshold": 1 },
        { "role": "evaluator", "keys": ["lab"], "threshold": 1 },
    ]);
    shop.write("roles.json", roles.to_string());
    refused(&shop, "tiny.tmk", "roles.json", "TM0135", "threshold");
    shop.tilemark("sign tiny.tmk --key lab.key -o lab.tmk").ok();
    refused(&shop, "lab.tmk", "roles.json", "TM0135", "threshold");
    shop.tilemark("sign lab.tmk --key store.key -o all.tmk").ok();
    let ran = shop.tilemark("verify all.tmk --trust roles.json").ok();
    let ran =
        ran.prints("vendor: 1 key signed, 1 needed: vendor").prints("store: 1 key signed, 1 needed: store");
    ran.prints("evaluator: 1 key signed, 1 needed: lab");
}

#[test]
fn a_rotated_key_is_accepted_by_its_lineage_and_the_verdict_says_so() {
    let shop = Workshop::with_sources();
    ["new", "third"].iter().for_each(|name| drop(shop.tilemark(&format!("keygen --out {name}")).ok()));
    shop.tilemark("pack app.toml --key new.key -o new.tmk").ok();
    refused(&shop, "new.tmk", "vendor.pub", "TM0131", "signature");
    let rotate = |new: &str| {
        shop.tilemark(&format!("rotate --publisher acme --key vendor.key --new {new}.pub -o {new}.json"))
            .ok();
    };
    rotate("new");
    rotate("third");
    let install = |file: &str| shop.tilemark(&format!("license install {file} --trust vendor.pub"));
    install("new.json").ok().prints("for acme");
    install("new.json").ok();
    install("third.json").fails(3, "TM0187");
    let verdict = shop.tilemark("verify new.tmk --trust vendor.pub").ok();
    verdict.prints("the successor of ");
    // A revocation of the old key is signed by the new one; what it has handed over stays.
    let old = SigningKey::from_file(shop.path("vendor.key")).unwrap().public().id();
    let line =
        format!("license revoke --publisher acme --number 1 --key new.key --signing-key {old} -o list.json");
    shop.tilemark(&line).ok();
    install("list.json").ok();
    shop.tilemark("verify new.tmk --trust vendor.pub").ok();
    shop.tilemark("pack app.toml --key vendor.key -o old.tmk").ok();
    refused(&shop, "old.tmk", "vendor.pub", "TM0132", "not-revoked");
    // Of another publisher's apps the successor may sign nothing.
    let other = String::from_utf8(shop.read("app.toml")).unwrap().replace("acme/tiny", "other/tiny");
    shop.write("other.toml", other);
    shop.tilemark("pack other.toml --key new.key -o other.tmk").ok();
    refused(&shop, "other.tmk", "vendor.pub", "TM0134", "publisher-allowed");
}

#[test]
fn a_key_of_another_publisher_may_not_sign() {
    let shop = Workshop::with_tiny();
    let other = policy(&shop, &["vendor"], 1).to_string().replace("\"acme\"", "\"other\"");
    shop.write("other.json", other);
    refused(&shop, "tiny.tmk", "other.json", "TM0134", "publisher-allowed");
}

#[test]
fn an_older_release_is_refused_where_a_newer_one_was_seen() {
    let shop = Workshop::with_sources();
    for release in [1, 2] {
        let line = format!("pack --model tiny.onnx --name acme/raw --version 1.0.0 --release {release}");
        shop.tilemark(&format!("{line} --key vendor.key -o {release}.tmk")).ok();
    }
    shop.tilemark("verify 1.tmk --trust vendor.pub").ok();
    shop.tilemark("verify 2.tmk --trust vendor.pub").ok();
    refused(&shop, "1.tmk", "vendor.pub", "TM0136", "not-rolled-back");
    // Another machine has seen nothing.
    let elsewhere = shop.path("elsewhere").display().to_string();
    shop.tilemark_with(("TILEMARK_HOME", &elsewhere), "verify 1.tmk --trust vendor.pub").ok();
}

#[test]
fn trust_can_be_kept_in_the_state_directory() {
    let shop = Workshop::with_tiny();
    let unsaid = shop.tilemark("verify tiny.tmk").fails(2, "TM0601");
    assert!(unsaid.stderr.contains(&shop.path("home").join("trust").display().to_string()));
    std::fs::create_dir_all(shop.path("home")).unwrap();
    std::fs::copy(shop.path("vendor.pub"), shop.path("home/trust")).unwrap();
    shop.tilemark("verify tiny.tmk").ok();
}

type Alteration = fn(&mut Vec<u8>);

/// A bundle signed by the vendor's own key whose golden record says something else than the device computes.
fn with_altered_record(shop: &Workshop, alter: Alteration) -> Vec<u8> {
    let key = SigningKey::from_file(shop.path("vendor.key")).unwrap();
    let bundle = Untrusted::from_path(shop.path("tiny.tmk")).unwrap();
    let bundle = bundle.verify(&Trust::key(key.public().clone())).unwrap();
    let writer = BundleWriter::new(bundle.manifest().app.clone()).limits(bundle.manifest().limits);
    let writer = bundle.blobs().fold(writer, |writer, (name, bytes)| {
        let mut bytes = bytes.to_vec();
        if name == "golden/0/record" {
            alter(&mut bytes);
        }
        writer.blob(name, bytes)
    });
    writer.sign(&[&key]).unwrap()
}

fn another_digit(digit: &mut u8) {
    *digit = if *digit == b'0' { b'1' } else { b'0' };
}

#[test]
fn a_device_that_departs_from_the_golden_vectors_is_told() {
    let shop = Workshop::with_tiny();
    // Hashes are text, the last one that of the result.
    let last = |record: &mut Vec<u8>| another_digit(record.last_mut().unwrap());
    let inner = |record: &mut Vec<u8>| {
        let name = b"quantizelinear_25";
        let at = record.windows(name.len()).position(|window| window == name).expect("it is recorded");
        another_digit(&mut record[at + name.len() + 12]); // inside the hash that follows the name
    };
    let cases: [(Alteration, &str); 2] = [(last, "`result`"), (inner, "`quantizelinear_25`")];
    for (alter, tensor) in cases {
        shop.write("altered.tmk", with_altered_record(&shop, alter));
        // Authentic and trusted: only the replay can tell.
        let line = "altered.tmk --trust vendor.pub";
        shop.tilemark(&format!("verify {line}")).ok();
        let verify = shop.tilemark(&format!("verify {line} --replay")).fails(7, "TM0507").says(tensor);
        assert!(verify.stdout.lines().last().unwrap().starts_with("FAILS  golden-replayed"));
        let json = shop.tilemark(&format!("verify {line} --replay --json")).json();
        assert_eq!(json.as_array().unwrap().last().unwrap()["holds"], false);
        shop.tilemark(&format!("doctor {line}")).fails(7, "TM0507").prints("departs from golden vector 0");
        // `auto` takes no device that fails; a named device is the user's own choice.
        let x = tilemark::npy::write(&tilemark::Tensor::u8([1, 3, 8, 8], vec![9; 192]).unwrap());
        shop.write("x.npy", x);
        shop.tilemark(&format!("run {line} --tensor image=x.npy --json")).fails_in_json(7, "TM0507");
        shop.tilemark(&format!("run {line} --tensor image=x.npy --device host")).ok();
        std::fs::remove_dir_all(shop.path("home")).unwrap(); // the two altered bundles are one release
    }
}
