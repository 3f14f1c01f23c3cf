//! What the suites share: short measurements, the tagger, and bytes without a pattern.

pub mod layer;
pub mod networks;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{Criterion, Throughput};
use tilemark::pack::Package;
use tilemark::{Algorithm, App, SigningKey, Trust, Untrusted, Vault};
use tilemark_engine::{Compiled, Device};

use crate::layer::Layer;

/// Criterion with so little time per benchmark that all suites together stay below five minutes. For a number that is to
/// be published give more: `cargo bench -p tilemark-benches --bench models -- --measurement-time 10`.
#[must_use]
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(900))
        .configure_from_args()
}

/// The folder of the tagger's sources.
#[must_use]
pub fn tagger_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/apps/tagger")
}

/// The tagger as a bundle file, and who may be trusted for it.
///
/// # Panics
/// If the committed app cannot be packed: there is nothing to measure then.
#[must_use]
pub fn tagger_bundle() -> (Vec<u8>, Trust) {
    let key = SigningKey::generate(Algorithm::Ed25519).expect("the system gives random bytes");
    let package = Package::from_description(tagger_folder().join("app.toml")).expect("the tagger packs");
    (package.sign(&[&key]).expect("it fits a bundle"), Trust::key(key.public().clone()))
}

/// The tagger's bundle, encrypted with a vault.
///
/// # Panics
/// As [`tagger_bundle`].
#[must_use]
pub fn tagger_encrypted(key: &SigningKey, vault: &Vault) -> Vec<u8> {
    let package = Package::from_description(tagger_folder().join("app.toml")).expect("the tagger packs");
    package.sign_encrypted(&[key], vault, &[]).expect("it fits a bundle")
}

/// The tagger, opened.
///
/// # Panics
/// As [`tagger_bundle`].
#[must_use]
pub fn tagger() -> App {
    let (file, trust) = tagger_bundle();
    let bundle = Untrusted::from_bytes(file).and_then(|file| Ok(file.verify(&trust)?));
    App::from_bundle(bundle.expect("it verifies")).expect("it loads")
}

/// The bytes of one of the tagger's photos.
///
/// # Panics
/// If the committed file cannot be read.
#[must_use]
pub fn photo(name: &str) -> Vec<u8> {
    let path = tagger_folder().join("samples").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Bytes of all values, in an order without a pattern.
pub fn bytes(n: usize) -> impl Iterator<Item = u8> {
    (0..n).scan(1u32, |state, _| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(state.to_be_bytes()[0])
    })
}

/// Thread counts worth measuring here: one, and all.
#[must_use]
pub fn thread_counts() -> Vec<usize> {
    let all = Device::host().threads();
    if all == 1 { vec![1] } else { vec![1, all] }
}

/// Measures layers on one thread, in multiply-accumulates a second. Times contain what every inference pays around a layer:
/// storing the input and reading the output.
///
/// # Panics
/// If a layer does not run.
pub fn bench_layers(criterion: &mut Criterion, name: &str, layers: impl IntoIterator<Item = Layer>) {
    let device = Device::host().with_threads(1).expect("one thread is possible");
    let mut group = criterion.benchmark_group(name);
    let mut seen = BTreeSet::new();
    for layer in layers.into_iter().filter(|layer| seen.insert(layer.name())) {
        let input = [layer.input()];
        let compiled = Compiled::new(layer.graph(), &device).expect("the host compiles it");
        let mut session = compiled.session().expect("there is memory");
        let plan = session.prepare(&[input[0].shape().to_vec()]).expect("a plan");
        group.throughput(Throughput::Elements(plan.macs()));
        group.bench_function(layer.name(), |b| b.iter(|| session.run(black_box(&input)).expect("it runs")));
    }
    group.finish();
}
