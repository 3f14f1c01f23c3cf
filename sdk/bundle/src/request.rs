//! What a device asks its vendor for: a grant for one bundle.

use serde::{Deserialize, Serialize};

use crate::limits::MAX_GRANT_BYTES;
use crate::{DeviceKey, DevicePublic, Digest, Envelope, PayloadType, Result, cipher, json, sha256};

/// A request for a grant, as the device signed it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Request {
    schema: u64,
    /// A random number that makes this request unlike any other.
    pub nonce: Digest,
    /// The bundle.
    pub identity: Digest,
    /// Who asks.
    pub device: DevicePublic,
}

const SCHEMA: u64 = 1;

impl Request {
    /// The payload type of requests.
    pub const PAYLOAD_TYPE: PayloadType = PayloadType::new("application/vnd.tilemark.grant-request.v1+json");

    /// Asks for the use of the bundle with this identity on this device; the JSON of the signed envelope. The vendor knows its
    /// bundles by their identity, so nothing of the bundle needs to be read, or trusted, to ask.
    ///
    /// # Errors
    /// [`Error::Random`](crate::Error::Random).
    pub fn make(identity: Digest, device: &DeviceKey) -> Result<Vec<u8>> {
        let nonce = Digest::from_bytes(*cipher::random()?);
        let request = Self { schema: SCHEMA, nonce, identity, device: device.public().clone() };
        Ok(device.seal(Self::PAYLOAD_TYPE, json::to_vec(&request)?)?.to_json())
    }

    /// Reads a request and checks that the device which it names signed it. Anybody can be such a device; what it is granted
    /// is of use to nobody else. Returns the digest that names the request too.
    ///
    /// # Errors
    /// As [`Envelope::parse`], [`Error::Json`](crate::Error::Json), or [`LicenseError::NotSignedByDevice`](crate::LicenseError::NotSignedByDevice).
    pub fn read(bytes: &[u8]) -> Result<(Self, Digest)> {
        let envelope = Envelope::parse(bytes.trim_ascii(), Self::PAYLOAD_TYPE)?;
        // Before its signature is checked: the key is inside. Bounded, strict, and used for nothing else yet.
        let request: Self = json::from_slice("request", envelope.payload(), MAX_GRANT_BYTES)?;
        json::check_schema(request.schema, SCHEMA)?;
        request.device.check(&envelope)?;
        Ok((request, sha256(envelope.payload())))
    }
}
