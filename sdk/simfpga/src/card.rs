//! The simulated card: its memory, its engine, its clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use opencl_sys::{
    CL_INVALID_BUFFER_SIZE, CL_INVALID_VALUE, CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_OUT_OF_RESOURCES,
};

use tilemark_bitstreams::Config;

use crate::engine::Engine;
use crate::object::Outcome;

/// Bytes of the card's memory. The host gives pages as they are touched.
pub(crate) const MEMORY_BYTES: usize = 512 << 20;
/// Most bytes of one buffer.
pub(crate) const MAX_BUFFER_BYTES: usize = 256 << 20;
/// Buffers begin at multiples of this: a burst never crosses from one buffer's memory into another's.
pub(crate) const ALIGNMENT: usize = 64;

/// The card. There is one.
pub(crate) struct Card(Mutex<State>);

struct State {
    /// The engine, which has the memory.
    engine: Engine,
    /// Free stretches of it, by where they begin.
    free: BTreeMap<usize, usize>,
    /// Nanoseconds that the card's clock has run.
    nanoseconds: u64,
}

/// Bytes of the card's memory that are somebody's, until they are dropped.
#[derive(Debug)]
pub(crate) struct Block {
    start: usize,
    /// As asked for.
    bytes: usize,
}

/// The card.
pub(crate) fn card() -> &'static Card {
    static CARD: OnceLock<Card> = OnceLock::new();
    CARD.get_or_init(|| {
        let state = State {
            engine: Engine::new(MEMORY_BYTES),
            free: BTreeMap::from([(0, MEMORY_BYTES)]),
            nanoseconds: 0,
        };
        Card(Mutex::new(state))
    })
}

impl Card {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the engine was built with.
    pub(crate) fn config(&self) -> Config {
        self.state().engine.config()
    }

    /// Memory for a buffer: the first free stretch that is large enough.
    pub(crate) fn allocate(&self, bytes: usize) -> Outcome<Arc<Block>> {
        if bytes == 0 || bytes > MAX_BUFFER_BYTES {
            return Err(CL_INVALID_BUFFER_SIZE);
        }
        let whole = bytes.next_multiple_of(ALIGNMENT);
        let mut state = self.state();
        let found = state.free.iter().find(|&(_, &length)| length >= whole);
        let (start, length) = found.map(|(&a, &b)| (a, b)).ok_or(CL_MEM_OBJECT_ALLOCATION_FAILURE)?;
        state.free.remove(&start);
        if length > whole {
            state.free.insert(start + whole, length - whole);
        }
        Ok(Arc::new(Block { start, bytes }))
    }

    /// Copies to a buffer.
    pub(crate) fn write(&self, block: &Block, offset: usize, bytes: &[u8]) -> Outcome {
        let place = block.part(offset, bytes.len())?;
        self.state().engine.memory().get_mut(place).ok_or(CL_INVALID_VALUE)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Copies from a buffer.
    pub(crate) fn read(&self, block: &Block, offset: usize, bytes: &mut [u8]) -> Outcome {
        let place = block.part(offset, bytes.len())?;
        bytes.copy_from_slice(self.state().engine.memory().get(place).ok_or(CL_INVALID_VALUE)?);
        Ok(())
    }

    /// What the clock shows.
    pub(crate) fn now(&self) -> u64 {
        self.state().nanoseconds
    }

    /// Lets the engine work through a list of `tiles` descriptors at `list` in a buffer, which is all the memory that it sees.
    /// When it began and ended, at so many kilohertz.
    pub(crate) fn run(&self, block: &Block, list: u32, tiles: u32, kilohertz: u32) -> Outcome<[u64; 2]> {
        let mut state = self.state();
        let clocks = state.engine.run(block.start..block.start + block.bytes, list, tiles);
        let clocks = clocks.map_err(|_| CL_OUT_OF_RESOURCES)?;
        let start = state.nanoseconds;
        state.nanoseconds += clocks.saturating_mul(1_000_000).div_ceil(u64::from(kilohertz.max(1)));
        Ok([start, state.nanoseconds])
    }
}

impl Block {
    /// As asked for.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A part of it, in the card's memory.
    pub(crate) fn part(&self, offset: usize, bytes: usize) -> Outcome<std::ops::Range<usize>> {
        let end = offset.checked_add(bytes).filter(|&end| end <= self.bytes).ok_or(CL_INVALID_VALUE)?;
        Ok(self.start + offset..self.start + end)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut state = card().state();
        let (mut start, mut length) = (self.start, self.bytes.next_multiple_of(ALIGNMENT));
        let before = state.free.range(..start).next_back().map(|(&a, &b)| (a, b));
        if let Some((earlier, bytes)) = before.filter(|(a, b)| a + b == start) {
            (start, length) = (earlier, bytes + length);
        }
        if let Some(bytes) = state.free.remove(&(start + length)) {
            length += bytes;
        }
        state.free.insert(start, length);
    }
}
