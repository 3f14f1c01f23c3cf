//! Escrow: what a vendor leaves with trustees, so that buyers go on when the vendor is gone.
//!
//! The content key of an encrypted bundle is split k of n: any `k` trustees together have it, fewer know nothing of it. A signed deed
//! says for which bundle, who the trustees are, what each one's share hashes to, and which source goes with it. Trustees sign a
//! release when they hand their shares out: the statement is for everybody to see; it is their shares that hold the key back.

mod shares;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::cipher::ContentKey;
use crate::device::{Bytes64, Spki};
use crate::limits::{MAX_DEED_BYTES, MAX_DESCRIPTION_BYTES, MAX_TRUSTEES};
use crate::manifest::{check_integer, invalid};
use crate::reader::signers;
use crate::{
    AppIdentity, AppName, Bundle, BundleWriter, Digest, Envelope, Error, LicenseError, PayloadType,
    PublicKey, Result, SignatureCheck, SigningKey, Trust, Verdict, json, sha256,
};

/// What was deposited, and with whom.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Deed {
    /// The version of this document's form.
    pub schema: u64,
    /// Of which app.
    pub app: AppName,
    /// The bundle.
    pub identity: Digest,
    /// What its content key is bound to.
    pub binding: Digest,
    /// What the key commits to: the right one is known when it is seen.
    pub key_commitment: Digest,
    /// SHA-256 of an archive of the source that buyers may have then; the trustees keep it beside their shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Digest>,
    /// Shares that it takes.
    pub threshold: u64,
    /// The trustees, in the order of their shares.
    pub trustees: Vec<Trustee>,
}

/// One of those who have a share.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Trustee {
    /// Whose signature counts.
    pub key: Spki,
    /// What the share hashes to; of 32 random bytes that tells nothing.
    pub share: Digest,
}

/// A trustee's part of the key: to be kept secret until a release.
#[derive(Clone, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Share {
    /// The version of this document's form.
    pub schema: u64,
    /// SHA-256 of the deed's JSON.
    pub deed: Digest,
    /// Whose it is, from 1.
    pub trustee: u64,
    value: Bytes64<32>,
}

/// The trustees' word that the key is due.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Release {
    /// The version of this document's form.
    pub schema: u64,
    /// SHA-256 of the deed's JSON.
    pub deed: Digest,
    /// Why, for people.
    pub reason: String,
    /// When, in seconds since 1970.
    pub made: u64,
}

/// A deed whose signature was checked.
#[derive(Clone, Debug)]
pub struct SignedDeed {
    deed: Deed,
    digest: Digest,
}

const SCHEMA: u64 = 1;

impl Deed {
    /// The payload type of deeds.
    pub const PAYLOAD_TYPE: PayloadType = PayloadType::new("application/vnd.tilemark.escrow-deed.v1+json");

    /// Splits the content key of a bundle among trustees, `threshold` of whom have it together: the JSON of the deed, signed by the
    /// vendor, and a share for each in their order. Further keys of the vendor's sign with [`Envelope::sign`].
    ///
    /// # Errors
    /// [`LicenseError::NotEncrypted`], [`LicenseError::WrongContentKey`] for another bundle's key, [`Error::InvalidValue`],
    /// [`Error::TooMany`], [`Error::Random`].
    pub fn deposit(
        bundle: &Bundle,
        key: &ContentKey,
        source: Option<Digest>,
        trustees: &[PublicKey],
        threshold: u64,
        signer: &SigningKey,
    ) -> Result<(Vec<u8>, Vec<Share>)> {
        let app = bundle.manifest().app.name.clone();
        let encryption = bundle.manifest().encryption.as_ref();
        let encryption = encryption.ok_or_else(|| LicenseError::NotEncrypted { app: app.to_string() })?;
        let (binding, key_commitment) = (encryption.binding, encryption.key_commitment);
        check_key(key, binding, key_commitment)?;
        let values = shares::split(key.expose(), trustees.len(), threshold)?;
        let listed = trustees.iter().zip(&values).map(|(key, value)| Trustee {
            key: Spki(key.clone()),
            share: digest_of(bundle.identity(), value),
        });
        let deed = Self {
            schema: SCHEMA,
            app,
            identity: bundle.identity(),
            binding,
            key_commitment,
            source,
            threshold,
            trustees: listed.collect(),
        };
        deed.check()?;
        let payload = json::to_vec(&deed)?;
        let digest = sha256(&payload);
        let share = |(trustee, value): (u64, &shares::Value)| Share {
            schema: SCHEMA,
            deed: digest,
            trustee,
            value: Bytes64(**value),
        };
        let shares = (1..).zip(&values).map(share).collect();
        Ok((Envelope::seal(Self::PAYLOAD_TYPE, payload, &[signer])?.to_json(), shares))
    }

