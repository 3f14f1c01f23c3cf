//! Why a command failed, and the exit code that says so.

use std::path::PathBuf;

use tilemark::ErrorKind;

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Sdk(#[from] tilemark::Error),
    #[cfg(feature = "store")]
    #[error(transparent)]
    Store(#[from] tilemark_store::Error),
    /// One of the inputs, which the error itself does not name.
    #[error("{name}: {source}")]
    Input { name: String, source: Box<tilemark::Error> },
    /// What stdout says already, as a verdict or a list of replays; this is for stderr and the exit code.
    #[error("{0}")]
    Reported(tilemark::Error),
    #[error("{message}")]
    Usage { message: String, hint: String },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} exists already", path.display())]
    Exists { path: PathBuf },
    #[error("stdout: {0}")]
    Stdout(std::io::Error),
    #[error("not ready to pack: {errors} error{} found", if *errors == 1 { "" } else { "s" })]
    Findings { errors: usize },
    #[error("the bundle has no golden input to measure with")]
    NothingToMeasure,
    #[error("the outputs `{first}` and `{second}` would both be written to {}", path.display())]
    SameFile { first: String, second: String, path: PathBuf },
    #[error("{failed} of {frames} frames could not be run")]
    Frames { failed: u64, frames: u64 },
    #[error("a changed bundle was accepted")]
    TamperingUnnoticed,
}

/// Every code of the command line and what it stands for; `docs/errors.md` is made from it.
#[cfg(test)]
pub(crate) const CODES: &[(&str, &str)] = &[
    ("TM0601", "the command was used wrongly"),
    ("TM0602", "a file cannot be read or written"),
    ("TM0603", "a file that would be overwritten exists already"),
    ("TM0604", "results cannot be written to stdout"),
    ("TM0605", "a check found what must be mended"),
    ("TM0606", "the bundle has no input to measure with"),
    ("TM0607", "two outputs would be written to one file"),
    ("TM0608", "a changed bundle was accepted: a defect of tilemark"),
    ("TM0609", "some frames of a stream could not be run"),
];

impl Failure {
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    /// What the argument parser found, on one line.
    pub(crate) fn arguments(error: &clap::Error) -> Self {
        let text = error.to_string();
        let what = text.split("\n\nUsage").next().unwrap_or_default();
        let words: Vec<&str> = what.trim_start_matches("error: ").split_whitespace().collect();
        Self::usage(
            words.join(" "),
            "`tilemark help` lists the commands, `tilemark help COMMAND` its options",
        )
    }

    /// A failure about one input. Errors about files name theirs already.
    pub(crate) fn input(name: &str, source: tilemark::Error) -> Self {
        match source {
            tilemark::Error::Io { .. } | tilemark::Error::InputTooLarge { .. } => Self::Sdk(source),
            _ if name.is_empty() => Self::Sdk(source),
            _ => Self::Input { name: name.to_owned(), source: Box::new(source) },
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Sdk(error) | Self::Reported(error) => error.code(),
            #[cfg(feature = "store")]
            Self::Store(error) => error.code(),
            Self::Input { source, .. } => source.code(),
            Self::Usage { .. } => "TM0601",
            Self::File { .. } => "TM0602",
            Self::Exists { .. } => "TM0603",
            Self::Stdout(_) => "TM0604",
            Self::Findings { .. } => "TM0605",
            Self::NothingToMeasure => "TM0606",
            Self::SameFile { .. } => "TM0607",
            Self::TamperingUnnoticed => "TM0608",
            Self::Frames { .. } => "TM0609",
        }
    }

    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Sdk(error) | Self::Reported(error) => error.hint(),
            #[cfg(feature = "store")]
            Self::Store(error) => error.hint().into(),
            Self::Input { source, .. } => source.hint(),
            Self::Usage { hint, .. } => hint.clone(),
            Self::File { .. } | Self::Stdout(_) => {
                "check the path, its permissions and the space left".into()
            }
            Self::Exists { .. } => "choose another name: what is there is not overwritten".into(),
            Self::Findings { .. } => "mend what is marked `error` and check again".into(),
            Self::NothingToMeasure => "ask the vendor to pack it with golden inputs".into(),
            Self::SameFile { .. } => "rename one of them in the model; / and : become _ in file names".into(),
            Self::Frames { .. } => "each is named above, with what is wrong with it".into(),
            Self::TamperingUnnoticed => "do not use this build, and report it".into(),
        }
    }

    /// 0 done, 1 failed, 2 usage, 3 not authentic or not trusted, 4 not entitled, 5 no device, 6 bad input, 7 differs from golden.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Sdk(error) | Self::Reported(error) => exit_code(error.kind()),
            #[cfg(feature = "store")]
            Self::Store(error) => exit_code_of_store(error),
            Self::Input { source, .. } => exit_code(source.kind()),
            Self::Usage { .. } => 2,
            Self::Frames { .. } => 6,
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
        matches!(self, Self::Reported(_) | Self::Findings { .. } | Self::Frames { .. })
    }

    /// Whoever read our output has seen enough (`tilemark plan … | head`): not a failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Stdout(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

#[cfg(feature = "store")]
fn exit_code_of_store(error: &tilemark_store::Error) -> u8 {
    match error.kind() {
        tilemark_store::ErrorKind::NotTrusted => 3,
        tilemark_store::ErrorKind::NotEntitled => 4,
        tilemark_store::ErrorKind::NoDevice => 5,
        _ => 1,
    }
}

fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage => 2,
        ErrorKind::NotTrusted => 3,
        ErrorKind::NotEntitled => 4,
        ErrorKind::NoDevice => 5,
        ErrorKind::BadInput => 6,
        ErrorKind::GoldenMismatch => 7,
        _ => 1,
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
            Failure::Findings { errors: 1 },
            Failure::NothingToMeasure,
            Failure::SameFile { first: "a".into(), second: "b".into(), path: "x".into() },
            Failure::TamperingUnnoticed,
            Failure::Frames { failed: 1, frames: 2 },
        ];
        let codes: Vec<_> = failures.iter().map(Failure::code).collect();
        assert_eq!(codes, CODES.iter().map(|(code, _)| *code).collect::<Vec<_>>());
        assert!(failures.iter().all(|failure| !failure.hint().is_empty() && failure.exit_code() > 0));
    }
}
