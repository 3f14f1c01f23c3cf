//! The instruction-set levels of the host and how one is chosen.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use serde::Serialize;

use super::kernels;
use crate::error::Error;

/// The environment variable that forces a level.
pub const LEVEL_VARIABLE: &str = "TILEMARK_CPU";

/// What a kernel needs from the CPU, weakest first within an architecture.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuLevel {
    /// Portable Rust, any CPU.
    Scalar,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-VNNI (256-bit dot products).
    AvxVnni,
    /// x86-64 with AVX-512 VNNI.
    Avx512Vnni,
    /// x86-64 with AMX int8 tiles.
    Amx,
    /// AArch64 with NEON.
    Neon,
}

impl CpuLevel {
    /// Every level.
    pub const ALL: [CpuLevel; 6] = [
        CpuLevel::Scalar,
        CpuLevel::Avx2,
        CpuLevel::AvxVnni,
        CpuLevel::Avx512Vnni,
        CpuLevel::Amx,
        CpuLevel::Neon,
    ];

    /// The word for it in `TILEMARK_CPU` and in plans.
    pub fn name(self) -> &'static str {
        match self {
            CpuLevel::Scalar => "scalar",
            CpuLevel::Avx2 => "avx2",
            CpuLevel::AvxVnni => "avxvnni",
            CpuLevel::Avx512Vnni => "avx512vnni",
            CpuLevel::Amx => "amx",
            CpuLevel::Neon => "neon",
        }
    }

    /// The level with what its kernels found below it: NEON has no levels of its own, but its kernels multiply by what the
    /// CPU offers, as `neon`, `neon+dotprod` or `neon+i8mm`. The name where there is nothing to find.
    ///
    /// ```
    /// use tilemark_engine::CpuLevel;
    /// assert_eq!(CpuLevel::Scalar.flavour(), "scalar");
    /// ```
    pub fn flavour(self) -> &'static str {
        #[cfg(target_arch = "aarch64")]
        if self == CpuLevel::Neon {
            return super::simd::aarch64::Flavour::detected().name();
        }
        self.name()
    }

    /// Why it cannot be used on this machine, whatever this build has; `None` if it can. In words, after the level's name
    /// and a colon.
    ///
    /// ```
    /// use tilemark_engine::CpuLevel;
    /// assert_eq!(CpuLevel::Scalar.obstacle(), None);
    /// ```
    pub fn obstacle(self) -> Option<String> {
        #[cfg(target_arch = "x86_64")]
        if self == CpuLevel::Amx && supported(CpuLevel::Avx512Vnni) {
            return super::amx::obstacle().map(super::amx::Obstacle::describe);
        }
        (!self.is_supported()).then(|| "this CPU lacks it".to_owned())
    }

    /// Whether this CPU can run it, and the operating system lets it.
    pub fn is_supported(self) -> bool {
        self == CpuLevel::Scalar || supported(self)
    }

    /// Whether a CPU of this level runs kernels of `other`. Not the order of [`CpuLevel::ALL`]: AVX512-VNNI does not
    /// imply AVX-VNNI (Ice Lake and Zen 4 lack it).
    pub fn includes(self, other: CpuLevel) -> bool {
        use CpuLevel::{Amx, Avx2, Avx512Vnni, AvxVnni, Scalar};
        other == self
            || other == Scalar
            || match self {
                AvxVnni | Avx512Vnni => other == Avx2,
                Amx => other == Avx2 || other == Avx512Vnni,
                _ => false,
            }
    }

    /// Whether this build has kernels for it.
    pub fn has_kernels(self) -> bool {
        kernels::all_kernels().any(|kernel| kernel.level == self)
    }

    /// The best level that this CPU can run and this build has kernels for. Looked up once per process.
    pub fn detected() -> Self {
        static DETECTED: OnceLock<CpuLevel> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            let usable =
                CpuLevel::ALL.into_iter().rev().find(|level| level.is_supported() && level.has_kernels());
            usable.unwrap_or(CpuLevel::Scalar)
        })
    }

    /// The level that `TILEMARK_CPU` forces, else the detected one.
    ///
    /// # Errors
    /// [`Error::UnknownLevel`], and those of [`CpuLevel::usable`].
    pub fn from_environment() -> Result<Self, Error> {
        match std::env::var_os(LEVEL_VARIABLE) {
            None => Ok(CpuLevel::detected()),
            Some(word) => word.to_string_lossy().parse::<CpuLevel>()?.usable(),
        }
    }

    /// This level, if it can be used here.
    ///
    /// # Errors
    /// [`Error::LevelUnsupported`] if the CPU lacks it, [`Error::LevelNotBuilt`] if no kernel is built for it.
    pub fn usable(self) -> Result<Self, Error> {
        if !self.has_kernels() {
            let built: Vec<&str> =
                CpuLevel::ALL.iter().filter(|level| level.has_kernels()).map(|level| level.name()).collect();
            return Err(Error::LevelNotBuilt { level: self, built: built.join(", ") });
        }
        match self.obstacle() {
            None => Ok(self),
            Some(reason) => Err(Error::LevelUnsupported { level: self, reason, best: CpuLevel::detected() }),
        }
    }
}