    fn check(&self) -> Result<()> {
        json::check_schema(self.schema, SCHEMA)?;
        let count = self.trustees.len();
        if count > MAX_TRUSTEES {
            return Err(Error::TooMany { what: "trustees", found: count, max: MAX_TRUSTEES });
        }
        if self.threshold == 0 || self.threshold > count as u64 {
            let found = format!("{} of {count}", self.threshold);
            return Err(invalid("threshold", &found, "at least 1, and no more than there are trustees"));
        }
        for (at, trustee) in self.trustees.iter().enumerate() {
            // Two shares by one trustee would be fewer people than were named.
            if self.trustees.iter().take(at).any(|other| other.key == trustee.key) {
                return Err(invalid("trustees", &trustee.key.0.id().to_string(), "each trustee once"));
            }
        }
        Ok(())
    }
}

impl SignedDeed {
    /// Checks that as many keys signed as the policy asks for of the app's publisher as its vendor, none of them revoked. No other
    /// role can sign a deed, and none has to.
    ///
    /// # Errors
    /// As [`Envelope::parse`]; [`Error::InvalidSignature`], [`Error::UnknownSigners`], [`Error::RevokedKey`],
    /// [`Error::PublisherNotAllowed`], [`Error::ThresholdNotMet`]; [`Error::Json`], [`Error::InvalidValue`], [`Error::TooMany`].
    pub fn verify(bytes: &[u8], trust: &Trust) -> Result<Self> {
        let envelope = Envelope::parse(bytes.trim_ascii(), Deed::PAYLOAD_TYPE)?;
        let signers = signers::trusted(&envelope, trust, &mut Verdict::default())?;
        let deed: Deed = json::from_slice("deed", envelope.payload(), MAX_DEED_BYTES)?;
        deed.check()?;
        signers::check_vendor(signers, deed.app.publisher(), trust)?;
        Ok(Self { deed, digest: sha256(envelope.payload()) })
    }

    /// What it says.
    #[must_use]
    pub fn deed(&self) -> &Deed {
        &self.deed
    }

    /// A statement that the key is due, signed by one trustee; others add their signatures with [`Envelope::sign`].
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for a reason that is none.
    pub fn release(&self, reason: &str, made: u64, trustee: &SigningKey) -> Result<Envelope> {
        let release = Release { schema: SCHEMA, deed: self.digest, reason: reason.to_owned(), made };
        release.check()?;
        Envelope::seal(Release::PAYLOAD_TYPE, json::to_vec(&release)?, &[trustee])
    }

    /// The content key, of a release that enough trustees signed and enough of their shares.
    ///
    /// # Errors
    /// [`LicenseError::NotReleased`], [`LicenseError::WrongShare`] which names whose it is, [`LicenseError::TooFewShares`];
    /// as [`Envelope::parse`] for the release.
    pub fn open(&self, release: &[u8], shares: &[Share]) -> Result<(Release, ContentKey)> {
        let release = self.check_release(release)?;
        let mut values = Vec::new();
        for share in shares {
            let Share { trustee, value, .. } = share;
            let at = usize::try_from(*trustee).ok().and_then(|at| at.checked_sub(1));
            let listed = at.and_then(|at| self.deed.trustees.get(at));
            let deposited =
                listed.map(|listed| listed.share) == Some(digest_of(self.deed.identity, &value.0));
            if share.schema != SCHEMA || share.deed != self.digest || !deposited {
                return Err(LicenseError::WrongShare { trustee: *trustee }.into());
            }
            if values.iter().all(|(known, _)| known != trustee) {
                values.push((*trustee, &value.0));
            }
        }
        let (needed, found) = (self.deed.threshold, values.len() as u64);
        if found < needed {
            return Err(LicenseError::TooFewShares { needed, found }.into());
        }
        let key = ContentKey::from_bytes(shares::combine(&values)?);
        // Each share is the one that was deposited: only a vendor that deposited something else gets here.
        check_key(&key, self.deed.binding, self.deed.key_commitment)?;
        Ok((release, key))
    }

    /// What a statement says that one trustee at least has signed, and how many have: for those who are asked to sign it too.
    ///
    /// # Errors
    /// As [`Envelope::parse`]; [`Error::InvalidSignature`], [`LicenseError::NotReleased`] if no trustee signed it,
    /// [`Error::InvalidValue`] for another deed's.
    pub fn statement(&self, release: &[u8]) -> Result<(Release, u64)> {
        let envelope = Envelope::parse(release.trim_ascii(), Release::PAYLOAD_TYPE)?;
        let found = self.signatures(&envelope)?;
        match found {
            0 => Err(LicenseError::NotReleased { needed: self.deed.threshold, found }.into()),
            _ => Ok((self.read(&envelope)?, found)),
        }
    }

