//! What the policy refuses, in which order things are looked at, and what the verdict says about it.

mod common;

use common::*;
use tilemark_bundle::{
    BundleWriter, Envelope, Error, ErrorKind, FactKind, Floors, PayloadType, SigningKey, Trust, Untrusted,
    sdk_version, sha256,
};

fn facts(verdict: &tilemark_bundle::Verdict) -> Vec<(String, bool)> {
    verdict.facts().iter().map(|fact| (fact.fact.to_string(), fact.holds)).collect()
}

#[test]
fn the_verdict_of_a_good_bundle() {
    let key = key();
    let dir = tempfile::tempdir().unwrap();
    let floors = Floors::open(dir.path().join("floors")).unwrap();
    let bundle = Untrusted::from_bytes(small(&[&key])).unwrap().verify_with(&trust(&key), &floors).unwrap();
    let expected = [
        ("well-formed", true),
        ("signature", true),
        ("not-revoked", true),
        ("manifest-valid", true),
        ("publisher-allowed", true),
        ("threshold", true),
        ("sdk-new-enough", true),
        ("not-rolled-back", true),
        ("blobs-intact", true),
        ("floor-recorded", true),
        ("golden-replayed", false),
    ];
    assert_eq!(facts(bundle.verdict()), expected.map(|(fact, holds)| (fact.to_string(), holds)));
    assert_eq!(bundle.identity(), sha256(&payload(bundle.as_bytes())));
}

#[test]
fn nothing_unsigned_is_parsed() {
    let (key, stranger) = (key(), key());
    let garbage = b"\xff{ this is not JSON";
    // Signed by a stranger, and by the known key over something else: refused for the signature.
    let refusal = refused(&with_payload(garbage, &[&stranger]), &trust(&key));
    assert!(matches!(refusal.error(), Error::UnknownSigners { .. }), "{refusal}");
    assert_eq!(refusal.verdict().get(FactKind::ManifestValid), None);

    let good = String::from_utf8(envelope_json(&small(&[&key])).to_vec()).unwrap();
    let signatures = &good[good.find(",\"signatures\"").unwrap()..];
    let forged = String::from_utf8(envelope_json(&with_payload(garbage, &[&key])).to_vec()).unwrap();
    let forged = [&forged[..forged.find(",\"signatures\"").unwrap()], signatures].concat();
    let refusal = refused(&file(forged.as_bytes(), b""), &trust(&key));
    assert!(matches!(refusal.error(), Error::InvalidSignature { .. }), "{refusal}");
    assert_eq!(refusal.verdict().get(FactKind::ManifestValid), None);

    // Signed by the known key: only now is it looked at.
    let refusal = refused(&with_payload(garbage, &[&key]), &trust(&key));
    assert!(matches!(refusal.error(), Error::Manifest(_)), "{refusal}");
    assert_eq!((refusal.error().code(), refusal.error().kind()), ("TM0110", ErrorKind::NotAuthentic));
    assert!(!refusal.verdict().holds(FactKind::ManifestValid));
}

#[test]
fn duplicate_and_unknown_keys_in_a_signed_manifest() {
    let key = key();
    let good = String::from_utf8(payload(&small(&[&key]))).unwrap();
    let signed = |from: &str, to: &str| {
        assert!(good.contains(from));
        code(&with_payload(good.replacen(from, to, 1).as_bytes(), &[&key]), &trust(&key))
    };
    assert_eq!(signed("\"release\":7", "\"release\":7,\"release\":8"), "TM0111");
    assert_eq!(signed("\"release\":7", "\"release\":7,\"channel\":\"beta\""), "TM0112");
    assert_eq!(signed("\"name\":\"graph\"", "\"name\":\"../graph\""), "TM0140");
    assert_eq!(signed("\"name\":\"empty\"", "\"name\":\"Graph\""), "TM0142");
    assert_eq!(signed("\"schema\":1", "\"schema\":2"), "TM0143");
    assert_eq!(signed("\"size\":13", "\"size\":14"), "TM0152");
    assert_eq!(signed("\"size\":13", "\"size\":9007199254740991"), "TM0150");
}

