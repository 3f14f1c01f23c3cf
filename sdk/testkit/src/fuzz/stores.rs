//! Targets over what a store's integrators read: metadata, listings, the index.

use serde_json::{Value, json};
use tilemark_bundle::{
    AppContract, AppIdentity, AppPort, AppTarget, BundleWriter, Origin, OriginKind, PartLicenses, sha256,
};
use tilemark_store::{Contract, Report, Speed, fuzz};

use super::{End, files};

/// The `signed` part of a document of The Update Framework, as its role could have signed it.
///
/// # Panics
/// If it is read in two ways, or without its signature.
pub fn metadata(json: &[u8]) -> End {
    end(fuzz::metadata(json, &files::key()))
}

/// A listing with its contract, as its publisher could have signed it.
///
/// # Panics
/// If what was read contradicts itself.
pub fn listing(json: &[u8]) -> End {
    end(fuzz::listing(json, &files::key()))
}

/// A shard of the index, as its operator could have signed it.
///
/// # Panics
/// If a row is not found in the catalogue that is made of it.
pub fn index(json: &[u8]) -> End {
    end(fuzz::index(json))
}

fn end(read: tilemark_store::Result<bool>) -> End {
    match read.expect("what was read is written and read again") {
        true => End::Used,
        false => End::Refused,
    }
}

/// Documents of every kind, by name.
pub(super) fn documents() -> [(&'static str, Value); 5] {
    let hash = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
    let keys = json!({ "one": { "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": hash } },
        "two": { "keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": { "public": "-----BEGIN" } } });
    let role = json!({ "keyids": ["one", "two"], "threshold": 1 });
    let file = json!({ "length": 11, "hashes": { "sha256": hash } });
    let info = json!({ "version": 3, "length": 11, "hashes": { "sha256": hash } });
    let common = |kind: &str| json!({ "_type": kind, "spec_version": "1.0.34", "version": 3, "expires": "2030-01-01T00:00:00Z" });
    let with = |kind: &str, more: Value| {
        let (mut document, Value::Object(more)) = (common(kind), more) else { unreachable!("an object") };
        document.as_object_mut().expect("an object").extend(more);
        document
    };
    let top = json!({ "root": role, "targets": role, "snapshot": role, "timestamp": role });
    let delegations = json!({ "keys": keys, "roles": [
        { "name": "p.acme", "keyids": ["one"], "threshold": 1, "terminating": true, "paths": ["acme/*/*"] },
        { "name": "bin-00", "keyids": ["one"], "threshold": 1, "terminating": false, "path_hash_prefixes": ["0", "1f"] },
    ] });
    let targets = json!({ "acme/tagger/1.listing": file, "index/00.json": file });
    [
        ("root", with("root", json!({ "consistent_snapshot": true, "keys": keys, "roles": top }))),
        ("timestamp", with("timestamp", json!({ "meta": { "snapshot.json": info } }))),
        (
            "snapshot",
            with("snapshot", json!({ "meta": { "targets.json": info, "p.acme.json": { "version": 1 } } })),
        ),
        ("targets", with("targets", json!({ "targets": targets }))),
        ("delegations", with("targets", json!({ "targets": targets, "delegations": delegations }))),
    ]
}

/// Listings with a contract and without one.
pub(super) fn listings() -> [(&'static str, Vec<u8>); 2] {
    let app = || AppIdentity::new("acme/tagger", "1.2.0", 1, "Apache-2.0 OR MIT", "Names things");
    let licenses = PartLicenses { code: Some("MIT"), weights: Some("Apache-2.0"), data: Some("CC-BY-4.0") };
    let writer = BundleWriter::new(app().expect("an app")).blob("graph", &b"integers"[..]);
    let bundle = writer.origin(Origin::new(OriginKind::Application, licenses)).sign(&[&files::key()]);
    let bundle = bundle.expect("Ed25519 signs");
    let listed = |contract| fuzz::listing_of(bundle.clone(), contract, &files::key()).expect("a listing");
    [("plain", listed(None)), ("contract", listed(Some(contract())))]
}

fn contract() -> Contract {
    let port = |name: &str, dtype: &str, shape: &[u64]| AppPort {
        name: name.into(),
        dtype: dtype.into(),
        shape: shape.to_vec(),
        ..AppPort::default()
    };
    let target = AppTarget { target: "host".into(), platform: "Maker".into(), part: "board".into() };
    let app = AppContract {
        task: "image -> labels".into(),
        inputs: vec![AppPort { range: Some([0, 255]), ..port("image", "u8", &[0, 0, 3]) }],
        outputs: vec![AppPort { classes: Some(sha256(b"cat\n")), ..port("labels", "label", &[1]) }],
        targets: vec![target],
    };
    Contract {
        app,
        speeds: vec![Speed { device: "host".into(), name: "a processor".into(), microseconds: 5300 }],
        reports: Vec::<Report>::new(),
        ..Contract::default()
    }
}

/// A shard with the rows of two publishers.
pub(super) fn shard() -> Value {
    json!({ "schema": 1, "apps": [
        { "app": "acme/tagger", "version": "1.2.0", "release": 7, "license": "Apache-2.0 OR MIT", "size": 4096, "min_sdk": "0.1.0",
          "task": "image -> labels", "speeds": { "host": 5300, "opencl-gpu": 800 }, "description": "Names things" },
        { "app": "zeta/reader", "version": "0.1.0-rc.1", "release": 1, "license": "MIT", "size": 1, "min_sdk": "0.1.0", "price": "paid",
          "targets": ["host", "board-8x8"], "built_for": [{ "target": "board-8x8", "platform": "Maker", "part": "one" }],
          "description": "Reads" },
    ] })
}