    /// Compares the SHA-256 of an archive with the one that was deposited.
    ///
    /// # Errors
    /// [`LicenseError::WrongSource`], also where none was deposited.
    pub fn check_source(&self, found: Digest) -> Result<()> {
        match self.deed.source {
            Some(expected) if expected == found => Ok(()),
            expected => Err(LicenseError::WrongSource { expected, found }.into()),
        }
    }

    fn check_release(&self, bytes: &[u8]) -> Result<Release> {
        let envelope = Envelope::parse(bytes.trim_ascii(), Release::PAYLOAD_TYPE)?;
        let (needed, found) = (self.deed.threshold, self.signatures(&envelope)?);
        if found < needed {
            return Err(LicenseError::NotReleased { needed, found }.into());
        }
        self.read(&envelope)
    }

    /// How many trustees signed; a signature of a trustee's that does not hold is an error.
    fn signatures(&self, envelope: &Envelope) -> Result<u64> {
        let trustees = &self.deed.trustees;
        let key = |id| trustees.iter().map(|trustee| &trustee.key.0).find(|key| key.id() == id);
        let checks = envelope.check(key);
        if let Some((keyid, algorithm)) = checks.iter().find_map(|(id, check)| match (check, key(*id)) {
            (SignatureCheck::Holds, _) | (_, None) => None,
            (_, Some(key)) => Some((*id, key.algorithm().as_str())),
        }) {
            return Err(Error::InvalidSignature { keyid, algorithm });
        }
        Ok(checks.iter().filter(|(id, _)| key(*id).is_some()).count() as u64)
    }

    fn read(&self, envelope: &Envelope) -> Result<Release> {
        let release: Release = json::from_slice("release", envelope.payload(), MAX_DEED_BYTES)?;
        release.check()?;
        if release.deed != self.digest {
            return Err(invalid("deed", &release.deed.to_string(), "the SHA-256 of this deed"));
        }
        Ok(release)
    }
}

impl Release {
    /// The payload type of releases.
    pub const PAYLOAD_TYPE: PayloadType = PayloadType::new("application/vnd.tilemark.escrow-release.v1+json");

    fn check(&self) -> Result<()> {
        json::check_schema(self.schema, SCHEMA)?;
        check_integer("made", self.made)?;
        let reason = &self.reason;
        if reason.is_empty() || reason.len() > MAX_DESCRIPTION_BYTES || reason.chars().any(char::is_control) {
            return Err(invalid("reason", reason, "1 to 1024 bytes without control characters"));
        }
        Ok(())
    }
}

impl Share {
    /// As it is kept.
    ///
    /// # Errors
    /// None.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        json::to_vec(self)
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`Error::Json`].
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        json::from_slice("share", bytes, MAX_DEED_BYTES)
    }
}

/// The bundle of an app that was unlocked, without encryption and grants: what buyers go on with. It has a name of theirs, since it is
/// not the vendor's any more: whoever signs it vouches for it.
///
/// # Errors
/// [`LicenseError::Locked`], and those of [`BundleWriter::sign`].
pub fn freed(bundle: &Bundle, name: AppName, signer: &SigningKey) -> Result<Vec<u8>> {
    let manifest = bundle.manifest();
    let app = AppIdentity { name, ..manifest.app.clone() };
    let writer = BundleWriter::new(app).min_sdk(manifest.min_sdk.clone()).limits(manifest.limits);
    let writer = manifest.targets.iter().fold(writer, BundleWriter::target);
    let mut writer = manifest.origin.iter().fold(writer, |writer, origin| writer.origin(origin.clone()));
    for blob in &manifest.blobs {
        writer = writer.blob(&blob.name, bundle.blob(&blob.name)?);
    }
    writer.sign(&[signer])
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Share({} of {}, not shown)", self.trustee, self.deed)
    }
}

fn check_key(key: &ContentKey, binding: Digest, expected: Digest) -> Result<()> {
    match key.commitment(binding) {
        found if found == expected => Ok(()),
        found => Err(LicenseError::WrongContentKey { expected, found }.into()),
    }
}

fn digest_of(identity: Digest, value: &[u8; 32]) -> Digest {
    sha256(&[b"tilemark escrow share v1".as_slice(), identity.as_bytes(), value].concat())
}
