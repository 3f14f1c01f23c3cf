use std::fmt;
use std::path::Path;
use std::str::FromStr;

use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use serde::{Deserialize, Serialize};

use crate::limits::MAX_KEY_FILE_BYTES;
use crate::{Digest, Error, Result, ecdsa, pem, sha256};

/// A signature algorithm.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// Ed25519 (RFC 8032): deterministic, so packing twice gives the same file.
    #[default]
    Ed25519,
    /// ECDSA with P-256 and SHA-256: for hardware that has no Ed25519. Each signing draws fresh randomness.
    EcdsaP256,
}

impl Algorithm {
    /// `ed25519` or `ecdsa-p256`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
        }
    }

    /// What comes before the raw public key in its SubjectPublicKeyInfo; the whole is fixed but for the key itself.
    fn spki_prefix(self) -> &'static [u8] {
        match self {
            Self::Ed25519 => &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00],
            Self::EcdsaP256 => &[
                0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
                0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
            ],
        }
    }

    fn raw_public_len(self) -> usize {
        match self {
            Self::Ed25519 => 32,
            Self::EcdsaP256 => 65,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "ed25519" => Ok(Self::Ed25519),
            "ecdsa-p256" => Ok(Self::EcdsaP256),
            _ => Err(Error::InvalidValue {
                field: "algorithm".into(),
                found: crate::text::excerpt(text),
                expected: "ed25519 or ecdsa-p256",
            }),
        }
    }
}

/// Names a key: the SHA-256 of its SubjectPublicKeyInfo in DER, as
/// `openssl pkey -pubin -outform DER | sha256sum` prints it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct KeyId(Digest);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KeyId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self)
    }
}

/// A public key, which signatures are checked with.
#[derive(Clone, Eq, PartialEq)]
pub struct PublicKey {
    algorithm: Algorithm,
    raw: Vec<u8>,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in PEM, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// [`Error::Pem`], [`Error::UnsupportedKey`], or [`Error::TooLarge`].
    pub fn from_pem(text: &str) -> Result<Self> {
        Self::from_spki_der(&pem::decode(PUBLIC, "PUBLIC KEY", text)?)
    }

    /// Reads the PEM file at `path`.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem), or [`Error::Io`], [`Error::NotAFile`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_pem(&crate::file::read_text(path.as_ref(), PUBLIC, MAX_KEY_FILE_BYTES)?)
    }

    /// Reads a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// [`Error::UnsupportedKey`] for anything but an Ed25519 or an uncompressed, named-curve P-256 key.
    pub fn from_spki_der(der: &[u8]) -> Result<Self> {
        for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256] {
            if let Some(raw) = der.strip_prefix(algorithm.spki_prefix())
                && raw.len() == algorithm.raw_public_len()
                && (algorithm == Algorithm::Ed25519 || raw.first() == Some(&4))
            {
                return Ok(Self { algorithm, raw: raw.to_vec() });
            }
        }
        Err(Error::UnsupportedKey { what: PUBLIC, reason: describe(der) })
    }

    /// The key in PEM, the bytes that `openssl pkey -pubout` writes.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.to_spki_der())
    }

    /// The key as SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn to_spki_der(&self) -> Vec<u8> {
        [self.algorithm.spki_prefix(), &self.raw].concat()
    }

    /// The key alone: 32 bytes for Ed25519, an uncompressed point of 65 for P-256.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// An Ed25519 key of its 32 bytes; whether they are a point on the curve shows when a signature is checked.
    #[must_use]
    pub fn from_ed25519(raw: &[u8; 32]) -> Self {
        Self { algorithm: Algorithm::Ed25519, raw: raw.to_vec() }
    }

    /// The key's name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(sha256(&self.to_spki_der()))
    }

    /// The key's algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's signature over `message`, in its one canonical spelling: 64 bytes for Ed25519,
    /// shortest DER with the smaller `s` for ECDSA.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::Ed25519 => signature::UnparsedPublicKey::new(&signature::ED25519, &self.raw)
                .verify(message, signature)
                .is_ok(),
            Algorithm::EcdsaP256 => {
                self.canonical_signature(message, signature).is_some_and(|canonical| canonical == signature)
            }
        }
    }

    /// The canonical spelling of a valid signature that another tool made; `None` if it is not valid.
    pub(crate) fn canonical_signature(&self, message: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
        if self.algorithm == Algorithm::Ed25519 {
            return self.verify(message, signature).then(|| signature.to_vec());
        }
        let fixed = ecdsa::from_der(signature)?;
        let key = signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.raw);
        key.verify(message, &fixed).ok()?;
        Some(ecdsa::to_der(&fixed))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm, self.id())
    }
}

