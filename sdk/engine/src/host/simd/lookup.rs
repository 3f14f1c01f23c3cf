//! Tables of 256 bytes, applied to many bytes at once.

use std::arch::x86_64::*;

use crate::host::CpuLevel;

/// A function from byte to byte.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    table: Box<[u8; 256]>,
    by_permutation: bool,
}

impl Lookup {
    /// For kernels of `level`.
    pub(crate) fn new(table: [u8; 256], level: CpuLevel) -> Self {
        // Cascade Lake has VNNI without VBMI, so the level alone does not say.
        let by_permutation = level.includes(CpuLevel::Avx512Vnni)
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512bw");
        Self { table: Box::new(table), by_permutation }
    }

    /// Replaces every byte by its entry.
    #[inline]
    pub(crate) fn apply(&self, bytes: &mut [u8]) {
        if self.by_permutation {
            // SAFETY: the features were detected when this was made.
            unsafe { permute(&self.table, bytes) };
        } else {
            bytes.iter_mut().for_each(|byte| *byte = self.table[usize::from(*byte)]);
        }
    }
}

/// Two permutations of 128 entries each; the top bit of the byte says which one holds.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn permute(table: &[u8; 256], bytes: &mut [u8]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_byte_is_looked_up() {
        let table: [u8; 256] = std::array::from_fn(|i| (i * 167 + 13) as u8);
        for level in CpuLevel::ALL.into_iter().filter(|level| level.is_supported()) {
            let lookup = Lookup::new(table, level);
            for length in (0..140).chain([256, 1000]) {
                let before: Vec<u8> = (0..length).map(|i| (i * 7 + length) as u8).collect();
                let mut after = before.clone();
                lookup.apply(&mut after);
                assert!(before.iter().zip(&after).all(|(&x, &y)| y == table[usize::from(x)]), "{length}");
            }
        }
    }
}
