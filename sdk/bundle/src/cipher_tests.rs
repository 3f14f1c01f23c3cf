use super::*;
use crate::{EncryptionAlgorithm, sha256};

const CHUNK: usize = 4096;

fn encryption(binding: &[u8]) -> Encryption {
    let binding = sha256(binding);
    Encryption {
        algorithm: EncryptionAlgorithm::Aes256GcmChunked,
        chunk_bytes: CHUNK as u64,
        binding,
        key_commitment: key().commitment(binding),
        issuers: Vec::new(),
    }
}

fn key() -> ContentKey {
    ContentKey::from_bytes(Zeroizing::new([7; 32]))
}

fn plain(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

fn describe(bytes: &[u8]) -> Plain {
    Plain { size: bytes.len() as u64, sha256: sha256(bytes) }
}

/// Opens what is sealed as a blob of `plain` for the same publisher, bundle and name.
fn reopen(sealed: &[u8], plain: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let encryption = encryption(b"bundle");
    let context = Context { publisher: "acme", encryption: &encryption };
    open(&key(), &context, "weights", sealed, &describe(plain))
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    let encryption = encryption(b"bundle");
    seal(&key(), &Context { publisher: "acme", encryption: &encryption }, "weights", plain).unwrap()
}

#[track_caller]
fn code(result: Result<Zeroizing<Vec<u8>>>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn every_length_around_a_chunk_comes_back() {
    let lengths = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5, PIPELINE_BYTES + 77];
    for length in lengths {
        let plain = plain(length);
        let sealed = sealed(&plain);
        assert_eq!(sealed.len() as u64, sealed_bytes(length as u64, CHUNK as u64).unwrap());
        assert_eq!(*reopen(&sealed, &plain).unwrap(), plain, "{length}");
    }
}

#[test]
fn every_flipped_bit_of_a_byte_is_found() {
    let plain = plain(CHUNK + 100);
    let good = sealed(&plain);
    for at in (0..good.len()).step_by(37).chain([CHUNK, CHUNK + 15, CHUNK + 16, good.len() - 1]) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        assert_eq!(code(reopen(&bad, &plain)), "TM0155", "byte {at}");
    }
}

#[test]
fn swapped_chunks_are_named() {
    let plain = plain(3 * CHUNK);
    let mut bad = sealed(&plain);
    let (first, rest) = bad.split_at_mut(CHUNK + TAG);
    first.swap_with_slice(&mut rest[..CHUNK + TAG]);
    let error = reopen(&bad, &plain).unwrap_err();
    assert!(error.to_string().contains("chunk 0 of the encrypted blob \"weights\""), "{error}");
}

#[test]
fn a_chunk_that_was_not_the_last_cannot_become_it() {
    let plain = plain(2 * CHUNK);
    let sealed = sealed(&plain);
    // Cut after the first chunk, and described as a blob of one chunk: what a truncation attack would want.
    assert_eq!(code(reopen(&sealed[..CHUNK + TAG], &plain[..CHUNK])), "TM0155");
    // Cut, and described as it was.
    assert_eq!(code(reopen(&sealed[..CHUNK + TAG], &plain)), "TM0156");
    assert_eq!(code(reopen(&sealed[..sealed.len() - 1], &plain)), "TM0156");
    assert_eq!(code(reopen(&[], &plain)), "TM0156");
}

#[test]
fn a_chunk_belongs_to_its_publisher_bundle_and_blob() {
    let plain = plain(100);
    let (here, there) = (encryption(b"bundle"), encryption(b"another"));
    let original = Context { publisher: "acme", encryption: &here };
    let sealed = seal(&key(), &original, "weights", &plain).unwrap();
    let with = |context: &Context<'_>, name: &str, key: &ContentKey| {
        open(key, context, name, &sealed, &describe(&plain)).err().map(|error| error.code())
    };
    assert_eq!(with(&original, "weights", &key()), None);
    assert_eq!(with(&original, "graph", &key()), Some("TM0155"));
    assert_eq!(with(&Context { publisher: "mallory", ..original }, "weights", &key()), Some("TM0155"));
    assert_eq!(with(&Context { encryption: &there, ..original }, "weights", &key()), Some("TM0155"));
    let other = ContentKey::from_bytes(Zeroizing::new([8; 32]));
    assert_eq!(with(&original, "weights", &other), Some("TM0155"));
    let mut wider = encryption(b"bundle");
    wider.chunk_bytes *= 2;
    assert_eq!(with(&Context { encryption: &wider, ..original }, "weights", &key()), Some("TM0155"));
}

#[test]
fn other_plaintext_than_the_manifest_states_is_refused() {
    let plain = plain(100);
    let mut other = plain.clone();
    other[99] ^= 1;
    assert_eq!(code(reopen(&sealed(&other), &plain)), "TM0159");
}

#[test]
fn keys_commit_to_themselves_and_to_the_bundle() {
    let (one, two) = (key(), ContentKey::from_bytes(Zeroizing::new([8; 32])));
    let (a, b) = (sha256(b"a"), sha256(b"b"));
    let commitments = [one.commitment(a), one.commitment(b), two.commitment(a)];
    assert!(commitments[0] != commitments[1] && commitments[0] != commitments[2]);
    assert_eq!(one.commitment(a), key().commitment(a));
    assert_eq!(format!("{one:?}"), "ContentKey(not shown)");
}

/// RFC 5869, test case 1, cut to 32 bytes.
#[test]
fn hkdf_known_answer() {
    let salt: Vec<u8> = (0..13).collect();
    let info: Vec<u8> = (0xf0..=0xf9).collect();
    let okm = derive(&[0x0b; 22], &salt, &[&info]);
    let hex: String = okm.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}
