//! Bundles for tests, and files put together by hand from `docs/bundle-format.md`, without the writer.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test's own bundle is well-formed, and a panic names the line")]

pub(crate) mod shop;

use tilemark_bundle::{
    Algorithm, AppIdentity, BundleWriter, Envelope, PayloadType, Refused, SigningKey, Trust, Untrusted,
    sha256,
};

pub(crate) const HEADER: usize = 64;
pub(crate) const PAGE: usize = 4096;

pub(crate) fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Ed25519).unwrap()
}

pub(crate) fn p256() -> SigningKey {
    SigningKey::generate(Algorithm::EcdsaP256).unwrap()
}

pub(crate) fn app(name: &str, release: u64) -> AppIdentity {
    AppIdentity::new(name, "1.2.0", release, "Apache-2.0", "Names the object in a photo").unwrap()
}

pub(crate) fn writer() -> BundleWriter<'static> {
    BundleWriter::new(app("acme/tagger", 7))
        .blob("graph", &b"integers only"[..])
        .blob("empty", &b""[..])
        .blob("labels.txt", &b"cat\ndog\n"[..])
}

pub(crate) fn small(keys: &[&SigningKey]) -> Vec<u8> {
    writer().sign(keys).unwrap()
}

pub(crate) fn trust(key: &SigningKey) -> Trust {
    Trust::key(key.public().clone())
}

/// Trusts these keys for one publisher, `*` for any.
pub(crate) fn policy(keys: &[&SigningKey], publisher: &str, threshold: u64) -> Trust {
    let ids: Vec<_> = keys.iter().map(|key| key.public().id()).collect();
    let builder = keys.iter().fold(Trust::builder(), |builder, key| builder.key(key.public().clone()));
    builder.publisher(publisher, &ids, threshold).build().unwrap()
}

/// Verifies, whatever step refuses.
pub(crate) fn verify(bytes: &[u8], trust: &Trust) -> Result<tilemark_bundle::Bundle, Refused> {
    Untrusted::from_bytes(bytes.to_vec())?.verify(trust)
}

#[track_caller]
pub(crate) fn refused(bytes: &[u8], trust: &Trust) -> Refused {
    verify(bytes, trust).expect_err("this must be refused")
}

#[track_caller]
pub(crate) fn code(bytes: &[u8], trust: &Trust) -> &'static str {
    refused(bytes, trust).error().code()
}

/// The envelope's JSON in a bundle.
pub(crate) fn envelope_json(file: &[u8]) -> &[u8] {
    let length = u64::from_le_bytes(file[16..24].try_into().unwrap());
    &file[HEADER..HEADER + usize::try_from(length).unwrap()]
}

/// What lies after the envelope, from the first page boundary on.
pub(crate) fn blob_bytes(file: &[u8]) -> &[u8] {
    &file[(HEADER + envelope_json(file).len()).next_multiple_of(PAGE)..]
}

/// A bundle file with a right header around any envelope and any blob bytes.
pub(crate) fn file(envelope: &[u8], blobs: &[u8]) -> Vec<u8> {
    let mut out = b"TILEMARK\x01\0\0\0\0\0\0\0".to_vec();
    let total = (HEADER + envelope.len()).next_multiple_of(PAGE) + blobs.len();
    out.extend((envelope.len() as u64).to_le_bytes());
    out.extend((total as u64).to_le_bytes());
    out.extend(sha256(envelope).as_bytes());
    out.extend(envelope);
    out.resize(total - blobs.len(), 0);
    out.extend(blobs);
    out
}

/// A file whose signed payload is `payload`, with a right header; blobs of [`small`] behind it.
pub(crate) fn with_payload(payload: &[u8], keys: &[&SigningKey]) -> Vec<u8> {
    let envelope = Envelope::seal(PayloadType::MANIFEST, payload.to_vec(), keys).unwrap();
    file(&envelope.to_json(), blob_bytes(&small(keys)))
}

/// The signed payload of a bundle.
pub(crate) fn payload(file: &[u8]) -> Vec<u8> {
    Envelope::parse(envelope_json(file), PayloadType::MANIFEST).unwrap().payload().to_vec()
}
