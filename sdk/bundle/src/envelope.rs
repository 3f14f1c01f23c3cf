//! DSSE envelopes (Dead Simple Signing Envelope, version 1): the only signed form in the project.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::limits::{MAX_ENVELOPE_BYTES, MAX_SIGNATURE_BYTES, MAX_SIGNATURES};
use crate::{Error, KeyId, PublicKey, Result, SigningKey, json};

/// What the payload of an envelope is. It is under the signature, so one kind is never taken for another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PayloadType(&'static str);

impl PayloadType {
    /// A bundle's manifest.
    pub const MANIFEST: Self = Self("application/vnd.tilemark.manifest.v1+json");

    /// What an evaluation of an app found.
    pub const EVALUATION: Self = Self("application/vnd.tilemark.evaluation.v1+json");

    /// A payload type of another kind of document; a media type in lower case.
    #[must_use]
    pub const fn new(media_type: &'static str) -> Self {
        Self(media_type)
    }

    /// The media type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// One signature and the id of the key that is said to have made it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signature {
    /// The key's id; a hint to find the key, not a proof.
    pub keyid: KeyId,
    /// The signature, in the canonical spelling of its algorithm.
    pub bytes: Vec<u8>,
}

/// What checking one signature gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SignatureCheck {
    /// The key is known and the signature holds.
    Holds,
    /// The key is known and the signature does not hold.
    Fails,
    /// The key is not known; nothing can be said about the signature.
    UnknownKey,
}

/// A payload of bytes and signatures over it.
///
/// Its JSON has one spelling: keys in the order `payloadType`, `payload`, `signatures`, no white space, padded standard
/// base64, signatures in strictly ascending order of their key ids. [`parse`](Self::parse) refuses every other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    payload_type: PayloadType,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct EnvelopeJson {
    payload_type: String,
    payload: String,
    signatures: Vec<SignatureJson>,
}

#[derive(Deserialize, Serialize)]
struct SignatureJson {
    keyid: KeyId,
    sig: String,
}

impl Envelope {
    /// Signs `payload` with each of `keys`; the order of the keys does not matter.
    ///
    /// # Errors
    /// [`Error::Unsigned`] without keys, [`Error::AlreadySigned`] if a key is given twice, [`Error::TooMany`],
    /// [`Error::TooLarge`], [`Error::Random`].
    pub fn seal(payload_type: PayloadType, payload: Vec<u8>, keys: &[&SigningKey]) -> Result<Self> {
        let mut envelope = Self { payload_type, payload, signatures: Vec::new() };
        for key in keys {
            envelope.sign(key)?;
        }
        if envelope.signatures.is_empty() {
            return Err(Error::Unsigned);
        }
        Ok(envelope)
    }

    /// Reads an envelope of this payload type. The payload stays bytes: nothing in it is looked at.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Json`], [`Error::PayloadType`], [`Error::Base64`], [`Error::TooMany`],
    /// [`Error::Unsigned`], [`Error::SignatureOrder`], and [`Error::NotCanonical`] for any other spelling.
    pub fn parse(bytes: &[u8], payload_type: PayloadType) -> Result<Self> {
        let max = usize::try_from(MAX_ENVELOPE_BYTES).unwrap_or(usize::MAX);
        let json: EnvelopeJson = json::from_slice("envelope", bytes, max)?;
        if json.payload_type != payload_type.0 {
            return Err(Error::PayloadType {
                found: crate::text::excerpt(&json.payload_type),
                expected: payload_type.0,
            });
        }
        if json.signatures.len() > MAX_SIGNATURES {
            return Err(too_many(json.signatures.len()));
        }
        let payload = decode_base64("payload", &json.payload)?;
        let signatures = json.signatures.iter().map(read_signature).collect::<Result<Vec<_>>>()?;
        check_order(&signatures)?;
        let envelope = Self { payload_type, payload, signatures };
        match first_difference(&envelope.to_json(), bytes) {
            Some(offset) => Err(Error::NotCanonical { document: "envelope", offset }),
            None => Ok(envelope),
        }
    }