#[test]
fn an_unknown_key_alone() {
    let (signer, other) = (key(), key());
    let refusal = refused(&small(&[&signer]), &trust(&other));
    assert!(
        matches!(refusal.error(), Error::UnknownSigners { signers } if *signers == signer.public().id().to_string())
    );
    assert_eq!(refusal.error().kind(), ErrorKind::NotTrusted);
    assert_eq!(facts(refusal.verdict()), [("well-formed".into(), true), ("signature".into(), false)]);
}

#[test]
fn an_unknown_key_beside_a_known_one_counts_for_nothing() {
    let (signer, stranger) = (key(), p256());
    let file = small(&[&signer, &stranger]);
    let bundle = verify(&file, &trust(&signer)).unwrap();
    let signatures: Vec<_> =
        bundle.verdict().facts().iter().filter(|f| f.fact == FactKind::Signature).collect();
    assert_eq!(signatures.iter().filter(|fact| fact.holds).count(), 1);
    assert!(signatures.iter().any(|fact| !fact.holds && fact.evidence.contains("unknown key")));
    let two = refused(&file, &policy_with_stranger(&signer)).into_error();
    assert!(matches!(two, Error::ThresholdNotMet { needed: 2, found: 1, .. }), "{two}");
}

fn policy_with_stranger(signer: &SigningKey) -> Trust {
    policy(&[signer, &key()], "acme", 2)
}

#[test]
fn an_invalid_signature_by_a_known_key_beside_a_valid_one() {
    let signers = [key(), p256()];
    let good = small(&[&signers[0], &signers[1]]);
    let trust = policy(&[&signers[0], &signers[1]], "acme", 1);
    verify(&good, &trust).unwrap();
    for bad in &signers {
        // Signed, but over another payload.
        let foreign = Envelope::seal(PayloadType::MANIFEST, b"other".to_vec(), &[bad]).unwrap();
        let json = |envelope: &Envelope| String::from_utf8(envelope.to_json()).unwrap();
        let of = |text: &str| {
            let start = text.find(&bad.public().id().to_string()).unwrap();
            text[start..start + text[start..].find('}').unwrap()].to_string()
        };
        let envelope = String::from_utf8(envelope_json(&good).to_vec()).unwrap();
        let envelope = envelope.replace(&of(&envelope), &of(&json(&foreign)));
        let refusal = refused(&file(envelope.as_bytes(), blob_bytes(&good)), &trust);
        let Error::InvalidSignature { keyid, .. } = refusal.error() else { panic!("{refusal}") };
        assert_eq!(*keyid, bad.public().id());
        let signatures = refusal.verdict().facts().iter().filter(|fact| fact.fact == FactKind::Signature);
        assert_eq!(signatures.count(), 2, "the other signature is reported too");
    }
}

#[test]
fn another_publisher() {
    let (acme, other) = (key(), key());
    let trust = Trust::builder().key(acme.public().clone()).key(other.public().clone());
    let trust =
        trust.publisher("acme", &[acme.public().id()], 1).publisher("other", &[other.public().id()], 1);
    let trust = trust.build().unwrap();
    verify(&small(&[&acme]), &trust).unwrap();
    let refusal = refused(&small(&[&other]), &trust);
    assert!(matches!(refusal.error(), Error::PublisherNotAllowed { publisher, .. } if publisher == "acme"));
    assert_eq!(refusal.error().kind(), ErrorKind::NotTrusted);
    assert!(
        refusal.verdict().holds(FactKind::Signature) && !refusal.verdict().holds(FactKind::PublisherAllowed)
    );
    // A publisher without a rule, where no rule is for any.
    let third = BundleWriter::new(app("third/app", 1)).blob("a", &b""[..]).sign(&[&acme]).unwrap();
    assert!(matches!(refused(&third, &trust).error(), Error::PublisherNotAllowed { .. }));
}

#[test]
fn a_publishers_own_rule_is_not_widened_by_the_one_for_any() {
    let (acme, any) = (key(), key());
    let trust = Trust::builder().key(acme.public().clone()).key(any.public().clone());
    let trust = trust.publisher("acme", &[acme.public().id()], 1).any_publisher(&[any.public().id()], 1);
    let trust = trust.build().unwrap();
    assert_eq!(code(&small(&[&any]), &trust), "TM0134");
    let other = BundleWriter::new(app("other/app", 1)).blob("a", &b""[..]).sign(&[&any]).unwrap();
    verify(&other, &trust).unwrap();
}

