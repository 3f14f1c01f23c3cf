//! Leases: the holder of a floating grant lends one of its seats to another device, until a day.

use serde::{Deserialize, Serialize};

use crate::grant::{GrantedKey, SignedGrant};
use crate::limits::MAX_LEASE_BYTES;
use crate::manifest::check_integer;
use crate::{
    DeviceId, DeviceKey, DevicePublic, Digest, Envelope, Error, Grant, GrantClass, LicenseError, PayloadType,
    Request, Result, Trust, cipher, json, sha256,
};

/// A seat lent. Signed by the device that holds the grant, which is inside with its vendor's signature.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lease {
    /// The version of this document's form.
    pub schema: u64,
    /// Random; names the lease.
    pub id: Digest,
    /// The floating grant, as its vendor signed it.
    pub grant: String,
    /// The device that holds the grant.
    pub holder: DevicePublic,
    /// The device that gets the seat.
    pub device: DeviceId,
    /// The digest of the request that it answers.
    pub request: Digest,
    /// When, in seconds since 1970.
    pub issued: u64,
    /// The last second of the seat. It comes back to the holder then, and not before.
    pub until: u64,
    /// The grant's content keys, for the device.
    pub keys: Vec<GrantedKey>,
}

/// What a receipt of the holder says of a lease.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lent {
    /// The lease.
    pub lease: Digest,
    /// Who has the seat.
    pub device: DeviceId,
    /// Which seat, from 0: it is used by nobody else meanwhile.
    pub seat: u64,
    /// The last second.
    pub until: u64,
}

const SCHEMA: u64 = 1;
const DOCUMENT: &str = "lease";

impl Lease {
    /// The payload type of leases.
    pub const PAYLOAD_TYPE: PayloadType = PayloadType::new("application/vnd.tilemark.lease.v1+json");

    /// A lease of the grant that `text` is, in answer to a request, and what the holder has to record before it gives it out.
    ///
    /// # Errors
    /// As [`Request::read`]; [`LicenseError::Lease`] if the grant has no seats to lend, or not for so long;
    /// [`LicenseError::OtherBundle`]; as [`DeviceKey::unwrap`] and [`DevicePublic::wrap`].
    pub fn make(
        (grant, text): (&SignedGrant, &[u8]),
        request: &[u8],
        (now, until): (u64, u64),
        holder: &DeviceKey,
    ) -> Result<Self> {
        let (request, digest) = Request::read(request)?;
        let claims = grant.grant();
        check_lendable(grant, until)?;
        if !claims.keys.iter().any(|key| key.identity == request.identity) {
            let granted =
                format!("{} releases {} to {}", claims.app, claims.releases.first, claims.releases.last);
            let found = format!("a request for the bundle {}", request.identity);
            return Err(LicenseError::OtherBundle { grant: claims.id, granted, found }.into());
        }
        let id = Digest::from_bytes(*cipher::random()?);
        let lend = |key: &GrantedKey| {
            let content = holder.unwrap(&key.wrapped, key.identity, claims.id)?;
            let wrapped = request.device.wrap(&content, key.identity, id)?;
            Ok(GrantedKey { wrapped, ..key.clone() })
        };
        Ok(Self {
            schema: SCHEMA,
            id,
            grant: String::from_utf8_lossy(text.trim_ascii()).into_owned(),
            holder: holder.public().clone(),
            device: request.device.id(),
            request: digest,
            issued: now,
            until,
            keys: claims.keys.iter().map(lend).collect::<Result<_>>()?,
        })
    }

    /// The JSON of the signed envelope, for the device that gets the seat.
    ///
    /// # Errors
    /// As [`DeviceKey::seal`].
    pub fn sign(&self, holder: &DeviceKey) -> Result<Vec<u8>> {
        Ok(holder.seal(Self::PAYLOAD_TYPE, json::to_vec(self)?)?.to_json())
    }

    /// What the holder records of it.
    #[must_use]
    pub fn lent(&self, seat: u64) -> Lent {
        Lent { lease: self.id, device: self.device, seat, until: self.until }
    }

    /// Whether a document says that it is a lease.
    pub(crate) fn is(bytes: &[u8]) -> bool {
        let head = format!("{{\"payloadType\":\"{}\",", Self::PAYLOAD_TYPE.as_str());
        bytes.trim_ascii_start().starts_with(head.as_bytes())
    }

    /// The lease in an envelope that its holder signed; whether that one holds a grant is not known yet.
    pub(crate) fn read(bytes: &[u8]) -> Result<(Self, Digest)> {
        let envelope = Envelope::parse(bytes.trim_ascii(), Self::PAYLOAD_TYPE)?;
        // Before its signature is checked: the key is inside, as in a request.
        let lease: Self = json::from_slice(DOCUMENT, envelope.payload(), MAX_LEASE_BYTES)?;
        json::check_schema(lease.schema, SCHEMA)?;
        lease.holder.check(&envelope)?;
        check_integer("until", lease.until)?;
        check_integer("issued", lease.issued)?;
        Ok((lease, sha256(envelope.payload())))
    }

    /// The grant that a lease amounts to on the device that gets the seat: one seat, until a day.
    ///
    /// # Errors
    /// What is wrong with the vendor's grant; [`LicenseError::OtherDevice`] if somebody else holds it; [`LicenseError::Lease`].
    pub(crate) fn verify(bytes: &[u8], trust: &Trust) -> Result<SignedGrant> {
        let (lease, digest) = Self::read(bytes)?;
        let held = SignedGrant::verify_issued(lease.grant.as_bytes(), trust)?;
        lease.derive(&held, digest)
    }

    /// The same grant, read from a lease that was verified when it was recorded.
    pub(crate) fn recorded(bytes: &[u8], digest: Digest) -> Result<SignedGrant> {
        let (lease, found) = Self::read(bytes)?;
        if found != digest {
            return Err(Error::BlobDamaged { name: DOCUMENT.into(), expected: digest, found });
        }
        let held = SignedGrant::unverified(lease.grant.as_bytes())?;
        lease.derive(&held, digest)
    }

    fn derive(self, held: &SignedGrant, digest: Digest) -> Result<SignedGrant> {
        let claims = held.grant();
        if claims.device != self.holder.id() {
            return Err(LicenseError::OtherDevice { granted: claims.device, found: self.holder.id() }.into());
        }
        check_lendable(held, self.until)?;
        let grant = Grant {
            id: self.id,
            device: self.device,
            request: self.request,
            issued: self.issued,
            not_before: claims.not_before.max(self.issued),
            not_after: Some(self.until),
            grace_seconds: 0,
            seats: Some(1),
            keys: self.keys,
            ..claims.clone()
        };
        Ok(SignedGrant::leased(grant, digest, held))
    }
}

/// Whether a grant has seats, and is good until then. One with a budget has none to lend: the budget would count twice.
fn check_lendable(grant: &SignedGrant, until: u64) -> Result<()> {
    let claims = grant.grant();
    let reason = match claims.class {
        _ if grant.lender().is_some() => "a leased seat is not lent again",
        GrantClass::Floating if claims.inferences.is_some() => {
            "a grant with a budget of inferences lends no seats"
        }
        GrantClass::Floating if claims.end().is_some_and(|end| until > end) => "it is longer than its grant",
        GrantClass::Floating => return Ok(()),
        _ => "only floating grants have seats to lend",
    };
    Err(LicenseError::Lease { grant: claims.id, reason }.into())
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
