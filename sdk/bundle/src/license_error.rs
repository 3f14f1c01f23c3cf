//! What can go wrong with encrypted bundles, device keys and grants.

use std::path::PathBuf;

use crate::{DeviceId, Digest, ErrorKind, KeyId};

/// Why an encrypted bundle, a device key or a grant was refused; part of [`Error`](crate::Error).
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what its values are")]
pub enum LicenseError {
    #[error("the blob {name:?} is encrypted, and no grant has opened this bundle")]
    Locked { name: String },
    #[error("chunk {chunk} of the encrypted blob {name:?} is not authentic")]
    ChunkNotAuthentic { name: String, chunk: u64 },
    #[error("the encrypted blob {name:?} has {found} bytes, its plaintext makes {expected}")]
    SealedSize { name: String, expected: u64, found: u64 },
    #[error("its blobs were encrypted for the content {declared}, this bundle has {found}")]
    Rebound { declared: Digest, found: Digest },
    #[error("the content key is another bundle's: it commits to {found}, expected {expected}")]
    WrongContentKey { expected: Digest, found: Digest },
    #[error("the decrypted blob {name:?} has SHA-256 {found}, the manifest states {expected}")]
    PlaintextDamaged { name: String, expected: Digest, found: Digest },
    #[error("{app} is not encrypted: it needs no grant")]
    NotEncrypted { app: String },
    #[error("{} is damaged: {reason}", path.display())]
    VaultDamaged { path: PathBuf, reason: String },
    #[error("the vault knows no bundle {identity}")]
    UnknownBundle { identity: Digest },
    #[error("{what} before, with the grant {grant}")]
    AlreadyIssued { what: &'static str, grant: Digest },
    #[error("the content key of the bundle {bundle} was not wrapped for this device and grant")]
    WrappedKey { bundle: Digest },
    #[error("not signed by the device {device} that it names")]
    NotSignedByDevice { device: DeviceId },
    #[error("the grant is for the device {granted}, this is {found}")]
    OtherDevice { granted: DeviceId, found: DeviceId },
    #[error("the grant {grant} is for {granted}; this is {found}")]
    OtherBundle { grant: Digest, granted: String, found: String },
    #[error("the bundle names other issuers of grants than {signers}")]
    IssuerNotNamed { signers: String },
    #[error("receipt {seq} breaks the chain: {reason}")]
    BrokenChain { seq: u64, reason: String },
    #[error("two histories of the grant {grant}, different from receipt {seq} on")]
    Fork { grant: Digest, seq: u64 },
    #[error("revocation list {found} of {publisher}; number {known} is known here already")]
    OlderList { publisher: String, found: u64, known: u64 },
    #[error("the key {old} names the successor {found}; it has named {known} before")]
    OtherSuccessor { old: KeyId, known: KeyId, found: KeyId },
    #[error("the release needs signatures by {needed} trustees, found {found}")]
    NotReleased { needed: u64, found: u64 },
    #[error("{found} shares of {needed} that it takes")]
    TooFewShares { needed: u64, found: u64 },
    #[error("the share of trustee {trustee} is not the one that was deposited")]
    WrongShare { trustee: u64 },
    #[error("the archive of the source has the SHA-256 {found}, {}", deposited(*expected))]
    WrongSource { expected: Option<Digest>, found: Digest },
    #[error("no seat of the grant {grant} can be leased so: {reason}")]
    Lease { grant: Digest, reason: &'static str },
}

impl LicenseError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "TM0154",
            Self::ChunkNotAuthentic { .. } => "TM0155",
            Self::SealedSize { .. } => "TM0156",
            Self::Rebound { .. } => "TM0157",
            Self::WrongContentKey { .. } => "TM0158",
            Self::PlaintextDamaged { .. } => "TM0159",
            Self::NotEncrypted { .. } => "TM0172",
            Self::VaultDamaged { .. } => "TM0173",
            Self::UnknownBundle { .. } => "TM0174",
            Self::AlreadyIssued { .. } => "TM0175",
            Self::WrappedKey { .. } => "TM0176",
            Self::NotSignedByDevice { .. } => "TM0177",
            Self::OtherDevice { .. } => "TM0178",
            Self::OtherBundle { .. } => "TM0179",
            Self::IssuerNotNamed { .. } => "TM0183",
            Self::BrokenChain { .. } => "TM0184",
            Self::Fork { .. } => "TM0185",
            Self::OlderList { .. } => "TM0186",
            Self::OtherSuccessor { .. } => "TM0187",
            Self::Lease { .. } => "TM0188",
            Self::NotReleased { .. } => "TM0192",
            Self::TooFewShares { .. } => "TM0193",
            Self::WrongShare { .. } => "TM0194",
            Self::WrongSource { .. } => "TM0195",
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Locked { .. }
            | Self::OtherDevice { .. }
            | Self::OtherBundle { .. }
            | Self::Lease { .. }
            | Self::IssuerNotNamed { .. }
            | Self::WrappedKey { .. } => ErrorKind::NotEntitled,
            Self::OlderList { .. } | Self::OtherSuccessor { .. } => ErrorKind::NotTrusted,
            Self::NotSignedByDevice { .. }
            | Self::BrokenChain { .. }
            | Self::Fork { .. }
            | Self::ChunkNotAuthentic { .. }
            | Self::SealedSize { .. }
            | Self::Rebound { .. }
            | Self::WrongContentKey { .. }
            | Self::WrongShare { .. }
            | Self::WrongSource { .. }
            | Self::PlaintextDamaged { .. } => ErrorKind::NotAuthentic,
            Self::NotEncrypted { .. }
            | Self::NotReleased { .. }
            | Self::TooFewShares { .. }
            | Self::VaultDamaged { .. }
            | Self::UnknownBundle { .. }
            | Self::AlreadyIssued { .. } => ErrorKind::Invalid,
        }
    }

    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Locked { .. } => {
                "ask the vendor for a grant: `tilemark license request`, then `tilemark license install`"
            }
            Self::ChunkNotAuthentic { .. }
            | Self::SealedSize { .. }
            | Self::Rebound { .. }
            | Self::WrongContentKey { .. }
            | Self::PlaintextDamaged { .. } => {
                "somebody who may sign, but did not encrypt it, put this bundle together: get it from its vendor"
            }
            Self::NotReleased { .. } => "have more trustees sign the statement",
            Self::TooFewShares { .. } => "ask more trustees for theirs",
            Self::WrongShare { .. } => "ask that trustee again, or another one",
            Self::WrongSource { .. } => "ask the trustees for the archive that was deposited",
            Self::NotEncrypted { .. } => "run it as it is; vendor: `tilemark pack --encrypt --vault DIR`",
            Self::VaultDamaged { .. } => {
                "restore the vault from its backup; without its secret nothing can be granted"
            }
            Self::UnknownBundle { .. } => {
                "name the vault that the bundle was packed with, or pack it again into this one"
            }
            Self::AlreadyIssued { .. } => {
                "send the grant of the vault's folder `grants` again; another trial on purpose: a new request, and --again"
            }
            Self::WrappedKey { .. } | Self::OtherDevice { .. } => {
                "a grant is for the device that asked: make a request here and have it answered"
            }
            Self::NotSignedByDevice { .. } => {
                "it was changed or put together by somebody else: ask for it again"
            }
            Self::BrokenChain { .. } => "receipts were changed, or made by a changed SDK: ask the buyer",
            Self::OlderList { .. } => "get the publisher's newest list; an older one never replaces it",
            Self::Lease { .. } => "ask the vendor for a floating grant, or for more time",
            Self::OtherSuccessor { .. } => {
                "ask the publisher which is genuine: somebody else may have its old key"
            }
            Self::Fork { .. } => {
                "the device went back to an older state, or there are two of it: ask the buyer, and count both histories"
            }
            Self::OtherBundle { .. } => "make a request for this bundle and have it answered",
            Self::IssuerNotNamed { .. } => {
                "grants are signed with a key that `tilemark pack` signed with, or that its --issuer named"
            }
        }
    }
}

fn deposited(source: Option<Digest>) -> String {
    source.map_or_else(|| "and none was deposited".into(), |source| format!("expected {source}"))
}
