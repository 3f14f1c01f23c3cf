//! What a manifest says about the encryption of its blobs.

use serde::{Deserialize, Serialize};

use crate::cipher::sealed_bytes;
use crate::limits::{MAX_CHUNK_BYTES, MAX_ISSUERS, MIN_CHUNK_BYTES};
use crate::manifest::{check_integer, invalid};
use crate::{Digest, Error, KeyId, LicenseError, Manifest, Result, TermsKind, json, sha256};

/// How the blobs of a bundle are encrypted, and who may grant its use.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Encryption {
    /// The one that there is.
    pub algorithm: EncryptionAlgorithm,
    /// Plaintext bytes of every chunk but a blob's last.
    pub chunk_bytes: u64,
    /// SHA-256 of the manifest as it would be without encryption, see [`Manifest::binding`]: every chunk is bound to it.
    pub binding: Digest,
    /// Fits the content key and no other.
    pub key_commitment: Digest,
    /// The keys whose grants open this bundle.
    pub issuers: Vec<KeyId>,
}

/// A closed list.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum EncryptionAlgorithm {
    /// AES-256-GCM in chunks.
    #[serde(rename = "aes-256-gcm-chunked")]
    Aes256GcmChunked,
}

/// What a blob is once decrypted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Plain {
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

impl Manifest {
    /// What an encrypted bundle's chunks are bound to: the SHA-256 of the manifest's JSON in its compact spelling, without
    /// `encryption`, and with each blob's size and SHA-256 those of its plaintext. It names publisher, app, release and
    /// content, so ciphertext that is put into another bundle cannot be decrypted there.
    ///
    /// # Errors
    /// None for a manifest that was read.
    pub fn binding(&self) -> Result<Digest> {
        let mut plain = self.clone();
        plain.encryption = None;
        for blob in &mut plain.blobs {
            if let Some(content) = blob.plain.take() {
                (blob.size, blob.sha256) = (content.size, content.sha256);
            }
        }
        Ok(sha256(&json::to_vec(&plain)?))
    }
}

/// Checks that terms, encryption and blobs agree.
pub(crate) fn check(manifest: &Manifest) -> Result<()> {
    let licensed = manifest.terms.kind == TermsKind::Licensed;
    let Some(encryption) = &manifest.encryption else {
        if licensed {
            return Err(invalid("encryption", "nothing", "the encryption of a licensed bundle"));
        }
        let plain = manifest.blobs.iter().position(|blob| blob.plain.is_some());
        return plain.map_or(Ok(()), |at| {
            Err(invalid(&format!("blobs[{at}].plain"), "a value", "nothing in a bundle without encryption"))
        });
    };
    if !licensed {
        return Err(invalid("terms.kind", "free", "licensed, since the bundle is encrypted"));
    }
    check_form(encryption)?;
    for (at, blob) in manifest.blobs.iter().enumerate() {
        let Some(plain) = &blob.plain else {
            return Err(invalid(
                &format!("blobs[{at}].plain"),
                "nothing",
                "size and SHA-256 of the plaintext",
            ));
        };
        check_integer(&format!("blobs[{at}].plain.size"), plain.size)?;
        let expected = sealed_bytes(plain.size, encryption.chunk_bytes).unwrap_or(u64::MAX);
        if blob.size != expected {
            let (name, found) = (blob.name.clone(), blob.size);
            return Err(LicenseError::SealedSize { name, expected, found }.into());
        }
    }
    let found = manifest.binding()?;
    if found != encryption.binding {
        return Err(LicenseError::Rebound { declared: encryption.binding, found }.into());
    }
    Ok(())
}

fn check_form(encryption: &Encryption) -> Result<()> {
    let chunk = encryption.chunk_bytes;
    if !(MIN_CHUNK_BYTES..=MAX_CHUNK_BYTES).contains(&chunk) {
        let expected = "4096 to 16777216 (16 MiB)";
        return Err(invalid("encryption.chunk_bytes", &chunk.to_string(), expected));
    }
    let issuers = &encryption.issuers;
    if issuers.len() > MAX_ISSUERS {
        return Err(Error::TooMany { what: "issuers", found: issuers.len(), max: MAX_ISSUERS });
    }
    if issuers.is_empty() || !issuers.is_sorted_by(|a, b| a < b) {
        let found = format!("{} key ids", issuers.len());
        return Err(invalid("encryption.issuers", &found, "at least one key id, ascending, none twice"));
    }
    Ok(())
}
