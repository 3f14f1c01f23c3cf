//! Opening: what is refused, in which order, and what the verdict says.
#![allow(clippy::unwrap_used, reason = "helpers of a test: a panic names the line")]

mod common;

use common::{bundle, key, on_disk, package, raw_package, resigned, resigned_within};
use tilemark::{App, Device, Error, ErrorKind, FactKind, Home, SigningKey, Trust};
use tilemark_bundle::{AppIdentity, BundleWriter, Ceilings, Envelope, PayloadType, sha256};
use tilemark_testkit::temp::TempFolder;

fn trust(key: &SigningKey) -> Trust {
    Trust::key(key.public().clone())
}

#[test]
fn a_good_bundle_opens_and_every_fact_but_the_replay_holds() {
    let app = on_disk(&package());
    let opened = tilemark::open_with(&app.path, &app.trust, &app.home).unwrap();
    let open: Vec<_> = opened.verdict().facts().iter().filter(|fact| !fact.holds).map(|f| f.fact).collect();
    assert_eq!(open, [FactKind::GoldenReplayed]);
    assert_eq!(opened.manifest().app.name.to_string(), "acme/tagger");
    assert_eq!(opened.manifest().targets, ["host"]);
    assert_eq!(opened.identity(), tilemark::Untrusted::from_path(&app.path).unwrap().identity());
}

/// A bundle file of one blob around a payload that is no manifest.
fn file_of_garbage(key: &SigningKey) -> Vec<u8> {
    let envelope =
        Envelope::seal(PayloadType::MANIFEST, b"\xff not json".to_vec(), &[key]).unwrap().to_json();
    let total = (64 + envelope.len()).next_multiple_of(4096) as u64;
    let mut file = b"TILEMARK\x01\0\0\0\0\0\0\0".to_vec();
    file.extend((envelope.len() as u64).to_le_bytes());
    file.extend(total.to_le_bytes());
    file.extend(sha256(&envelope).as_bytes());
    file.extend(&envelope);
    file.resize(usize::try_from(total).unwrap(), 0);
    file
}

#[test]
fn nothing_is_parsed_before_the_signature_holds() {
    let (vendor, stranger) = (key(), key());
    let folder = TempFolder::new();
    let open = |file: Vec<u8>| {
        let path = folder.file("app.tmk", file);
        tilemark::open_with(path, &trust(&vendor), &Home::at(folder.path().join("home"))).unwrap_err()
    };
    // A stranger's garbage is refused for the stranger, the vendor's own for the garbage.
    let error = open(file_of_garbage(&stranger));
    assert_eq!((error.code(), error.kind()), ("TM0131", ErrorKind::NotTrusted));
    assert_eq!(error.verdict().unwrap().get(FactKind::ManifestValid), None);
    assert_eq!(open(file_of_garbage(&vendor)).code(), "TM0110");

    // A valid manifest over blobs that are no app: strangers learn nothing about them. The pipeline, which names the models, is
    // read first.
    let identity = || AppIdentity::new("acme/tagger", "1.0.0", 1, "MIT", "").unwrap();
    let signed = |key: &SigningKey| {
        let blobs = ["graph", "weights", "pipeline.json"];
        let writer = BundleWriter::new(identity());
        blobs.iter().fold(writer, |w, name| w.blob(*name, &b"garbage"[..])).sign(&[key]).unwrap()
    };
    assert_eq!(open(signed(&stranger)).code(), "TM0131");
    let error = open(signed(&vendor));
    assert_eq!((error.code(), error.verdict().is_none()), ("TM0503", true));
    // Hashes come before contents: the vendor's damaged garbage is refused for the damage.
    let mut damaged = signed(&vendor);
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(open(damaged).code(), "TM0152");
}

#[test]
fn a_missing_part_is_named() {
    let bundle = bundle(&package());
    for (part, code) in [
        ("graph", "TM0153"),
        ("weights", "TM0153"),
        ("pipeline.json", "TM0153"),
        ("resources/labels.txt", "TM0321"),
        ("golden/0/record", "TM0153"),
        ("golden/0/image.npy", "TM0153"),
    ] {
        let error = App::from_bundle(resigned(&bundle, |name, _| name != part)).unwrap_err();
        assert_eq!(error.code(), code, "{part}: {error}");
        let file = part.rsplit('/').next().unwrap();
        assert!(error.to_string().contains(file), "{error}");
    }
}

