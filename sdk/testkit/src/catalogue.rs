//! A store of many listings, written in one go: what publishing each app by itself would take hours to make.
//!
//! It is written here, by the rules of The Update Framework and of `docs/store.md`, and not by the store's own code. It has no blobs
//! and no index: what reads listings reads it, what installs apps does not.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use tilemark_bundle::{
    Algorithm, AppIdentity, BundleWriter, Envelope, Origin, PayloadType, PublicKey, SigningKey, Trust,
    Untrusted, hex, sha256,
};

use crate::random::SplitMix64;

/// What apps do, and what their description says then.
const TASKS: [(&str, &str, &str, &str); 6] = [
    ("image -> labels", "tagger", "Names the object in a photo, one of a thousand kinds", "label"),
    ("image -> detections", "counter", "Counts people and vehicles in a street scene", "box"),
    ("image -> mask", "cutter", "Separates what is in front from what is behind", "u8"),
    ("sound -> labels", "listener", "Hears glass breaking, alarms and barking dogs", "label"),
    ("image -> lines", "reader", "Reads printed text in Latin script, line by line", "line"),
    ("tensors -> tensors", "net", "A bare network for whoever brings a pipeline", "f32"),
];
const PUBLISHERS: [&str; 8] =
    ["acme", "borealis", "contour", "driftwood", "eiger", "fathom", "granite", "harbour"];
const LICENSES: [&str; 4] = ["Apache-2.0", "MIT", "BSD-3-Clause", "CC-BY-4.0"];
const EXPIRES: &str = "2100-01-01T00:00:00Z";

/// A store's folder under way, and the keys of its operator.
struct Shelf<'a> {
    folder: &'a Path,
    operator: &'a SigningKey,
    snapshot: Map<String, Value>,
}

/// Writes a store of so many publishers with so many apps each into a folder; its root is `metadata/1.root.json`.
///
/// # Panics
/// If a file cannot be written.
pub fn write_store(folder: &Path, publishers: usize, apps: usize) {
    std::fs::create_dir_all(folder.join("metadata")).expect("a folder can be made");
    let operator = key();
    let mut shelf = Shelf { folder, operator: &operator, snapshot: Map::new() };
    let mut bins: BTreeMap<String, Vec<(String, SigningKey)>> = BTreeMap::new();
    for n in 0..publishers {
        let name = match (PUBLISHERS[n % PUBLISHERS.len()], n / PUBLISHERS.len()) {
            (name, 0) => name.to_owned(),
            (name, round) => format!("{name}-{round}"),
        };
        let owner = key();
        shelf.publisher(&name, &owner, n * apps, apps);
        let [first, ..] = *sha256(name.as_bytes()).as_bytes();
        bins.entry(format!("bin-{:02x}", first >> 3)).or_default().push((name, owner));
    }
    let mut top = Vec::new();
    for (bin, members) in &bins {
        let roles = members.iter().map(|(name, owner)| delegation(&format!("p.{name}"), owner, &[name]));
        let keys = members.iter().map(|(_, owner)| owner);
        shelf.role(bin, &operator, targets(json!({}), keys, roles.collect()));
        let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        top.push(delegation(bin, &operator, &names));
    }
    shelf.finish(top);
}

impl Shelf<'_> {
    fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.folder.join(path);
        let written = std::fs::write(&path, bytes).or_else(|_| {
            std::fs::create_dir_all(path.parent().expect("a folder"))?;
            std::fs::write(&path, bytes)
        });
        written.expect("a file can be written");
    }

    /// A role's first version, for the snapshot to list.
    fn role(&mut self, name: &str, signer: &SigningKey, document: Value) {
        let bytes = signed(document, signer);
        self.put(&format!("metadata/1.{name}.json"), &bytes);
        self.snapshot.insert(format!("{name}.json"), info(&bytes, true));
    }

    /// A publisher's listings, two releases of every tenth app, and its role.
    fn publisher(&mut self, name: &str, owner: &SigningKey, first: usize, apps: usize) {
        let mut files = Map::new();
        for n in first..first + apps {
            for release in if n % 10 == 3 { 1..=2 } else { 1..=1 } {
                let (app, listing) = listing(name, owner, n, release);
                let digest = sha256(&listing);
                self.put(&format!("targets/{app}/{digest}.{release}.listing"), &listing);
                let mut file = info(&listing, false);
                file["custom"] =
                    json!({ "published": format!("2026-{:02}-{:02}T08:00:00Z", 1 + n % 11, 1 + n % 28) });
                files.insert(format!("{app}/{release}.listing"), file);
            }
        }
        self.role(&format!("p.{name}"), owner, targets(Value::Object(files), [], Vec::new()));
    }

    /// The operator's roles, the snapshot and the timestamp.
    fn finish(mut self, top: Vec<Value>) {
        let operator = self.operator;
        self.role("targets", operator, targets(json!({}), [operator], top));
        let snapshot = document("snapshot", [("meta", Value::Object(self.snapshot.clone()))]);
        let snapshot = signed(snapshot, operator);
        self.put("metadata/1.snapshot.json", &snapshot);
        let meta = json!({ "snapshot.json": info(&snapshot, true) });
        self.put("metadata/timestamp.json", &signed(document("timestamp", [("meta", meta)]), operator));
        let role = json!({ "keyids": [key_id(operator.public())], "threshold": 1 });
        let roles = json!({ "root": role, "targets": role, "snapshot": role, "timestamp": role });
        let facts = [("keys", ring([operator])), ("roles", roles), ("consistent_snapshot", json!(true))];
        self.put("metadata/1.root.json", &signed(document("root", facts), operator));
    }
}