/// A private key. Its bytes are overwritten when it is dropped, as far as safe code can promise that.
pub struct SigningKey {
    pkcs8: Vec<u8>,
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    EcdsaP256(EcdsaKeyPair),
}

impl SigningKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`Error::Random`] if the system gives no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self> {
        let random = SystemRandom::new();
        let pkcs8 = match algorithm {
            Algorithm::Ed25519 => {
                let seed: [u8; 32] = ring::rand::generate(&random).map_err(|_| Error::Random)?.expose();
                [PKCS8_ED25519_PREFIX, &seed].concat()
            }
            Algorithm::EcdsaP256 => {
                let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
                document.map_err(|_| Error::Random)?.as_ref().to_vec()
            }
        };
        Self::from_pkcs8(pkcs8)
    }

    pub(crate) fn from_ed25519_seed(seed: &[u8; 32]) -> Result<Self> {
        Self::from_pkcs8([PKCS8_ED25519_PREFIX, seed].concat())
    }

    /// Reads an unencrypted PKCS#8 key in PEM, as `openssl genpkey` writes it.
    ///
    /// # Errors
    /// [`Error::Pem`], [`Error::UnsupportedKey`], [`Error::BrokenKey`], or [`Error::TooLarge`].
    pub fn from_pem(text: &str) -> Result<Self> {
        Self::from_pkcs8(pem::decode(PRIVATE, "PRIVATE KEY", text)?)
    }

    /// Reads the PEM file at `path`.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem), or [`Error::Io`], [`Error::NotAFile`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_pem(&crate::file::read_text(path.as_ref(), PRIVATE, MAX_KEY_FILE_BYTES)?)
    }

    /// The key in PEM. Whoever writes it to disk sees to it that nobody else can read the file.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode("PRIVATE KEY", &self.pkcs8)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message` as it is. Whoever signs two kinds of documents with one key sees to it that none reads as the other;
    /// [`Envelope`](crate::Envelope) does, and the metadata of a store begins with `{`, which no envelope's message does.
    ///
    /// # Errors
    /// [`Error::Random`]: ECDSA needs randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        match &self.pair {
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::EcdsaP256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| Error::Random)?;
                let fixed = signature.as_ref().try_into().map_err(|_| Error::Random)?;
                Ok(ecdsa::to_der(fixed))
            }
        }
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Result<Self> {
        let broken =
            |error: ring::error::KeyRejected| Error::BrokenKey { what: PRIVATE, reason: error.to_string() };
        let (algorithm, raw, pair) = match algorithm_of(&pkcs8) {
            Some(Algorithm::Ed25519) => {
                // "Maybe unchecked": openssl's version 1 carries no public key to check against.
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8).map_err(broken)?;
                (Algorithm::Ed25519, pair.public_key().as_ref().to_vec(), Pair::Ed25519(pair))
            }
            Some(Algorithm::EcdsaP256) => {
                let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::from_pkcs8(scheme, &pkcs8, &SystemRandom::new()).map_err(broken)?;
                (Algorithm::EcdsaP256, pair.public_key().as_ref().to_vec(), Pair::EcdsaP256(pair))
            }
            None => return Err(Error::UnsupportedKey { what: PRIVATE, reason: describe(&pkcs8) }),
        };
        Ok(Self { pkcs8, pair, public: PublicKey { algorithm, raw } })
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.pkcs8.fill(0);
        std::hint::black_box(&self.pkcs8); // the write above must not be optimized away
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {}, private part not shown)", self.public.algorithm, self.public.id())
    }
}

const PUBLIC: &str = "public key";
const PRIVATE: &str = "private key";
/// Before the seed in PKCS#8 version 1, as openssl writes it; `ring` would write version 2, which openssl 3.0 cannot read.
const PKCS8_ED25519_PREFIX: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const OID_ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const OID_P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_EC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// Which algorithm a PKCS#8 document says it is for; `ring` then checks the whole document.
fn algorithm_of(der: &[u8]) -> Option<Algorithm> {
    if names(der, OID_ED25519) {
        Some(Algorithm::Ed25519)
    } else {
        names(der, OID_P256).then_some(Algorithm::EcdsaP256)
    }
}

/// Whether the object identifier is among the first bytes, where both kinds of document name their algorithm.
fn names(der: &[u8], oid: &[u8]) -> bool {
    der.get(..der.len().min(40)).is_some_and(|head| head.windows(oid.len()).any(|window| window == oid))
}

