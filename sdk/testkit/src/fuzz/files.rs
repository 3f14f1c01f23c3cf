//! Targets over everything but models and pipelines: bundles and what is in them, pictures, numpy arrays.

use tilemark_bundle::{
    Envelope, Grant, Lease, Lineage, PayloadType, Request, Revocations, SignatureCheck, SignedGrant,
    SignedLineage, SignedRevocations, SigningKey, Trust, Untrusted, sha256,
};
use tilemark_pipeline::{Image, npy};

use super::End;

/// Signs the corpus. It is public, so its signature is worth nothing.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIGIH7tylbzGCDUGdtk+AANISqqSOc7gpoosWhjAd7yLw
-----END PRIVATE KEY-----
";
/// `docs/bundle-format.md`: the header's length, and the alignment of what follows the envelope.
pub(super) const HEADER: usize = 64;
const PAGE: usize = 4096;

/// A bundle: read, verified against a trust that knows the corpus's key, and every blob looked at. What is accepted must be
/// the canonical form of itself.
///
/// # Panics
/// If the bundle contradicts itself.
pub fn bundle(bytes: &[u8]) -> End {
    let Ok(untrusted) = Untrusted::from_bytes(bytes.to_vec()) else { return End::Refused };
    let identity = untrusted.identity();
    assert!(untrusted.signers().count() > 0, "an envelope without a signature was read");
    match untrusted.verify(&Trust::key(key().public().clone())) {
        Ok(bundle) => {
            assert_eq!(bundle.identity(), identity);
            assert_eq!(bundle.as_bytes(), bytes);
            for (name, blob) in bundle.blobs() {
                assert_eq!(bundle.blob(name).map(<[u8]>::len).ok(), Some(blob.len()), "{name}");
            }
            End::Used
        }
        Err(refused) => {
            assert!(refused.error().code().starts_with("TM01"), "{refused}");
            End::Refused
        }
    }
}

/// The fixed first bytes of a bundle, in front of an envelope and a page that are right: what a header may say of a file.
///
/// # Panics
/// If a header was accepted that is not the one that fits.
pub fn header(bytes: &[u8]) -> End {
    let right = behind_a_header();
    let mut file = right.clone();
    let length = bytes.len().min(HEADER);
    file[..length].copy_from_slice(&bytes[..length]);
    // Beyond a header's length, the rest says how many bytes of the file there are.
    match bytes.get(HEADER..) {
        Some([low, high, ..]) => file.resize(usize::from(*low) << 8 | usize::from(*high), 9),
        _ if length < HEADER => file.truncate(length),
        _ => {}
    }
    match Untrusted::from_bytes(file.clone()) {
        Ok(_) => {
            assert_eq!(file[..HEADER], right[..HEADER], "another header fits too");
            assert_eq!(file.len(), right.len());
            End::Used
        }
        Err(error) => {
            assert!(error.code().starts_with("TM01") && !error.to_string().is_empty());
            End::Refused
        }
    }
}

/// The JSON of a signed envelope of any kind. What is read is the only spelling of itself, and no key that did not sign it holds.
///
/// # Panics
/// If another spelling was read, or a changed one holds.
pub fn envelope(json: &[u8]) -> End {
    const KINDS: [PayloadType; 6] = [
        PayloadType::MANIFEST,
        Grant::PAYLOAD_TYPE,
        Request::PAYLOAD_TYPE,
        Lease::PAYLOAD_TYPE,
        Lineage::PAYLOAD_TYPE,
        Revocations::PAYLOAD_TYPE,
    ];
    let read: Vec<Envelope> = KINDS.into_iter().filter_map(|kind| Envelope::parse(json, kind).ok()).collect();
    assert!(read.len() <= 1, "one document of two kinds");
    let Some(envelope) = read.first() else { return End::Refused };
    assert_eq!(envelope.to_json(), json);
    let signer = key();
    let kind = KINDS.into_iter().find(|kind| Envelope::parse(json, *kind).is_ok()).unwrap_or(KINDS[0]);
    // Ed25519 makes one signature of a message, whoever asks.
    let sealed = Envelope::seal(kind, envelope.payload().to_vec(), &[&signer]).expect("Ed25519 signs");
    let again = &sealed.signatures()[0].bytes;
    for (signature, (keyid, check)) in
        envelope.signatures().iter().zip(envelope.check(|_| Some(signer.public())))
    {
        let holds = keyid == signer.public().id() && signature.bytes == *again;
        assert_eq!(check == SignatureCheck::Holds, holds, "{keyid}");
    }
    End::Used
}

/// A manifest's JSON, signed by the corpus's key: what a vendor who is trusted, or whose key was stolen, can write.
///
/// # Panics
/// If an accepted manifest does not survive being written and read again.
pub fn manifest(json: &[u8]) -> End {
    let Ok(envelope) = Envelope::seal(PayloadType::MANIFEST, json.to_vec(), &[&key()]) else {
        return End::Refused;
    };
    let file = around(&envelope.to_json(), &[]);
    let Ok(untrusted) = Untrusted::from_bytes(file) else { return End::Refused };
    let Ok(authentic) = untrusted.authenticate(&Trust::key(key().public().clone())) else {
        return End::Refused;
    };
    let manifest = authentic.manifest().clone();
    let written = serde_json::to_vec(&manifest).expect("a manifest is JSON");
    let again = serde_json::from_slice(&written).expect("what was written is read");
    assert_eq!(manifest, again);
    // The file has no blob bytes, so it can be whole only if every declared blob is empty.
    let whole = authentic.hash_blobs().is_ok();
    assert!(!whole || manifest.blobs.iter().all(|blob| blob.size == 0));
    End::Used
}

