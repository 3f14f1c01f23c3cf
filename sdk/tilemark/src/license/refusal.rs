//! Why an app may not be used here.

use std::path::PathBuf;

use super::clock::format_time;

/// What keeps this device from using an app.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message of each variant says what its values are")]
pub enum Unlicensed {
    #[error("no grant for {app}: {found}")]
    NoGrant { app: String, found: String },
    #[error("the {class} grant {grant} is used up: {used} of {budget} inferences, {wanted} more asked for")]
    Spent { class: &'static str, grant: String, used: u64, budget: u64, wanted: u64 },
    #[error("the {class} grant {grant} ended on {}; it is {}", format_time(*end), format_time(*now))]
    Expired { class: &'static str, grant: String, end: u64, now: u64 },
    #[error("the {class} grant {grant} begins on {}; it is {}", format_time(*begin), format_time(*now))]
    NotYet { class: &'static str, grant: String, begin: u64, now: u64 },
    #[error("the clock was set back: it is {}, the grant {grant} was used on {}", format_time(*now), format_time(*last))]
    ClockSetBack { grant: String, now: u64, last: u64 },
    #[error(
        "the usage record of the grant {grant} is an older one: {found} receipts, {expected} were written"
    )]
    StateRestored { grant: String, found: u64, expected: u64 },
    #[error("{} was written by another device", path.display())]
    StateOfOtherDevice { path: PathBuf },
    #[error("{} is damaged: {reason}", path.display())]
    StateDamaged { path: PathBuf, reason: String },
    #[error("{} is missing; it was there when a grant was installed", path.display())]
    StateMissing { path: PathBuf },
    #[error("the grant {grant} was installed here before, and is used up")]
    Replayed { grant: String },
    #[error("all {seats} seats of the grant {grant} are taken")]
    NoSeat { grant: String, seats: u64 },
    #[error("the {class} grant {grant} gives out the best label only, not {asked}")]
    OutputLevel { class: &'static str, grant: String, asked: &'static str },
    #[error("the {class} grant {grant} is revoked: {said}")]
    Revoked { class: &'static str, grant: String, said: String },
    #[error(
        "the {class} grant {grant} asks for a revocation list of {publisher} of the last {days} days; {found}"
    )]
    Stale { class: &'static str, grant: String, publisher: String, days: u64, found: String },
}

impl Unlicensed {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoGrant { .. } => "TM0530",
            Self::Spent { .. } => "TM0531",
            Self::Expired { .. } => "TM0532",
            Self::NotYet { .. } => "TM0533",
            Self::ClockSetBack { .. } => "TM0534",
            Self::StateRestored { .. } => "TM0535",
            Self::StateOfOtherDevice { .. } => "TM0536",
            Self::StateDamaged { .. } => "TM0537",
            Self::StateMissing { .. } => "TM0538",
            Self::Replayed { .. } => "TM0539",
            Self::NoSeat { .. } => "TM0540",
            Self::OutputLevel { .. } => "TM0541",
            Self::Revoked { .. } => "TM0542",
            Self::Stale { .. } => "TM0543",
        }
    }

    /// What the reader of the message can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoGrant { .. } => {
                "`tilemark license request APP.TMK -o request.json`, send it to the vendor, `tilemark license install` the answer"
            }
            Self::Spent { .. } | Self::Expired { .. } | Self::OutputLevel { .. } => {
                "ask the vendor for another grant; `tilemark license show` lists those that are here"
            }
            Self::NotYet { .. } => "wait, or set the clock right",
            Self::ClockSetBack { .. } => {
                "set the clock right. If it was wrong before, the vendor can issue a new grant, which knows nothing of that"
            }
            Self::StateRestored { .. } | Self::StateMissing { .. } => {
                "put the newer state of TILEMARK_HOME back, or ask the vendor for another grant; an owned grant needs no state"
            }
            Self::StateOfOtherDevice { .. } => "state does not move between devices: make a request here",
            Self::StateDamaged { .. } => {
                "find out what damaged it, and put it back from a backup of the same moment"
            }
            Self::Stale { .. } => {
                "get the publisher's newest revocation list and `tilemark license install` it"
            }
            Self::Revoked { .. } | Self::Replayed { .. } => "ask the vendor for another grant",
            Self::NoSeat { .. } => "end another session, or ask the vendor for more seats",
        }
    }
}