#[test]
fn a_part_in_the_wrong_form_is_refused() {
    let bundle = bundle(&package());
    let with = |part: &str, bytes: &[u8]| {
        App::from_bundle(resigned(&bundle, |name, old| {
            if name == part {
                *old = bytes.to_vec();
            }
            true
        }))
        .unwrap_err()
    };
    assert_eq!(with("pipeline.json", b"{\"pre\":[],\"pre\":[]}").code(), "TM0503");
    assert_eq!(with("pipeline.json", b"{\"run\":\"rm\"}").code(), "TM0503");
    assert_eq!(with("pipeline.json", &vec![b' '; (1 << 20) + 1]).code(), "TM0503");
    assert_eq!(with("resources/labels.txt", b"cat\ndog\n").code(), "TM0332");
    assert_eq!(with("weights", b"").code(), "TM0208");
    assert_eq!(with("golden/0/image.npy", b"no array").code(), "TM0307");
    let flat = tilemark::npy::write(&tilemark::Tensor::u8([12], vec![0; 12]).unwrap());
    assert_eq!(with("golden/0/image.npy", &flat).code(), "TM0503");
    let mut record = bundle.blob("golden/0/record").unwrap().to_vec();
    record[0] = 9;
    let error = with("golden/0/record", &record);
    assert_eq!(error.code(), "TM0503");
    assert!(error.to_string().contains("schema 9"), "{error}");
}

#[test]
fn more_golden_vectors_than_a_replay_has_time_for_are_refused() {
    let bundle = bundle(&raw_package(false));
    let mut writer = BundleWriter::new(bundle.manifest().app.clone());
    for (name, bytes) in bundle.blobs() {
        writer = writer.blob(name, bytes);
    }
    for i in 1..=64 {
        writer = writer.blob(format!("golden/{i}/record"), bundle.blob("golden/0/record").unwrap());
    }
    let key = key();
    let error = App::from_bundle(common::verified(writer.sign(&[&key]).unwrap(), &key)).unwrap_err();
    assert_eq!(error.code(), "TM0503");
    assert!(error.to_string().contains("65 vectors"), "{error}");
}

#[test]
fn an_app_that_does_more_than_it_declares_is_refused() {
    let bundle = bundle(&package());
    let declared = bundle.manifest().limits;
    let within = |limits| App::from_bundle(resigned_within(&bundle, limits, |_, _| true));
    let error = within(Ceilings { max_macs: declared.max_macs - 1, ..declared }).unwrap_err();
    let Error::CeilingExceeded { found, declared: ceiling, .. } = &error else { panic!("{error}") };
    assert_eq!((error.code(), *found, *ceiling), ("TM0504", declared.max_macs, declared.max_macs - 1));

    // Memory is known once there is a plan.
    let app = within(Ceilings { max_arena_bytes: 64, ..declared }).unwrap();
    assert_eq!(app.session(Device::host()).unwrap_err().code(), "TM0504");
    // 0 declares nothing.
    let app = within(Ceilings::default()).unwrap();
    app.session(Device::host()).unwrap();
}

#[test]
fn an_older_release_is_refused_where_a_newer_one_ran() {
    let app = on_disk(&package());
    let home = || app.home.clone();
    tilemark::open_with(&app.path, &app.trust, &home()).unwrap();
    let vendor = key();
    let release = |release| {
        let bundle = bundle(&package());
        let mut identity = bundle.manifest().app.clone();
        identity.release = release;
        let writer = bundle.blobs().fold(BundleWriter::new(identity), |w, (name, bytes)| w.blob(name, bytes));
        let path = app.folder.file(&format!("{release}.tmk"), writer.sign(&[&vendor]).unwrap());
        tilemark::open_with(path, &trust(&vendor), &home())
    };
    assert_eq!(release(6).unwrap_err().code(), "TM0136");
    release(8).unwrap();
    let error = tilemark::open_with(&app.path, &app.trust, &home()).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("TM0136", ErrorKind::NotTrusted));
}

#[test]
fn a_home_that_cannot_be_written_is_a_fact_and_one_that_cannot_be_read_an_error() {
    let app = on_disk(&package());
    // A file where the home should be: nothing can be made below it, even by root.
    let home = Home::at(app.folder.file("file", b"").join("home"));
    assert!(!home.is_usable());
    let error = tilemark::open_with(&app.path, &app.trust, &home).unwrap_err();
    assert!(matches!(&error, Error::Bundle(_)), "{error}");
    assert_eq!((error.code(), error.kind()), ("TM0180", ErrorKind::Failed));
    assert!(error.to_string().contains("floors"), "{error}");

    // Readable, but the record's lock cannot be made.
    let home = Home::at(app.folder.path().join("stubborn"));
    std::fs::create_dir_all(home.path().join("floors/lock")).unwrap();
    let opened = tilemark::open_with(&app.path, &app.trust, &home).unwrap();
    let fact = opened.verdict().get(FactKind::FloorRecorded).unwrap();
    assert!(!fact.holds && fact.evidence.contains("could not be recorded"), "{}", fact.evidence);
    assert!(opened.verdict().holds(FactKind::NotRolledBack));
}

#[test]
fn a_path_without_a_bundle_is_an_error_of_the_caller_or_of_the_file() {
    let app = on_disk(&package());
    let open = |path: &std::path::Path| tilemark::open_with(path, &app.trust, &app.home).unwrap_err();
    assert_eq!(open(&app.folder.path().join("none.tmk")).code(), "TM0180");
    assert_eq!(open(app.folder.path()).code(), "TM0181");
    assert_eq!(open(&app.folder.file("text.tmk", b"hello")).code(), "TM0101");
}