impl fmt::Display for CpuLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CpuLevel {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        CpuLevel::ALL.into_iter().find(|level| level.name() == word).ok_or_else(|| Error::UnknownLevel {
            found: word.to_owned(),
            known: CpuLevel::ALL.map(CpuLevel::name).join(", "),
        })
    }
}

#[cfg(target_arch = "x86_64")]
fn supported(level: CpuLevel) -> bool {
    match level {
        CpuLevel::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        CpuLevel::AvxVnni => supported(CpuLevel::Avx2) && has_avxvnni(),
        CpuLevel::Avx512Vnni => {
            supported(CpuLevel::Avx2)
                && is_x86_feature_detected!("avx512vnni")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
        }
        CpuLevel::Amx => supported(CpuLevel::Avx512Vnni) && super::amx::obstacle().is_none(),
        _ => false,
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avxvnni() -> bool {
    let found = is_x86_feature_detected!("avxvnni");
    #[cfg(all(feature = "emulate-cpu", target_os = "linux"))]
    if !found && crate::emulates() {
        super::emulation::install();
        return true;
    }
    found
}

#[cfg(not(target_arch = "x86_64"))]
fn supported(level: CpuLevel) -> bool {
    // Every AArch64 CPU that Rust's std supports has NEON.
    level == CpuLevel::Neon && cfg!(target_arch = "aarch64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for level in CpuLevel::ALL {
            assert_eq!(level.name().parse(), Ok(level));
        }
    }

    #[test]
    fn a_level_includes_only_what_its_cpus_run() {
        assert!(CpuLevel::Avx512Vnni.includes(CpuLevel::Avx2));
        assert!(!CpuLevel::Avx512Vnni.includes(CpuLevel::AvxVnni));
        assert!(!CpuLevel::Neon.includes(CpuLevel::Avx2));
        for level in CpuLevel::ALL.into_iter().filter(|level| level.is_supported()) {
            let included = CpuLevel::ALL.into_iter().filter(|&other| level.includes(other));
            assert!(included.into_iter().all(CpuLevel::is_supported), "{level}");
        }
    }

    #[test]
    fn an_unknown_word_is_refused() {
        let error = "sse9".parse::<CpuLevel>().unwrap_err();
        assert_eq!(error.code(), "TM0403");
        assert!(error.to_string().contains("avx512vnni"), "{error}");
    }

    #[test]
    fn a_level_that_cannot_be_used_says_why() {
        for level in CpuLevel::ALL.into_iter().filter(|level| level.has_kernels()) {
            assert_eq!(level.obstacle().is_none(), level.is_supported(), "{level}");
            if let Some(obstacle) = level.obstacle() {
                let error = level.usable().unwrap_err();
                assert_eq!(error.code(), "TM0404");
                assert!(error.to_string().contains(&obstacle), "{error}");
            }
        }
    }

    #[test]
    fn scalar_always_works_and_a_level_without_kernels_is_refused() {
        assert_eq!(CpuLevel::Scalar.usable(), Ok(CpuLevel::Scalar));
        for level in CpuLevel::ALL.into_iter().filter(|level| !level.has_kernels()) {
            assert_eq!(level.usable().unwrap_err().code(), "TM0405");
        }
    }
}
