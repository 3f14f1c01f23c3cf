use super::*;
use crate::limits::{MAX_BLOB_NAME_BYTES, MAX_BUNDLE_BYTES};
use crate::sha256;

fn blob(name: &str, size: u64) -> BlobEntry {
    BlobEntry { name: name.into(), size, sha256: sha256(name.as_bytes()), plain: None }
}

fn manifest() -> Manifest {
    Manifest {
        schema: SCHEMA,
        app: AppIdentity::new("acme/tagger", "1.2.0", 7, "Apache-2.0", "Names the object").unwrap(),
        min_sdk: Version::new(0, 1, 0),
        targets: vec!["host".into()],
        limits: Ceilings { max_arena_bytes: 1 << 20, max_macs: 5 },
        terms: Terms { kind: TermsKind::Free },
        origin: None,
        encryption: None,
        blobs: vec![blob("graph", 5)],
    }
}

#[rustfmt::skip]
const GOLDEN: &str = r#"{"schema":1,"app":{"name":"acme/tagger","version":"1.2.0","release":7,"license":"Apache-2.0","description":"Names the object"},"min_sdk":"0.1.0","targets":["host"],"limits":{"max_arena_bytes":1048576,"max_macs":5},"terms":{"kind":"free"},"blobs":[{"name":"graph","size":5,"sha256":"HASH"}]}"#;

#[test]
fn the_json_is_fixed() {
    let text = String::from_utf8(manifest().to_json().unwrap()).unwrap();
    // The hash is checked elsewhere; the form is what must not drift.
    let hash = sha256(b"graph").to_string();
    assert_eq!(text, GOLDEN.replace("HASH", &hash));
    assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest());
}

#[test]
fn white_space_in_a_signed_manifest_is_fine() {
    let pretty = serde_json::to_vec_pretty(&manifest()).unwrap();
    assert_eq!(Manifest::parse(&pretty).unwrap(), manifest());
}

