//! Short copies without a call: most runs that a movement or a join copies are a pixel's channels.

/// Copies `from` to `to`, which has the same length.
#[inline(always)]
pub(crate) fn copy<E: Copy>(from: &[E], to: &mut [E]) {
    match to.len() {
        33..=64 => ends::<E, 32>(from, to),
        17..=32 => ends::<E, 16>(from, to),
        9..=16 => ends::<E, 8>(from, to),
        5..=8 => ends::<E, 4>(from, to),
        2..=4 => ends::<E, 2>(from, to),
        1 => to[0] = from[0],
        _ => to.copy_from_slice(from),
    }
}

/// The first and the last `N` elements, which together are all.
#[inline(always)]
fn ends<E: Copy, const N: usize>(from: &[E], to: &mut [E]) {
    let last = to.len() - N;
    to[..N].copy_from_slice(&from[..N]);
    to[last..].copy_from_slice(&from[last..][..N]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_whole() {
        for n in 0..70u8 {
            let from: Vec<u8> = (1..=n).collect();
            let mut to = vec![0; from.len()];
            copy(&from, &mut to);
            assert_eq!(to, from);
        }
    }
}
