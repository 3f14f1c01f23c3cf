//! The tile instructions that the matrix product needs.
//!
//! Of the eight tile registers 0 to 3 hold sums, the others operands. Every function needs [`super::obstacle`] to have
//! found none; those that touch tiles need a [`Configured`] on this thread whose [`Shape`] fits.
#![allow(unsafe_code, reason = "tile loads and stores at computed addresses")]

use std::arch::asm;
use std::marker::PhantomData;

/// Bytes of a tile's row.
pub(crate) const ROW_BYTES: usize = 64;
/// Rows of a tile, at most.
pub(crate) const MAX_ROWS: usize = 16;

/// How the four sums lie: `ROWS` tiles of rows times `COLUMNS` tiles of 16 channels.
///
/// On the CPUs that were measured the shapes are within 10 % of each other while operands come from the first cache:
/// 1 x 4 is best for up to some 256 products a sum, 2 x 2 for more, 4 x 1 where weights are the traffic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// 16 rows, 64 channels.
    OneByFour,
    /// 32 rows, 32 channels.
    TwoByTwo,
    /// 64 rows, 16 channels.
    FourByOne,
}

impl Shape {
    pub(crate) const fn rows(self) -> usize {
        match self {
            Shape::OneByFour => 1,
            Shape::TwoByTwo => 2,
            Shape::FourByOne => 4,
        }
    }

    pub(crate) const fn columns(self) -> usize {
        4 / self.rows()
    }
}

/// The operand of LDTILECFG for palette 1.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// A thread's tiles, configured; given back to the system when dropped, so that a context switch need not save them.
pub(crate) struct Configured(PhantomData<*const ()>);

