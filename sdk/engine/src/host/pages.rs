//! Memory on large pages, where the system has them: one entry of the TLB for 2 MiB instead of 4 KiB. A product reads a new page for
//! every few rows of its weights, and inside a virtual machine each miss walks two page tables. `docs/engine.md` has what it gains.
#![allow(unsafe_code, reason = "an allocation of its own, and ranges of it that are written once")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::MmapMut;

use super::simd::CacheLine;

/// A large page of x86-64, and of AArch64 with small ones of 4 KiB.
const LARGE: usize = 2 << 20;
/// A page at most, where there are no large ones: what is given back has whole ones.
const SMALL: usize = 64 << 10;
/// From here on memory takes whole large pages.
const LEAST: usize = LARGE / 2;

/// Zeroed bytes.
#[derive(Debug)]
pub(crate) struct Pages {
    start: NonNull<u8>,
    from: Source,
}

/// Where bytes came from. Large pages come from the system: what an allocator hands out again is on small ones already.
#[derive(Debug)]
enum Source {
    Allocator(Layout),
    System(MmapMut),
}

// SAFETY: it owns its bytes, and gives nothing of them but a pointer.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// `bytes` zeros at a multiple of `align`, at most 2 MiB; nothing if the system refuses.
    pub(crate) fn zeroed(bytes: usize, align: usize) -> Option<Self> {
        // An allocator may still have what the system refuses.
        if let Some(pages) = (bytes >= LEAST).then(|| Self::large(bytes)).flatten() {
            return Some(pages);
        }
        let layout = Layout::from_size_align(bytes.max(1), align).ok()?;
        // SAFETY: the layout's size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { start, from: Source::Allocator(layout) })
    }

    /// At least `bytes` zeros, on large pages if they can be had. Pages that nobody touches take no memory.
    fn large(bytes: usize) -> Option<Self> {
        let whole = bytes.checked_next_multiple_of(LARGE)?;
        let mut map = MmapMut::map_anon(whole.checked_add(LARGE)?).ok()?;
        // A system without large pages says so, and nothing is lost.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let first = map.as_ptr().align_offset(LARGE);
        let start = NonNull::new(map.get_mut(first..first + whole)?.as_mut_ptr())?;
        Some(Self { start, from: Source::System(map) })
    }

    /// Lets the system have the whole small pages of a range, which nobody reads any more.
    fn forget(&self, range: Range<usize>) {
        let Source::System(map) = &self.from else { return };
        let first = range.start.next_multiple_of(SMALL);
        let length = (range.end / SMALL * SMALL).saturating_sub(first);
        let before = self.start.as_ptr().addr() - map.as_ptr().addr();
        #[cfg(target_os = "linux")]
        if length > 0 {
            // SAFETY: the range lies in the map, which is private, and its lines were given out to nobody else. What fails loses nothing.
            let _ = unsafe {
                map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, before + first, length)
            };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (before, length);
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Source::Allocator(layout) = self.from {
            // SAFETY: `start` came from the allocator with this very layout.
            unsafe { dealloc(self.start.as_ptr(), layout) };
        }
    }
}

/// Where the packed weights of a graph lie: side by side, since few layers fill a large page by themselves.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Option<Arc<Chunk>>>);

/// Packed weights.
#[derive(Debug)]
pub(crate) struct Lines(Place);

#[derive(Debug)]
enum Place {
    /// So few that a page of their own would be a waste.
    Own(Vec<CacheLine>),
    /// A part of a chunk, written once.
    Shared { chunk: Arc<Chunk>, first: usize, count: usize },
}

/// Lines for the weights of several layers.
#[derive(Debug)]
struct Chunk {
    pages: Pages,
    /// Lines that it has, and those that are given out.
    lines: usize,
    used: Mutex<usize>,
}

/// Lines that lie apart: 64 KiB.
const FEW: usize = (64 << 10) / size_of::<CacheLine>();
/// What a chunk has at least: most of it is only addresses until it is used.
const CHUNK: usize = (16 << 20) / size_of::<CacheLine>();

