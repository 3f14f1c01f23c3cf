use std::path::PathBuf;

use crate::json::JsonDefect;
use crate::{Digest, KeyId, LicenseError, Role};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a bundle, a key, a policy or a floor was refused: one variant per defect.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what its values are")]
pub enum Error {
    #[error("no bundle: a bundle begins with \"TILEMARK\", found {found}")]
    NotABundle { found: String },
    #[error("cut short: the header says {declared} bytes, found {found}")]
    Truncated { declared: u64, found: u64 },
    #[error("{} bytes after the end that the header states: it says {declared} bytes, found {found}", found - declared)]
    TrailingBytes { declared: u64, found: u64 },
    #[error("bundle format version {found}, this SDK reads version {supported}")]
    UnsupportedFormat { found: u32, supported: u32 },
    #[error("damaged header: {field} is {found}, expected {expected}")]
    Header { field: &'static str, found: String, expected: String },
    #[error("damaged envelope: the header states SHA-256 {declared}, found {found}")]
    EnvelopeDamaged { declared: Digest, found: Digest },
    #[error("{what} has {found} bytes, the limit is {max}")]
    TooLarge { what: &'static str, found: u64, max: u64 },
    #[error("{found} {what}, the limit is {max}")]
    TooMany { what: &'static str, found: usize, max: usize },

    #[error("{document}, at {path}: {defect}")]
    Json { document: &'static str, path: String, defect: JsonDefect },
    #[error("{document} differs from its canonical form at byte {offset}")]
    NotCanonical { document: &'static str, offset: usize },
    #[error("{field} is not canonical base64")]
    Base64 { field: &'static str },
    #[error("payload type {found:?}, expected {expected:?}")]
    PayloadType { found: String, expected: &'static str },
    #[error("the envelope carries no signature")]
    Unsigned,
    #[error("signatures are not in strictly ascending order of their key ids, at {keyid}")]
    SignatureOrder { keyid: KeyId },

    #[error("the signature by the known key {keyid} ({algorithm}) does not hold")]
    InvalidSignature { keyid: KeyId, algorithm: &'static str },
    #[error("no signature by a trusted key; signed by {signers}")]
    UnknownSigners { signers: String },
    #[error("the key {keyid} is revoked: {reason}")]
    RevokedKey { keyid: KeyId, reason: String },
    #[error("the bundle {identity} is revoked: {reason}")]
    RevokedBundle { identity: Digest, reason: String },
    #[error("the policy lets none of its signers ({signers}) sign apps of the publisher {publisher:?}")]
    PublisherNotAllowed { publisher: String, signers: String },
    #[error(
        "apps of {publisher:?} need {needed} signatures by different keys of the role {role}, found {found}"
    )]
    ThresholdNotMet { publisher: String, role: Role, needed: usize, found: usize },
    #[error(
        "release {release} of {app} is older than release {floor}, which this machine has accepted before"
    )]
    RolledBack { app: String, release: u64, floor: u64 },
    #[error("release {release} of {app} was accepted before as bundle {known}, this one is {found}")]
    ReleaseReused { app: String, release: u64, known: Digest, found: Digest },

    #[error("release {release} of {app} is below {floor}, the oldest that its publisher still lets run")]
    BelowFloor { app: String, release: u64, floor: u64 },

    #[error("{what} {name:?}: {reason}")]
    InvalidName { what: &'static str, name: String, reason: &'static str },
    #[error("{field} is {found:?}, expected {expected}")]
    InvalidValue { field: String, found: String, expected: &'static str },
    #[error("two blobs named {name:?} and {other:?}; names must differ by more than case")]
    DuplicateBlob { name: String, other: String },
    #[error("signed, but no valid manifest: {0}")]
    Manifest(#[source] Box<Error>),
    #[error("manifest schema {found}, this SDK reads schema {supported}")]
    UnsupportedSchema { found: u64, supported: u64 },
    #[error("the app needs SDK {needed} or newer, this is {found}")]
    SdkTooOld { needed: semver::Version, found: semver::Version },
    #[error("the manifest's blobs end at byte {expected}, the file at {found}")]
    Layout { expected: u64, found: u64 },
    #[error("byte {offset}, in the gap before {before}, is not zero")]
    GapNotZero { offset: u64, before: String },
    #[error("damaged blob {name:?}: the manifest states SHA-256 {expected}, found {found}")]
    BlobDamaged { name: String, expected: Digest, found: Digest },
    #[error("no blob {name:?}; the bundle has {available}")]
    NoSuchBlob { name: String, available: String },

    #[error("{what}: not a PEM file with one key: {reason}")]
    Pem { what: &'static str, reason: String },
    #[error("{what}: unsupported key: {reason}")]
    UnsupportedKey { what: &'static str, reason: String },
    #[error("{what}: broken key: {reason}")]
    BrokenKey { what: &'static str, reason: String },
    #[error("the bundle already carries a signature by the key {keyid}")]
    AlreadySigned { keyid: KeyId },
    #[error("the signature to attach does not hold for the key {keyid} over this bundle")]
    ForeignSignature { keyid: KeyId },
    #[error("the system's random generator failed")]
    Random,

    #[error("trust policy: {reason}")]
    Policy { reason: String },
    #[error("the rollback floor {} is damaged: {reason}", path.display())]
    FloorDamaged { path: PathBuf, reason: String },

    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is {found}, expected {expected}", path.display())]
    NotAFile { path: PathBuf, found: &'static str, expected: &'static str },
    #[error("not enough memory for {bytes} bytes")]
    OutOfMemory { bytes: u64 },
    #[error("model signature: {reason}")]
    ModelSignature { reason: String },
    #[error("codec: {reason}")]
    Codec { reason: String },
    #[error(transparent)]
    License(#[from] LicenseError),
}

/// What an error says about the bundle or the call; the command line maps it to an exit code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Damaged, cut short, forged, or no bundle at all.
    NotAuthentic,
    /// Intact, but the policy does not accept it: unknown or revoked keys, another publisher, an older release.
    NotTrusted,
    /// Something the caller gave is wrong: a key, a policy, a name, a value.
    Invalid,
    /// Signed by a trusted key, but made for a newer SDK.
    Unsupported,
    /// Intact and trusted, but nobody granted its use here.
    NotEntitled,
    /// The machine: files, memory, randomness.
    Io,
}

impl Error {
    /// The stable code of the error, such as `TM0130`; see [`CODES`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotABundle { .. } => "TM0101",
            Self::Truncated { .. } => "TM0102",
            Self::TrailingBytes { .. } => "TM0103",
            Self::UnsupportedFormat { .. } => "TM0104",
            Self::Header { .. } => "TM0105",
            Self::EnvelopeDamaged { .. } => "TM0106",
            Self::TooLarge { .. } => "TM0107",
            Self::TooMany { .. } => "TM0108",
            Self::Json { defect, .. } => defect.code(),
            Self::NotCanonical { .. } => "TM0120",
            Self::Base64 { .. } => "TM0121",
            Self::PayloadType { .. } => "TM0122",
            Self::Unsigned => "TM0123",
            Self::SignatureOrder { .. } => "TM0124",
            Self::InvalidSignature { .. } => "TM0130",
            Self::UnknownSigners { .. } => "TM0131",
            Self::RevokedKey { .. } => "TM0132",
            Self::RevokedBundle { .. } => "TM0133",
            Self::PublisherNotAllowed { .. } => "TM0134",
            Self::ThresholdNotMet { .. } => "TM0135",
            Self::RolledBack { .. } => "TM0136",
            Self::ReleaseReused { .. } => "TM0137",
            Self::BelowFloor { .. } => "TM0138",
            Self::InvalidName { .. } => "TM0140",
            Self::InvalidValue { .. } => "TM0141",
            Self::DuplicateBlob { .. } => "TM0142",
            Self::Manifest(inner) => inner.code(),
            Self::UnsupportedSchema { .. } => "TM0143",
            Self::SdkTooOld { .. } => "TM0144",
            Self::Layout { .. } => "TM0150",
            Self::GapNotZero { .. } => "TM0151",
            Self::BlobDamaged { .. } => "TM0152",
            Self::NoSuchBlob { .. } => "TM0153",
            Self::Pem { .. } => "TM0160",
            Self::UnsupportedKey { .. } => "TM0161",
            Self::BrokenKey { .. } => "TM0162",
            Self::AlreadySigned { .. } => "TM0163",
            Self::ForeignSignature { .. } => "TM0164",
            Self::Random => "TM0165",
            Self::Policy { .. } => "TM0170",
            Self::FloorDamaged { .. } => "TM0171",
            Self::Io { .. } => "TM0180",
            Self::NotAFile { .. } => "TM0181",
            Self::OutOfMemory { .. } => "TM0182",
            Self::Codec { .. } => "TM0190",
            Self::ModelSignature { .. } => "TM0191",
            Self::License(error) => error.code(),
        }
    }

    /// What the error says about the bundle or the call.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotABundle { .. }
            | Self::Truncated { .. }
            | Self::TrailingBytes { .. }
            | Self::UnsupportedFormat { .. }
            | Self::Header { .. }
            | Self::EnvelopeDamaged { .. }
            | Self::NotCanonical { .. }
            | Self::Base64 { .. }
            | Self::PayloadType { .. }
            | Self::Unsigned
            | Self::SignatureOrder { .. }
            | Self::InvalidSignature { .. }
            | Self::Layout { .. }
            | Self::GapNotZero { .. }
            | Self::ModelSignature { .. }
            | Self::BlobDamaged { .. } => ErrorKind::NotAuthentic,
            Self::Json { document: what, .. } | Self::TooLarge { what, .. } | Self::TooMany { what, .. }
                if UNVOUCHED.contains(what) =>
            {
                ErrorKind::NotAuthentic
            }
            Self::UnknownSigners { .. }
            | Self::RevokedKey { .. }
            | Self::RevokedBundle { .. }
            | Self::PublisherNotAllowed { .. }
            | Self::ThresholdNotMet { .. }
            | Self::RolledBack { .. }
            | Self::ReleaseReused { .. }
            | Self::BelowFloor { .. } => ErrorKind::NotTrusted,
            Self::Manifest(inner) if inner.kind() != ErrorKind::Unsupported => ErrorKind::NotAuthentic,
            Self::Manifest(_) | Self::UnsupportedSchema { .. } | Self::SdkTooOld { .. } => {
                ErrorKind::Unsupported
            }
            Self::License(error) => error.kind(),
            Self::Io { .. }
            | Self::NotAFile { .. }
            | Self::OutOfMemory { .. }
            | Self::Random
            | Self::FloorDamaged { .. } => ErrorKind::Io,
            _ => ErrorKind::Invalid,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::License(error) => error.hint(),
            Self::NotABundle { .. } => "give the path of a .tmk file, as `tilemark pack` writes it",
            Self::Truncated { .. } | Self::TrailingBytes { .. } => {
                "fetch the file again and compare its length with the publisher's; do not pad or cut it"
            }
            Self::UnsupportedFormat { .. } | Self::UnsupportedSchema { .. } | Self::SdkTooOld { .. } => {
                "update the SDK, or ask the publisher for a bundle made for this one"
            }
            Self::Header { .. }
            | Self::EnvelopeDamaged { .. }
            | Self::NotCanonical { .. }
            | Self::Base64 { .. }
            | Self::PayloadType { .. }
            | Self::SignatureOrder { .. }
            | Self::Layout { .. }
            | Self::GapNotZero { .. }
            | Self::ModelSignature { .. }
            | Self::BlobDamaged { .. } => {
                "the file was changed after signing, or damaged: fetch it again from the publisher"
            }
            Self::InvalidSignature { .. } => {
                "do not use this file: it was forged or damaged. Fetch it again from the publisher"
            }
            Self::Json { .. } | Self::TooLarge { .. } | Self::TooMany { .. } => {
                "correct the document at the named place; docs/bundle-format.md and docs/trust.md give forms and limits"
            }
            Self::Manifest(_) => "ask the publisher to pack the app again with a current `tilemark pack`",
            Self::Unsigned => "sign it: `tilemark sign FILE --key KEY`",
            Self::UnknownSigners { .. } => {
                "get the publisher's public key by a channel you trust and name it in --trust; compare its key id"
            }
            Self::RevokedKey { .. } => "ask the publisher for a bundle signed with a key that is not revoked",
            Self::RevokedBundle { .. } | Self::BelowFloor { .. } => "ask the publisher for a newer release",
            Self::PublisherNotAllowed { .. } => {
                "if this key may sign for this publisher, say so under \"publishers\" in the trust policy"
            }
            Self::ThresholdNotMet { .. } => {
                "ask vendor, store or evaluator for the missing signatures (`tilemark sign`)"
            }
            Self::RolledBack { .. } => {
                "use the newest release. To go back on purpose, remove the app's rollback floor (docs/trust.md)"
            }
            Self::ReleaseReused { .. } => {
                "vendor: raise `release` in app.toml with every pack. Integrator: ask which of the two bundles is meant"
            }
            _ => self.hint_for_caller(),
        }
    }

    /// What to do about keys, names, policies and the machine.
    fn hint_for_caller(&self) -> &'static str {
        match self {
            Self::InvalidName { .. } | Self::DuplicateBlob { .. } | Self::InvalidValue { .. } => {
                "correct it where it is written; docs/bundle-format.md gives the grammar"
            }
            Self::NoSuchBlob { .. } => "ask for one of the blobs that `tilemark inspect` lists",
            Self::Pem { .. } | Self::UnsupportedKey { .. } | Self::BrokenKey { .. } => {
                "make a key with `tilemark keygen` or `openssl genpkey -algorithm ed25519`; docs/trust.md has every command"
            }
            Self::AlreadySigned { .. } => "nothing to do: one signature a key is enough",
            Self::ForeignSignature { .. } => {
                "sign the exact bytes of the message (DSSE PAE) with the private half of this key; docs/trust.md shows how"
            }
            Self::Random => "check the system's random source; nothing was signed",
            Self::Policy { .. } => "correct the trust policy file; docs/trust.md has an example",
            Self::FloorDamaged { .. } => {
                "find out what damaged it. Removing the file forgets the highest release seen; the next verify records anew"
            }
            Self::OutOfMemory { .. } => "free memory, or use a machine with more",
            Self::Codec { .. } => "the record was made by another version, or is damaged: make it again",
            _ => "check the path and its permissions",
        }
    }
}

/// Documents that are read before any signature has been checked.
const UNVOUCHED: &[&str] = &["bundle", "envelope", "signatures in the envelope", "signature in the envelope"];

/// Every code of this crate with one line about it; `docs/errors.md` is made from it.
pub const CODES: &[(&str, &str)] = &[
    ("TM0101", "not a bundle: the magic is missing"),
    ("TM0102", "the bundle is cut short"),
    ("TM0103", "bytes after the end of the bundle"),
    ("TM0104", "a bundle format version that this SDK does not read"),
    ("TM0105", "a header field has an impossible value"),
    ("TM0106", "the envelope does not have the SHA-256 that the header states"),
    ("TM0107", "something is larger than its limit"),
    ("TM0108", "more items than the limit"),
    ("TM0110", "not JSON"),
    ("TM0111", "a JSON key appears twice"),
    ("TM0112", "an unknown JSON key"),
    ("TM0113", "a JSON key is missing"),
    ("TM0114", "a JSON number is not an exactly representable integer"),
    ("TM0115", "JSON nested too deep"),
    ("TM0116", "a JSON value of the wrong type or range"),
    ("TM0120", "the envelope is not written in its canonical form"),
    ("TM0121", "not canonical base64"),
    ("TM0122", "an envelope of another payload type"),
    ("TM0123", "the envelope carries no signature"),
    ("TM0124", "signatures out of order, or two by one key"),
    ("TM0130", "a signature by a known key does not hold"),
    ("TM0131", "no signature by a trusted key"),
    ("TM0132", "the signing key is revoked"),
    ("TM0133", "the bundle is revoked"),
    ("TM0134", "the signers may not sign apps of this publisher"),
    ("TM0135", "too few signatures by keys of a role"),
    ("TM0136", "an older release than one accepted before"),
    ("TM0137", "a release number that was accepted before for another bundle"),
    ("TM0138", "a release below the oldest that its publisher still lets run"),
    ("TM0140", "a name outside its grammar"),
    ("TM0141", "a value outside its range or form"),
    ("TM0142", "two blobs of one name"),
    ("TM0143", "a manifest schema that this SDK does not read"),
    ("TM0144", "the app needs a newer SDK"),
    ("TM0150", "blobs and file length do not agree"),
    ("TM0151", "a gap between blobs is not zero"),
    ("TM0152", "a blob does not have its SHA-256"),
    ("TM0153", "no blob of that name"),
    ("TM0154", "an encrypted blob, and nothing to decrypt it with"),
    (
        "TM0155",
        "a chunk of an encrypted blob is not authentic: damaged, moved, cut off, or of another bundle",
    ),
    ("TM0156", "an encrypted blob is not as long as its plaintext says"),
    ("TM0157", "encrypted blobs that were made for another bundle"),
    ("TM0158", "a content key of another bundle"),
    ("TM0159", "a decrypted blob does not have its SHA-256"),
    ("TM0160", "not a PEM file with one key"),
    ("TM0161", "a kind of key that is not supported"),
    ("TM0162", "a broken key"),
    ("TM0163", "already signed by this key"),
    ("TM0164", "a signature to attach does not hold"),
    ("TM0165", "the system's random generator failed"),
    ("TM0170", "the trust policy is wrong"),
    ("TM0171", "a rollback floor file is damaged"),
    ("TM0172", "a bundle that is not encrypted needs no grant"),
    ("TM0173", "a file of the vault is damaged"),
    ("TM0174", "a bundle that the vault does not know"),
    ("TM0175", "a request that was answered before, or another trial"),
    ("TM0176", "a content key that was wrapped for another device or grant"),
    ("TM0177", "a document that the device it names did not sign"),
    ("TM0178", "a grant for another device"),
    ("TM0179", "a grant for another bundle"),
    ("TM0180", "a file could not be read or written"),
    ("TM0181", "not a regular file, or not a directory"),
    ("TM0182", "not enough memory"),
    ("TM0183", "a grant by a key that the bundle does not name as issuer"),
    ("TM0184", "a chain of receipts is broken"),
    ("TM0185", "two histories of one grant: a device went back to an older state"),
    ("TM0186", "an older revocation list than one that is known"),
    ("TM0187", "a second successor of one key"),
    ("TM0188", "a lease that its grant does not allow"),
    ("TM0190", "a record does not fit the codec"),
    ("TM0191", "a model signature and its files do not agree"),
    ("TM0192", "a release from escrow that too few trustees signed"),
    ("TM0193", "too few shares of an escrowed key"),
    ("TM0194", "a share of an escrowed key that is not the one that was deposited"),
    ("TM0195", "an archive of source that is not the one that was deposited in escrow"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes that the two `code` functions can return, read from their source: no variant can be forgotten here.
    fn written_codes() -> Vec<&'static str> {
        let sources = [include_str!("error.rs"), include_str!("json.rs"), include_str!("license_error.rs")];
        let arms = sources.into_iter().flat_map(str::lines).filter_map(|line| line.split_once("=> \"TM"));
        arms.filter_map(|(_, rest)| rest.split_once('"')).map(|(digits, _)| digits).collect()
    }

    #[test]
    fn every_code_is_listed_once_in_order() {
        let listed: Vec<_> = CODES.iter().map(|(code, _)| code.trim_start_matches("TM")).collect();
        let mut written = written_codes();
        written.sort_unstable();
        assert_eq!(written, listed);
        assert!(listed.is_sorted_by(|a, b| a < b));
        assert!(CODES.iter().all(|(code, line)| code.starts_with("TM01") && !line.is_empty()));
    }

    #[test]
    fn errors_stay_small() {
        // They travel in every `Result`.
        assert!(size_of::<Error>() <= 128, "{}", size_of::<Error>());
        assert_eq!(size_of::<crate::Refused>(), size_of::<usize>());
    }

    #[test]
    fn damage_is_not_authentic_whatever_it_hits() {
        let json = |document| Error::Json { document, path: String::new(), defect: JsonDefect::TooDeep(16) };
        assert_eq!(json("envelope").kind(), ErrorKind::NotAuthentic);
        assert_eq!(json("trust policy").kind(), ErrorKind::Invalid);
        let large = |what| Error::TooLarge { what, found: 2, max: 1 };
        assert_eq!(large("bundle").kind(), ErrorKind::NotAuthentic);
        assert_eq!(large("manifest").kind(), ErrorKind::Invalid);
        assert_eq!(Error::Manifest(Box::new(large("manifest"))).kind(), ErrorKind::NotAuthentic);
    }
}
