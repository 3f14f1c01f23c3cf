use super::*;
use crate::{Algorithm, SigningKey, sha256};

fn key(algorithm: Algorithm) -> PublicKey {
    SigningKey::generate(algorithm).unwrap().public().clone()
}

fn policy_text(a: &PublicKey, b: &PublicKey) -> String {
    serde_json::json!({
        "schema": 1,
        "keys": [
            {"name": "acme release", "pem": a.to_pem()},
            {"name": "acme build", "spki": STANDARD.encode(b.to_spki_der())},
        ],
        "publishers": [
            {"publisher": "acme", "keys": ["acme release", b.id().to_string()], "threshold": 2},
            {"publisher": "*", "keys": ["acme release"], "threshold": 1},
        ],
        "revoked_keys": [{"keyid": sha256(b"old key").to_string(), "reason": "lost"}],
        "revoked_bundles": [{"identity": sha256(b"bad").to_string(), "reason": "wrong labels"}],
    })
    .to_string()
}

#[test]
fn a_policy_file() {
    let (a, b) = (key(Algorithm::Ed25519), key(Algorithm::EcdsaP256));
    let trust = Trust::parse(&policy_text(&a, &b)).unwrap();
    assert_eq!(trust.find_key(b.id()), Some(&b));
    let keys =
        |publisher: &str| trust.rule(publisher).unwrap().vendor.keys.keys().copied().collect::<BTreeSet<_>>();
    assert_eq!(trust.rule("acme").unwrap().vendor.threshold, 2);
    assert_eq!(keys("acme"), BTreeSet::from([a.id(), b.id()]));
    assert_eq!(keys("someone"), BTreeSet::from([a.id()]));
    assert_eq!(trust.name(a.id()), "acme release");
    assert_eq!(trust.revoked_bundle(sha256(b"bad")), Some("wrong labels"));
    assert_eq!(trust.revoked_key(sha256(b"old key").to_string().parse().unwrap()), Some("lost"));
}

#[test]
fn a_single_key() {
    let a = key(Algorithm::EcdsaP256);
    let trust = Trust::parse(&a.to_pem()).unwrap();
    assert!(trust.rule("whoever").unwrap().vendor.has(a.id()));
    assert!(trust.find_key(key(Algorithm::Ed25519).id()).is_none());
}

