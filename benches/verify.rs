//! Verification: signature, manifest and the hash of every blob, in bytes of the bundle a second.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tilemark::{Algorithm, App, SigningKey, Trust, Untrusted};
use tilemark_bundle::{AppIdentity, BundleWriter};

/// Bytes of the one blob: where the signature costs most, and where hashing does.
const SIZES: [usize; 4] = [1 << 10, 1 << 20, 16 << 20, 128 << 20];

fn sizes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256] {
        let key = SigningKey::generate(algorithm).expect("the system gives random bytes");
        let trust = Trust::key(key.public().clone());
        for size in SIZES {
            let app = AppIdentity::new("bench/verify", "1.0.0", 1, "MIT", "").expect("a valid identity");
            let blob: Vec<u8> = tilemark_benches::bytes(size).collect();
            let file = BundleWriter::new(app).blob("data", blob).sign(&[&key]).expect("it fits a bundle");
            bench_verify(&mut group, BenchmarkId::new(algorithm.as_str(), size), &file, &trust);
        }
    }
    group.finish();
}

fn tagger(criterion: &mut Criterion) {
    let (file, trust) = tilemark_benches::tagger_bundle();
    let mut group = criterion.benchmark_group("verify_tagger");
    bench_verify(&mut group, BenchmarkId::from_parameter("verify"), &file, &trust);
    // What `tilemark::open` does after reading the file: graph, pipeline and golden vectors are loaded and checked too.
    group.bench_function("verify_and_load", |bencher| {
        let open = |file| {
            let bundle = Untrusted::from_bytes(file).and_then(|file| Ok(file.verify(&trust)?));
            App::from_bundle(bundle.expect("it verifies")).expect("it loads")
        };
        bencher.iter_batched(|| file.clone(), |file| black_box(open(file)), BatchSize::LargeInput);
    });
    group.finish();
}

/// The file is already in memory: reading a disk is not measured.
fn bench_verify(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    id: BenchmarkId,
    file: &[u8],
    trust: &Trust,
) {
    group.throughput(Throughput::Bytes(file.len() as u64));
    group.bench_function(id, |bencher| {
        let verify = |file| Untrusted::from_bytes(file).and_then(|file| Ok(file.verify(trust)?));
        bencher.iter_batched(
            || file.to_vec(),
            |file| black_box(verify(file).expect("it verifies")),
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(name = benches; config = tilemark_benches::criterion(); targets = sizes, tagger);
criterion_main!(benches);
