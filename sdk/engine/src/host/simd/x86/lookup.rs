//! Tables of 256 bytes by permutations of registers.

use std::arch::x86_64::*;

use crate::host::CpuLevel;

/// Whether [`permute`] is for kernels of `level` on this CPU.
pub(in crate::host::simd) fn can_permute(level: CpuLevel) -> bool {
    // Cascade Lake has VNNI without VBMI, so the level alone does not say.
    level.includes(CpuLevel::Avx512Vnni)
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512bw")
}

/// Two permutations of 128 entries each; the top bit of the byte says which one holds.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(in crate::host::simd) fn permute(table: &[u8; 256], bytes: &mut [u8]) {
    // SAFETY: the four quarters lie inside the table.
    let quarter = |i: usize| unsafe { _mm512_loadu_si512(table.as_ptr().add(64 * i).cast()) };
    let [a, b, c, d] = [quarter(0), quarter(1), quarter(2), quarter(3)];
    for chunk in bytes.chunks_mut(64) {
        let mask = u64::MAX >> (64 - chunk.len());
        // SAFETY: the mask has one bit for each byte of the chunk.
        let x = unsafe { _mm512_maskz_loadu_epi8(mask, chunk.as_ptr().cast()) };
        let low = _mm512_permutex2var_epi8(a, x, b);
        let high = _mm512_permutex2var_epi8(c, x, d);
        let y = _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
        // SAFETY: as above.
        unsafe { _mm512_mask_storeu_epi8(chunk.as_mut_ptr().cast(), mask, y) };
    }
}
