//! Why a command failed, and the exit code that says so.

use std::path::PathBuf;

use tilemark::ErrorKind;

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Sdk(#[from] tilemark::Error),
    /// The verdict on stdout says it already; this is for stderr and the exit code.
    #[error("{0}")]
    Refused(tilemark::Error),
    #[error("{message}")]
    Usage { message: String, hint: String },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} exists already", path.display())]
    Exists { path: PathBuf },
    #[error("stdout: {0}")]
    Stdout(std::io::Error),
    #[error("{count} of {total} findings must be mended before packing")]
    Findings { count: usize, total: usize },
}

/// Every code of the command line and what it stands for; the source of `docs/errors.md`.
pub(crate) const CODES: &[(&str, &str)] = &[
    ("TM0601", "the command was used wrongly"),
    ("TM0602", "a file cannot be read or written"),
    ("TM0603", "a file that would be overwritten exists already"),
    ("TM0604", "results cannot be written to stdout"),
    ("TM0605", "a check found what must be mended"),
];

impl Failure {
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Sdk(error) | Self::Refused(error) => error.code(),
            Self::Usage { .. } => "TM0601",
            Self::File { .. } => "TM0602",
            Self::Exists { .. } => "TM0603",
            Self::Stdout(_) => "TM0604",
            Self::Findings { .. } => "TM0605",
        }
    }

    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Sdk(error) | Self::Refused(error) => error.hint(),
            Self::Usage { hint, .. } => hint.clone(),
            Self::File { .. } | Self::Stdout(_) => {
                "check the path, its permissions and the space left".into()
            }
            Self::Exists { .. } => "choose another name; keys are never overwritten".into(),
            Self::Findings { .. } => "the lines marked `error` say what".into(),
        }
    }

    /// 0 done, 1 failed, 2 usage, 3 not authentic or not trusted, 5 no device, 6 bad input, 7 differs from golden.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Sdk(error) | Self::Refused(error) => match error.kind() {
                ErrorKind::Usage => 2,
                ErrorKind::NotTrusted => 3,
                ErrorKind::NoDevice => 5,
                ErrorKind::BadInput => 6,
                ErrorKind::GoldenMismatch => 7,
                _ => 1,
            },
            Self::Usage { .. } => 2,
            _ => 1,
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "error": { "code": self.code(), "message": self.to_string(), "hint": self.hint() }
        })
    }

    /// Whether stdout already tells the script what it asked for.
    pub(crate) fn already_reported(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Findings { .. })
    }

    /// Whoever read our output has seen enough (`tilemark plan … | head`): not a failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Stdout(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_own_code_is_listed() {
        let io = || std::io::Error::other("x");
        let failures = [
            Failure::usage("a", "b"),
            Failure::File { path: "x".into(), source: io() },
            Failure::Exists { path: "x".into() },
            Failure::Stdout(io()),
            Failure::Findings { count: 1, total: 2 },
        ];
        let codes: Vec<_> = failures.iter().map(Failure::code).collect();
        assert_eq!(codes, CODES.iter().map(|(code, _)| *code).collect::<Vec<_>>());
    }
}
