//! Rows for columns.

/// Numbers of a row of a square that fits four registers.
pub(crate) const SQUARE: usize = 4;

/// A square's columns as rows.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn transposed(rows: [[f32; SQUARE]; SQUARE]) -> [[f32; SQUARE]; SQUARE] {
    std::array::from_fn(|column| rows.map(|row| row[column]))
}

/// A square's columns as rows. LLVM would move number by number, which takes 2.5 times as long.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn transposed(rows: [[f32; SQUARE]; SQUARE]) -> [[f32; SQUARE]; SQUARE] {
    use std::arch::x86_64::{_mm_movehl_ps, _mm_movelh_ps, _mm_unpackhi_ps, _mm_unpacklo_ps};
    let [a, b, c, d] = rows.map(bytemuck::cast);
    // SAFETY: every x86-64 CPU has SSE.
    let columns = unsafe {
        let (low, next_low) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
        let (high, next_high) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
        [
            _mm_movelh_ps(low, next_low),
            _mm_movehl_ps(next_low, low),
            _mm_movelh_ps(high, next_high),
            _mm_movehl_ps(next_high, high),
        ]
    };
    columns.map(bytemuck::cast)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        let rows = std::array::from_fn(|row| std::array::from_fn(|column| (row * 10 + column) as f32));
        let columns = transposed(rows);
        assert!(
            (0..SQUARE * SQUARE).all(|i| columns[i % SQUARE][i / SQUARE] == rows[i / SQUARE][i % SQUARE])
        );
    }
}
