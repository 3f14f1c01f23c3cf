//! What `docs/bundle-format.md` promises: every release's bundles open, and give their bits, for ever.
//!
//! `0.1.0/` and its like hold bundles as that release packed them; they are added and never changed. When a test here says
//! that the format is another one, mend what changed it by accident. If it was meant: raise `OLDEST_READER`, let [`NEWEST`] be
//! that release, let `TILEMARK_BLESS=1 cargo test -p tilemark --test formats` write its bundles and layout, which it does where
//! there are none, and list them in [`BUNDLES`] beside the old ones. [`documents`] does the same for what is no free bundle.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

#[path = "../common/mod.rs"]
mod common;
mod documents;
mod operators;
mod stages;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use serde_reflection::{ContainerFormat, Registry, Samples, Tracer, TracerConfig};
use tilemark::model::Op;
use tilemark::model::graph::{
    AutoPad, BinaryOp, Comparison, Coordinates, Dim, Direction, DynamicPart, FloatOp, GeneralOp,
    Interpolation, Ints, LogicOp, MoveOp, Nearest, PadMode, Pads, Policy, PoolKind, ReduceOp, State, Target,
    UnaryOp,
};
use tilemark::pack::Package;
use tilemark::{App, Bundle, DType, Device, Graph, SigningKey, Trust, Untrusted, npy};
use tilemark_bundle::{OLDEST_READER, codec};
use tilemark_pipeline::{PostStage, PreStage, Spec};
use tilemark_testkit::temp::TempFolder;

/// Worth nothing: everybody has it.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIHRpbGVtYXJrIGZvcm1hdCBmaXh0dXJlcywgMC4xLjAh
-----END PRIVATE KEY-----
";

/// The newest format: the folder whose bundles today's packing repeats.
const NEWEST: &str = "0.1.0";

/// Every committed bundle, and its identity: the SHA-256 of what is signed.
const BUNDLES: [(&str, &str); 4] = [
    ("0.1.0/operators.tmk", "cdba6568274895606f4764cfc3109efea9f12b8386dff4a3ce05c6f0e54e711a"),
    ("0.1.0/pictures.tmk", "a4f5b226992828541a4f19c28b29b8c3cb69b5e2fcd93b5a9f8d6366d6aeb4bb"),
    ("0.1.0/frames.tmk", "28cf398e248f35df611b14e3c4449a22b08912a645a962b8f47a269aa8243a92"),
    ("0.1.0/sounds.tmk", "db40d6f7d2a67df5f2721c0d98df13812cb41813ab2311b119549ccc7bf72bcb"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats")
}

fn key() -> SigningKey {
    SigningKey::from_pem(KEY).unwrap()
}

fn committed(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn verified(file: Vec<u8>) -> Bundle {
    Untrusted::from_bytes(file).unwrap().verify(&Trust::key(key().public().clone())).unwrap()
}

/// Every app, packed today.
fn packed() -> Vec<(&'static str, Vec<u8>)> {
    let apps: [(&str, TempFolder); 4] = [
        ("operators.tmk", tensors()),
        ("pictures.tmk", stages::pictures()),
        ("frames.tmk", stages::frames()),
        ("sounds.tmk", stages::sounds()),
    ];
    let pack = |(name, folder): (&'static str, TempFolder)| {
        let package = Package::from_description(folder.path().join("app.toml"));
        let package = package.unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, package.sign(&[&key()]).unwrap())
    };
    apps.into_iter().map(pack).collect()
}

/// A folder with the app of [`operators`].
fn tensors() -> TempFolder {
    let folder = TempFolder::new();
    let (model, x) = operators::model();
    folder.file("model.onnx", model);
    folder.file("x.npy", npy::write(&x));
    let text = "[app]\nname = \"acme/operators\"\nversion = \"0.1.0\"\nrelease = 1\nlicense = \"MIT\"\n\n\
                [models.all]\nfile = \"model.onnx\"\n\n[golden]\ninputs = [\"x=x.npy\"]\n";
    folder.file("app.toml", text);
    folder
}

#[test]
fn bundles_of_every_release_give_their_bits() {
    for (name, identity) in BUNDLES {
        let bundle = verified(committed(name));
        assert_eq!(bundle.identity().to_string(), identity, "{name} was replaced; bundles are only added");
        let replay = App::from_bundle(bundle).unwrap().replay(&Device::host()).unwrap();
        replay.check().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(replay.tensors_compared > 0, "{name}: {replay}");
    }
}

#[test]
fn every_committed_bundle_is_looked_at() {
    let releases = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = releases.filter(|path| path.is_dir()).flat_map(|release| std::fs::read_dir(release).unwrap());
    let files = files.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("documents"));
    assert_eq!(
        files.collect::<BTreeSet<PathBuf>>(),
        BUNDLES.iter().map(|(name, _)| folder().join(name)).collect()
    );
}

