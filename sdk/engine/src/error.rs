//! What can go wrong between a graph and its results.

use crate::host::CpuLevel;

/// Every refusal of this crate. Messages say what, where, found and expected; [`Error::hint`] what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A device name that this build does not know.
    #[error("no device `{found}`; known: {known}")]
    NoSuchDevice {
        /// The name given.
        found: String,
        /// Names that would do.
        known: String,
    },
    /// A thread count of zero, or an absurd one.
    #[error("{found} threads were asked for; 1 to {limit} are possible")]
    ThreadCount {
        /// Threads asked for.
        found: usize,
        /// Most threads.
        limit: usize,
    },
    /// A word in `TILEMARK_CPU` that names no level.
    #[error("`{found}` is no CPU level; known: {known}")]
    UnknownLevel {
        /// The word.
        found: String,
        /// Words that would do.
        known: String,
    },
    /// A level that this CPU cannot run.
    #[error("CPU level {level} was asked for, but {reason}; the best level here is {best}")]
    LevelUnsupported {
        /// The level asked for.
        level: CpuLevel,
        /// What stands against it.
        reason: String,
        /// The best level that the CPU offers.
        best: CpuLevel,
    },
    /// A level for which this build has no kernel.
    #[error("CPU level {level} was asked for, but this build has no kernel for it; built: {built}")]
    LevelNotBuilt {
        /// The level asked for.
        level: CpuLevel,
        /// Levels with kernels.
        built: String,
    },
    /// Activations beyond [`crate::limits::MAX_ARENA_BYTES`], or working memory beyond its limit.
    #[error("the plan needs {found} bytes of {what}, the limit is {limit}")]
    TooLarge {
        /// Which memory.
        what: &'static str,
        /// Bytes needed; `usize::MAX` if the number overflows.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The system gave no memory.
    #[error("the system refused {bytes} bytes of memory")]
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
    },
    /// The system gave no threads.
    #[error("the system refused {threads} threads: {reason}")]
    NoThreads {
        /// Threads asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
    /// A word in `TILEMARK_TUNE` that is no time.
    #[error("`{found}` is no time for tuning; expected `off` or milliseconds up to {limit}")]
    UnknownTuning {
        /// The word.
        found: String,
        /// Most milliseconds.
        limit: u128,
    },
    /// An OpenCL driver that refused a call.
    #[error("device {device} failed: {call} gave {name} ({status})")]
    DeviceFault {
        /// The device.
        device: String,
        /// OpenCL's name for the call.
        call: &'static str,
        /// Its status.
        status: i32,
        /// OpenCL's name for that.
        name: String,
    },
    /// An OpenCL compiler that refused one of our programs.
    #[error("device {device} cannot compile `{program}.cl`: {log}")]
    ProgramRefused {
        /// The device.
        device: String,
        /// The program.
        program: String,
        /// What the compiler said.
        log: String,
    },
    /// An OpenCL device that computes wrongly, or whose driver crashed or hung when it was tried: it is not used.
    #[error("device {device} cannot be used: {reason}")]
    DeviceFails {
        /// The device.
        device: String,
        /// What it did.
        reason: String,
    },
    /// A part of a name that several devices have.
    #[error("`{found}` can mean several devices: {fitting}")]
    SeveralDevices {
        /// The name given.
        found: String,
        /// The devices that have it.
        fitting: String,
    },
    /// An OpenCL device without enough memory.
    #[error("device {device} has not enough memory or other resources: {call} gave {name} ({status})")]
    DeviceMemory {
        /// The device.
        device: String,
        /// OpenCL's name for the call.
        call: &'static str,
        /// Its status.
        status: i32,
        /// OpenCL's name for that.
        name: String,
    },
    /// An OpenCL device that is not there any more: reset, unplugged or taken away.
    #[error("device {device} is lost: {call} gave {name} ({status})")]
    DeviceLost {
        /// The device.
        device: String,
        /// OpenCL's name for the call.
        call: &'static str,
        /// Its status.
        status: i32,
        /// OpenCL's name for that.
        name: String,
    },
    /// A device that takes programs from bitstreams only, and an app that ships none.
    #[error("device {device} ({name}) takes no program from source, only bitstreams, and the app ships none")]
    NoBitstream {
        /// The device.
        device: String,
        /// The hardware's name.
        name: String,
    },
    /// A bitstream whose bytes are not what was packed.
    #[error("the bitstream of target `{target}` is damaged: {reason}")]
    BitstreamDamaged {
        /// The target.
        target: String,
        /// What is wrong.
        reason: String,
    },
    /// Bitstreams, all of them for other hardware.
    #[error("no bitstream of the app is for device {device} ({name}): {reasons}")]
    WrongPart {
        /// The device.
        device: String,
        /// The hardware's name.
        name: String,
        /// What stands against each target.
        reasons: String,
    },
    /// Bitstreams, all of them of another version of the engine's interface.
    #[error("no bitstream of the app for device {device} has an interface that this SDK speaks: {reasons}")]
    WrongAbi {
        /// The device.
        device: String,
        /// What stands against each target.
        reasons: String,
    },
    /// A driver that did not take a bitstream.
    #[error("device {device} did not take the bitstream of target `{target}`: {reason}")]
    BitstreamRefused {
        /// The device.
        device: String,
        /// The target.
        target: String,
        /// What the driver said.
        reason: String,
    },
    /// A layer that a target cannot run, in an app that does not let the host run it.
    #[error("target `{target}` cannot run `{node}` ({operation}): {reason}")]
    LayerRefused {
        /// The target.
        target: String,
        /// The node.
        node: String,
        /// Its operation.
        operation: String,
        /// Why not.
        reason: String,
    },
    /// A plan that contradicts itself: a bug of this crate.
    #[error("the plan is inconsistent at `{at}`: {reason}")]
    Internal {
        /// The node or value.
        at: String,
        /// The broken rule.
        reason: String,
    },
    /// Something wrong with the graph or with the tensors given; see its own code.
    #[error(transparent)]
    Model(#[from] tilemark_model::Error),
}

/// Every code of this crate and what it stands for; the source of `docs/errors.md`.
pub const CODES: &[(&str, &str)] = &[
    ("TM0401", "no such device"),
    ("TM0402", "an impossible number of threads"),
    ("TM0403", "an unknown CPU level"),
    ("TM0404", "a CPU level that this CPU lacks"),
    ("TM0405", "a CPU level without kernels in this build"),
    ("TM0406", "the plan needs too much memory"),
    ("TM0407", "the system is out of memory"),
    ("TM0408", "the system refused threads"),
    ("TM0409", "an inconsistent plan: a bug"),
    ("TM0410", "an unknown time for tuning"),
    ("TM0411", "an OpenCL driver refused a call"),
    ("TM0412", "an OpenCL compiler refused a program"),
    ("TM0413", "an OpenCL device that fails the known-answer test, or whose driver crashed or hung in it"),
    ("TM0414", "a device's name that fits several"),
    ("TM0415", "an OpenCL device without enough memory or other resources"),
    ("TM0416", "an OpenCL device that was lost"),
    ("TM0417", "an FPGA, and an app without bitstreams"),
    ("TM0418", "a damaged bitstream"),
    ("TM0419", "bitstreams for other hardware only"),
    ("TM0420", "bitstreams of another interface only"),
    ("TM0421", "a bitstream that the driver does not take"),
    ("TM0422", "a layer that an FPGA target cannot run, and that the app does not leave to the host"),
];

impl Error {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Error::NoSuchDevice { .. } => "TM0401",
            Error::ThreadCount { .. } => "TM0402",
            Error::UnknownLevel { .. } => "TM0403",
            Error::LevelUnsupported { .. } => "TM0404",
            Error::LevelNotBuilt { .. } => "TM0405",
            Error::TooLarge { .. } => "TM0406",
            Error::OutOfMemory { .. } => "TM0407",
            Error::NoThreads { .. } => "TM0408",
            Error::Internal { .. } => "TM0409",
            Error::UnknownTuning { .. } => "TM0410",
            Error::DeviceFault { .. } => "TM0411",
            Error::ProgramRefused { .. } => "TM0412",
            Error::DeviceFails { .. } => "TM0413",
            Error::SeveralDevices { .. } => "TM0414",
            Error::DeviceMemory { .. } => "TM0415",
            Error::DeviceLost { .. } => "TM0416",
            Error::NoBitstream { .. } => "TM0417",
            Error::BitstreamDamaged { .. } => "TM0418",
            Error::WrongPart { .. } => "TM0419",
            Error::WrongAbi { .. } => "TM0420",
            Error::BitstreamRefused { .. } => "TM0421",
            Error::LayerRefused { .. } => "TM0422",
            Error::Model(error) => error.code(),
        }
    }

    /// What the reader of the message can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Error::NoSuchDevice { .. } => "`tilemark devices` lists the devices of this machine",
            Error::ThreadCount { .. } => {
                "leave the number of threads out to use every core given to the process"
            }
            Error::UnknownLevel { .. } | Error::LevelUnsupported { .. } | Error::LevelNotBuilt { .. } => {
                "unset TILEMARK_CPU to use the best level, or name one that `tilemark doctor` lists"
            }
            Error::UnknownTuning { .. } => {
                "unset TILEMARK_TUNE to time kernels for 150 ms at most, or set it to `off`"
            }
            Error::TooLarge { .. } => "use smaller inputs or a smaller batch; the limit protects the machine",
            Error::OutOfMemory { .. } => "use smaller inputs or a smaller batch, or free memory",
            Error::NoThreads { .. } => "ask for fewer threads, or raise the limit of threads of this process",
            Error::DeviceFault { .. } => {
                "run on the host with `--device host`; if it happens again, update the device's driver"
            }
            Error::ProgramRefused { .. } => {
                "run on the host with `--device host`, update the device's driver, and report this with what it said"
            }
            Error::DeviceFails { .. } => {
                "update the device's driver, then let `tilemark devices --retest` try again; `--device host` works without it"
            }
            Error::SeveralDevices { .. } => "give more of the name, or the device's id",
            Error::DeviceMemory { .. } => {
                "use smaller inputs, a smaller batch or fewer sessions, or free the device's memory"
            }
            Error::DeviceLost { .. } => {
                "make a new session; if it happens again, look at the system's log for the driver's reason"
            }
            Error::NoBitstream { .. } | Error::WrongPart { .. } => {
                "ask the vendor for a bundle with a target for this hardware, or name another device"
            }
            Error::BitstreamDamaged { .. } => {
                "ask the vendor: the file is as it was signed, so it was packed like this"
            }
            Error::WrongAbi { .. } => "update the SDK or the bundle, whichever is older",
            Error::BitstreamRefused { .. } => {
                "update the device's driver or shell, or ask the vendor for a matching target"
            }
            Error::LayerRefused { .. } => {
                "run on another device; the vendor can allow the host such layers with `host_layers = true` under `[targets]`"
            }
            Error::Internal { .. } => "report this with the model: it is a bug in tilemark",
            Error::Model(error) => error.hint(),
        }
    }

    pub(crate) fn internal(at: &str, reason: impl Into<String>) -> Self {
        Error::Internal { at: at.to_owned(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_table_once() {
        let errors = [
            Error::NoSuchDevice { found: "x".into(), known: "host".into() },
            Error::ThreadCount { found: 0, limit: 1 },
            Error::UnknownLevel { found: "x".into(), known: "scalar".into() },
            Error::LevelUnsupported { level: CpuLevel::Amx, reason: "none".into(), best: CpuLevel::Scalar },
            Error::LevelNotBuilt { level: CpuLevel::Amx, built: "scalar".into() },
            Error::TooLarge { what: "activations", found: 2, limit: 1 },
            Error::OutOfMemory { bytes: 1 },
            Error::NoThreads { threads: 1, reason: "none".into() },
            Error::internal("x", "y"),
            Error::UnknownTuning { found: "x".into(), limit: 1 },
            Error::DeviceFault { device: "x".into(), call: "clFinish", status: -5, name: "y".into() },
            Error::ProgramRefused { device: "x".into(), program: "conv".into(), log: "y".into() },
            Error::DeviceFails { device: "x".into(), reason: "y".into() },
            Error::SeveralDevices { found: "x".into(), fitting: "y".into() },
            Error::DeviceMemory { device: "x".into(), call: "clFinish", status: -4, name: "y".into() },
            Error::DeviceLost { device: "x".into(), call: "clFinish", status: -2, name: "y".into() },
            Error::NoBitstream { device: "x".into(), name: "y".into() },
            Error::BitstreamDamaged { target: "x".into(), reason: "y".into() },
            Error::WrongPart { device: "x".into(), name: "y".into(), reasons: "z".into() },
            Error::WrongAbi { device: "x".into(), reasons: "y".into() },
            Error::BitstreamRefused { device: "x".into(), target: "y".into(), reason: "z".into() },
            Error::LayerRefused {
                target: "x".into(),
                node: "y".into(),
                operation: "Conv".into(),
                reason: "z".into(),
            },
        ];
        let codes: Vec<&str> = errors.iter().map(Error::code).collect();
        assert_eq!(codes, CODES.iter().map(|(code, _)| *code).collect::<Vec<_>>());
        assert!(errors.iter().all(|error| !error.hint().is_empty() && !error.to_string().is_empty()));
    }

    #[test]
    fn a_model_error_keeps_its_code() {
        let inner = tilemark_model::Error::InputCount { found: 0, expected: 1 };
        assert_eq!(Error::from(inner).code(), "TM0211");
    }
}