fn describe(der: &[u8]) -> String {
    let found = if names(der, OID_ED25519) {
        "an Ed25519 key in an unusual encoding"
    } else if names(der, OID_P256) {
        "a P-256 key that is not an uncompressed point"
    } else if names(der, OID_EC) {
        "an EC key of another curve, or with explicit parameters"
    } else if names(der, OID_RSA) {
        "an RSA key"
    } else {
        "an unknown kind of key"
    };
    format!("found {found}, expected Ed25519 or ECDSA P-256 (named curve)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_keys_round_trip_and_sign() {
        for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256] {
            let key = SigningKey::generate(algorithm).unwrap();
            assert_eq!(algorithm.to_string().parse::<Algorithm>().unwrap(), algorithm);
            let again = SigningKey::from_pem(&key.to_pem()).unwrap();
            assert_eq!(again.public(), key.public());
            let public = PublicKey::from_pem(&key.public().to_pem()).unwrap();
            assert_eq!((public.id(), public.algorithm()), (key.public().id(), algorithm));
            let signature = again.sign(b"message").unwrap();
            assert!(public.verify(b"message", &signature));
            assert!(!public.verify(b"massage", &signature));
            for at in 0..signature.len() {
                let mut changed = signature.clone();
                changed[at] ^= 1;
                assert!(!public.verify(b"message", &changed), "{algorithm} byte {at}");
            }
            assert!(!format!("{key:?}").contains(&key.to_pem()[30..60]));
        }
    }

    #[test]
    fn version_2_keys_of_other_tools_are_read() {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = SigningKey::from_pem(&pem::encode("PRIVATE KEY", document.as_ref())).unwrap();
        assert!(key.public().verify(b"m", &key.sign(b"m").unwrap()));
        let mut broken = document.as_ref().to_vec();
        *broken.last_mut().unwrap() ^= 1; // its public key no longer fits
        let error = SigningKey::from_pem(&pem::encode("PRIVATE KEY", &broken)).unwrap_err();
        assert!(matches!(error, Error::BrokenKey { .. }), "{error}");
    }

    #[test]
    fn only_the_smaller_s_is_accepted() {
        let key = SigningKey::generate(Algorithm::EcdsaP256).unwrap();
        let Pair::EcdsaP256(pair) = &key.pair else { panic!() };
        let (mut low, mut high) = (0, 0);
        while low == 0 || high == 0 {
            let fixed: ecdsa::Fixed =
                pair.sign(&SystemRandom::new(), b"m").unwrap().as_ref().try_into().unwrap();
            let canonical = ecdsa::to_der(&fixed);
            assert!(key.public.verify(b"m", &canonical));
            if ecdsa::from_der(&canonical).unwrap() == fixed { low += 1 } else { high += 1 }
        }
    }

    #[test]
    fn other_keys_are_refused_by_name() {
        let p256 = SigningKey::generate(Algorithm::EcdsaP256).unwrap();
        let mut der = p256.public().to_spki_der();
        der[26] = 2; // compressed point
        let error = PublicKey::from_spki_der(&der).unwrap_err();
        assert!(
            matches!(&error, Error::UnsupportedKey { reason, .. } if reason.contains("uncompressed")),
            "{error}"
        );
        for (oid, word) in [(OID_RSA, "RSA"), (OID_EC, "another curve"), (&[0x30][..], "unknown kind")] {
            let text = pem::encode("PRIVATE KEY", &[&[0x30, 0x20][..], oid].concat());
            let error = SigningKey::from_pem(&text).unwrap_err();
            assert!(
                matches!(&error, Error::UnsupportedKey { reason, .. } if reason.contains(word)),
                "{error}"
            );
        }
        let mut broken = p256.pkcs8.clone();
        broken[40] ^= 1; // the private scalar no longer fits the public point
        let error = SigningKey::from_pem(&pem::encode("PRIVATE KEY", &broken)).unwrap_err();
        assert!(matches!(error, Error::BrokenKey { .. }), "{error}");
    }

    #[test]
    fn no_prefix_of_a_key_is_a_key_and_none_panics() {
        for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256] {
            let key = SigningKey::generate(algorithm).unwrap();
            for length in 0..key.pkcs8.len() {
                assert!(SigningKey::from_pkcs8(key.pkcs8[..length].to_vec()).is_err());
            }
            let spki = key.public().to_spki_der();
            for length in 0..spki.len() {
                assert!(PublicKey::from_spki_der(&spki[..length]).is_err());
            }
        }
    }
}