/// The listing of app `n`, and its name.
fn listing(publisher: &str, owner: &SigningKey, n: usize, release: u64) -> (String, Vec<u8>) {
    let mut random = SplitMix64::new(n as u64);
    let (task, noun, description, result) = TASKS[n % TASKS.len()];
    let (app, license) = (format!("{publisher}/{noun}-{n}"), LICENSES[n / 7 % LICENSES.len()]);
    let version = format!("1.{}.{}", n % 8, release - 1);
    let identity = AppIdentity::new(&app, &version, release, license, description).expect("an app");
    let origin: Origin = serde_json::from_value(json!({ "kind": "application", "code": license, "weights": "Apache-2.0",
        "data": "CC-BY-4.0", "derived_from": [{ "name": "efficientnet-lite0", "kind": "model", "sha256": sha256(b"net"),
        "weights": "Apache-2.0", "data": "CC-BY-4.0" }] }))
    .expect("an origin");
    let writer = BundleWriter::new(identity).origin(origin).blob("graph", n.to_string().into_bytes());
    let file = writer.sign(&[owner]).expect("a bundle");
    let bundle = Untrusted::from_bytes(file.clone()).expect("a bundle");
    let bundle = bundle.verify(&Trust::key(owner.public().clone())).map_err(|refused| refused.into_error());
    let bundle = bundle.expect("a bundle that holds");
    let manifest = bundle.manifest();
    let ms = |random: &mut SplitMix64, most: usize| 500 + random.below(1000 * most) as u64;
    let speeds = json!([
        { "device": "host", "name": "Intel Xeon, 2 threads, level amx", "microseconds": ms(&mut random, 60) },
        { "device": "opencl-gpu", "name": "NVIDIA GeForce RTX 4060", "microseconds": ms(&mut random, 9) },
    ]);
    let from = task.split(' ').next().unwrap_or_default();
    let contract = json!({ "task": task, "speeds": speeds, "reports": reports(&bundle.identity(), owner, n),
        "inputs": [{ "name": from, "type": "u8", "shape": [0, 0, 3], "range": [0, 255] }],
        "outputs": [{ "name": "result", "type": result, "shape": [5], "classes": sha256(b"classes") }] });
    let blobs: Vec<Value> = manifest
        .blobs
        .iter()
        .map(|blob| json!({ "name": blob.name, "size": blob.size, "sha256": blob.sha256 }))
        .collect();
    let envelope = String::from_utf8(bundle.envelope()).expect("JSON");
    let listing = json!({ "schema": 1, "app": app, "version": version, "release": release, "license": license,
        "description": description, "terms": "free", "min_sdk": manifest.min_sdk, "targets": manifest.targets,
        "size": file.len(), "identity": bundle.identity(), "blobs": blobs,
        "price": if n % 3 == 2 { "paid" } else { "free" }, "contract": contract, "envelope": envelope });
    (app, listing.to_string().into_bytes())
}

/// Every fifth app has been evaluated: by its publisher, and by somebody else.
fn reports(identity: &impl serde::Serialize, owner: &SigningKey, n: usize) -> Vec<Value> {
    let claim = |whose: &str, hits: usize, of: usize, key: &SigningKey| {
        let claim = json!({ "schema": 1, "identity": identity, "metric": "accuracy", "whose": whose, "samples": of,
            "counts": [{ "name": "hits", "value": hits }, { "name": "of", "value": of }] });
        let sealed =
            Envelope::seal(PayloadType::EVALUATION, claim.to_string().into_bytes(), &[key]).expect("a claim");
        json!({ "envelope": String::from_utf8(sealed.to_json()).expect("JSON") })
    };
    match n % 5 {
        0 => vec![claim("seller", 9050 + n % 500, 10_000, owner), claim("buyer", 356, 400, &key())],
        _ => Vec::new(),
    }
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Ed25519).expect("randomness")
}

fn document<const N: usize>(kind: &str, facts: [(&str, Value); N]) -> Value {
    let mut all = json!({ "_type": kind, "spec_version": "1.0.34", "version": 1, "expires": EXPIRES });
    facts.into_iter().for_each(|(name, value)| all[name] = value);
    all
}

fn targets<'k>(files: Value, keys: impl IntoIterator<Item = &'k SigningKey>, roles: Vec<Value>) -> Value {
    let delegations = json!({ "keys": ring(keys), "roles": roles });
    document("targets", [("targets", files), ("delegations", delegations)])
}

fn delegation(name: &str, key: &SigningKey, publishers: &[impl std::fmt::Display]) -> Value {
    let paths: Vec<String> = publishers.iter().map(|publisher| format!("{publisher}/*/*")).collect();
    json!({ "name": name, "keyids": [key_id(key.public())], "threshold": 1, "terminating": true, "paths": paths })
}

fn ring<'k>(keys: impl IntoIterator<Item = &'k SigningKey>) -> Value {
    keys.into_iter().map(|key| (key_id(key.public()), public(key.public()))).collect::<Map<_, _>>().into()
}

fn public(key: &PublicKey) -> Value {
    json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": hex::encode(key.raw()) } })
}

fn key_id(key: &PublicKey) -> String {
    sha256(public(key).to_string().as_bytes()).to_string()
}

/// Nothing here is written otherwise in canonical JSON: keys are in order, and no text has a control character.
fn signed(document: Value, key: &SigningKey) -> Vec<u8> {
    let signature = key.sign(document.to_string().as_bytes()).expect("a signature");
    let signature = json!({ "keyid": key_id(key.public()), "sig": hex::encode(&signature) });
    json!({ "signed": document, "signatures": [signature] }).to_string().into_bytes()
}

fn info(bytes: &[u8], of_role: bool) -> Value {
    let mut info = json!({ "length": bytes.len(), "hashes": { "sha256": sha256(bytes) } });
    if of_role {
        info["version"] = json!(1);
    }
    info
}
