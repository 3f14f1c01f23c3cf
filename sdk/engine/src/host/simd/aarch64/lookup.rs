//! Tables of 256 bytes by `tbl`: four times four registers.

use std::arch::aarch64::*;

use crate::host::CpuLevel;

/// Whether [`permute`] is for kernels of `level`.
pub(in crate::host::simd) fn can_permute(level: CpuLevel) -> bool {
    level == CpuLevel::Neon
}

/// `tbl` gives 0 for an index beyond its 64 entries and `tbx` leaves the byte as it is, so of four look-ups with the index
/// moved down by 64 each time one holds.
#[target_feature(enable = "neon")]
pub(in crate::host::simd) fn permute(table: &[u8; 256], bytes: &mut [u8]) {
    // SAFETY: the quarters lie inside the table.
    let quarter = |i: usize| unsafe { vld1q_u8_x4(table.as_ptr().add(64 * i)) };
    let quarters = [quarter(0), quarter(1), quarter(2), quarter(3)];
    let look_up = |x: uint8x16_t| {
        let step = vdupq_n_u8(64);
        let y = vqtbl4q_u8(quarters[0], x);
        let x = vsubq_u8(x, step);
        let y = vqtbx4q_u8(y, quarters[1], x);
        let x = vsubq_u8(x, step);
        let y = vqtbx4q_u8(y, quarters[2], x);
        vqtbx4q_u8(y, quarters[3], vsubq_u8(x, step))
    };
    let mut chunks = bytes.chunks_exact_mut(16);
    for chunk in &mut chunks {
        // SAFETY: the chunk has sixteen bytes.
        unsafe { vst1q_u8(chunk.as_mut_ptr(), look_up(vld1q_u8(chunk.as_ptr()))) };
    }
    for byte in chunks.into_remainder() {
        *byte = table[usize::from(*byte)];
    }
}