impl Configured {
    /// Left operands and sums of `rows` rows, weights of 16 rows; tiles 4 to 6 hold left operands where the shape has
    /// four of them, 4 and 5 otherwise.
    ///
    /// # Safety
    /// The tile unit may be used; no other configuration is alive on this thread.
    pub(crate) unsafe fn new(shape: Shape, rows: usize) -> Self {
        assert!((1..=MAX_ROWS).contains(&rows), "tiles of {rows} rows");
        let weights = if shape == Shape::FourByOne { 7 } else { 6 };
        let mut configuration =
            Configuration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        for tile in 0..8 {
            configuration.row_bytes[tile] = 64;
            configuration.rows[tile] = if tile < weights { rows as u8 } else { 16 };
        }
        // SAFETY: the operand is a whole, valid configuration; the unit may be used (the caller's duty).
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack)) };
        Self(PhantomData)
    }

    /// Starts the sums with 16 lanes of bias for each tile column, the same in every row.
    ///
    /// # Safety
    /// `bias` is readable for `16 * shape.columns()` integers; this was made for `shape`.
    #[inline(always)]
    pub(crate) unsafe fn start(&self, shape: Shape, bias: *const i32) {
        // SAFETY: a stride of zero reads the same 64 bytes for every row; the rest is the caller's duty.
        unsafe {
            match shape {
                Shape::OneByFour => asm!(
                    "tileloadd tmm0, [{b} + {z}]", "tileloadd tmm1, [{b} + {z} + 64]",
                    "tileloadd tmm2, [{b} + {z} + 128]", "tileloadd tmm3, [{b} + {z} + 192]",
                    b = in(reg) bias, z = in(reg) 0usize, options(nostack, readonly)
                ),
                Shape::TwoByTwo => asm!(
                    "tileloadd tmm0, [{b} + {z}]", "tileloadd tmm1, [{b} + {z} + 64]",
                    "tileloadd tmm2, [{b} + {z}]", "tileloadd tmm3, [{b} + {z} + 64]",
                    b = in(reg) bias, z = in(reg) 0usize, options(nostack, readonly)
                ),
                Shape::FourByOne => asm!(
                    "tileloadd tmm0, [{b} + {z}]", "tileloadd tmm1, [{b} + {z}]",
                    "tileloadd tmm2, [{b} + {z}]", "tileloadd tmm3, [{b} + {z}]",
                    b = in(reg) bias, z = in(reg) 0usize, options(nostack, readonly)
                ),
            }
        }
    }

    /// Adds 64 products to every sum: `left` are the first bytes of the shape's row tiles, `stride` lies between their
    /// rows; `weights` are the shape's column tiles, 1 KiB each.
    ///
    /// # Safety
    /// Everything named is readable: 64 bytes in each of the configured rows; this was made for `shape`.
    #[inline(always)]
    pub(crate) unsafe fn multiply(
        &self,
        shape: Shape,
        left: [*const u8; 4],
        stride: usize,
        weights: *const u8,
    ) {
        // SAFETY: the caller's duty.
        unsafe {
            match shape {
                Shape::OneByFour => asm!(
                    "tileloadd tmm4, [{a} + {l}]",
                    "tileloadd tmm6, [{b} + {s}]", "tdpbusd tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{b} + {s} + 1024]", "tdpbusd tmm1, tmm4, tmm7",
                    "tileloadd tmm6, [{b} + {s} + 2048]", "tdpbusd tmm2, tmm4, tmm6",
                    "tileloadd tmm7, [{b} + {s} + 3072]", "tdpbusd tmm3, tmm4, tmm7",
                    a = in(reg) left[0], l = in(reg) stride, b = in(reg) weights, s = in(reg) ROW_BYTES,
                    options(nostack, readonly)
                ),
                Shape::TwoByTwo => asm!(
                    "tileloadd tmm4, [{a} + {l}]",
                    "tileloadd tmm6, [{b} + {s}]", "tdpbusd tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{b} + {s} + 1024]", "tdpbusd tmm1, tmm4, tmm7",
                    "tileloadd tmm5, [{c} + {l}]", "tdpbusd tmm2, tmm5, tmm6", "tdpbusd tmm3, tmm5, tmm7",
                    a = in(reg) left[0], c = in(reg) left[1], l = in(reg) stride, b = in(reg) weights,
                    s = in(reg) ROW_BYTES, options(nostack, readonly)
                ),
                Shape::FourByOne => asm!(
                    "tileloadd tmm7, [{b} + {s}]",
                    "tileloadd tmm4, [{a} + {l}]", "tdpbusd tmm0, tmm4, tmm7",
                    "tileloadd tmm5, [{c} + {l}]", "tdpbusd tmm1, tmm5, tmm7",
                    "tileloadd tmm6, [{d} + {l}]", "tdpbusd tmm2, tmm6, tmm7",
                    "tileloadd tmm4, [{e} + {l}]", "tdpbusd tmm3, tmm4, tmm7",
                    a = in(reg) left[0], c = in(reg) left[1], d = in(reg) left[2], e = in(reg) left[3],
                    l = in(reg) stride, b = in(reg) weights, s = in(reg) ROW_BYTES, options(nostack, readonly)
                ),
            }
        }
    }

    /// Writes the sums: tile column `j` of row tile `i` to `to[i] + 64 * j`, rows `stride` bytes apart.
    ///
    /// # Safety
    /// All of that is writable; this was made for `shape`.
    #[inline(always)]
    pub(crate) unsafe fn store(&self, shape: Shape, to: [*mut u8; 4], stride: usize) {
        // SAFETY: the caller's duty.
        unsafe {
            match shape {
                Shape::OneByFour => asm!(
                    "tilestored [{a} + {l}], tmm0", "tilestored [{a} + {l} + 64], tmm1",
                    "tilestored [{a} + {l} + 128], tmm2", "tilestored [{a} + {l} + 192], tmm3",
                    a = in(reg) to[0], l = in(reg) stride, options(nostack)
                ),
                Shape::TwoByTwo => asm!(
                    "tilestored [{a} + {l}], tmm0", "tilestored [{a} + {l} + 64], tmm1",
                    "tilestored [{b} + {l}], tmm2", "tilestored [{b} + {l} + 64], tmm3",
                    a = in(reg) to[0], b = in(reg) to[1], l = in(reg) stride, options(nostack)
                ),
                Shape::FourByOne => asm!(
                    "tilestored [{a} + {l}], tmm0", "tilestored [{b} + {l}], tmm1",
                    "tilestored [{c} + {l}], tmm2", "tilestored [{d} + {l}], tmm3",
                    a = in(reg) to[0], b = in(reg) to[1], c = in(reg) to[2], d = in(reg) to[3],
                    l = in(reg) stride, options(nostack)
                ),
            }
        }
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: the tiles were configured by `new`, on this thread (the type is not `Send`).
        unsafe { asm!("tilerelease", options(nomem, nostack)) };
    }
}
