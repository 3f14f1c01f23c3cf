//! The matrix product behind convolutions and fully connected layers: rows of input bytes times packed weights.
//!
//! Not an operation of its own: `conv` and `fully_connected` say how a row of the left matrix is gathered.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod product;
pub(crate) mod scalar;
pub(crate) mod tiles;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;
