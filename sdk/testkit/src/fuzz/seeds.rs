//! What the fuzzers start from. `cargo run -p tilemark-testkit --example fuzz_seeds` writes them to `sdk/fuzz/corpus`;
//! `tests/fuzz_corpus.rs` fails if they are no longer what is there.

use std::io::Cursor;

use image::{ImageFormat, RgbImage};
use serde_json::json;
use tilemark_bundle::{
    AppIdentity, BundleWriter, DevicePublic, Envelope, Grant, PayloadType, SigningKey, codec,
};
use tilemark_model::{Data, Tensor, import};
use tilemark_pipeline::npy;

use super::{files, graphs, nets, operators, stores};
use crate::operators::cases;
use crate::random::SplitMix64;

/// Operator cases up to this size are seeds; the larger ones differ from them in weights only.
const MAX_CASE_BYTES: usize = 2000;

/// A file of the corpus.
#[derive(Clone, Debug)]
pub struct Seed {
    /// The target, which is the folder.
    pub target: &'static str,
    /// The file's name.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Every seed, the same each time.
///
/// # Panics
/// If a seed cannot be made: a change elsewhere refuses what the corpus counts on.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut add = |target, name: &str, bytes| {
        seeds.push(Seed { target, name: format!("seed-{name}"), bytes });
    };
    for (name, model) in models() {
        let graph = import(&model).unwrap_or_else(|error| panic!("seed {name}: {error}"));
        let record = codec::encode(&graph).expect("a small graph");
        add("graph", &name, graphs::join(&record, graph.weights()));
        add("onnx", &name, model);
    }
    for (name, file) in [("one-key", bundle(&[&files::key()])), ("empty", files::around(b"{}", b""))] {
        add("bundle", name, file);
    }
    let whole = bundle(&[&files::key()]);
    let (envelope, _) = files::parts(&whole).expect("a bundle has a header");
    add("envelope", "manifest", envelope.to_vec());
    let grant_text =
        Envelope::seal(Grant::PAYLOAD_TYPE, grant().into_bytes(), &[&files::key(), &second_key()]);
    add("envelope", "two-keys", grant_text.expect("two keys").to_json());
    add("header", "fits", files::header_that_fits());
    add("header", "cut", whole[..20].to_vec());
    add("manifest", "free", payload(&bundle(&[&files::key()])));
    add("grant", "trial", grant().into_bytes());
    add("grant", "revocations", revocations().into_bytes());
    add("grant", "lineage", lineage().into_bytes());
    add("grant", "lease", lease().into_bytes());
    add("policy", "roles", policy_with_roles().into_bytes());
    add("policy", "one-publisher", policy().into_bytes());
    add("policy", "key", files::key().public().to_pem().into_bytes());
    for (name, document) in stores::documents() {
        add("metadata", name, document.to_string().into_bytes());
    }
    for (name, listing) in stores::listings() {
        add("listing", name, listing);
    }
    add("index", "two-publishers", stores::shard().to_string().into_bytes());
    for (name, text) in PIPELINES {
        add("pipeline", name, text.as_bytes().to_vec());
    }
    for (name, format) in [("png", ImageFormat::Png), ("bmp", ImageFormat::Bmp), ("webp", ImageFormat::WebP)]
    {
        add("image", name, picture(format));
    }
    for (name, tensor) in tensors() {
        add("npy", name, npy::write(&tensor));
    }
    seeds
}

/// Every model's name and ONNX file.
pub(super) fn models() -> Vec<(String, Vec<u8>)> {
    let (_, cases) = cases();
    let small = cases.into_iter().filter(|case| case.model.len() <= MAX_CASE_BYTES);
    let own = nets::all().map(|(name, model)| (name.to_owned(), model));
    small.map(|case| (case.name, case.model)).chain(own).chain(operators::all()).collect()
}

fn bundle(keys: &[&SigningKey]) -> Vec<u8> {
    let app = AppIdentity::new("acme/tagger", "1.2.0", 7, "Apache-2.0", "Names the object in a photo");
    BundleWriter::new(app.expect("a valid identity"))
        .blob("graph", &b"integers"[..])
        .blob("labels.txt", &b"cat\ndog\n"[..])
        .sign(keys)
        .expect("a valid bundle")
}

