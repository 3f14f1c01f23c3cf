//! Grants: who may run which bundle, on what device, until when, how often.

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_GRANT_BYTES, MAX_GRANTED_BUNDLES, MAX_SHORT_TEXT_BYTES};
use crate::manifest::{check_integer, invalid};
use crate::reader::signers;
use crate::{
    AppName, ContentKey, DeviceId, DeviceKey, Digest, Envelope, Error, KeyId, Lease, LicenseError, Manifest,
    PayloadType, Result, SigningKey, Trust, Verdict, WrappedKey, json, sha256,
};

/// A signed licence. Its JSON is in `docs/terms.md`; times are seconds since 1970 in UTC.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Grant {
    /// The version of this document's form.
    pub schema: u64,
    /// Random; names the grant.
    pub id: Digest,
    /// What kind of licence.
    pub class: GrantClass,
    /// The app.
    pub app: AppName,
    /// The releases that it covers.
    pub releases: Releases,
    /// The device that it is for.
    pub device: DeviceId,
    /// The digest of the request that it answers.
    pub request: Digest,
    /// When it was issued.
    pub issued: u64,
    /// When it begins.
    pub not_before: u64,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
    /// How long after its end the app still runs, for a renewal that is late.
    pub grace_seconds: u64,
    /// How many inferences it is good for, all in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inferences: Option<u64>,
    /// How many sessions may be open at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<u64>,
    /// Runs only while the newest revocation list of the publisher is at most this old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_staleness_seconds: Option<u64>,
    /// How much of the app's result is given out.
    pub output: OutputLevel,
    /// What the app may be used for, in words; nothing enforces it.
    pub field_of_use: String,
    /// What else is allowed.
    pub permits: Vec<Permit>,
    /// The content keys of the bundles that it opens.
    pub keys: Vec<GrantedKey>,
}

/// Kinds of licences, best first: where several fit, the first is used.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum GrantClass {
    /// Bought: never ends, and never needs the vendor again.
    Owned,
    /// For a time, or for a number of inferences that is billed.
    Subscription,
    /// For a number of sessions at once.
    Floating,
    /// For a number of inferences, paid in advance.
    Metered,
    /// To try it: for a number of inferences, or a time, or both.
    Trial,
}

/// From the first to the last release, both included.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Releases {
    /// The oldest.
    pub first: u64,
    /// The newest.
    pub last: u64,
}

/// How much of a result is given out.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OutputLevel {
    /// Everything.
    Full,
    /// The best label's name, without a score.
    Label,
}

/// What a licence may allow beyond running the app.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Permit {
    /// Change the app for a use of one's own.
    Adapt,
    /// Train another model on its results.
    Distil,
    /// Offer it to others as a service.
    Serve,
    /// Publish measurements of it.
    PublishBenchmark,
}

/// The content key of one bundle.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GrantedKey {
    /// The bundle.
    pub identity: Digest,
    /// Its release.
    pub release: u64,
    /// Its content key, for the grant's device.
    pub wrapped: WrappedKey,
}

/// The schema that this SDK writes and reads.
pub(crate) const SCHEMA: u64 = 1;

/// A grant whose signature was checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedGrant {
    grant: Grant,
    digest: Digest,
    signers: Vec<KeyId>,
    /// Where it is a leased seat: the grant that it is of.
    lender: Option<Digest>,
}

impl Grant {
    /// The payload type of grants.
    pub const PAYLOAD_TYPE: PayloadType = PayloadType::new("application/vnd.tilemark.grant.v1+json");

