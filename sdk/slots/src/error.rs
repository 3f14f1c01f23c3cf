//! Everything that can go wrong, with one code each.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is none for a ring.
    #[error("`{name}` is no name of a ring: 1 to 64 of a-z, 0-9, `-`, `_` and `.`, no `.` first")]
    Name {
        /// What was given.
        name: String,
    },
    /// A contract that no ring can keep.
    #[error("no ring can hold that: {reason}")]
    Unusable {
        /// Why.
        reason: String,
    },
    /// The other end means something else.
    #[error("ring `{ring}`: found {found}, expected {expected}")]
    Contract {
        /// Which ring.
        ring: String,
        /// What is there.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// There is no such ring.
    #[error("there is no ring `{ring}` in {}", folder.display())]
    NoRing {
        /// Which ring.
        ring: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// Another producer is at work.
    #[error("ring `{ring}` has a producer already")]
    Taken {
        /// Which ring.
        ring: String,
    },
    /// The producer began anew with another contract.
    #[error("ring `{ring}` was closed: its producer began anew with another contract")]
    Closed {
        /// Which ring.
        ring: String,
    },
    /// The ring's files are not what a producer writes.
    #[error("ring `{ring}` is damaged: {reason}")]
    Damaged {
        /// Which ring.
        ring: String,
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be made, locked or mapped.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A tensor is none.
    #[error(transparent)]
    Model(#[from] tilemark_model::Error),
}

/// Every code of this crate and what it stands for; the source of `docs/errors.md`.
pub const CODES: &[(&str, &str)] = &[
    ("TM0701", "a name that is none for a ring of slots"),
    ("TM0702", "a contract that no ring of slots can keep"),
    ("TM0703", "the two ends of a ring of slots mean different tensors"),
    ("TM0704", "there is no such ring of slots"),
    ("TM0705", "a ring of slots has a producer already"),
    ("TM0706", "a ring of slots was closed by its producer"),
    ("TM0707", "a ring of slots is damaged"),
    ("TM0708", "a file of a ring of slots cannot be made, locked or mapped"),
];

impl Error {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Name { .. } => "TM0701",
            Error::Unusable { .. } => "TM0702",
            Error::Contract { .. } => "TM0703",
            Error::NoRing { .. } => "TM0704",
            Error::Taken { .. } => "TM0705",
            Error::Closed { .. } => "TM0706",
            Error::Damaged { .. } => "TM0707",
            Error::Io { .. } => "TM0708",
            Error::Model(error) => error.code(),
        }
    }

    /// What the reader of the message can do about it.
    pub fn hint(&self) -> String {
        match self {
            Error::Name { .. } => "choose another name".into(),
            Error::Unusable { .. } => {
                "share 8-bit, 32-bit or 64-bit integers or f32, in 2 to 64 slots".into()
            }
            Error::Contract { .. } => "use the version of the other app that fits, or ask its vendor".into(),
            Error::NoRing { .. } => "start the producer first; both must use one folder".into(),
            Error::Taken { .. } => "stop the other producer, or publish under another name".into(),
            Error::Closed { .. } => "open the ring again".into(),
            Error::Damaged { .. } => "stop all that use the ring and delete its folder".into(),
            Error::Io { .. } => "check the folder, its permissions and the room in memory".into(),
            Error::Model(error) => error.hint().to_string(),
        }
    }
}
