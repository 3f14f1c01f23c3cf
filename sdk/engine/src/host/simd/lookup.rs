//! Tables of 256 bytes, applied to many bytes at once.

#[cfg(target_arch = "aarch64")]
use super::aarch64::{can_permute, permute};
#[cfg(target_arch = "x86_64")]
use super::x86::{can_permute, permute};
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
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        let by_permutation = can_permute(level);
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let by_permutation = level != CpuLevel::Scalar;
        Self { table: Box::new(table), by_permutation }
    }

    /// Replaces every byte by its entry.
    #[inline]
    pub(crate) fn apply(&self, bytes: &mut [u8]) {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if self.by_permutation {
            // SAFETY: the features were detected when this was made.
            unsafe { permute(&self.table, bytes) };
            return;
        }
        bytes.iter_mut().for_each(|byte| *byte = self.table[usize::from(*byte)]);
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