    /// Signs the grant; the JSON of the envelope.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for a grant that contradicts its class.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>> {
        self.check()?;
        Ok(Envelope::seal(Self::PAYLOAD_TYPE, json::to_vec(self)?, &[key])?.to_json())
    }

    /// Checks that the claims are possible and fit the class.
    fn check(&self) -> Result<()> {
        json::check_schema(self.schema, SCHEMA)?;
        let integers = [
            ("releases.last", self.releases.last),
            ("issued", self.issued),
            ("not_before", self.not_before),
            ("not_after", self.not_after.unwrap_or_default()),
            ("grace_seconds", self.grace_seconds),
            ("inferences", self.inferences.unwrap_or_default()),
            ("seats", self.seats.unwrap_or_default()),
            ("max_staleness_seconds", self.max_staleness_seconds.unwrap_or_default()),
        ];
        integers.into_iter().try_for_each(|(field, value)| check_integer(field, value))?;
        if self.releases.first > self.releases.last {
            return Err(invalid("releases.first", &self.releases.first.to_string(), "at most the last one"));
        }
        let field = &self.field_of_use;
        if field.len() > MAX_SHORT_TEXT_BYTES || field.chars().any(char::is_control) {
            return Err(invalid("field_of_use", field, "at most 256 bytes without control characters"));
        }
        if !self.permits.is_sorted_by(|a, b| a < b) {
            return Err(invalid(
                "permits",
                "another order",
                "each at most once, in the order of the documentation",
            ));
        }
        if self.keys.len() > MAX_GRANTED_BUNDLES {
            let (found, max) = (self.keys.len(), MAX_GRANTED_BUNDLES);
            return Err(Error::TooMany { what: "bundles in the grant", found, max });
        }
        self.check_class()
    }

    fn check_class(&self) -> Result<()> {
        let limited = self.inferences.is_some() || self.not_after.is_some();
        let expected = match self.class {
            GrantClass::Owned if limited || self.max_staleness_seconds.is_some() || self.seats.is_some() => {
                "without an end, a budget, seats or a need for revocation lists: it was bought"
            }
            GrantClass::Trial | GrantClass::Subscription if !limited => "with an end or a budget",
            GrantClass::Metered if self.inferences.is_none() => "with a budget",
            GrantClass::Floating if self.seats.is_none_or(|seats| seats == 0) => "with seats",
            _ => return Ok(()),
        };
        Err(invalid("class", &format!("{} as it is", self.class), expected))
    }

    /// The last second in which the app runs.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.not_after.map(|end| end.saturating_add(self.grace_seconds))
    }
}

impl SignedGrant {
    /// Checks that a key which the policy lets sign for the app's publisher signed, and only then reads the grant. Of a
    /// [lease](crate::Lease), it is the grant that this one amounts to.
    ///
    /// # Errors
    /// As [`Envelope::parse`]; [`Error::InvalidSignature`], [`Error::UnknownSigners`], [`Error::RevokedKey`],
    /// [`Error::PublisherNotAllowed`]; [`Error::Json`] or [`Error::InvalidValue`] for what is signed but no grant; for a lease also
    /// [`LicenseError::NotSignedByDevice`], [`LicenseError::OtherDevice`], [`LicenseError::Lease`].
    pub fn verify(bytes: &[u8], trust: &Trust) -> Result<Self> {
        if Lease::is(bytes) { Lease::verify(bytes, trust) } else { Self::verify_issued(bytes, trust) }
    }

    /// The same for what a vendor issued, and nothing else.
    pub(crate) fn verify_issued(bytes: &[u8], trust: &Trust) -> Result<Self> {
        let envelope = Envelope::parse(bytes.trim_ascii(), Grant::PAYLOAD_TYPE)?;
        let signers = signers::trusted(&envelope, trust, &mut Verdict::default())?;
        let grant: Grant = json::from_slice("grant", envelope.payload(), MAX_GRANT_BYTES)?;
        grant.check()?;
        let signers = signers::allowed(signers, grant.app.publisher(), trust)?;
        Ok(Self { grant, digest: sha256(envelope.payload()), signers, lender: None })
    }

    /// A grant that nobody vouches for but its reader.
    pub(crate) fn unverified(bytes: &[u8]) -> Result<Self> {
        let envelope = Envelope::parse(bytes.trim_ascii(), Grant::PAYLOAD_TYPE)?;
        let grant: Grant = json::from_slice("grant", envelope.payload(), MAX_GRANT_BYTES)?;
        grant.check()?;
        Ok(Self { grant, digest: sha256(envelope.payload()), signers: Vec::new(), lender: None })
    }