fn payload(bundle: &[u8]) -> Vec<u8> {
    let (envelope, _) = files::parts(bundle).expect("a bundle has a header");
    Envelope::parse(envelope, PayloadType::MANIFEST).expect("a bundle has an envelope").payload().to_vec()
}

fn grant() -> String {
    let id = "ab".repeat(32);
    let wrapped = json!({ "enc": format!("{}=", "A".repeat(43)), "ciphertext": "A".repeat(64) });
    json!({
        "schema": 1, "id": id, "class": "trial", "app": "acme/tagger", "releases": { "first": 1, "last": 9 },
        "device": id, "request": id, "issued": 1_800_000_000, "not_before": 1_800_000_000,
        "not_after": 1_900_000_000, "grace_seconds": 86_400, "inferences": 3, "seats": 2,
        "max_staleness_seconds": 86_400, "output": "label", "field_of_use": "anything",
        "permits": ["adapt", "distil", "serve", "publish-benchmark"],
        "keys": [{ "identity": id, "release": 7, "wrapped": wrapped }],
    })
    .to_string()
}

fn revocations() -> String {
    let id = "cd".repeat(32);
    json!({
        "schema": 1, "publisher": "acme", "number": 3, "issued": 1_800_000_000,
        "bundles": [{ "identity": id, "reason": "vulnerable", "note": "reads past its end" }],
        "keys": [{ "keyid": id, "note": "laptop stolen" }],
        "grants": [{ "grant": id, "reason": "key-compromise", "note": "" }],
        "floors": [{ "app": "acme/tagger", "release": 5 }],
    })
    .to_string()
}

fn lineage() -> String {
    let (old, new) = (files::key().public().id(), spki(&second_key()));
    json!({ "schema": 1, "publisher": "acme", "old": old, "new": new, "issued": 1_800_000_000 }).to_string()
}

/// A seat of a floating grant that the corpus's key holds, as a device with no use for its other key.
fn lease() -> String {
    let id = "ef".repeat(32);
    let device: DevicePublic = serde_json::from_value(json!({
        "signing": spki(&files::key()), "agreement": format!("{}=", "A".repeat(43)), "strength": "software",
    }))
    .expect("a device");
    let mut claims: serde_json::Value = serde_json::from_str(&grant()).expect("JSON");
    claims["class"] = json!("floating");
    claims["inferences"] = serde_json::Value::Null;
    claims.as_object_mut().expect("claims").remove("inferences");
    claims["device"] = json!(device.id());
    let keys = claims["keys"].clone();
    let claims: Grant = serde_json::from_value(claims).expect("a grant");
    let signed = claims.sign(&files::key()).expect("a grant that fits its class");
    json!({
        "schema": 1, "id": id, "grant": String::from_utf8(signed).expect("JSON"), "holder": device, "device": id,
        "request": id, "issued": 1_800_000_000, "until": 1_850_000_000, "keys": keys,
    })
    .to_string()
}

fn spki(key: &SigningKey) -> String {
    let pem = key.public().to_pem();
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

/// The same each time, and worth as little as the corpus's key.
pub(super) fn second_key() -> SigningKey {
    let text = files::key().to_pem().replace("MC4CAQAwBQYDK2VwBCIEIG", "MC4CAQAwBQYDK2VwBCIEIH");
    SigningKey::from_pem(&text).expect("another seed is another key")
}

fn policy_with_roles() -> String {
    let (key, other) = (files::key().public().clone(), second_key().public().clone());
    json!({
        "schema": 1,
        "keys": [{ "name": "acme", "pem": key.to_pem() }, { "name": "store", "pem": other.to_pem() }],
        "publishers": [{
            "publisher": "acme", "keys": ["acme"], "threshold": 1,
            "roles": [{ "role": "store", "keys": ["store"], "threshold": 1 }],
        }],
    })
    .to_string()
}

fn policy() -> String {
    let key = files::key().public().clone();
    let zeros = "0".repeat(64);
    json!({
        "schema": 1,
        "keys": [{ "name": "acme release", "pem": key.to_pem() }],
        "publishers": [
            { "publisher": "acme", "keys": ["acme release"], "threshold": 1 },
            { "publisher": "*", "keys": [key.id().to_string()], "threshold": 1 },
        ],
        "revoked_keys": [{ "keyid": zeros, "reason": "laptop stolen" }],
        "revoked_bundles": [{ "identity": zeros, "reason": "labels swapped" }],
    })
    .to_string()
}

/// A picture of 7 x 5 pixels.
fn picture(format: ImageFormat) -> Vec<u8> {
    let pixels = SplitMix64::new(6).bytes(7 * 5 * 3);
    let picture = RgbImage::from_raw(7, 5, pixels).expect("as many pixels as its size says");
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).expect("the format can be written");
    file.into_inner()
}

