//! What the documents state is what the code does.

mod common;

use common::*;
use tilemark_bundle::{BundleWriter, Error, SigningKey, Trust, limits, sha256};

const FORMAT: &str = include_str!("../../../docs/bundle-format.md");
const TRUST: &str = include_str!("../../../docs/trust.md");

fn json_block(text: &str) -> &str {
    let start = text.find("```json\n").expect("a JSON example") + 8;
    &text[start..start + text[start..].find("```").expect("its end")]
}

#[test]
fn the_policy_example_is_a_policy() {
    Trust::parse(json_block(TRUST)).unwrap();
}

#[test]
fn the_manifest_example_is_a_manifest() {
    let key = key();
    // Its only blob has 12 bytes; any hash but the right one is damage, so the manifest itself was accepted.
    let manifest = json_block(FORMAT);
    let (size, hash) = (12, sha256(b"hello graph\n").to_string());
    assert!(manifest.contains(&format!("\"size\": {size}, \"sha256\": \"{hash}\"")));
    let envelope = tilemark_bundle::Envelope::seal(
        tilemark_bundle::PayloadType::MANIFEST,
        manifest.as_bytes().to_vec(),
        &[&key],
    );
    let envelope = envelope.unwrap().to_json();
    let bundle = verify(&file(&envelope, b"hello graph\n"), &trust(&key)).unwrap();
    assert_eq!(bundle.manifest().app, app("acme/tagger", 7));
    let refusal = refused(&file(&envelope, b"hello grapf\n"), &trust(&key));
    assert!(matches!(refusal.error(), Error::BlobDamaged { .. }));
}

#[test]
fn the_table_of_limits() {
    let stated = [
        ("MAX_BUNDLE_BYTES", limits::MAX_BUNDLE_BYTES),
        ("MAX_ENVELOPE_BYTES", limits::MAX_ENVELOPE_BYTES),
        ("MAX_MANIFEST_BYTES", limits::MAX_MANIFEST_BYTES as u64),
        ("MAX_SIGNATURES", limits::MAX_SIGNATURES as u64),
        ("MAX_SIGNATURE_BYTES", limits::MAX_SIGNATURE_BYTES as u64),
        ("MAX_BLOBS", limits::MAX_BLOBS as u64),
        ("MAX_BLOB_NAME_BYTES", limits::MAX_BLOB_NAME_BYTES as u64),
        ("MAX_APP_NAME_PART_BYTES", limits::MAX_APP_NAME_PART_BYTES as u64),
        ("MAX_DESCRIPTION_BYTES", limits::MAX_DESCRIPTION_BYTES as u64),
        ("MAX_SHORT_TEXT_BYTES", limits::MAX_SHORT_TEXT_BYTES as u64),
        ("MAX_TARGETS", limits::MAX_TARGETS as u64),
        ("MAX_ANCESTORS", limits::MAX_ANCESTORS as u64),
        ("MAX_JSON_DEPTH", limits::MAX_JSON_DEPTH as u64),
        ("MAX_JSON_INTEGER", limits::MAX_JSON_INTEGER),
        ("MAX_CODEC_BYTES", limits::MAX_CODEC_BYTES as u64),
        ("BLOB_ALIGNMENT", limits::BLOB_ALIGNMENT),
    ];
    for (name, value) in stated {
        assert!(FORMAT.contains(&format!("| `{name}` | {value} |")), "{name} is {value}");
    }
}

#[test]
fn every_fact_is_in_the_table() {
    let key = key();
    let dir = tempfile::tempdir().unwrap();
    let floors = tilemark_bundle::Floors::open(dir.path()).unwrap();
    let untrusted = tilemark_bundle::Untrusted::from_bytes(small(&[&key])).unwrap();
    for fact in untrusted.verify_with(&trust(&key), &floors).unwrap().verdict().facts() {
        assert!(TRUST.contains(&format!("| `{}` |", fact.fact)), "{}", fact.fact);
    }
}

/// The key of RFC 8032's first test.
const GOLDEN_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";

/// The bytes of format version 1 do not drift: one fixed bundle. The hashes were computed
/// by a separate script, from docs/bundle-format.md and openssl alone.
#[test]
fn golden_bundle() {
    let key = SigningKey::from_pem(GOLDEN_KEY).unwrap();
    let writer = BundleWriter::new(app("acme/tagger", 7)).min_sdk(semver::Version::new(0, 1, 0));
    let made = writer.blob("graph", &b"hello graph\n"[..]).sign(&[&key]).unwrap();
    assert_eq!(
        sha256(&payload(&made)).to_string(),
        "fb0c52241ea849d45b8cf2b59ddc18a6f455472e026e61a888d986b93d2995c3"
    );
    assert_eq!(sha256(&made).to_string(), "427b3992fe908554db14df30fd36ed4edf2dd96211f9a4a5df9b3a646a361aab");
}

/// The same for an encrypted bundle: with a vault's secret given, it is as fixed as any other. Computed by a separate script,
/// from docs/bundle-format.md and another implementation of AES-GCM, HKDF and Ed25519.
#[test]
fn golden_encrypted_bundle() {
    let key = SigningKey::from_pem(GOLDEN_KEY).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    let pem =
        format!("-----BEGIN TILEMARK VAULT SECRET-----\n{secret}\n-----END TILEMARK VAULT SECRET-----\n");
    std::fs::write(folder.path().join("secret.pem"), pem).unwrap();
    let vault = tilemark_bundle::Vault::open(folder.path()).unwrap();
    let weights: Vec<u8> = (0..262_149u32).map(|at| (at % 251) as u8).collect();
    let writer = BundleWriter::new(app("acme/tagger", 7)).min_sdk(semver::Version::new(0, 1, 0));
    let writer = writer.blob("graph", &b"hello graph\n"[..]).blob("weights", weights).blob("empty", &b""[..]);
    let made = writer.encrypt(&vault, &[key.public().id()]).sign(&[&key]).unwrap();
    assert_eq!(
        sha256(&payload(&made)).to_string(),
        "f7b148f09d4621222f510e1f1543c5bc551ee3325bfc3d6919875bddc46d301e"
    );
    assert_eq!(sha256(&made).to_string(), "19337a5ac8dc01f456493d532c0bf8f859a756f3ac43fc894e20bf35a27a846c");
}
