//! The verilated engine and its memory, behind the functions of `bitstreams/sim/engine_sim.h`.

use std::ops::Range;

use tilemark_bitstreams::Config;

mod foreign {
    #[repr(C)]
    pub(super) struct Engine {
        _private: [u8; 0],
    }

    unsafe extern "C" {
        pub(super) fn tm_engine_new(bytes: u64) -> *mut Engine;
        pub(super) fn tm_engine_free(engine: *mut Engine);
        pub(super) fn tm_engine_memory(engine: *mut Engine) -> *mut u8;
        pub(super) fn tm_engine_memory_bytes(engine: *const Engine) -> u64;
        pub(super) fn tm_engine_window(engine: *mut Engine, base: u64, bytes: u64);
        pub(super) fn tm_engine_read(engine: *mut Engine, offset: u32) -> u32;
        pub(super) fn tm_engine_write(engine: *mut Engine, offset: u32, value: u32);
        pub(super) fn tm_engine_run(engine: *mut Engine, max: u64) -> u64;
        pub(super) fn tm_engine_busy(engine: *const Engine) -> i32;
        pub(super) fn tm_engine_strayed(engine: *mut Engine) -> i32;
    }
}

/// Registers, by their offsets: `bitstreams/rtl/README.md`.
const CONTROL: u32 = 0x20;
const STATUS: u32 = 0x24;
const LIST: u32 = 0x30;
const TILES: u32 = 0x34;
const CLOCKS: u32 = 0x40;
/// Bits of two of them.
const START: u32 = 1;
const STOP: u32 = 2;
const DONE: u32 = 2;

/// Clocks of one list: half an hour of simulation. A longer one is ended as one that never ends.
const MAX_CLOCKS: u64 = 2_000_000_000;

/// A list that the engine did not end: it refused a descriptor, reached beyond its memory, or took too long.
#[derive(Debug)]
pub(crate) struct Refused;

pub(crate) struct Engine(*mut foreign::Engine);

// SAFETY: the simulation has no thread of its own, and whoever has the `Engine` is alone in using it.
unsafe impl Send for Engine {}

impl Engine {
    /// An engine out of reset, with so many zeroed bytes of memory.
    pub(crate) fn new(bytes: usize) -> Self {
        // SAFETY: it takes any number of bytes.
        Self(unsafe { foreign::tm_engine_new(bytes as u64) })
    }

    /// What it was built with. The simulation is of the RTL beside the compiler's code, so that it speaks its interface.
    pub(crate) fn config(&mut self) -> Config {
        Config::read(|offset| self.register(offset)).unwrap_or(Config::LANES_16)
    }

    pub(crate) fn memory(&mut self) -> &mut [u8] {
        // SAFETY: the memory is the engine's as long as it lives and does not move; no list runs, since `run` has `&mut self` too.
        unsafe {
            let bytes = foreign::tm_engine_memory_bytes(self.0) as usize;
            std::slice::from_raw_parts_mut(foreign::tm_engine_memory(self.0), bytes)
        }
    }

    /// Works through a list; addresses are those of the window, beyond which the engine sees nothing. Clocks that it took.
    pub(crate) fn run(&mut self, window: Range<usize>, list: u32, tiles: u32) -> Result<u64, Refused> {
        // SAFETY: the engine is alive, here and below; the window lies inside its memory.
        unsafe {
            foreign::tm_engine_strayed(self.0);
            foreign::tm_engine_window(self.0, window.start as u64, window.len() as u64);
        }
        self.set(LIST, list);
        self.set(TILES, tiles);
        self.set(CONTROL, START);
        // SAFETY: the engine is alive.
        unsafe { foreign::tm_engine_run(self.0, MAX_CLOCKS) };
        // SAFETY: the engine is alive.
        if unsafe { foreign::tm_engine_busy(self.0) } != 0 {
            self.set(CONTROL, STOP);
            // SAFETY: the engine is alive.
            unsafe { foreign::tm_engine_run(self.0, MAX_CLOCKS) };
            return Err(Refused);
        }
        // SAFETY: the engine is alive.
        let strayed = unsafe { foreign::tm_engine_strayed(self.0) } != 0;
        if strayed || self.register(STATUS) != DONE {
            return Err(Refused);
        }
        Ok(u64::from(self.register(CLOCKS)))
    }

    fn register(&mut self, offset: u32) -> u32 {
        // SAFETY: the engine is alive; a register that does not exist reads as zero.
        unsafe { foreign::tm_engine_read(self.0, offset) }
    }

    fn set(&mut self, offset: u32, value: u32) {
        // SAFETY: the engine is alive; a register that does not exist takes no value.
        unsafe { foreign::tm_engine_write(self.0, offset, value) }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: made by `tm_engine_new`, and not used again.
        unsafe { foreign::tm_engine_free(self.0) }
    }
}