fn tensors() -> [(&'static str, Tensor); 3] {
    let mut random = SplitMix64::new(7);
    let tensor =
        |shape: &[usize], data| Tensor::new(shape, data).expect("as many elements as the shape says");
    [
        ("f32", tensor(&[2, 3], Data::F32(random.floats(6, -1.0, 1.0)))),
        ("u8", tensor(&[1, 3, 2, 2], Data::U8(random.bytes(12)))),
        ("i64-scalar", tensor(&[], Data::I64(vec![-1]))),
    ]
}

/// Pipelines and the ends of the models around which they are built.
const PIPELINES: [(&str, &str); 4] = [
    (
        "classifier",
        r#"{"spec":{"input":{"image":{"channels":"rgb"}},"pre":[{"resize":{"width":8,"height":8,"mode":"bilinear","fit":"crop"}},{"normalize":{"mean":[127,127,127],"std":[128,128,128]}}],"post":[{"softmax":{}},{"top_k":{"k":2,"labels":"labels.txt"}}]},"inputs":[{"name":"x","shape":[1,3,8,8],"dtype":"F32","quant":null}],"outputs":[{"name":"y","shape":[1,3],"dtype":"F32","quant":null}]}"#,
    ),
    (
        "quantized",
        r#"{"spec":{"input":{"image":{"channels":"gray","layout":"nhwc"}},"pre":[{"resize":{"width":9,"height":9,"mode":"area","fit":"shortest"}},{"crop":{"width":8,"height":6}},{"normalize":{"mean":[0.5],"std":[0.25],"divide":255}}],"post":[{"dequantize":{}},{"top_k":{"k":1,"labels":"two.txt"}}]},"inputs":[{"name":"x","shape":[null,6,8,1],"dtype":"U8","quant":{"scale":0.02,"zero_point":128}}],"outputs":[{"name":"y","shape":[null,2],"dtype":"I8","quant":{"scale":0.1,"zero_point":-5}}]}"#,
    ),
    (
        "parameters",
        r#"{"spec":{"input":{"image":{}},"pre":[{"region":{"area":{"parameter":"roi"}}},{"resize":{"width":4,"height":4,"mode":{"parameter":"mode"}}}],"post":[{"softmax":{"enabled":{"parameter":"on"}}},{"top_k":{"k":{"parameter":"k"},"labels":"labels.txt","threshold":{"parameter":"t"},"classes":{"parameter":"only"}}}],"parameters":{"roi":{"type":"region","default":[0.25,0.0,1.0,0.5],"description":"part"},"mode":{"type":"choice","choices":["area","nearest"],"default":"area","description":""},"on":{"type":"bool","default":true,"description":""},"k":{"type":"int","min":1,"max":3,"default":2,"description":""},"t":{"type":"float","min":0,"max":1,"default":0.5,"description":""},"only":{"type":"classes","default":[],"description":""}}},"inputs":[{"name":"x","shape":[1,3,4,4],"dtype":"U8","quant":null}],"outputs":[{"name":"y","shape":[1,3],"dtype":"F32","quant":null}]}"#,
    ),
    (
        "tensors",
        r#"{"spec":{"input":{},"pre":[],"post":[]},"inputs":[{"name":"a","shape":[null],"dtype":"I64","quant":null},{"name":"b","shape":[2,2],"dtype":"F32","quant":null}],"outputs":[{"name":"y","shape":[],"dtype":"I32","quant":null},{"name":"z","shape":[4,0],"dtype":"F32","quant":null}]}"#,
    ),
];