impl Pool {
    /// Puts `lines` where they stay.
    pub(crate) fn place(&self, lines: Vec<CacheLine>) -> Lines {
        if lines.len() < FEW {
            return Lines(Place::Own(lines));
        }
        let Some((chunk, first)) = self.reserve(lines.len()) else { return Lines(Place::Own(lines)) };
        // SAFETY: the range lies in the chunk and was given to nobody else, so that nothing reads or writes it meanwhile.
        unsafe {
            let to = chunk.pages.start().cast::<CacheLine>().add(first);
            to.copy_from_nonoverlapping(NonNull::from(lines.as_slice()).cast(), lines.len());
        }
        Lines(Place::Shared { chunk, first, count: lines.len() })
    }

    /// A chunk and the first of `count` lines of it, for the caller alone; nothing if there is no memory.
    fn reserve(&self, count: usize) -> Option<(Arc<Chunk>, usize)> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chunk) = last.as_ref() {
            let mut used = chunk.used.lock().unwrap_or_else(PoisonError::into_inner);
            if chunk.lines - *used >= count {
                let first = *used;
                *used += count;
                return Some((Arc::clone(chunk), first));
            }
        }
        let lines = count.max(CHUNK);
        let pages = Pages::large(lines.checked_mul(size_of::<CacheLine>())?)?;
        let chunk = Arc::new(Chunk { pages, lines, used: Mutex::new(count) });
        *last = Some(Arc::clone(&chunk));
        Some((chunk, 0))
    }
}

impl Lines {
    /// None.
    pub(crate) const fn none() -> Self {
        Self(Place::Own(Vec::new()))
    }
}

impl Deref for Lines {
    type Target = [CacheLine];

    fn deref(&self) -> &[CacheLine] {
        match &self.0 {
            Place::Own(lines) => lines,
            // SAFETY: these lines were written before this value was made, and nobody writes them again.
            Place::Shared { chunk, first, count } => unsafe {
                let start = chunk.pages.start().cast::<CacheLine>().add(*first);
                std::slice::from_raw_parts(start.as_ptr(), *count)
            },
        }
    }
}

impl Drop for Lines {
    /// Gives memory back that the chunk's other lines do not need: kernels that were only timed leave gaps.
    fn drop(&mut self) {
        if let Place::Shared { chunk, first, count } = &self.0 {
            let line = size_of::<CacheLine>();
            chunk.pages.forget(first * line..(first + count) * line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_zeros_at_every_size() {
        for bytes in [0, 1, 4096, LEAST - 1, LEAST, LARGE, LARGE + 1, 3 * LARGE] {
            let pages = Pages::zeroed(bytes, 64).unwrap();
            assert_eq!(pages.start().as_ptr().addr() % 64, 0);
            // SAFETY: so many bytes are there, and initialized.
            let found = unsafe { std::slice::from_raw_parts(pages.start().as_ptr(), bytes) };
            assert!(found.iter().all(|&byte| byte == 0), "{bytes}");
        }
        assert!(Pages::zeroed(usize::MAX, 64).is_none());
    }

    #[test]
    fn lines_stay_what_they_were_whoever_comes_and_goes() {
        let fill = |byte: u8, count: usize| CacheLine::of(&vec![byte; 64 * count]).collect::<Vec<_>>();
        let is = |lines: &Lines, byte: u8| bytemuck_bytes(lines).iter().all(|&found| found == byte);
        let pool = Pool::default();
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let pool = &pool;
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    for (round, count) in
                        (0u8..).zip([1, FEW - 1, FEW, 3 * FEW, CHUNK / 3, CHUNK + 1, CHUNK / 2, FEW])
                    {
                        let byte = 16 * thread + round;
                        kept.push((pool.place(fill(byte, count)), byte));
                        if round % 3 == 2 {
                            kept.swap_remove(0);
                        }
                        for (lines, byte) in &kept {
                            assert!(is(lines, *byte), "thread {thread}, round {round}");
                        }
                    }
                });
            }
        });
    }

    fn bytemuck_bytes(lines: &Lines) -> &[u8] {
        // SAFETY: a line is 64 bytes, all of them initialized.
        unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val::<[CacheLine]>(lines)) }
    }
}