#[test]
fn too_few_signatures() {
    let signers = [key(), p256(), key()];
    let trust = policy(&[&signers[0], &signers[1], &signers[2]], "acme", 2);
    let refusal = refused(&small(&[&signers[0]]), &trust);
    assert!(matches!(refusal.error(), Error::ThresholdNotMet { needed: 2, found: 1, .. }));
    assert_eq!(refusal.verdict().facts().last().unwrap().fact, FactKind::Threshold);
    verify(&small(&[&signers[2], &signers[1]]), &trust).unwrap();
}

#[test]
fn a_revoked_key() {
    let (old, new) = (key(), key());
    let builder = || {
        let ids = [old.public().id(), new.public().id()];
        let builder = Trust::builder().key(old.public().clone()).key(new.public().clone());
        builder.publisher("acme", &ids, 1).revoke_key(ids[0], "laptop stolen")
    };
    let trust = builder().build().unwrap();
    let refusal = refused(&small(&[&old]), &trust);
    assert!(
        matches!(refusal.error(), Error::RevokedKey { reason, .. } if reason == "laptop stolen"),
        "{refusal}"
    );
    assert!(!refusal.verdict().holds(FactKind::NotRevoked));
    // Signed again with the new key: the old signature counts for nothing and says so.
    let bundle = verify(&small(&[&old, &new]), &trust).unwrap();
    let evidence = &bundle.verdict().get(FactKind::NotRevoked).unwrap().evidence;
    assert!(evidence.contains(&old.public().id().to_string()), "{evidence}");
    let both = Trust::builder().key(old.public().clone()).key(new.public().clone());
    let both =
        both.publisher("acme", &[old.public().id(), new.public().id()], 2).revoke_key(old.public().id(), "");
    assert_eq!(code(&small(&[&old, &new]), &both.build().unwrap()), "TM0135");
}

#[test]
fn a_revoked_key_that_is_no_longer_among_the_keys() {
    let (old, new) = (key(), key());
    let trust = Trust::builder().key(new.public().clone()).any_publisher(&[new.public().id()], 1);
    let trust = trust.revoke_key(old.public().id(), "retired").build().unwrap();
    assert_eq!(code(&small(&[&old]), &trust), "TM0132");
}

#[test]
fn a_revoked_bundle() {
    let key = key();
    let file = small(&[&key]);
    let identity = Untrusted::from_bytes(file.clone()).unwrap().identity();
    let trust = Trust::builder().key(key.public().clone()).any_publisher(&[key.public().id()], 1);
    let trust = trust.revoke_bundle(identity, "wrong labels").build().unwrap();
    let refusal = refused(&file, &trust);
    assert!(matches!(refusal.error(), Error::RevokedBundle { reason, .. } if reason == "wrong labels"));
    // Signing it once more does not make it another bundle.
    let again = Untrusted::from_bytes(file).unwrap().with_signature(&p256()).unwrap();
    assert_eq!(code(&again, &trust), "TM0133");
}

#[test]
fn an_older_release() {
    let key = key();
    let dir = tempfile::tempdir().unwrap();
    let floors = Floors::open(dir.path().join("floors")).unwrap();
    let pack = |release, content: &'static [u8]| {
        let writer = BundleWriter::new(app("acme/tagger", release)).blob("graph", content);
        Untrusted::from_bytes(writer.sign(&[&key]).unwrap()).unwrap()
    };
    let open = |bundle: Untrusted| bundle.verify_with(&trust(&key), &floors);
    open(pack(7, b"a")).unwrap();
    open(pack(7, b"a")).unwrap();
    open(pack(9, b"b")).unwrap();
    let refusal = open(pack(7, b"a")).unwrap_err();
    assert!(matches!(refusal.error(), Error::RolledBack { release: 7, floor: 9, .. }), "{refusal}");
    assert_eq!(refusal.error().kind(), ErrorKind::NotTrusted);
    assert!(!refusal.verdict().holds(FactKind::NotRolledBack));
    assert_eq!(refusal.verdict().get(FactKind::BlobsIntact), None);
    let refusal = open(pack(9, b"other")).unwrap_err();
    assert!(matches!(refusal.error(), Error::ReleaseReused { release: 9, .. }), "{refusal}");
    // Without floors it passes, and the verdict says that nobody looked.
    let bundle = pack(7, b"a").verify(&trust(&key)).unwrap();
    let fact = bundle.verdict().get(FactKind::NotRolledBack).unwrap();
    assert!(!fact.holds && fact.evidence.contains("not checked"));
}