#[track_caller]
fn refused(from: &str, to: &str) -> Error {
    let text = String::from_utf8(manifest().to_json().unwrap()).unwrap();
    assert!(text.contains(from), "{from}");
    match Manifest::parse(text.replacen(from, to, 1).as_bytes()) {
        Err(Error::Manifest(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_at_every_depth() {
    for (from, to) in [
        ("{\"schema\":1,", "{\"schema\":1,\"schema\":1,"),
        ("\"release\":7", "\"release\":7,\"release\":7"),
        ("\"kind\":\"free\"", "\"kind\":\"free\",\"kind\":\"free\""),
        ("\"size\":5", "\"size\":5,\"size\":5"),
    ] {
        assert_eq!(refused(from, to).code(), "TM0111", "{to}");
    }
    for (from, to) in [
        ("{\"schema\":1,", "{\"schema\":1,\"extra\":1,"),
        ("\"release\":7", "\"release\":7,\"Release\":7"),
        ("\"kind\":\"free\"", "\"kind\":\"free\",\"price\":0"),
        ("\"max_macs\":5", "\"max_macs\":5,\"max\":1"),
        ("\"size\":5", "\"size\":5,\"offset\":5"),
    ] {
        assert_eq!(refused(from, to).code(), "TM0112", "{to}");
    }
    assert_eq!(refused("\"max_macs\":5", "\"max_macs\":5.0").code(), "TM0114");
    assert_eq!(refused(",\"max_macs\":5", "").code(), "TM0113");
}

#[test]
fn an_origin_is_strict_like_all_else() {
    let licenses = crate::PartLicenses { code: Some("MIT"), weights: None, data: Some("CC0-1.0") };
    let origin = Some(Origin::new(crate::OriginKind::Model, licenses));
    let with = Manifest { origin, ..manifest() };
    let text = String::from_utf8(with.to_json().unwrap()).unwrap();
    let json = r#""terms":{"kind":"free"},"origin":{"kind":"model","code":"MIT","data":"CC0-1.0"},"blobs""#;
    assert!(text.contains(json), "{text}");
    assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), with);
    for (from, to, code) in [
        ("\"code\":\"MIT\"", "\"code\":\"MIT\",\"code\":\"MIT\"", "TM0111"),
        ("\"code\":\"MIT\"", "\"code\":\"MIT\",\"price\":\"free\"", "TM0112"),
        ("\"kind\":\"model\",", "", "TM0113"),
        ("\"model\"", "\"service\"", "TM0116"),
        ("\"CC0-1.0\"", "\"free\"", "TM0141"),
    ] {
        assert!(text.contains(from), "{from}");
        match Manifest::parse(text.replacen(from, to, 1).as_bytes()) {
            Err(Error::Manifest(error)) => assert_eq!(error.code(), code, "{to}: {error}"),
            other => panic!("{to}: {other:?}"),
        }
    }
}

#[test]
fn values() {
    assert_eq!(refused("\"free\"", "\"paid\"").code(), "TM0116");
    assert_eq!(refused("acme/tagger", "Acme/tagger").code(), "TM0116");
    assert_eq!(refused("1.2.0", "1.2").code(), "TM0116");
    assert_eq!(refused("\"release\":7", "\"release\":-7").code(), "TM0116");
    assert!(
        matches!(refused("Apache-2.0", "Apache2"), Error::InvalidValue { field, .. } if field == "app.license")
    );
    assert!(matches!(refused("Apache-2.0", ""), Error::InvalidValue { .. }));
    assert!(
        matches!(refused("Names", "\\u001b[2J"), Error::InvalidValue { field, .. } if field == "app.description")
    );
    assert!(matches!(refused("\"host\"", "\"host\",\"host\""), Error::InvalidName { what: "target", .. }));
    assert!(matches!(refused("\"host\"", "\"Host\""), Error::InvalidName { what: "target", .. }));
    assert!(matches!(refused("\"host\"", ""), Error::InvalidValue { field, .. } if field == "targets"));
    assert!(matches!(refused("\"name\":\"graph\"", "\"name\":\"../graph\""), Error::InvalidName { .. }));
    let long = format!("\"1.0.0+{}\"", "a".repeat(300));
    assert!(matches!(refused("\"0.1.0\"", &long), Error::InvalidValue { field, .. } if field == "min_sdk"));
}

#[test]
fn another_schema_is_said_before_unknown_keys() {
    let error = refused("{\"schema\":1,", "{\"schema\":2,\"new\":[],");
    assert!(matches!(error, Error::UnsupportedSchema { found: 2, supported: 1 }));
    let wrapped = Error::Manifest(Box::new(error));
    assert_eq!(wrapped.kind(), crate::ErrorKind::Unsupported);
}

#[test]
fn names_of_blobs_must_differ_by_more_than_case() {
    for other in ["graph", "GRAPH"] {
        let mut twins = manifest();
        twins.blobs.push(blob(other, 1));
        assert!(matches!(twins.to_json(), Err(Error::DuplicateBlob { .. })));
    }
}

#[test]
fn counts() {
    let with = |count: usize| {
        let pad = "x".repeat(MAX_BLOB_NAME_BYTES - 8);
        let blobs = (0..count).map(|at| blob(&format!("{pad}{at:08}"), 0)).collect();
        Manifest { blobs, ..manifest() }
    };
    // The largest manifest that the counts allow fits the byte limit.
    let largest = with(MAX_BLOBS);
    assert_eq!(Manifest::parse(&largest.to_json().unwrap()).unwrap(), largest);
    assert!(matches!(with(MAX_BLOBS + 1).to_json(), Err(Error::TooMany { what: "blobs", .. })));
    assert!(matches!(with(0).to_json(), Err(Error::InvalidValue { field, .. }) if field == "blobs"));
    let targets = (0..=MAX_TARGETS).map(|at| format!("t{at}")).collect();
    assert!(matches!(
        Manifest { targets, ..manifest() }.to_json(),
        Err(Error::TooMany { what: "targets", .. })
    ));
    let payload = vec![b' '; MAX_MANIFEST_BYTES + 1];
    assert!(matches!(Manifest::parse(&payload), Err(Error::Manifest(error)) if error.code() == "TM0107"));
}

#[test]
fn layout_is_aligned_and_does_not_overflow() {
    let mut three = manifest();
    three.blobs = vec![blob("a", 0), blob("b", 4096), blob("c", 1)];
    assert_eq!(three.layout(100).unwrap(), (vec![4096..4096, 4096..8192, 8192..8193], 8193));
    assert_eq!(three.layout(8192).unwrap().0, [8192..8192, 8192..12288, 12288..12289]);
    three.blobs = (0..4096).map(|at| blob(&format!("b{at}"), MAX_JSON_INTEGER)).collect();
    assert!(matches!(three.layout(100), Err(Error::InvalidValue { .. })));
    assert!(matches!(three.layout(u64::MAX), Err(Error::InvalidValue { .. })));
    three.blobs = vec![blob("a", MAX_JSON_INTEGER)];
    assert!(three.layout(100).unwrap().1 > MAX_BUNDLE_BYTES);
}

#[test]
fn identity_from_texts() {
    let new = |name, version, release, license| AppIdentity::new(name, version, release, license, "");
    new("a/b", "0.0.1-rc.1+5", MAX_JSON_INTEGER, "LicenseRef-acme-eula").unwrap();
    new("a/b", "1.0.0", 0, "Apache-2.0 OR MIT").unwrap();
    assert_eq!(new("a", "1.0.0", 0, "MIT").unwrap_err().code(), "TM0140");
    assert_eq!(new("a/b", "one", 0, "MIT").unwrap_err().code(), "TM0141");
    assert_eq!(new("a/b", "1.0.0", MAX_JSON_INTEGER + 1, "MIT").unwrap_err().code(), "TM0141");
    assert_eq!(new("a/b", "1.0.0", 0, "free as in beer").unwrap_err().code(), "TM0141");
    assert_eq!(AppIdentity::new("a/b", "1.0.0", 0, "MIT", &"x".repeat(1025)).unwrap_err().code(), "TM0141");
}
