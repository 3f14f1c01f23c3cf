//! Every changed byte and every changed length is refused, and as what it is.

mod common;

use common::*;
use tilemark_bundle::{Error, ErrorKind, Untrusted};

#[test]
fn the_untouched_bundle_verifies() {
    for key in [key(), p256()] {
        let file = small(&[&key]);
        let bundle = verify(&file, &trust(&key)).unwrap();
        assert_eq!(bundle.blob("graph").unwrap(), b"integers only");
        assert_eq!(bundle.blob("empty").unwrap(), b"");
        assert_eq!(bundle.as_bytes(), file);
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    let key = key();
    let made = small(&[&key]);
    assert_eq!(file(envelope_json(&made), blob_bytes(&made)), made);
    let graph = (HEADER + envelope_json(&made).len()).next_multiple_of(PAGE);
    assert_eq!(&made[graph..graph + 13], b"integers only");
    assert_eq!(&made[graph + PAGE..], b"cat\ndog\n");
}

#[test]
fn every_flipped_byte() {
    let signers = [key(), p256()];
    let file = small(&[&signers[0], &signers[1]]);
    let trust = policy(&[&signers[0], &signers[1]], "*", 1);
    let envelope_end = HEADER + envelope_json(&file).len();
    let mut seen = std::collections::BTreeSet::new();
    for at in 0..file.len() {
        for mask in [0x01, 0x20, 0x80, 0xff] {
            let mut changed = file.clone();
            changed[at] ^= mask;
            let refusal = refused(&changed, &trust);
            assert_eq!(refusal.error().kind(), ErrorKind::NotAuthentic, "byte {at}: {refusal}");
            assert!(refusal.verdict().facts().last().is_some_and(|fact| !fact.holds), "byte {at}");
            let code = refusal.error().code();
            let expected: &[_] = match at {
                0..8 => &["TM0101"],
                8..12 => &["TM0104"],
                12..16 => &["TM0105"],
                16..24 => &["TM0105", "TM0106", "TM0107"],
                24..32 => &["TM0102", "TM0103", "TM0107"],
                _ if at < envelope_end => &["TM0106"],
                _ => &["TM0151", "TM0152"],
            };
            assert!(expected.contains(&code), "byte {at} ^ {mask:#x}: {code}");
            seen.insert(code);
        }
    }
    assert!(seen.contains("TM0151") && seen.contains("TM0152"));
}

/// An attacker makes the header's digest right again; then signatures and canonical form must refuse alone.
#[test]
fn every_flipped_byte_of_the_envelope_under_a_right_digest() {
    for signer in [key(), p256()] {
        let made = small(&[&signer]);
        let blobs = blob_bytes(&made).to_vec();
        for at in 0..envelope_json(&made).len() {
            for mask in [0x01, 0x02, 0x20, 0x80] {
                let mut envelope = envelope_json(&made).to_vec();
                envelope[at] ^= mask;
                let refusal = refused(&file(&envelope, &blobs), &trust(&signer));
                let kind = refusal.error().kind();
                assert!(
                    matches!(kind, ErrorKind::NotAuthentic | ErrorKind::NotTrusted),
                    "byte {at}: {refusal}"
                );
            }
        }
    }
}

#[test]
fn every_truncated_length() {
    let key = key();
    let (file, trust) = (small(&[&key]), trust(&key));
    for length in 0..file.len() {
        let refusal = refused(&file[..length], &trust);
        let right = match refusal.error() {
            Error::NotABundle { .. } => length < 8,
            Error::Truncated { found, .. } => length >= 8 && *found == length as u64,
            _ => false,
        };
        assert!(right, "{length}: {refusal}");
        assert_eq!(refusal.error().kind(), ErrorKind::NotAuthentic);
    }
}

#[test]
fn longer_files() {
    let key = key();
    let (file, trust) = (small(&[&key]), trust(&key));
    for more in [1, 7, 4096, 100_000] {
        for filler in [0, 0xff] {
            let mut longer = file.clone();
            longer.resize(file.len() + more, filler);
            assert_eq!(code(&longer, &trust), "TM0103");
            // The same with a header that agrees: the manifest still says where the end is.
            let total = longer.len() as u64;
            longer[24..32].copy_from_slice(&total.to_le_bytes());
            assert_eq!(code(&longer, &trust), "TM0150");
        }
    }
}

#[test]
fn shorter_files_with_a_header_that_agrees() {
    let key = key();
    let (file, trust) = (small(&[&key]), trust(&key));
    let envelope_end = HEADER + envelope_json(&file).len();
    for length in (envelope_end..file.len()).step_by(97).chain([envelope_end, file.len() - 1]) {
        let mut shorter = file[..length].to_vec();
        shorter[24..32].copy_from_slice(&(length as u64).to_le_bytes());
        assert_eq!(code(&shorter, &trust), "TM0150", "{length}");
    }
}

#[test]
fn two_files_one_after_the_other() {
    let key = key();
    let file = small(&[&key]);
    assert_eq!(code(&[&file[..], &file].concat(), &trust(&key)), "TM0103");
}

#[test]
fn huge_lengths_allocate_nothing() {
    let key = key();
    let file = small(&[&key]);
    let dir = tempfile::tempdir().unwrap();
    for (at, wanted) in [(16, "TM0107"), (24, "TM0107")] {
        for value in [u64::MAX, 1 << 63, 1 << 40] {
            let mut huge = file.clone();
            huge[at..at + 8].copy_from_slice(&value.to_le_bytes());
            assert_eq!(code(&huge, &trust(&key)), wanted);
            let path = dir.path().join("huge.tmk");
            std::fs::write(&path, &huge).unwrap();
            assert_eq!(Untrusted::from_path(&path).unwrap_err().code(), wanted);
        }
    }
}

#[test]
fn blobs_swapped_between_two_bundles_of_one_signer() {
    let key = key();
    let one = writer().sign(&[&key]).unwrap();
    let other = app("acme/other", 1);
    let other = tilemark_bundle::BundleWriter::new(other)
        .blob("graph", &b"INTEGERS ONLY"[..])
        .blob("empty", &b""[..])
        .blob("labels.txt", &b"cat\ndog\n"[..])
        .sign(&[&key])
        .unwrap();
    for (envelope, blobs) in [(&one, &other), (&other, &one)] {
        let swapped = file(envelope_json(envelope), blob_bytes(blobs));
        let refusal = refused(&swapped, &trust(&key));
        assert!(matches!(refusal.error(), Error::BlobDamaged { name, .. } if name == "graph"), "{refusal}");
    }
}

#[test]
fn blobs_swapped_within_a_bundle() {
    let key = key();
    let app = app("acme/tagger", 7);
    let made = tilemark_bundle::BundleWriter::new(app).blob("a", vec![1; 4096]).blob("b", vec![2; 4096]);
    let made = made.sign(&[&key]).unwrap();
    let (a, b) = blob_bytes(&made).split_at(4096);
    let swapped = file(envelope_json(&made), &[b, a].concat());
    assert_eq!(code(&swapped, &trust(&key)), "TM0152");
}

#[test]
fn signatures_swapped_between_two_bundles_of_one_signer() {
    for key in [key(), p256()] {
        let one = small(&[&key]);
        let other = tilemark_bundle::BundleWriter::new(app("acme/tagger", 8)).blob("graph", &b"x"[..]);
        let other = other.sign(&[&key]).unwrap();
        let text = |file: &[u8]| String::from_utf8(envelope_json(file).to_vec()).unwrap();
        let (mine, theirs) = (text(&one), text(&other));
        let at = |text: &str| text.find("\"signatures\"").unwrap();
        let swapped = [&mine[..at(&mine)], &theirs[at(&theirs)..]].concat();
        let refusal = refused(&file(swapped.as_bytes(), blob_bytes(&one)), &trust(&key));
        assert!(matches!(refusal.error(), Error::InvalidSignature { .. }), "{refusal}");
    }
}
