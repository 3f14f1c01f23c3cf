use std::path::{Path, PathBuf};

use tilemark_bundle::Digest;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store, a mirror or a publication was refused: one variant per defect.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what its values are")]
pub enum Error {
    #[error("{url}: {reason}")]
    Network { url: String, reason: String },
    #[error("{what} is at no mirror: {tried}")]
    Mirrors { what: String, tried: String, first: Box<Self> },
    #[error("{what} has more than {max} bytes; the mirror would send on")]
    EndlessData { what: String, max: u64 },
    #[error("{what} has {found} bytes, expected {expected}")]
    WrongLength { what: String, expected: u64, found: u64 },
    #[error("{what} has the SHA-256 {found}, expected {expected}")]
    WrongHash { what: String, expected: String, found: Digest },

    #[error("the metadata of {role} is malformed: {reason}")]
    Malformed { role: String, reason: String },
    #[error("{role} needs valid signatures by {needed} of its keys, found {found}")]
    Unsigned { role: String, needed: u64, found: u64 },
    #[error("{role} went back: version {found}, and version {known} was seen before")]
    RolledBack { role: String, known: u64, found: u64 },
    #[error(
        "{role} has version {found}, but {expected} is what {by} names: files of different states are mixed"
    )]
    MixedUp { role: String, by: &'static str, expected: u64, found: u64 },
    #[error(
        "{role} expired at {expired}, and it is {now}: the mirror is frozen, or the store is not kept any more"
    )]
    Expired { role: String, expired: String, now: String },
    #[error("{role} is missing from the snapshot")]
    NotInSnapshot { role: String },

    #[error("the store has no {what}")]
    NotFound { what: String },
    #[error("the listing {path} says something else than the signed manifest in it: {reason}")]
    Listing { path: String, reason: String },
    #[error("{app} fits nothing here: {reason}")]
    DoesNotFit { app: String, reason: String },
    #[error("what is known of the store is {reason}; a new app is installed from fresh metadata alone")]
    Stale { reason: String },
    #[error("{app} release {found} is not newer than release {known}")]
    NotNewer { app: String, known: u64, found: u64 },
    #[error("the apps of {publisher} here come from another store ({known}) than this one ({found})")]
    OtherStore { publisher: String, known: String, found: String },

    #[error("{what} is not kept on this machine, and no mirror was asked for it")]
    NotKept { what: String },

    #[error("{app} may not be offered ({price}): {}", reasons.join("; "))]
    NotOffered { app: String, price: &'static str, reasons: Vec<String> },

    #[error("{image} is no Tilemark bundle: {reason}")]
    NotABundle { image: String, reason: String },
    #[error("{registry} denies it: {reason}")]
    Denied { registry: String, reason: String },

    #[error("{publisher:?} is no publisher of this store")]
    NoPublisher { publisher: String },
    #[error("{publisher:?} is a publisher of this store already")]
    PublisherExists { publisher: String },
    #[error("the keys given are {found} of the {needed} that {role} needs")]
    WrongKeys { role: String, needed: u64, found: u64 },
    #[error("{} is a store already", path.display())]
    StoreExists { path: PathBuf },
    #[error("nothing is known at {} of what the operator of this store signed", path.display())]
    NoState { path: PathBuf },
    #[error("{} is not what the store's operator left there: {reason}", path.display())]
    Tampered { path: PathBuf, reason: String },
    #[error("{publisher:?} looks like the publisher {like:?}")]
    LooksLike { publisher: String, like: String },
    #[error("{} is damaged: {reason}", path.display())]
    StateDamaged { path: PathBuf, reason: String },
    #[error("{} is not empty, and no site that was made by `tilemark store site`", path.display())]
    NotASite { path: PathBuf },
    #[error("{what}: {reason}")]
    Invalid { what: String, reason: String },

    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Bundle(#[from] tilemark_bundle::Error),
}

/// What a caller does about an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Somebody who could have signed it did not, or it is not what was signed.
    NotTrusted,
    /// Nothing here runs it.
    NoDevice,
    /// Nobody granted its use here.
    NotEntitled,
    /// All else.
    Failed,
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Network { .. } => "TM0801",
            Self::Mirrors { .. } => "TM0802",
            Self::EndlessData { .. } => "TM0803",
            Self::WrongLength { .. } => "TM0804",
            Self::WrongHash { .. } => "TM0805",
            Self::Malformed { .. } => "TM0810",
            Self::Unsigned { .. } => "TM0811",
            Self::RolledBack { .. } => "TM0812",
            Self::MixedUp { .. } => "TM0813",
            Self::Expired { .. } => "TM0814",
            Self::NotInSnapshot { .. } => "TM0815",
            Self::NotFound { .. } => "TM0820",
            Self::Listing { .. } => "TM0821",
            Self::DoesNotFit { .. } => "TM0822",
            Self::Stale { .. } => "TM0823",
            Self::NotNewer { .. } => "TM0824",
            Self::NotOffered { .. } => "TM0825",
            Self::OtherStore { .. } => "TM0826",
            Self::NotKept { .. } => "TM0827",
            Self::NoPublisher { .. } => "TM0830",
            Self::PublisherExists { .. } => "TM0831",
            Self::WrongKeys { .. } => "TM0832",
            Self::StoreExists { .. } => "TM0833",
            Self::StateDamaged { .. } => "TM0834",
            Self::Invalid { .. } => "TM0835",
            Self::NoState { .. } => "TM0836",
            Self::Tampered { .. } => "TM0837",
            Self::LooksLike { .. } => "TM0838",
            Self::NotASite { .. } => "TM0839",
            Self::Io { .. } => "TM0840",
            Self::NotABundle { .. } => "TM0860",
            Self::Denied { .. } => "TM0861",
            Self::Bundle(error) => error.code(),
        }
    }

    /// What a caller does about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Mirrors { first, .. } => first.kind(),
            Self::EndlessData { .. }
            | Self::WrongLength { .. }
            | Self::WrongHash { .. }
            | Self::Malformed { .. }
            | Self::Unsigned { .. }
            | Self::RolledBack { .. }
            | Self::MixedUp { .. }
            | Self::Expired { .. }
            | Self::NotInSnapshot { .. }
            | Self::Listing { .. }
            | Self::OtherStore { .. }
            | Self::Tampered { .. }
            | Self::NotABundle { .. }
            | Self::Stale { .. } => ErrorKind::NotTrusted,
            Self::DoesNotFit { .. } => ErrorKind::NoDevice,
            Self::Bundle(error) => match error.kind() {
                tilemark_bundle::ErrorKind::NotAuthentic | tilemark_bundle::ErrorKind::NotTrusted => {
                    ErrorKind::NotTrusted
                }
                tilemark_bundle::ErrorKind::NotEntitled => ErrorKind::NotEntitled,
                _ => ErrorKind::Failed,
            },
            _ => ErrorKind::Failed,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Network { .. } => "check the address and the network; what is installed runs without",
            Self::Mirrors { first, .. } => first.hint(),
            Self::EndlessData { .. } | Self::WrongLength { .. } | Self::WrongHash { .. } => {
                "the mirror is damaged or hostile: add another one, and tell its operator"
            }
            Self::Malformed { .. } => "tell the store's operator; nothing of it was used",
            Self::Unsigned { .. } => {
                "whoever sent it is not the store: check the address, and the root that you trust"
            }
            Self::RolledBack { .. } | Self::MixedUp { .. } | Self::NotInSnapshot { .. } => {
                "try again, or another mirror: this one serves an old or a mixed state"
            }
            Self::Expired { .. } => {
                "try another mirror, and check this machine's clock; else ask the operator for a `tilemark store refresh`"
            }
            Self::NotFound { .. } => "`tilemark store search` lists what there is",
            Self::Listing { .. } => "tell the publisher; nothing was installed",
            Self::DoesNotFit { .. } => {
                "`tilemark devices` lists what this machine has; ask the publisher for a target"
            }
            Self::Stale { .. } => "connect to the store, or use a newer copy of it",
            Self::NotNewer { .. } => "raise `release` in app.toml, and pack again",
            Self::NotOffered { .. } => {
                "state or change what it is made from under [origin] in app.toml, or offer it at another price; `docs/store.md` has the rules"
            }
            Self::OtherStore { .. } => {
                "remove that publisher's apps first, if this store is to be their source; floors of releases stay"
            }
            Self::NotKept { .. } => "ask the store once without --offline: what it answers is kept",
            Self::NoState { .. } => {
                "bring the state that lies beside the store's keys, or begin one with --root and a root that you trust"
            }
            Self::Tampered { .. } => {
                "nothing was signed: find out who wrote it, and restore the folder from a copy of the store"
            }
            Self::NoPublisher { .. } => "the operator invites publishers: `tilemark store invite`",
            Self::PublisherExists { .. } | Self::LooksLike { .. } => "choose another name",
            Self::WrongKeys { .. } => "give the private keys of that role with --key, as many as it needs",
            Self::StoreExists { .. } => "choose another folder",
            Self::NotASite { .. } => "choose a new folder: what is there is neither overwritten nor removed",
            Self::StateDamaged { .. } => {
                "restore it, or remove the store here and add it again: what it knew of older versions is then lost"
            }
            Self::Invalid { .. } => "see `docs/store.md`",
            Self::Io { .. } => "check the path, its permissions and the space left",
            Self::NotABundle { .. } => "check name and tag; `tilemark store push` makes images of bundles",
            Self::Denied { .. } => {
                "log in as with Docker, name its file with --auth-file, and its token server with --token-host where it has another host"
            }
            Self::Bundle(error) => error.hint(),
        }
    }

    /// Whether a mirror could not be reached, and nothing is known about what it would have said.
    pub(crate) fn is_unreachable(&self) -> bool {
        match self {
            Self::Network { .. } => true,
            Self::Mirrors { first, .. } => first.is_unreachable(),
            _ => false,
        }
    }

    pub(crate) fn malformed(role: &str, reason: impl Into<String>) -> Self {
        Self::Malformed { role: role.to_owned(), reason: reason.into() }
    }

    pub(crate) fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into() }
    }
}

pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

/// Every code of this crate and what it stands for; `docs/errors.md` is made from it.
pub const CODES: &[(&str, &str)] = &[
    ("TM0801", "a mirror cannot be reached, or answers with an error"),
    ("TM0802", "no mirror has what was asked for"),
    ("TM0803", "a mirror sends more than there can be"),
    ("TM0804", "a file of the store is not as long as was signed"),
    ("TM0805", "a file of the store does not have the SHA-256 that was signed"),
    ("TM0810", "metadata of a store is malformed"),
    ("TM0811", "metadata of a store without enough valid signatures"),
    ("TM0812", "metadata older than what was seen before"),
    ("TM0813", "metadata of different states mixed"),
    ("TM0814", "metadata that expired"),
    ("TM0815", "a role that the snapshot does not list"),
    ("TM0820", "the store has no such app or release"),
    ("TM0821", "a listing differs from the manifest in it"),
    ("TM0822", "an app that ships nothing for a device here"),
    ("TM0823", "the store's metadata is too old to install from"),
    ("TM0824", "a release that is not newer than one that is published or installed"),
    ("TM0825", "an app whose origin does not allow that it is offered at this price"),
    ("TM0826", "apps of a publisher that came from another store"),
    ("TM0827", "what is not kept here, where no mirror may be asked"),
    ("TM0830", "no such publisher"),
    ("TM0831", "a publisher with this name exists"),
    ("TM0832", "not the keys that the role needs"),
    ("TM0833", "a store exists there already"),
    ("TM0834", "what is kept of a store is damaged"),
    ("TM0835", "a value that a store cannot have"),
    ("TM0836", "no state of the store's operator"),
    ("TM0837", "a store's folder that is not what its operator left"),
    ("TM0838", "a publisher's name that looks like another one's"),
    ("TM0839", "a folder that is not empty, and no site of a store"),
    ("TM0840", "a file of a store could not be read or written"),
    ("TM0860", "an image of a registry that is no bundle"),
    ("TM0861", "a registry that denies what it was asked for"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once_in_order() {
        let arms = include_str!("error.rs").lines().filter_map(|line| line.split_once("=> \"TM"));
        let written: Vec<_> =
            arms.filter_map(|(_, rest)| rest.split_once('"')).map(|(digits, _)| digits).collect();
        let listed: Vec<_> = CODES.iter().map(|(code, _)| code.trim_start_matches("TM")).collect();
        assert_eq!(written, listed);
        assert!(listed.is_sorted_by(|a, b| a < b));
    }
}
