//! Making bundles: reproducible, signed again, within the limits.

mod common;

use common::*;
use tilemark_bundle::{BundleWriter, Ceilings, Error, Terms, TermsKind, Trust, Untrusted, limits};

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let (a, b, p) = (key(), key(), p256());
    assert_eq!(small(&[&a, &b]), small(&[&b, &a]));
    // ECDSA draws randomness: other bytes, the same bundle.
    let (one, two) = (small(&[&p]), small(&[&p]));
    assert_ne!(one, two);
    assert_eq!(payload(&one), payload(&two));
    assert_eq!(payload(&one), payload(&small(&[&a])));
}

#[test]
fn everything_declared_comes_back() {
    let key = key();
    let limits = Ceilings { max_arena_bytes: 1 << 24, max_macs: 400_000_000 };
    let min_sdk = semver::Version::new(0, 0, 1);
    let file = writer().limits(limits).target("host").target("fpga-x").terms(Terms { kind: TermsKind::Free });
    let file = file.min_sdk(min_sdk.clone()).sign(&[&key]).unwrap();
    let bundle = verify(&file, &trust(&key)).unwrap();
    let manifest = bundle.manifest();
    assert_eq!((manifest.limits, &manifest.min_sdk), (limits, &min_sdk));
    assert_eq!(manifest.targets, ["host", "fpga-x"]);
    assert_eq!(manifest.app, app("acme/tagger", 7));
    let names: Vec<_> = bundle.blobs().map(|(name, bytes)| (name, bytes.len())).collect();
    assert_eq!(names, [("graph", 13), ("empty", 0), ("labels.txt", 8)]);
    let error = bundle.blob("grahp").unwrap_err();
    assert!(
        matches!(&error, Error::NoSuchBlob { available, .. } if available == "graph, empty, labels.txt"),
        "{error}"
    );
}

#[test]
fn a_file_on_disk() {
    let key = key();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.tmk");
    std::fs::write(&path, small(&[&key])).unwrap();
    let untrusted = Untrusted::from_path(&path).unwrap();
    // What was read is what is used: the file may change afterwards.
    std::fs::write(&path, b"gone").unwrap();
    assert_eq!(untrusted.verify(&trust(&key)).unwrap().blob("graph").unwrap(), b"integers only");
}

#[test]
fn one_more_signature() {
    let (a, b) = (key(), p256());
    let first = small(&[&a]);
    let untrusted = Untrusted::from_bytes(first.clone()).unwrap();
    let second = untrusted.with_signature(&b).unwrap();
    assert_eq!(Untrusted::from_bytes(second.clone()).unwrap().identity(), untrusted.identity());
    let bundle = verify(&first, &trust(&a)).unwrap();
    assert!(matches!(bundle.with_signature(&a), Err(Error::AlreadySigned { .. })));
    for file in [second, bundle.with_signature(&b).unwrap()] {
        let ids = [a.public().id(), b.public().id()];
        let both = Trust::builder().key(a.public().clone()).key(b.public().clone());
        let both = both.publisher("acme", &ids, 2).build().unwrap();
        let bundle = verify(&file, &both).unwrap();
        assert_eq!(bundle.blob("labels.txt").unwrap(), b"cat\ndog\n");
        assert_eq!(Untrusted::from_bytes(file).unwrap().signers().count(), 2);
    }
}

/// Signatures make the envelope longer, so that blobs move by a page now and then, those without bytes too.
#[test]
fn sixteen_signatures_one_by_one() {
    for blobs in [&[&b""[..]][..], &[b"", b""], &[b"x", b"", &[7; 5000]]] {
        let keys: Vec<_> = (0..limits::MAX_SIGNATURES).map(|_| key()).collect();
        let make = || {
            let named = blobs.iter().enumerate().map(|(at, bytes)| (format!("blob{at}"), *bytes));
            named.fold(BundleWriter::new(app("acme/tagger", 7)), |writer, (name, bytes)| {
                writer.blob(name, bytes)
            })
        };
        let mut file = make().sign(&[&keys[0]]).unwrap();
        for (at, key) in keys.iter().enumerate().skip(1) {
            file = Untrusted::from_bytes(file).unwrap().with_signature(key).unwrap();
            verify(&file, &trust(key)).unwrap();
            let all_at_once = make().sign(&keys[..=at].iter().collect::<Vec<_>>()).unwrap();
            assert!(file == all_at_once, "after {} signatures", at + 1);
        }
        let error = Untrusted::from_bytes(file).unwrap().with_signature(&key()).unwrap_err();
        assert!(matches!(error, Error::TooMany { .. }));
    }
}

#[test]
fn a_file_without_room_for_its_blobs_cannot_be_signed_again() {
    let key = key();
    let made = small(&[&key]);
    let mut short = made[..HEADER + envelope_json(&made).len()].to_vec();
    let length = short.len() as u64;
    short[24..32].copy_from_slice(&length.to_le_bytes());
    let error = Untrusted::from_bytes(short).unwrap().with_signature(&p256()).unwrap_err();
    assert!(matches!(error, Error::Layout { .. }), "{error}");
}

#[test]
fn what_cannot_be_packed() {
    let key = key();
    let error = |writer: BundleWriter<'_>| writer.sign(&[&key]).unwrap_err().code();
    assert_eq!(error(BundleWriter::new(app("acme/tagger", 7))), "TM0141");
    assert_eq!(error(writer().blob("/etc/passwd", &b""[..])), "TM0140");
    assert_eq!(error(writer().blob("GRAPH", &b""[..])), "TM0142");
    assert_eq!(error(writer().target("no such thing")), "TM0140");
    assert_eq!(error(writer().limits(Ceilings { max_arena_bytes: u64::MAX, max_macs: 0 })), "TM0141");
    let many = (0..limits::MAX_BLOBS).fold(writer(), |writer, at| writer.blob(format!("b{at}"), &b""[..]));
    assert_eq!(error(many), "TM0108");
    assert!(matches!(writer().sign(&[]), Err(Error::Unsigned)));
    assert!(matches!(writer().sign(&[&key, &key]), Err(Error::AlreadySigned { .. })));
}

#[test]
fn the_most_blobs_and_the_longest_names() {
    let key = key();
    let count = limits::MAX_BLOBS;
    let full = (0..count).fold(BundleWriter::new(app("acme/tagger", 7)), |writer, at| {
        writer.blob(format!("{}/{at:04}", "x".repeat(limits::MAX_BLOB_NAME_BYTES - 5)), &b"z"[..])
    });
    let bundle = verify(&full.sign(&[&key]).unwrap(), &trust(&key)).unwrap();
    assert_eq!(bundle.blobs().filter(|(_, bytes)| *bytes == b"z").count(), count);
}
