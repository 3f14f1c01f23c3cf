//! Where buffers lie in the arena: two that are never alive together may share bytes.

use super::layout::READ_SLACK;
use crate::error::Error;
use crate::limits::MAX_ARENA_BYTES;

/// Alignment of every buffer: a cache line, and the widest vector.
pub(crate) const ALIGN: usize = 64;

/// A buffer's size and the first and last moment at which it is in use. Moment 0 stores the inputs, moment `i + 1` is
/// step `i`, the one after the last step reads the outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    pub(crate) bytes: usize,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// Byte offsets of buffers, in the order of their lifetimes, and the size of the whole.
#[derive(Debug)]
pub(crate) struct Arena {
    pub(crate) offsets: Vec<usize>,
    pub(crate) bytes: usize,
}

impl Arena {
    /// Places the largest buffer first, each at the lowest offset where nothing alive at the same time lies.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`MAX_ARENA_BYTES`].
    pub(crate) fn new(lifetimes: &[Lifetime]) -> Result<Self, Error> {
        let mut order: Vec<usize> = (0..lifetimes.len()).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(lifetimes[i].bytes), lifetimes[i].first));
        let mut offsets = vec![0; lifetimes.len()];
        let mut bytes = 0;
        let mut placed: Vec<(usize, usize, usize)> = Vec::new(); // start, end, buffer; ordered by start
        for i in order {
            let size = padded(lifetimes[i].bytes)?;
            let mut start = 0;
            for &(other_start, other_end, other) in &placed {
                if !together(&lifetimes[i], &lifetimes[other]) || other_end <= start {
                    continue;
                }
                if other_start >= start + size {
                    break;
                }
                start = other_end;
            }
            let end = start + size; // both at most MAX_ARENA_BYTES
            if end > MAX_ARENA_BYTES {
                return Err(Error::TooLarge { what: "activations", found: end, limit: MAX_ARENA_BYTES });
            }
            offsets[i] = start;
            bytes = bytes.max(end);
            let at = placed.partition_point(|&(other_start, ..)| other_start < start);
            placed.insert(at, (start, end, i));
        }
        Ok(Self { offsets, bytes })
    }
}

/// Bytes that a buffer takes up: aligned, with slack that may be read after its end.
pub(crate) fn padded(bytes: usize) -> Result<usize, Error> {
    match bytes.checked_add(READ_SLACK).and_then(|n| n.checked_next_multiple_of(ALIGN)) {
        Some(size) if size <= MAX_ARENA_BYTES => Ok(size),
        found => Err(Error::TooLarge {
            what: "activations",
            found: found.unwrap_or(usize::MAX),
            limit: MAX_ARENA_BYTES,
        }),
    }
}

fn together(a: &Lifetime, b: &Lifetime) -> bool {
    a.first <= b.last && b.first <= a.last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_needs_its_two_largest_neighbours() {
        let buffer = |kib: usize, first: usize, last: usize| Lifetime { bytes: kib * 1024, first, last };
        let lifetimes = [buffer(10, 0, 1), buffer(40, 1, 2), buffer(30, 2, 3), buffer(5, 3, 4)];
        let arena = Arena::new(&lifetimes).unwrap();
        assert_eq!(arena.bytes, padded(40 * 1024).unwrap() + padded(30 * 1024).unwrap());
    }

    #[test]
    fn buffers_alive_together_never_overlap() {
        // A fixed pseudo-random set, checked pair by pair.
        let mut state = 7u64;
        let mut next = |n: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        let lifetimes: Vec<Lifetime> = (0..300)
            .map(|_| {
                let first = next(100);
                Lifetime { bytes: next(5000), first, last: first + next(9) }
            })
            .collect();
        let arena = Arena::new(&lifetimes).unwrap();
        for i in 0..lifetimes.len() {
            assert_eq!(arena.offsets[i] % ALIGN, 0);
            let end = |i: usize| arena.offsets[i] + padded(lifetimes[i].bytes).unwrap();
            assert!(end(i) <= arena.bytes);
            for j in 0..i {
                let apart = end(i) <= arena.offsets[j] || end(j) <= arena.offsets[i];
                assert!(apart || !together(&lifetimes[i], &lifetimes[j]), "{i} and {j} overlap");
            }
        }
    }

    #[test]
    fn too_much_is_refused() {
        let half = Lifetime { bytes: MAX_ARENA_BYTES / 2 + 1, first: 0, last: 9 };
        assert_eq!(Arena::new(&[half, half]).unwrap_err().code(), "TM0406");
        assert_eq!(padded(usize::MAX).unwrap_err().code(), "TM0406");
    }
}
