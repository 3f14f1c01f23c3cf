//! x86-64: 256-bit registers with three ways to add products, 512-bit registers with AVX512-VNNI.

mod avx2;
mod avx512;
mod lookup;

pub(crate) use avx2::{Evex, Madd, Pairs, Vex, Ymm};
pub(crate) use avx512::Zmm;
pub(super) use lookup::{can_permute, permute};
