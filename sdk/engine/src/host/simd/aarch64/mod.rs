//! AArch64: 128-bit registers with three ways to add products, one for each [`Flavour`] of the level `neon`.

mod lookup;
mod neon;

use std::arch::is_aarch64_feature_detected;

pub(super) use lookup::{can_permute, permute};
pub(crate) use neon::{Chunked, Mull, Neon, Sdot, Usdot};

/// What a CPU of the level `neon` has for products of bytes. All flavours compute the same bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flavour {
    /// Every AArch64 CPU: `smull` and `sadalp`.
    Plain,
    /// Armv8.2 with FEAT_DotProd: `sdot`.
    DotProd,
    /// Armv8.6 and others with FEAT_I8MM: `usdot` and `sudot`.
    I8mm,
}

impl Flavour {
    /// The best flavour of this CPU.
    pub(crate) fn detected() -> Self {
        if is_aarch64_feature_detected!("i8mm") {
            Flavour::I8mm
        } else if is_aarch64_feature_detected!("dotprod") {
            Flavour::DotProd
        } else {
            Flavour::Plain
        }
    }

    /// The word for it in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Flavour::Plain => "neon",
            Flavour::DotProd => "neon+dotprod",
            Flavour::I8mm => "neon+i8mm",
        }
    }
}