#[test]
fn the_same_inputs_pack_to_the_same_bundles() {
    for (name, file) in packed() {
        let path = format!("{NEWEST}/{name}");
        if std::env::var_os("TILEMARK_BLESS").is_some() && !folder().join(&path).exists() {
            std::fs::create_dir_all(folder().join(NEWEST)).unwrap();
            std::fs::write(folder().join(&path), &file).unwrap();
        }
        let then = verified(committed(&path));
        let now = verified(file);
        for ((blob, was), (_, is)) in then.blobs().zip(now.blobs()) {
            assert!(was == is, "{path}: blob {blob} is another one; see the top of this file");
        }
        assert_eq!(then.manifest(), now.manifest(), "{path}: see the top of this file");
        assert!(then.as_bytes() == now.as_bytes(), "{path}: see the top of this file");
        assert_eq!(now.manifest().min_sdk, OLDEST_READER);
    }
}

/// The structs and enumerations that a graph's record is made of, as far as values of them are in `graph`, or all of them.
fn layout(graph: Option<&Graph>) -> Registry {
    let (mut tracer, mut samples) = (Tracer::new(TracerConfig::default()), Samples::new());
    match graph {
        Some(graph) => {
            tracer.trace_value(&mut samples, graph).unwrap();
            tracer.registry_unchecked()
        }
        None => {
            // Of a type within others the tracer sees one variant; each enumeration is asked for by itself.
            macro_rules! trace {
                ($($name:ty)*) => { $(tracer.trace_type::<$name>(&samples).unwrap();)* };
            }
            trace!(Graph DType Dim Op Pads FloatOp UnaryOp BinaryOp ReduceOp GeneralOp Comparison LogicOp DynamicPart MoveOp);
            trace!(Ints PadMode AutoPad PoolKind Target Policy Coordinates Nearest Interpolation Direction State);
            tracer.registry().unwrap()
        }
    }
}

#[test]
fn the_layout_of_graphs_is_the_written_one() {
    let found = format!("{}\n", serde_json::to_string_pretty(&layout(None)).unwrap());
    let path = folder().join(NEWEST.to_owned() + ".layout.json");
    if std::env::var_os("TILEMARK_BLESS").is_some() && !path.exists() {
        std::fs::write(&path, &found).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    for (number, (is, was)) in found.lines().zip(written.lines()).enumerate() {
        assert_eq!(is, was, "line {}: a field or a variant moved; see the top of this file", number + 1);
    }
    assert_eq!(found.len(), written.len());
}

/// The variants of every enumeration.
fn variants(registry: &Registry) -> BTreeSet<String> {
    let named = |(name, format): (&String, &ContainerFormat)| match format {
        ContainerFormat::Enum(variants) => variants.values().map(|v| format!("{name}::{}", v.name)).collect(),
        _ => Vec::new(),
    };
    registry.iter().flat_map(named).collect()
}

#[test]
fn every_operation_is_in_a_bundle() {
    let bundle = verified(committed(&format!("{NEWEST}/operators.tmk")));
    let graph: Graph = codec::decode(bundle.blob("graph").unwrap()).unwrap();
    let missing: Vec<String> =
        variants(&layout(None)).difference(&variants(&layout(Some(&graph)))).cloned().collect();
    assert!(missing.is_empty(), "no bundle has {missing:?}: add one to operators.rs, and a bundle");
}

/// What a serialized enumeration may be called, as its own error message lists it.
fn words<T: serde::de::DeserializeOwned>() -> BTreeSet<String> {
    let error = serde_json::from_str::<T>("{\"?\":{}}").err().unwrap().to_string();
    let listed = error.split_once("expected").unwrap().1;
    listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_stage_is_in_a_bundle() {
    let (mut pre, mut post, mut kinds) = (BTreeSet::new(), BTreeSet::new(), HashSet::new());
    for (name, _) in BUNDLES {
        let bundle = verified(committed(name));
        let spec: Spec = serde_json::from_slice(bundle.blob("pipeline.json").unwrap()).unwrap();
        for step in spec.normalized().unwrap() {
            pre.extend(step.pre.iter().map(|stage| stage.name().to_owned()));
            post.extend(step.post.iter().map(|stage| stage.name().to_owned()));
        }
        kinds.extend(spec.parameters.values().map(std::mem::discriminant));
    }
    assert_eq!(pre, words::<PreStage>());
    assert_eq!(post, words::<PostStage>());
    assert_eq!(kinds.len(), 6, "a kind of parameter is in no bundle");
}

/// A reader of golden records of its own: schema, input names, runs (model, inputs, values), outcome.
type GoldenRecord = (u16, Vec<String>, Vec<(u32, Vec<String>, Vec<(String, String)>)>, String);

#[test]
fn golden_records_are_read_by_another_reader() {
    for (name, _) in BUNDLES {
        let bundle = verified(committed(name));
        let bytes = bundle.blob("golden/0/record").unwrap();
        let record: GoldenRecord = codec::decode(bytes).unwrap();
        assert_eq!(record.0, 2, "{name}");
        assert!(record.2.iter().all(|(_, _, values)| !values.is_empty()), "{name}");
        assert_eq!(codec::encode(&record).unwrap(), bytes, "{name}");
    }
}
