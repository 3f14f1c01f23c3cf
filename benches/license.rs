//! Terms: what decrypting costs beside verifying, and what counting costs an inference.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tilemark::license::keeper;
use tilemark::{Algorithm, App, Bundle, GrantClass, Home, Offer, SigningKey, Trust, Untrusted, Vault};
use tilemark_bundle::{AppIdentity, BundleWriter};

const SIZES: [usize; 2] = [16 << 20, 128 << 20];

/// A vendor's key and vault, in a folder that goes with them.
struct Shop {
    folder: tempfile::TempDir,
    key: SigningKey,
    vault: Vault,
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let vault = Vault::open_or_create(folder.path().join("vault")).expect("it can be made");
        Self { folder, key: SigningKey::generate(Algorithm::Ed25519).expect("random bytes"), vault }
    }

    fn verify(&self, file: Vec<u8>) -> Bundle {
        let trust = Trust::key(self.key.public().clone());
        let bundle = Untrusted::from_bytes(file).and_then(|file| Ok(file.verify(&trust)?));
        bundle.expect("it verifies")
    }
}

/// Verification of the ciphertext, and on top of it decryption that compares every plaintext.
fn unlock(criterion: &mut Criterion) {
    let shop = Shop::new();
    let mut group = criterion.benchmark_group("encrypted");
    for size in SIZES {
        let app = AppIdentity::new("bench/unlock", "1.0.0", 1, "MIT", "").expect("a valid identity");
        let blob: Vec<u8> = tilemark_benches::bytes(size).collect();
        let writer =
            BundleWriter::new(app).blob("data", blob).encrypt(&shop.vault, &[shop.key.public().id()]);
        let file = writer.sign(&[&shop.key]).expect("it fits a bundle");
        let entry = shop.vault.register(&shop.verify(file.clone())).expect("it is ours");
        let key = shop.vault.key_for(&entry).expect("it is ours");
        group.throughput(Throughput::Bytes(file.len() as u64));
        group.bench_function(BenchmarkId::new("verify", size), |bencher| {
            bencher.iter_batched(|| file.clone(), |file| shop.verify(file), BatchSize::LargeInput);
        });
        group.bench_function(BenchmarkId::new("unlock", size), |bencher| {
            let verified = || shop.verify(file.clone());
            bencher.iter_batched(
                verified,
                |bundle| bundle.unlock(&key).expect("its key"),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// The tagger under a grant of each kind: the call that every inference makes before it runs.
fn count(criterion: &mut Criterion) {
    let shop = Shop::new();
    let file = tilemark_benches::tagger_encrypted(&shop.key, &shop.vault);
    let mut group = criterion.benchmark_group("count");
    for class in [GrantClass::Owned, GrantClass::Metered, GrantClass::Subscription] {
        let bundle = shop.verify(file.clone());
        let home = Home::at(shop.folder.path().join(class.as_str()));
        let file_keeper = keeper("file").expect("it is always there");
        let request = home.licenses().request(bundle.identity(), &*file_keeper).expect("a request");
        let mut offer = Offer::new(class);
        offer.inferences = (class == GrantClass::Metered).then_some(1 << 40);
        offer.not_after = (class == GrantClass::Subscription).then_some(1 << 40);
        let grant = shop.vault.issue(&request, &offer, &shop.key, 1).expect("a grant");
        let trust = Trust::key(shop.key.public().clone());
        home.licenses().install(&grant, &trust).expect("it is for this device");
        let app = App::load(bundle, &trust, &home).map_err(|denied| denied.0).expect("it is entitled");
        let license = app.license().expect("it has one");
        group.bench_function(class.as_str(), |bencher| {
            bencher.iter(|| black_box(license.take(1)).expect("there is budget left"));
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = tilemark_benches::criterion(); targets = unlock, count);
criterion_main!(benches);