#[test]
fn policies_that_mean_nothing_or_two_things() {
    let (a, b) = (key(Algorithm::Ed25519), key(Algorithm::EcdsaP256));
    let good = policy_text(&a, &b);
    let hex = sha256(b"x").to_string();
    let cases = [
        (r#""schema":1"#, r#""schema":2"#.to_string(), "reads schema 1"),
        (r#""threshold":2"#, r#""threshold":0"#.into(), "expected 1 to 2"),
        (r#""threshold":2"#, r#""threshold":3"#.into(), "expected 1 to 2"),
        (r#""publisher":"*""#, r#""publisher":"acme""#.into(), "publisher acme is there twice"),
        (r#""publisher":"acme""#, r#""publisher":"Acme""#.into(), "only a-z"),
        (r#""name":"acme build""#, r#""name":"acme release""#.into(), "two keys have the name"),
        (r#""name":"acme build""#, r#""name":"""#.into(), "is no name"),
        (r#""name":"acme build""#, format!(r#""name":"{hex}""#), "is no name"),
        (r#""keys":["acme release"]"#, r#""keys":["acme"]"#.into(), "unknown key \"acme\""),
        (r#""keys":["acme release"]"#, format!(r#""keys":["{hex}"]"#), "not among the keys"),
        (
            r#""keys":["acme release"]"#,
            format!(r#""keys":["acme release","{}"]"#, a.id()),
            "names a key twice",
        ),
        (r#""keys":["acme release"]"#, r#""keys":[]"#.into(), "has 0 keys"),
        (r#""spki":""#, r#""spki":"*"#.into(), "not base64"),
        (r#""spki":""#, r#""pem":"","spki":""#.into(), "either"),
        (
            r#""revoked_keys":["#,
            format!(r#""revoked_keys":[{{"keyid":"{}","reason":""}},"#, sha256(b"old key")),
            "twice",
        ),
    ];
    for (from, to, wanted) in cases {
        assert!(good.contains(from), "{from} in {good}");
        let error = Trust::parse(&good.replacen(from, &to, 1)).unwrap_err();
        assert!(matches!(error, Error::Policy { .. }) && error.to_string().contains(wanted), "{to}: {error}");
    }
    let same = policy_text(&a, &a);
    assert!(matches!(Trust::parse(&same), Err(Error::Policy { reason }) if reason.contains("twice")));
    assert!(
        matches!(Trust::builder().key(a).build(), Err(Error::Policy { reason }) if reason.contains("no publisher"))
    );
}

#[test]
fn roles_that_one_signature_could_meet_twice() {
    let (a, b) = (key(Algorithm::Ed25519), key(Algorithm::Ed25519));
    let builder = || Trust::builder().key(a.clone()).key(b.clone()).publisher("acme", &[a.id()], 1);
    builder().role("acme", Role::Store, &[b.id()], 1).build().unwrap();
    let refused = |builder: TrustBuilder, wanted: &str| {
        let error = builder.build().unwrap_err();
        assert!(matches!(&error, Error::Policy { reason } if reason.contains(wanted)), "{error}");
    };
    refused(builder().role("acme", Role::Store, &[a.id()], 1), "be vendor and store");
    let store = builder().role("acme", Role::Store, &[b.id()], 1);
    refused(store.clone().role("acme", Role::Store, &[b.id()], 1), "role store twice");
    refused(store.role("acme", Role::Evaluator, &[b.id()], 1), "be store and evaluator");
    refused(builder().role("other", Role::Store, &[b.id()], 1), "no keys of its own");
    refused(builder().role("acme", Role::Vendor, &[b.id()], 1), "role vendor twice");
    refused(builder().role("acme", Role::Store, &[b.id()], 2), "expected 1 to 1");
}

#[test]
fn strict_json() {
    let (a, b) = (key(Algorithm::Ed25519), key(Algorithm::EcdsaP256));
    let good = policy_text(&a, &b);
    let code = |from: &str, to: &str| {
        let error = Trust::parse(&good.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Invalid);
        error.code()
    };
    assert_eq!(code(r#""threshold":2"#, r#""threshold":2,"threshold":1"#), "TM0111");
    assert_eq!(code("\"revoked_keys\"", "\"revoked_key\""), "TM0112");
    assert_eq!(code(r#","threshold":2"#, ""), "TM0113");
    assert_eq!(code(r#""threshold":2"#, r#""threshold":1.5"#), "TM0114");
    assert_eq!(code("\"schema\":1}", "\"schema\":1"), "TM0110");
}

#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust");
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Trust::from_file(&path)
    };
    let signing = SigningKey::generate(Algorithm::Ed25519).unwrap();
    read(signing.public().to_pem().as_bytes()).unwrap();
    let error = read(signing.to_pem().as_bytes()).unwrap_err();
    assert!(matches!(&error, Error::Pem { reason, .. } if reason.contains("-pubout")), "{error}");
    assert!(matches!(read(b""), Err(Error::Pem { .. })));
    assert!(matches!(read(b"\xff\xfe"), Err(Error::InvalidValue { .. })));
    assert!(matches!(read(&vec![b' '; MAX_POLICY_BYTES + 1]), Err(Error::TooLarge { .. })));
    assert!(matches!(Trust::from_file(dir.path()), Err(Error::NotAFile { found: "a directory", .. })));
    assert!(matches!(Trust::from_file(dir.path().join("none")), Err(Error::Io { .. })));
}

#[test]
fn number_of_keys() {
    let mut builder = Trust::builder();
    let one = key(Algorithm::Ed25519);
    for _ in 0..=MAX_POLICY_KEYS {
        builder = builder.key(one.clone());
    }
    assert!(matches!(builder.build(), Err(Error::TooMany { .. })));
}