    /// The envelope's only spelling.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // By hand, because it cannot fail and its bytes are part of the format: no text here needs escaping.
        let mut out = format!(
            r#"{{"payloadType":"{}","payload":"{}","signatures":["#,
            self.payload_type.0,
            STANDARD.encode(&self.payload)
        );
        for (index, signature) in self.signatures.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let sig = STANDARD.encode(&signature.bytes);
            out.push_str(&format!(r#"{comma}{{"keyid":"{}","sig":"{sig}"}}"#, signature.keyid));
        }
        out.push_str("]}");
        out.into_bytes()
    }

    /// The signed bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signatures, in ascending order of their key ids.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// What signatures are made over: DSSE's pre-authentication encoding of payload type and payload.
    #[must_use]
    pub fn pae(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len() + 128);
        let kind = self.payload_type.0;
        // Writing to a vector does not fail.
        let _ = write!(out, "DSSEv1 {} {kind} {} ", kind.len(), self.payload.len());
        out.extend_from_slice(&self.payload);
        out
    }

    /// Checks every signature whose key `find` knows, in the envelope's order.
    pub fn check<'k>(&self, find: impl Fn(KeyId) -> Option<&'k PublicKey>) -> Vec<(KeyId, SignatureCheck)> {
        let message = self.pae();
        let check = |signature: &Signature| match find(signature.keyid) {
            None => SignatureCheck::UnknownKey,
            // `find` may be wrong about ids: a key only speaks for its own.
            Some(key) if key.id() == signature.keyid && key.verify(&message, &signature.bytes) => {
                SignatureCheck::Holds
            }
            Some(_) => SignatureCheck::Fails,
        };
        self.signatures.iter().map(|signature| (signature.keyid, check(signature))).collect()
    }

    /// Adds this key's signature.
    ///
    /// # Errors
    /// [`Error::AlreadySigned`], [`Error::TooMany`], [`Error::Random`].
    pub fn sign(&mut self, key: &SigningKey) -> Result<()> {
        let bytes = key.sign(&self.pae())?;
        self.insert(Signature { keyid: key.public().id(), bytes })
    }

    /// Adds a signature over [`pae`](Self::pae) that another tool made with the private half of `key`.
    ///
    /// # Errors
    /// [`Error::ForeignSignature`] if it does not hold; else as [`sign`](Self::sign).
    pub fn attach(&mut self, key: &PublicKey, signature: &[u8]) -> Result<()> {
        let keyid = key.id();
        let canonical = key.canonical_signature(&self.pae(), signature);
        let bytes = canonical.ok_or(Error::ForeignSignature { keyid })?;
        self.insert(Signature { keyid, bytes })
    }

    fn insert(&mut self, signature: Signature) -> Result<()> {
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(too_many(self.signatures.len() + 1));
        }
        match self.signatures.binary_search_by_key(&signature.keyid, |other| other.keyid) {
            Ok(_) => Err(Error::AlreadySigned { keyid: signature.keyid }),
            Err(place) => {
                self.signatures.insert(place, signature);
                Ok(())
            }
        }
    }
}

fn read_signature(json: &SignatureJson) -> Result<Signature> {
    let bytes = decode_base64("sig", &json.sig)?;
    if bytes.len() > MAX_SIGNATURE_BYTES {
        let (found, max) = (bytes.len() as u64, MAX_SIGNATURE_BYTES as u64);
        return Err(Error::TooLarge { what: "signature in the envelope", found, max });
    }
    Ok(Signature { keyid: json.keyid, bytes })
}

fn check_order(signatures: &[Signature]) -> Result<()> {
    if signatures.is_empty() {
        return Err(Error::Unsigned);
    }
    match signatures.windows(2).find(|pair| pair[0].keyid >= pair[1].keyid) {
        Some(pair) => Err(Error::SignatureOrder { keyid: pair[1].keyid }),
        None => Ok(()),
    }
}

fn decode_base64(field: &'static str, text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|_| Error::Base64 { field })
}

fn too_many(found: usize) -> Error {
    Error::TooMany { what: "signatures in the envelope", found, max: MAX_SIGNATURES }
}

fn first_difference(ours: &[u8], theirs: &[u8]) -> Option<usize> {
    if ours == theirs {
        return None;
    }
    let common = ours.iter().zip(theirs).position(|(a, b)| a != b);
    Some(common.unwrap_or(ours.len().min(theirs.len())))
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
