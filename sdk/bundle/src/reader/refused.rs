use std::fmt;

use crate::{Error, ErrorKind, FactKind, Result, Verdict};

/// A refusal: the error, and the facts up to and including the one that failed.
pub struct Refused(Box<(Error, Verdict)>);

impl Refused {
    /// A refusal for a reason that was found outside this crate; the verdict's last fact is the one that failed.
    #[must_use]
    pub fn new(error: Error, verdict: Verdict) -> Self {
        Self(Box::new((error, verdict)))
    }

    /// Why.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.0
    }

    /// What was found up to there; the last fact is the one that failed.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.0.1
    }

    /// Gives up the verdict.
    #[must_use]
    pub fn into_error(self) -> Error {
        self.0.0
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        refused.into_error()
    }
}

/// The verdict over a file that [`Untrusted::from_path`](crate::Untrusted::from_path) refused: it is not well-formed.
/// After an error of the machine or the caller it is empty: nothing was found out about the file.
impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let mut verdict = Verdict::default();
        if error.kind() == ErrorKind::NotAuthentic {
            verdict.note(FactKind::WellFormed, false, error.to_string());
        }
        Self::new(error, verdict)
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("error", self.error()).field("verdict", self.verdict()).finish()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error().source()
    }
}

/// Notes the outcome of one check as a fact and passes it on.
pub(super) fn step<T>(
    verdict: &mut Verdict,
    kind: FactKind,
    outcome: Result<T>,
    evidence: impl FnOnce(&T) -> String,
) -> Result<T> {
    match &outcome {
        Ok(value) => verdict.note(kind, true, evidence(value)),
        Err(error) => verdict.note(kind, false, error.to_string()),
    }
    outcome
}
