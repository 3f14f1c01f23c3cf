//! The Tilemark bundle: what a vendor signs and an integrator verifies.
//!
//! One file holds a header, one DSSE envelope around the manifest, and the blobs (`docs/bundle-format.md`).
//! Reading is a type-state, so that nothing unsigned can be used by accident:
//!
//! - [`Untrusted`]: the bytes are in private memory, header and envelope are well-formed, nobody vouches for them.
//! - [`Authentic`]: trusted keys signed the manifest and the policy accepts it; blobs are not yet hashed.
//! - [`Bundle`]: every blob equals its SHA-256; only this type hands out bytes.
//!
//! ```
//! use tilemark_bundle::{Algorithm, AppIdentity, BundleWriter, SigningKey, Trust, Untrusted};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::generate(Algorithm::Ed25519)?;
//! let app = AppIdentity::new("acme/tagger", "1.2.0", 7, "Apache-2.0", "Names the object in a photo")?;
//! let file = BundleWriter::new(app).blob("graph", &b"integers"[..]).sign(&[&key])?;
//!
//! let trust = Trust::key(key.public().clone());
//! let bundle = Untrusted::from_bytes(file)?.verify(&trust)?;
//! assert_eq!(bundle.blob("graph")?, b"integers");
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod calendar;
mod cipher;
pub mod codec;
mod contract;
mod device;
mod digest;
pub mod durable;
mod ecdsa;
mod encryption;
mod envelope;
mod error;
pub mod escrow;
mod file;
mod floor;
mod grant;
mod header;
pub mod hex;
pub mod json;
mod keys;
mod lease;
mod ledger;
mod license_error;
pub mod limits;
mod lineage;
mod manifest;
pub mod ml_bom;
mod name;
pub mod oms;
mod origin;
mod pem;
mod reader;
mod receipt;
mod request;
mod revocation;
pub mod text;
mod trust;
mod vault;
mod verdict;
mod writer;

/// Helpers of tests name the crate from outside.
#[cfg(test)]
extern crate self as tilemark_bundle;
#[cfg(test)]
#[path = "../tests/common/shop.rs"]
mod shop;

pub use cipher::{ContentKey, random};
pub use contract::{AppContract, AppPort, AppTarget, Count};
pub use device::{Bytes64, DeviceId, DeviceKey, DevicePublic, DeviceSecret, Spki, Strength, WrappedKey};
pub use digest::{Digest, Hasher, sha256};
pub use encryption::{Encryption, EncryptionAlgorithm, Plain};
pub use envelope::{Envelope, PayloadType, Signature, SignatureCheck};
pub use error::{CODES, Error, ErrorKind, Result};
pub use floor::{Floor, Floors};
pub use grant::{Grant, GrantClass, GrantedKey, OutputLevel, Permit, Releases, SignedGrant};
pub use keys::{Algorithm, KeyId, PublicKey, SigningKey};
pub use lease::{Lease, Lent};
pub use ledger::{LedgerEntry, Offer};
pub use license_error::LicenseError;
pub use lineage::{Lineage, SignedLineage};
pub use manifest::{AppIdentity, BlobEntry, Ceilings, Manifest, Terms, TermsKind};
pub use name::{AppName, check_blob_name};
pub use origin::{Ancestor, AncestorKind, Origin, OriginKind, Part, PartLicenses};
pub use reader::{Authentic, Bundle, Head, Refused, Untrusted};
pub use receipt::{Receipt, ReceiptKind, Statement, Step, Usage};
pub use request::Request;
pub use revocation::{
    Reason, ReleaseFloor, Revocations, RevokedBundle, RevokedGrant, RevokedKey, SignedRevocations,
};
pub use trust::{Role, Trust, TrustBuilder};
pub use vault::{Vault, VaultEntry};
pub use verdict::{Fact, FactKind, Verdict};
pub use writer::{BundleWriter, OLDEST_READER};

/// The version of this SDK; a manifest's `min_sdk` is compared with it.
#[must_use]
pub fn sdk_version() -> semver::Version {
    let part = |text: &str| text.parse().unwrap_or(0);
    semver::Version::new(
        part(env!("CARGO_PKG_VERSION_MAJOR")),
        part(env!("CARGO_PKG_VERSION_MINOR")),
        part(env!("CARGO_PKG_VERSION_PATCH")),
    )
}
