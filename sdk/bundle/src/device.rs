//! The key of a device: what grants are bound to, and what signs receipts.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpke::kem::X25519HkdfSha256 as Kem;
use hpke::{Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::cipher::{self, ContentKey};
use crate::{Digest, Envelope, Error, LicenseError, PayloadType, PublicKey, Result, SigningKey, sha256};

type Aead = hpke::aead::ChaCha20Poly1305;
type Kdf = hpke::kdf::HkdfSha256;

/// Names a device: the SHA-256 of its two public keys.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct DeviceId(Digest);

/// How hard it is to use a device's key on another machine. Told by the device itself; nothing attests it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Strength {
    /// The key is a file: whoever can read it can copy it.
    Software,
    /// What is on the disk opens only with this machine's TPM or token. While an app runs the key is in memory.
    DeviceBound,
}

/// The public half of a device's key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DevicePublic {
    /// Ed25519, as SubjectPublicKeyInfo: checks receipts and requests.
    pub signing: Spki,
    /// X25519: content keys are wrapped for it.
    pub agreement: Bytes64<32>,
    /// How well the private half is kept.
    pub strength: Strength,
}

/// The 32 bytes that all keys of a device follow from. Overwritten when dropped.
#[derive(Clone)]
pub struct DeviceSecret(Zeroizing<[u8; 32]>);

/// A device's private keys. Overwritten when dropped.
pub struct DeviceKey {
    signing: SigningKey,
    agreement: <Kem as hpke::Kem>::PrivateKey,
    public: DevicePublic,
}

/// A content key that one device can unwrap: HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
/// ChaCha20Poly1305.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WrappedKey {
    /// The encapsulated key.
    pub enc: Bytes64<32>,
    /// The 32 bytes of the content key and a tag.
    pub ciphertext: Bytes64<48>,
}

impl DeviceSecret {
    /// A new one.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn generate() -> Result<Self> {
        cipher::random().map(Self)
    }

    /// One that was kept; `None` unless there are 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// The bytes, for whatever keeps them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for DeviceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceSecret(not shown)")
    }
}

impl DeviceKey {
    /// The keys that follow from a device's secret.
    ///
    /// # Errors
    /// [`Error::BrokenKey`] never, for 32 bytes.
    pub fn from_secret(secret: &DeviceSecret, strength: Strength) -> Result<Self> {
        let part = |what: &[u8]| cipher::derive(secret.expose(), b"tilemark device v1", &[what]);
        let signing = SigningKey::from_ed25519_seed(&part(b"signing"))?;
        let (agreement, public) = Kem::derive_keypair(&*part(b"agreement"));
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&public.to_bytes());
        let public =
            DevicePublic { signing: Spki(signing.public().clone()), agreement: Bytes64(bytes), strength };
        Ok(Self { signing, agreement, public })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &DevicePublic {
        &self.public
    }

    /// The device's name.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        self.public.id()
    }

    /// Signs a document as this device.
    ///
    /// # Errors
    /// As [`Envelope::seal`].
    pub fn seal(&self, payload_type: PayloadType, payload: Vec<u8>) -> Result<Envelope> {
        Envelope::seal(payload_type, payload, &[&self.signing])
    }

    /// Unwraps a content key that was wrapped for this device under these circumstances.
    ///
    /// # Errors
    /// [`LicenseError::WrappedKey`].
    pub fn unwrap(&self, wrapped: &WrappedKey, bundle: Digest, grant: Digest) -> Result<ContentKey> {
        let refused = |_| Error::from(LicenseError::WrappedKey { bundle });
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(&wrapped.enc.0).map_err(refused)?;
        let info = wrap_info(bundle, grant);
        let plain = hpke::single_shot_open::<Aead, Kdf, Kem>(
            &OpModeR::Base,
            &self.agreement,
            &enc,
            &info,
            &wrapped.ciphertext.0,
            self.id().0.as_bytes(),
        );
        let plain = Zeroizing::new(plain.map_err(refused)?);
        let key = <[u8; 32]>::try_from(plain.as_slice()).map_err(|_| LicenseError::WrappedKey { bundle })?;
        Ok(ContentKey::from_bytes(Zeroizing::new(key)))
    }
}

