//! Portable loops, compiled once for each level: what LLVM vectorizes by itself needs no intrinsics. The bits are those
//! of the portable loop at every level, since Rust neither reorders nor contracts arithmetic.
#![allow(
    unsafe_code,
    reason = "calls functions that are compiled for instructions which the CPU was found to have"
)]

use super::cpu::CpuLevel;
pub(crate) use super::simd::Lookup;

/// Work whose inner loops are worth vectorizing. Implementations mark `run` and all that it calls `#[inline(always)]`,
/// so that it is compiled for the instructions of the function that calls it.
pub(crate) trait Loop {
    /// Does the work.
    fn run(self);
}

/// The widest instructions that loops may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Vectorizer(Width);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Width {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Vectorizer {
    /// The instructions of `level`, as far as this CPU has them.
    pub(crate) fn new(level: CpuLevel) -> Self {
        #[cfg(target_arch = "x86_64")]
        for (width, needed) in [(Width::Avx512, CpuLevel::Avx512Vnni), (Width::Avx2, CpuLevel::Avx2)] {
            if level.includes(needed) && needed.is_supported() {
                return Self(width);
            }
        }
        let _ = level;
        Self(Width::Baseline)
    }

    /// Whether a fused multiply-add is an instruction and not a call.
    pub(crate) fn has_fma(self) -> bool {
        self.0 != Width::Baseline || cfg!(target_arch = "aarch64")
    }

    /// Runs `work` with these instructions.
    #[inline]
    pub(crate) fn run(self, work: impl Loop) {
        match self.0 {
            Width::Baseline => work.run(),
            // SAFETY: `new` found the features, which `CpuLevel::is_supported` lists.
            #[cfg(target_arch = "x86_64")]
            Width::Avx2 => unsafe { avx2(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Width::Avx512 => unsafe { avx512(work) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(work: impl Loop) {
    work.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl")]
fn avx512(work: impl Loop) {
    work.run();
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scale<'a>(&'a mut [f32]);

    impl Loop for Scale<'_> {
        #[inline(always)]
        fn run(self) {
            self.0.iter_mut().for_each(|x| *x = *x * 0.1 + 0.3);
        }
    }

    #[test]
    fn no_level_contracts_or_reorders() {
        for level in CpuLevel::ALL.into_iter().filter(|level| level.is_supported()) {
            let mut values: Vec<f32> = (0..1000).map(|i| i as f32 * 0.37).collect();
            let expected: Vec<u32> = values.iter().map(|x| (x * 0.1 + 0.3).to_bits()).collect();
            Vectorizer::new(level).run(Scale(&mut values));
            assert!(values.iter().map(|x| x.to_bits()).eq(expected), "{level}");
        }
    }
}
