//! What `docs/bundle-format.md` promises of stores: every release's are read for ever.
//!
//! `formats/0.1.0/` and its like are stores as that release wrote them. They are added and never changed: when a store's form gets
//! another one beside it, let [`NEWEST`] be that release, let `TILEMARK_BLESS=1 cargo test -p tilemark-store --test formats` write
//! its store, which it does where there is none, and list it in [`RELEASES`].

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use tilemark_bundle::calendar::DAY;
use tilemark_bundle::{
    Algorithm, AppContract, AppIdentity, AppPort, BundleWriter, Floors, SigningKey, Trust, Untrusted,
};
use tilemark_store::{
    AppName, Contract, Installation, Offering, Operator, Price, Query, Repository, RootKeys, Speed, Store,
    Validity,
};

/// Every committed store, and when it was written, in seconds since 1970: what it says holds for some days from then on.
const RELEASES: [(&str, u64); 1] = [("0.1.0", 1_795_434_772)];
const NEWEST: &str = "0.1.0";

fn folder(release: &str) -> PathBuf {
    let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(release);
    if release == NEWEST && std::env::var_os("TILEMARK_BLESS").is_some() && !there.exists() {
        std::fs::create_dir_all(there.parent().unwrap()).unwrap();
        let made = tempfile::tempdir_in(there.parent().unwrap()).unwrap();
        make(made.path());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        eprintln!("written at {now}");
        // Another test may have written one meanwhile.
        drop(std::fs::rename(made.path(), &there));
    }
    there
}

/// Two releases of an app, with a contract, and the root once renewed.
fn make(store: &Path) {
    let [root, next, targets, online, acme] =
        [(); 5].map(|()| SigningKey::generate(Algorithm::Ed25519).unwrap());
    let (office, keys) = (
        TempDir::new().unwrap(),
        RootKeys { root: &[&root, &next], threshold: 1, targets: &targets, online: &online },
    );
    Operator::init(store, office.path(), &keys, Validity::default()).unwrap();
    let operator = Operator::open(store, office.path()).unwrap();
    operator.invite("acme", &[acme.public().clone()], 1, &targets).unwrap();
    for release in 1..=2 {
        let version = format!("1.{release}.0");
        let app = AppIdentity::new("acme/tagger", &version, release, "MIT", "Names things").unwrap();
        let writer = BundleWriter::new(app).blob("weights", vec![7; 5000]);
        let file = writer.blob("graph", release.to_string().into_bytes()).sign(&[&acme]).unwrap();
        let path = office.path().join("app.tmk");
        std::fs::write(&path, file).unwrap();
        let offering = Offering { price: Some(Price::Free), contract: Some(contract()), anew: false };
        Repository::open(store).unwrap().offer(&path, &[&acme], &offering).unwrap();
        operator.refresh(&online).unwrap();
    }
    operator.renew_root(&[&next], &[]).unwrap();
    operator.refresh(&online).unwrap();
    std::fs::remove_file(store.join("lock")).unwrap();
}

fn contract() -> Contract {
    let port = |name: &str, dtype: &str, shape: &[u64]| AppPort {
        name: name.into(),
        dtype: dtype.into(),
        shape: shape.to_vec(),
        ..AppPort::default()
    };
    let app = AppContract {
        task: "image -> labels".into(),
        inputs: vec![AppPort { range: Some([0, 255]), ..port("image", "u8", &[0, 0, 3]) }],
        outputs: vec![port("labels", "label", &[2])],
        ..AppContract::default()
    };
    let speed = Speed { device: "host".into(), name: "a processor".into(), microseconds: 5300 };
    Contract { app, speeds: vec![speed], ..Contract::default() }
}

/// A machine that knows nothing but the first root.
fn added(home: &Path, release: &str, written: u64) -> Store {
    let store = folder(release);
    let root = std::fs::read(store.join("metadata/1.root.json")).unwrap();
    let address = [store.display().to_string()];
    Store::add(&home.join("state"), &home.join("cache"), &root, &address).unwrap().at_time(written)
}

fn installation(home: &Path) -> Installation {
    Installation::new(home.join("apps"), Floors::open(home.join("floors")).unwrap())
}

fn tagger() -> AppName {
    "acme/tagger".parse().unwrap()
}

#[test]
fn stores_of_every_release_are_searched_and_installed_from() {
    for (release, written) in RELEASES {
        let home = TempDir::new().unwrap();
        let store = added(home.path(), release, written);
        let view = store.refresh().unwrap();
        let rows = view.search(&Query::parse(["image -> labels"]).unwrap()).unwrap();
        assert_eq!(rows.iter().map(|row| (&row.app, row.release)).collect::<Vec<_>>(), [(&tagger(), 2)]);
        assert_eq!(rows[0].speeds["host"], 5300);
        assert_eq!(view.releases(&tagger()).unwrap(), [1, 2]);

        let offer = view.offer(&tagger(), None).unwrap();
        assert_eq!(offer.listing().contract, Some(contract()), "{release}");
        let apps = installation(home.path());
        apps.install(&view, &offer, |_| Ok(()), &mut |_, _| ()).unwrap();
        let trust = Trust::from_file(apps.policy(&tagger())).unwrap();
        let bundle = Untrusted::from_path(apps.path(&tagger())).unwrap().verify(&trust).unwrap();
        assert_eq!(bundle.blob("graph").unwrap(), b"2");
    }
}

#[test]
fn a_store_that_nobody_dates_any_more_is_refused() {
    for (release, written) in RELEASES {
        let home = TempDir::new().unwrap();
        let late = added(home.path(), release, written + 8 * DAY);
        assert_eq!(late.refresh().expect_err("its timestamp is over").code(), "TM0814", "{release}");
    }
}