#[test]
fn a_refused_bundle_does_not_raise_the_floor() {
    let (key, stranger) = (key(), key());
    let dir = tempfile::tempdir().unwrap();
    let floors = Floors::open(dir.path()).unwrap();
    let name = "acme/tagger".parse().unwrap();
    let forged = BundleWriter::new(app("acme/tagger", 99)).blob("a", &b""[..]).sign(&[&stranger]).unwrap();
    Untrusted::from_bytes(forged).unwrap().verify_with(&trust(&key), &floors).unwrap_err();
    let mut damaged = BundleWriter::new(app("acme/tagger", 99)).blob("a", &b"x"[..]).sign(&[&key]).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    Untrusted::from_bytes(damaged).unwrap().verify_with(&trust(&key), &floors).unwrap_err();
    assert_eq!(floors.floor(&name).unwrap(), None);
}

#[test]
fn floors_that_cannot_be_written_are_checked_and_reported() {
    let key = key();
    let dir = tempfile::tempdir().unwrap();
    let floors = Floors::open(dir.path()).unwrap();
    let open = |release| {
        let file = BundleWriter::new(app("acme/tagger", release)).blob("a", &b""[..]).sign(&[&key]).unwrap();
        Untrusted::from_bytes(file).unwrap().verify_with(&trust(&key), &floors)
    };
    open(5).unwrap();
    // A directory in the place of the lock: nothing can be recorded, even by root.
    std::fs::remove_file(dir.path().join("lock")).unwrap();
    std::fs::create_dir(dir.path().join("lock")).unwrap();
    assert_eq!(open(4).unwrap_err().error().code(), "TM0136");
    let newer = open(6).unwrap();
    assert!(newer.verdict().holds(FactKind::NotRolledBack));
    let fact = newer.verdict().get(FactKind::FloorRecorded).unwrap();
    assert!(!fact.holds && fact.evidence.contains("could not be recorded"), "{}", fact.evidence);
    // The recorded release itself needs no write.
    assert!(open(5).unwrap().verdict().holds(FactKind::FloorRecorded));
}

#[test]
fn a_newer_sdk_is_asked_for() {
    let key = key();
    let newer = semver::Version::new(sdk_version().major, sdk_version().minor, sdk_version().patch + 1);
    let refusal = refused(&writer().min_sdk(newer).sign(&[&key]).unwrap(), &trust(&key));
    assert!(matches!(refusal.error(), Error::SdkTooOld { .. }));
    assert_eq!(refusal.error().kind(), ErrorKind::Unsupported);
}

#[test]
fn paths_that_are_no_bundle() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Untrusted::from_path(dir.path()), Err(Error::NotAFile { found: "a directory", .. })));
    let missing = Untrusted::from_path(dir.path().join("none")).unwrap_err();
    assert_eq!((missing.code(), missing.kind()), ("TM0180", ErrorKind::Io));
    let path = dir.path().join("empty");
    std::fs::write(&path, b"").unwrap();
    assert!(
        matches!(Untrusted::from_path(&path), Err(Error::NotABundle { found }) if found == "an empty file")
    );
    #[cfg(unix)]
    {
        let pipe = dir.path().join("pipe");
        match std::process::Command::new("mkfifo").arg(&pipe).status() {
            Ok(status) if status.success() => {
                assert!(matches!(
                    Untrusted::from_path(&pipe),
                    Err(Error::NotAFile { found: "a device, pipe or socket", .. })
                ));
            }
            other => println!("skipped: a named pipe as a bundle (mkfifo gave {other:?})"),
        }
        assert!(matches!(Untrusted::from_path("/dev/zero"), Err(Error::NotAFile { .. })));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&link, &link).unwrap();
        assert!(matches!(Untrusted::from_path(&link), Err(Error::Io { .. })));
    }
}
