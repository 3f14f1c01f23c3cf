//! What a release writes beside free bundles, and every later one reads: a bundle signed by ECDSA, an encrypted one with its grant and the
//! device that the grant is for, a policy, a lineage, and a list of revocations.
//!
//! `documents/` of a release is made once, when its folder has none, and never again: keys and ids in it are random.

use std::path::{Path, PathBuf};

use tilemark::license::keeper;
use tilemark::{
    Algorithm, App, Device, GrantClass, Home, Lineage, Offer, ReleaseFloor, Revocations, SigningKey, Trust,
    Untrusted, Vault, open_with,
};
use tilemark_bundle::Request;
use tilemark_testkit::temp::{TempFolder, copy_folder};

use super::{BUNDLES, NEWEST, common, folder, key};

/// Every release with documents.
const RELEASES: [&str; 1] = ["0.1.0"];

/// What is in each of them: `home` is the device's.
const FILES: [&str; 8] = [
    "ecdsa.tmk",
    "grant.json",
    "home",
    "licensed.tmk",
    "lineage.json",
    "request.json",
    "revocations.json",
    "trust.json",
];

/// When they were signed, in seconds since 1970.
const MADE: u64 = 1_795_400_000;

fn documents(release: &str) -> PathBuf {
    let there = folder().join(release).join("documents");
    if release == NEWEST && std::env::var_os("TILEMARK_BLESS").is_some() && !there.exists() {
        let made = tempfile::tempdir_in(there.parent().unwrap()).unwrap();
        make(made.path());
        // Another test may have made them meanwhile.
        drop(std::fs::rename(made.path(), &there));
    }
    there
}

fn make(folder: &Path) {
    let (key, next) = (key(), SigningKey::generate(Algorithm::EcdsaP256).unwrap());
    let (package, vendor) = (common::package(), TempFolder::new());
    let put = |name: &str, bytes: Vec<u8>| std::fs::write(folder.join(name), bytes).unwrap();
    put("ecdsa.tmk", package.sign(&[&next]).unwrap());

    let vault = Vault::open_or_create(vendor.path().join("vault")).unwrap();
    let licensed = package.sign_encrypted(&[&key], &vault, &[]).unwrap();
    let identity = Untrusted::from_bytes(licensed.clone()).unwrap().identity();
    put("licensed.tmk", licensed);
    let device = Home::at(folder.join("home"));
    let request = device.licenses().request(identity, &*keeper("file").unwrap()).unwrap();
    let offer = Offer { inferences: Some(1_000_000), ..Offer::new(GrantClass::Metered) };
    put("grant.json", vault.issue(&request, &offer, &key, MADE).unwrap());
    put("request.json", request);
    std::fs::remove_file(folder.join("home/device/lock")).unwrap();

    put("lineage.json", Lineage::sign("acme", &key, next.public(), MADE).unwrap());
    let mut revocations = Revocations::new("acme", 1, MADE);
    revocations.floors.push(ReleaseFloor { app: "acme/tagger".parse().unwrap(), release: 8 });
    put("revocations.json", revocations.sign(&[&key]).unwrap());

    let pem = |key: &SigningKey| key.public().to_pem();
    let policy = serde_json::json!({
        "schema": 1,
        "keys": [{ "name": "release", "pem": pem(&key) }, { "name": "next", "pem": pem(&next) }],
        "publishers": [
            { "publisher": "acme", "keys": ["release", next.public().id()], "threshold": 1 },
            { "publisher": "*", "keys": ["release"], "threshold": 1,
              "roles": [{ "role": "store", "keys": ["next"], "threshold": 1 }] },
        ],
        "revoked_keys": [],
        "revoked_bundles": [{ "identity": BUNDLES[0].1, "reason": "replaced" }],
    });
    put("trust.json", serde_json::to_vec_pretty(&policy).unwrap());
}

/// A fresh state, or that of the device that grants of a release are for. What is checked out has not the permissions that secrets need.
fn home(of: Option<&Path>) -> (TempFolder, Home) {
    let folder = TempFolder::new();
    if let Some(of) = of {
        copy_folder(of, folder.path());
        make_private(folder.path());
    }
    let home = Home::at(folder.path());
    (folder, home)
}

#[cfg(unix)]
fn make_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| make_private(&entry.unwrap().path()));
    }
}

#[cfg(not(unix))]
fn make_private(_: &Path) {}

#[track_caller]
fn replays(app: &App) {
    let replay = app.replay(&Device::host()).unwrap();
    replay.check().unwrap();
    assert!(replay.tensors_compared > 0, "{replay}");
}

/// The code that opening is refused with.
fn refused(path: &Path, trust: &Trust, home: &Home) -> &'static str {
    open_with(path, trust, home).map(drop).expect_err("it is refused").code()
}

fn vendor() -> Trust {
    Trust::key(key().public().clone())
}

#[test]
fn every_document_is_there() {
    for release in RELEASES {
        let list = std::fs::read_dir(documents(release)).unwrap();
        let mut found: Vec<_> = list.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        found.sort();
        assert_eq!(found, FILES, "{release}");
    }
}

#[test]
fn a_policy_says_whom_it_said_to_trust() {
    for folder in RELEASES.map(documents) {
        let (trust, (_state, home)) = (Trust::from_file(folder.join("trust.json")).unwrap(), home(None));
        replays(&open_with(folder.join("ecdsa.tmk"), &trust, &home).unwrap());
        let revoked = folder.join("../operators.tmk");
        assert_eq!(refused(&revoked, &trust, &home), "TM0133");
    }
}

#[test]
fn a_grant_opens_its_bundle_on_its_device() {
    for folder in RELEASES.map(documents) {
        let (_state, device) = home(Some(&folder.join("home")));
        let path = folder.join("licensed.tmk");
        assert_eq!(refused(&path, &vendor(), &device), "TM0530");
        let grant = std::fs::read(folder.join("grant.json")).unwrap();
        let (grant, _) = device.licenses().install(&grant, &vendor()).unwrap();
        assert_eq!((grant.grant().class, grant.grant().inferences), (GrantClass::Metered, Some(1_000_000)));
        replays(&open_with(&path, &vendor(), &device).unwrap());

        let (request, _) = Request::read(&std::fs::read(folder.join("request.json")).unwrap()).unwrap();
        assert_eq!(request.device.id(), grant.grant().device);
    }
}

#[test]
fn a_lineage_names_the_key_that_follows() {
    for folder in RELEASES.map(documents) {
        let ((_state, home), path) = (home(None), folder.join("ecdsa.tmk"));
        assert_eq!(refused(&path, &vendor(), &home), "TM0131", "nothing says who that is");
        let lineage = std::fs::read(folder.join("lineage.json")).unwrap();
        home.lineages().install(&lineage, &vendor()).unwrap();
        replays(&open_with(&path, &vendor(), &home).unwrap());
    }
}

#[test]
fn a_list_says_what_is_revoked() {
    for folder in RELEASES.map(documents) {
        let (trust, (_state, home)) = (Trust::from_file(folder.join("trust.json")).unwrap(), home(None));
        let list = std::fs::read(folder.join("revocations.json")).unwrap();
        home.revocations().install(&list, &trust).unwrap();
        assert_eq!(refused(&folder.join("ecdsa.tmk"), &trust, &home), "TM0138", "release 7 of 8");
    }
}