impl DevicePublic {
    /// The device's name.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        DeviceId(sha256(&[&self.signing.0.to_spki_der()[..], &self.agreement.0].concat()))
    }

    /// The payload of a document that this device signed.
    ///
    /// # Errors
    /// As [`Envelope::parse`], or [`LicenseError::NotSignedByDevice`].
    pub fn open(&self, payload_type: PayloadType, envelope: &[u8]) -> Result<Vec<u8>> {
        let envelope = Envelope::parse(envelope, payload_type)?;
        self.check(&envelope)?;
        Ok(envelope.payload().to_vec())
    }

    pub(crate) fn check(&self, envelope: &Envelope) -> Result<()> {
        let key = &self.signing.0;
        let checks = envelope.check(|id| (id == key.id()).then_some(key));
        match checks.as_slice() {
            [(_, crate::SignatureCheck::Holds)] => Ok(()),
            _ => Err(LicenseError::NotSignedByDevice { device: self.id() }.into()),
        }
    }

    /// Wraps a content key for this device; `grant` is the id of the grant that will carry it.
    ///
    /// # Errors
    /// [`Error::BrokenKey`] if the device's public key is none, [`Error::Random`].
    pub fn wrap(&self, key: &ContentKey, bundle: Digest, grant: Digest) -> Result<WrappedKey> {
        let broken = |error: hpke::HpkeError| Error::BrokenKey {
            what: "agreement key of the device",
            reason: error.to_string(),
        };
        let recipient = <Kem as hpke::Kem>::PublicKey::from_bytes(&self.agreement.0).map_err(broken)?;
        let (enc, ciphertext) = hpke::single_shot_seal::<Aead, Kdf, Kem>(
            &OpModeS::Base,
            &recipient,
            &wrap_info(bundle, grant),
            key.expose(),
            self.id().0.as_bytes(),
        )
        .map_err(broken)?;
        let mut wrapped = WrappedKey { enc: Bytes64([0; 32]), ciphertext: Bytes64([0; 48]) };
        wrapped.enc.0.copy_from_slice(&enc.to_bytes());
        wrapped.ciphertext.0 = <[u8; 48]>::try_from(ciphertext.as_slice()).map_err(|_| Error::Random)?;
        Ok(wrapped)
    }
}

/// Binds a wrapped key to its bundle and grant: it is of no use in another.
fn wrap_info(bundle: Digest, grant: Digest) -> Vec<u8> {
    [b"tilemark wrapped key v1".as_slice(), bundle.as_bytes(), grant.as_bytes()].concat()
}

impl DeviceId {
    /// The digest behind it.
    #[must_use]
    pub fn digest(self) -> Digest {
        self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeviceId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self)
    }
}

impl Strength {
    /// `software` or `device-bound`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::DeviceBound => "device-bound",
        }
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({}, {}, private part not shown)", self.id(), self.public.strength)
    }
}

/// Bytes of a fixed number, in JSON as canonical base64.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bytes64<const N: usize>(pub [u8; N]);

impl<const N: usize> Serialize for Bytes64<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes64<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = STANDARD.decode(String::deserialize(deserializer)?).ok();
        let bytes = bytes.and_then(|bytes| <[u8; N]>::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom(format_args!("not base64 of {N} bytes")))
    }
}

/// A public key, in JSON as the base64 of its SubjectPublicKeyInfo in DER.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spki(pub PublicKey);

impl Serialize for Spki {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0.to_spki_der()))
    }
}

impl<'de> Deserialize<'de> for Spki {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let der = STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)?;
        PublicKey::from_spki_der(&der).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(seed: u8) -> DeviceKey {
        DeviceKey::from_secret(&DeviceSecret(Zeroizing::new([seed; 32])), Strength::Software).unwrap()
    }

    #[test]
    fn a_wrapped_key_opens_on_its_device_for_its_bundle_and_grant_only() {
        let (one, two) = (device(1), device(2));
        let (bundle, grant, other) = (sha256(b"bundle"), sha256(b"grant"), sha256(b"other"));
        let key = ContentKey::from_bytes(Zeroizing::new([9; 32]));
        let wrapped = one.public().wrap(&key, bundle, grant).unwrap();
        assert_eq!(one.unwrap(&wrapped, bundle, grant).unwrap().expose(), key.expose());
        for refused in [
            two.unwrap(&wrapped, bundle, grant),
            one.unwrap(&wrapped, other, grant),
            one.unwrap(&wrapped, bundle, other),
        ] {
            assert_eq!(refused.unwrap_err().code(), "TM0176");
        }
        for at in 0..48 {
            let mut bad = wrapped.clone();
            bad.ciphertext.0[at] ^= 1;
            assert!(one.unwrap(&bad, bundle, grant).is_err());
        }
    }

    #[test]
    fn the_same_secret_is_the_same_device() {
        assert_eq!(device(1).public(), device(1).public());
        assert_ne!(device(1).id(), device(2).id());
        let json = serde_json::to_vec(device(1).public()).unwrap();
        let read: DevicePublic = crate::json::from_slice("device", &json, 4096).unwrap();
        assert_eq!(&read, device(1).public());
        assert!(!format!("{:?}", device(1)).contains("seed"));
    }

    #[test]
    fn documents_of_other_devices_are_refused() {
        const KIND: PayloadType = PayloadType::new("application/vnd.tilemark.test+json");
        let document = device(1).seal(KIND, b"{}".to_vec()).unwrap().to_json();
        assert_eq!(device(1).public().open(KIND, &document).unwrap(), b"{}");
        assert_eq!(device(2).public().open(KIND, &document).unwrap_err().code(), "TM0177");
    }

    #[test]
    fn low_order_public_keys_are_refused() {
        let mut public = device(1).public().clone();
        public.agreement = Bytes64([0; 32]);
        let key = ContentKey::from_bytes(Zeroizing::new([9; 32]));
        assert!(public.wrap(&key, sha256(b"b"), sha256(b"g")).is_err());
    }
}