/// The claims of a grant, a revocation list or a lineage, signed by the corpus's key, and those of a request or a lease, which are
/// signed by whom they name: what is read of terms. What is accepted must survive being written and read again.
///
/// # Panics
/// If it does not.
pub fn grant(json: &[u8]) -> End {
    let trust = Trust::key(key().public().clone());
    let sealed = |kind| Envelope::seal(kind, json.to_vec(), &[&key()]).map(|envelope| envelope.to_json());
    let request = sealed(Request::PAYLOAD_TYPE).and_then(|text| Request::read(&text));
    let device = request.as_ref().map(|(request, _)| request.device.signing.0.id());
    assert!(device.is_ok_and(|id| id == key().public().id()) || request.is_err(), "signed by another");
    let list = sealed(Revocations::PAYLOAD_TYPE).and_then(|text| SignedRevocations::verify(&text, &trust));
    if let Ok(list) = &list {
        let text = list.list().sign(&[&key()]).expect("what was accepted can be signed");
        assert_eq!(SignedRevocations::verify(&text, &trust).as_ref().ok(), Some(list));
    }
    let grant = sealed(Grant::PAYLOAD_TYPE).and_then(|text| SignedGrant::verify(&text, &trust));
    if let Ok(grant) = &grant {
        let text = grant.grant().sign(&key()).expect("what was accepted can be signed");
        let again = SignedGrant::verify(&text, &trust).expect("what was signed is read");
        assert_eq!(again.grant(), grant.grant());
        assert!(grant.grant().end() >= grant.grant().not_after);
    }
    let lease = sealed(Lease::PAYLOAD_TYPE).and_then(|text| SignedGrant::verify(&text, &trust));
    if let Ok(lease) = &lease {
        assert!(lease.lender().is_some() && lease.grant().seats == Some(1));
    }
    let lineage = sealed(Lineage::PAYLOAD_TYPE);
    let follows = lineage.as_ref().is_ok_and(|text| SignedLineage::verify(text, &trust).is_ok());
    if let Ok(text) = lineage {
        assert!(trust.with_lineages(&[text]).is_ok() || !follows, "accepted, and then not");
    }
    let used = request.is_ok() || list.is_ok() || grant.is_ok() || lease.is_ok() || follows;
    if used { End::Used } else { End::Refused }
}

/// A trust policy, or a public key in PEM.
pub fn policy(text: &[u8]) -> End {
    let Ok(text) = std::str::from_utf8(text) else { return End::Refused };
    match Trust::parse(text) {
        Ok(_) => End::Used,
        Err(error) => {
            assert!(!error.to_string().is_empty() && error.code().starts_with("TM01"));
            End::Refused
        }
    }
}

/// A picture of any format, or a stream of them.
///
/// # Panics
/// If a decoded picture has not as many pixels as it says.
pub fn image(encoded: &[u8]) -> End {
    let mut stream = encoded;
    let mut next = || Image::next_ppm(&mut stream).ok().flatten();
    let frames = std::iter::from_fn(|| if encoded.starts_with(b"P6") { next() } else { None });
    let pictures = frames.chain(Image::decode(encoded).ok());
    let check = |image: Image| {
        let (width, height) = (image.width() as usize, image.height() as usize);
        assert!(width > 0 && height > 0, "an empty picture");
        assert_eq!(image.pixels().len(), width * height * 3);
    };
    if pictures.map(check).count() > 0 { End::Used } else { End::Refused }
}

/// A numpy array: what is read must be the same when written and read again.
///
/// # Panics
/// If it is not.
pub fn npy(bytes: &[u8]) -> End {
    let Ok(tensor) = npy::read(bytes) else { return End::Refused };
    let again = npy::read(&npy::write(&tensor)).expect("what was written is read");
    assert_eq!(again.shape(), tensor.shape());
    assert_eq!(again.to_bytes(), tensor.to_bytes());
    End::Used
}

/// A whole file, of which [`header`] replaces the first bytes.
fn behind_a_header() -> Vec<u8> {
    let envelope = Envelope::seal(PayloadType::MANIFEST, b"{}".to_vec(), &[&key()]);
    around(&envelope.expect("Ed25519 signs").to_json(), &[7; 100])
}

/// The header that is accepted.
pub(super) fn header_that_fits() -> Vec<u8> {
    behind_a_header()[..HEADER].to_vec()
}

pub(super) fn key() -> SigningKey {
    SigningKey::from_pem(KEY).expect("the key above is well-formed")
}

/// A bundle file with a right header around any envelope and any blob bytes.
pub(super) fn around(envelope: &[u8], blobs: &[u8]) -> Vec<u8> {
    let mut file = b"TILEMARK\x01\0\0\0\0\0\0\0".to_vec();
    let start = (HEADER + envelope.len()).next_multiple_of(PAGE);
    file.extend((envelope.len() as u64).to_le_bytes());
    file.extend(((start + blobs.len()) as u64).to_le_bytes());
    file.extend(sha256(envelope).as_bytes());
    file.extend(envelope);
    file.resize(start, 0);
    file.extend(blobs);
    file
}

/// The envelope and the blobs of a bundle file, if its header tells where they are.
pub(super) fn parts(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = file.get(16..24)?.first_chunk().map(|length| u64::from_le_bytes(*length))?;
    let end = HEADER.checked_add(usize::try_from(length).ok()?)?;
    let envelope = file.get(HEADER..end)?;
    Some((envelope, file.get(end.next_multiple_of(PAGE)..).unwrap_or_default()))
}