    /// A seat of the grant `held`.
    pub(crate) fn leased(grant: Grant, digest: Digest, held: &Self) -> Self {
        Self { grant, digest, signers: held.signers.clone(), lender: Some(held.grant.id) }
    }

    /// Reads a grant that was verified when it was recorded under this digest. It has no signers, so it opens nothing.
    ///
    /// # Errors
    /// As [`Envelope::parse`]; [`Error::BlobDamaged`] if it is another one.
    pub fn recorded(bytes: &[u8], digest: Digest) -> Result<Self> {
        if Lease::is(bytes) {
            return Lease::recorded(bytes, digest);
        }
        let grant = Self::unverified(bytes)?;
        if grant.digest != digest {
            return Err(Error::BlobDamaged { name: "grant".into(), expected: digest, found: grant.digest });
        }
        Ok(grant)
    }

    /// Where it is a leased seat: the id of the grant that it is of.
    #[must_use]
    pub fn lender(&self) -> Option<Digest> {
        self.lender
    }

    /// The claims.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The SHA-256 of the signed claims; the first receipt refers to it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Who signed.
    #[must_use]
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
    }

    /// The content key that the grant gives for a bundle on this device.
    ///
    /// # Errors
    /// [`LicenseError::OtherDevice`], [`LicenseError::OtherBundle`], [`LicenseError::IssuerNotNamed`],
    /// [`LicenseError::WrappedKey`].
    pub fn content_key(
        &self,
        manifest: &Manifest,
        identity: Digest,
        device: &DeviceKey,
    ) -> Result<ContentKey> {
        let grant = &self.grant;
        let (app, release) = (&manifest.app.name, manifest.app.release);
        let other = || LicenseError::OtherBundle {
            grant: grant.id,
            granted: format!("{} releases {} to {}", grant.app, grant.releases.first, grant.releases.last),
            found: format!("{app} release {release}, bundle {identity}"),
        };
        if grant.app != *app || !(grant.releases.first..=grant.releases.last).contains(&release) {
            return Err(other().into());
        }
        let key = grant.keys.iter().find(|key| key.identity == identity).ok_or_else(other)?;
        if grant.device != device.id() {
            return Err(LicenseError::OtherDevice { granted: grant.device, found: device.id() }.into());
        }
        let issuers = manifest.encryption.as_ref().map(|encryption| encryption.issuers.as_slice());
        if !self.signers.iter().any(|signer| issuers.unwrap_or_default().contains(signer)) {
            let signers = signers::join(self.signers.iter().copied());
            return Err(LicenseError::IssuerNotNamed { signers }.into());
        }
        device.unwrap(&key.wrapped, identity, grant.id)
    }
}

impl GrantClass {
    /// Every class with its word.
    pub const ALL: [Self; 5] = [Self::Owned, Self::Subscription, Self::Floating, Self::Metered, Self::Trial];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owned => "owned",
            Self::Subscription => "subscription",
            Self::Floating => "floating",
            Self::Metered => "metered",
            Self::Trial => "trial",
        }
    }
}

impl std::fmt::Display for GrantClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for GrantClass {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let class = Self::ALL.into_iter().find(|class| class.as_str() == text);
        class.ok_or_else(|| invalid("class", text, "owned, subscription, floating, metered or trial"))
    }
}

impl Permit {
    /// Every permit, in the order in which a grant lists them.
    pub const ALL: [Self; 4] = [Self::Adapt, Self::Distil, Self::Serve, Self::PublishBenchmark];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adapt => "adapt",
            Self::Distil => "distil",
            Self::Serve => "serve",
            Self::PublishBenchmark => "publish-benchmark",
        }
    }
}

impl std::str::FromStr for Permit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let permit = Self::ALL.into_iter().find(|permit| permit.as_str() == text);
        permit.ok_or_else(|| invalid("permit", text, "adapt, distil, serve or publish-benchmark"))
    }
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
