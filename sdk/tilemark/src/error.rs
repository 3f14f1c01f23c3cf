//! Everything that can go wrong, with one code each.

use std::path::PathBuf;

use tilemark_bundle::{Refused, Verdict};

use crate::license::Unlicensed;

/// An error of the SDK. Those of the crates below keep their own code, message and hint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bundle was refused; the verdict tells how far verification came.
    #[error(transparent)]
    Refused(Box<Refused>),
    /// Something about keys, trust, floors or the bundle's form.
    #[error(transparent)]
    Bundle(#[from] tilemark_bundle::Error),
    /// Something about the model.
    #[error(transparent)]
    Model(#[from] tilemark_model::Error),
    /// Something about the pipeline or what was given to it.
    #[error(transparent)]
    Pipeline(#[from] tilemark_pipeline::Error),
    /// Something about a ring of slots.
    #[error(transparent)]
    Slots(#[from] tilemark_slots::Error),
    /// Something about the device.
    #[error(transparent)]
    Engine(#[from] tilemark_engine::Error),
    /// The terms do not allow it here and now.
    #[error(transparent)]
    Unlicensed(#[from] Unlicensed),
    /// What keeps this device's key does not give it, or is not known.
    #[error("the keeper of the device's key, {name}: {reason}")]
    Keeper {
        /// Which.
        name: String,
        /// What happened.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No place for state.
    #[error("no place to keep state: TILEMARK_HOME, XDG_DATA_HOME and HOME are all unset")]
    NoHome,
    /// A blob of a verified bundle cannot be used.
    #[error("the bundle's {what} cannot be used: {reason}")]
    Contents {
        /// Which blob.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The app does more than its manifest declares.
    #[error("the app needs {found} {what}, its manifest declares at most {declared}")]
    CeilingExceeded {
        /// What is counted.
        what: &'static str,
        /// How many it needs.
        found: u64,
        /// How many it declares.
        declared: u64,
    },
    /// An input file larger than any input may be.
    #[error("{}: larger than {limit} bytes, the limit for an input", path.display())]
    InputTooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes allowed.
        limit: usize,
    },
    /// `app.toml` is not what it must be.
    #[error("{}: {reason}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where known.
        reason: String,
    },
    /// A golden input gives another result than `app.toml` declares for it.
    #[error("{input} does not give what {file} declares: {difference}")]
    GoldenResult {
        /// The golden input.
        input: String,
        /// The file of the declared result.
        file: String,
        /// Where in the result, what is declared, and what was found.
        difference: String,
    },
    /// An ensemble that cannot answer.
    #[error("the ensemble cannot answer: {reason}")]
    Ensemble {
        /// What is wrong with it.
        reason: String,
    },
    /// Data to calibrate or measure with that is none for the model.
    #[error("{}: {reason}", path.display())]
    Samples {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor of the float model that cannot be quantized.
    #[error("tensor `{tensor}` cannot be quantized: {reason}")]
    Calibration {
        /// The tensor.
        tensor: String,
        /// What was found.
        reason: String,
    },
    /// Labelled data that an app cannot be evaluated on.
    #[error("{}: {reason}", path.display())]
    Dataset {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What the app answers is not what the metric is of.
    #[error("the metric {metric} cannot be measured: {reason}")]
    Metric {
        /// Which.
        metric: String,
        /// What is missing.
        reason: String,
    },
    /// Too many samples could not be evaluated.
    #[error("{failed} of {samples} samples failed, at most {allowed} may; the first: {first}")]
    TooManyFailed {
        /// How many did.
        failed: u64,
        /// Of how many.
        samples: u64,
        /// How many may.
        allowed: u64,
        /// Its name and what is wrong with it.
        first: String,
    },
    /// The journal of another evaluation, or a damaged one.
    #[error("{}: {reason}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// An evaluation that gave something else than is claimed.
    #[error("the {what} is not what is claimed: {claimed} claimed, {found} found")]
    NotReproduced {
        /// What differs first.
        what: &'static str,
        /// What was claimed.
        claimed: String,
        /// What was found.
        found: String,
    },
    /// Data that is not what was committed to.
    #[error("the data is not what was committed to: {reason}")]
    NotCommitted {
        /// What differs, by name.
        reason: String,
    },
    /// An app that gives one result on one device and another on another.
    #[error("{app} does not give the same on {} and {}: they differ first at {sample}", devices[0], devices[1])]
    DevicesDiffer {
        /// Which app.
        app: String,
        /// The devices.
        devices: [String; 2],
        /// The first sample.
        sample: String,
    },
    /// A device gave other bits than the golden vectors record.
    #[error("{device} departs from golden vector {vector} at `{tensor}`{element}")]
    GoldenMismatch {
        /// The device.
        device: String,
        /// Which vector, from 0.
        vector: usize,
        /// The first tensor that differs.
        tensor: String,
        /// Its first differing element, with a leading separator; empty if unknown.
        element: String,
    },
}

/// What a caller can do about an error; the command line's exit codes follow it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bundle is not authentic or not trusted.
    NotTrusted,
    /// The caller asked for something impossible.
    Usage,
    /// Nobody granted the use of the app here, or not any more.
    NotEntitled,
    /// There is no such device, or none that fits.
    NoDevice,
    /// The user's input is bad.
    BadInput,
    /// A device departs from the golden vectors.
    GoldenMismatch,
    /// Anything else.
    Failed,
}

/// Every code of this crate and what it stands for; the source of `docs/errors.md`.
pub const CODES: &[(&str, &str)] = &[
    ("TM0501", "a file cannot be read or written"),
    ("TM0502", "there is no place for state"),
    ("TM0503", "a part of a verified bundle cannot be used"),
    ("TM0504", "the app needs more than its manifest declares"),
    ("TM0505", "an input file is too large"),
    ("TM0506", "app.toml is not what it must be"),
    ("TM0507", "a device departs from the golden vectors"),
    ("TM0508", "a golden input gives another result than is declared for it"),
    ("TM0509", "an ensemble of apps cannot answer"),
    ("TM0520", "data to calibrate or measure with does not fit"),
    ("TM0521", "a tensor of a float model cannot be quantized"),
    ("TM0530", "no grant for the app on this device"),
    ("TM0531", "the grant is used up"),
    ("TM0532", "the grant has ended"),
    ("TM0533", "the grant has not begun"),
    ("TM0534", "the clock was set back"),
    ("TM0535", "the record of use is an older one than was written: restored, cut or removed"),
    ("TM0536", "the record of use was written by another device: copied"),
    ("TM0537", "the device's key or its record of use is damaged"),
    ("TM0538", "the record of use is missing"),
    ("TM0539", "a grant that was used up is installed again"),
    ("TM0540", "every seat is taken"),
    ("TM0541", "more of the result than the grant gives out"),
    ("TM0542", "the grant is revoked"),
    ("TM0543", "the revocation list is older than the grant allows, or there is none"),
    ("TM0550", "the keeper of the device's key does not give it"),
    ("TM0560", "labelled data does not fit the app or the metric"),
    ("TM0561", "the app's answers are not what the metric is of"),
    ("TM0562", "too many samples could not be evaluated"),
    ("TM0563", "the journal of another evaluation, or a damaged one"),
    ("TM0564", "an evaluation gives something else than was claimed"),
    ("TM0565", "an app gives other results on one device than on another"),
    ("TM0566", "data is not what was committed to"),
];

impl Error {
    pub(crate) fn refused(refused: Refused) -> Self {
        Error::Refused(Box::new(refused))
    }

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Refused(refused) => refused.error().code(),
            Error::Bundle(error) => error.code(),
            Error::Model(error) => error.code(),
            Error::Pipeline(error) => error.code(),
            Error::Slots(error) => error.code(),
            Error::Engine(error) => error.code(),
            Error::Unlicensed(error) => error.code(),
            Error::Keeper { .. } => "TM0550",
            Error::Io { .. } => "TM0501",
            Error::NoHome => "TM0502",
            Error::Contents { .. } => "TM0503",
            Error::CeilingExceeded { .. } => "TM0504",
            Error::InputTooLarge { .. } => "TM0505",
            Error::Description { .. } => "TM0506",
            Error::GoldenMismatch { .. } => "TM0507",
            Error::GoldenResult { .. } => "TM0508",
            Error::Ensemble { .. } => "TM0509",
            Error::Samples { .. } => "TM0520",
            Error::Calibration { .. } => "TM0521",
            Error::Dataset { .. } => "TM0560",
            Error::Metric { .. } => "TM0561",
            Error::TooManyFailed { .. } => "TM0562",
            Error::Journal { .. } => "TM0563",
            Error::NotReproduced { .. } => "TM0564",
            Error::DevicesDiffer { .. } => "TM0565",
            Error::NotCommitted { .. } => "TM0566",
        }
    }

    /// What the reader of the message can do about it.
    pub fn hint(&self) -> String {
        match self {
            Error::Refused(refused) => refused.error().hint().to_string(),
            Error::Bundle(error) => error.hint().to_string(),
            Error::Model(error) => error.hint().to_string(),
            Error::Pipeline(error) => error.hint().to_string(),
            Error::Slots(error) => error.hint(),
            Error::Engine(error) => error.hint().to_string(),
            Error::Unlicensed(error) => error.hint().to_string(),
            Error::Keeper { .. } => "docs/terms.md says what each keeper needs".into(),
            Error::Io { .. } => "check the path and its permissions".into(),
            Error::NoHome => "set TILEMARK_HOME to a directory that outlives the process".into(),
            Error::Contents { .. } | Error::CeilingExceeded { .. } => {
                "ask the vendor to pack the app again".into()
            }
            Error::InputTooLarge { .. } => "give a smaller file".into(),
            Error::Description { .. } => {
                "docs/quickstart.md shows an app.toml; `tilemark check` finds more".into()
            }
            Error::GoldenResult { .. } => {
                "look at what `tilemark run --json` gives: mend the app, or declare that".into()
            }
            Error::Ensemble { .. } => "`Combined::missing` says why each missing member gave nothing".into(),
            Error::Samples { .. } => {
                "docs/quantize.md says what a folder of samples holds; `tilemark inspect` lists the model's inputs".into()
            }
            Error::Dataset { .. } => "docs/evaluation.md says what each kind of labelled data looks like".into(),
            Error::Metric { .. } => {
                "docs/evaluation.md says which metric is for which apps; `tilemark run --json` shows what this one answers".into()
            }
            Error::TooManyFailed { .. } => "mend or remove these samples, or allow more: --max-failed PERCENT".into(),
            Error::Journal { .. } => "give another file; if this one is a journal and not needed, remove it to begin again".into(),
            Error::NotReproduced { .. } => "evaluate the claimed bundle on the claimed data, with the same parameters; with --committed and --salt samples that differ are named".into(),
            Error::NotCommitted { .. } => {
                "get the data, the commitment and the salt file that belong together; --committed-by names the key of a signed one".into()
            }
            Error::DevicesDiffer { .. } => {
                "`tilemark verify --replay` and `tilemark doctor` on each device tell which one departs; do not use that one".into()
            }
            Error::Calibration { .. } => {
                "check the sample and the steps before the model; else the weights themselves are too large".into()
            }
            Error::GoldenMismatch { .. } => {
                "do not use this device for this app; `tilemark doctor` tells more".into()
            }
        }
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Refused(refused) => bundle_kind(refused.error()),
            Error::Bundle(error) => bundle_kind(error),
            Error::Pipeline(error) if error.is_input() => ErrorKind::BadInput,
            Error::Pipeline(error) if error.is_setting() => ErrorKind::Usage,
            Error::Engine(error) => engine_kind(error),
            Error::Unlicensed(_) => ErrorKind::NotEntitled,
            Error::InputTooLarge { .. }
            | Error::Samples { .. }
            | Error::Dataset { .. }
            | Error::TooManyFailed { .. } => ErrorKind::BadInput,
            Error::Metric { .. } => ErrorKind::Usage,
            Error::GoldenMismatch { .. } | Error::DevicesDiffer { .. } => ErrorKind::GoldenMismatch,
            _ => ErrorKind::Failed,
        }
    }

    /// The facts found before a bundle was refused.
    pub fn verdict(&self) -> Option<&Verdict> {
        match self {
            Error::Refused(refused) => Some(refused.verdict()),
            _ => None,
        }
    }
}

/// A file that cannot be read, or an app made for a newer SDK, says nothing about who made it.
fn bundle_kind(error: &tilemark_bundle::Error) -> ErrorKind {
    use tilemark_bundle::ErrorKind as Bundle;
    match error.kind() {
        Bundle::NotAuthentic | Bundle::NotTrusted => ErrorKind::NotTrusted,
        Bundle::NotEntitled => ErrorKind::NotEntitled,
        _ => ErrorKind::Failed,
    }
}

fn engine_kind(error: &tilemark_engine::Error) -> ErrorKind {
    use tilemark_engine::Error;
    use tilemark_model::Error as Model;
    match error {
        Error::NoSuchDevice { .. }
        | Error::SeveralDevices { .. }
        | Error::DeviceFails { .. }
        | Error::NoBitstream { .. }
        | Error::BitstreamDamaged { .. }
        | Error::WrongPart { .. }
        | Error::WrongAbi { .. }
        | Error::BitstreamRefused { .. }
        | Error::LayerRefused { .. }
        | Error::LevelUnsupported { .. }
        | Error::LevelNotBuilt { .. } => ErrorKind::NoDevice,
        Error::ThreadCount { .. } | Error::UnknownLevel { .. } | Error::UnknownTuning { .. } => {
            ErrorKind::Usage
        }
        Error::Model(Model::InputShape { .. } | Model::InputCount { .. } | Model::DTypeMismatch { .. }) => {
            ErrorKind::BadInput
        }
        _ => ErrorKind::Failed,
    }
}
