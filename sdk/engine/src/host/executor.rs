//! Runs a plan's steps: threads start together once per inference, tiles are claimed from a counter per step, no fork
//! and join inside.
//!
//! A step ends when its tiles are done, not when every thread has arrived, so a thread that the system wakes late
//! delays nobody unless it holds a tile.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::crew::Crew;
use super::memory::Memory;
use crate::error::Error;
use crate::plan::{Plan, Step};

/// Rounds of the waiting loop before a thread offers its core to others: some 50 microseconds.
const SPINS: usize = 1000;

/// Threads with their working memory, one set per session.
pub(crate) struct Executor {
    crew: Crew,
    scratch: Vec<Mutex<Memory>>,
    counters: Vec<Counter>,
}

/// Progress of one step; on cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Counter {
    claimed: AtomicUsize,
    done: AtomicUsize,
}

impl Executor {
    /// # Errors
    /// [`Error::NoThreads`] if the system gives none.
    pub(crate) fn new(threads: usize) -> Result<Self, Error> {
        let scratch = (0..threads).map(|_| Memory::new(0).map(Mutex::new)).collect::<Result<_, _>>()?;
        Ok(Self { crew: Crew::new(threads)?, scratch, counters: Vec::new() })
    }

    /// Makes the memory that `plan` needs, so that running it allocates nothing.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if there is none.
    pub(crate) fn prepare(&mut self, plan: &Plan) -> Result<(), Error> {
        for scratch in &mut self.scratch {
            let scratch = scratch.get_mut().unwrap_or_else(PoisonError::into_inner);
            if scratch.len() < plan.scratch_bytes() {
                *scratch = Memory::new(plan.scratch_bytes())?;
            }
        }
        self.counters.resize_with(plan.all_steps().len().max(self.counters.len()), Counter::default);
        Ok(())
    }

    /// Runs some of the steps of a plan that [`Executor::prepare`] has seen, in order.
    ///
    /// # Errors
    /// The first error of a step.
    pub(crate) fn run(&mut self, plan: &Plan, range: Range<usize>, memory: &mut Memory) -> Result<(), Error> {
        let steps = &plan.all_steps()[range];
        for counter in &mut self.counters[..steps.len()] {
            *counter = Counter::default();
        }
        let walk = Walk {
            steps,
            counters: &self.counters,
            memory,
            stop: AtomicBool::new(false),
            error: Mutex::new(None),
        };
        let work = |thread: usize| {
            let mut scratch = self.scratch[thread].lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = scratch.len();
            walk.run(scratch.slice_mut(0..bytes));
        };
        self.crew.run(&work);
        walk.error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

/// One walk of all threads along a list of steps.
struct Walk<'a> {
    steps: &'a [Step],
    counters: &'a [Counter],
    memory: &'a Memory,
    stop: AtomicBool,
    error: Mutex<Option<Error>>,
}

impl Walk<'_> {
    /// One thread's share.
    fn run(&self, scratch: &mut [u8]) {
        let guard = StopOnPanic(&self.stop);
        for (step, counter) in self.steps.iter().zip(self.counters) {
            let tiles = step.tiles();
            loop {
                let i = counter.claimed.fetch_add(1, Ordering::Relaxed);
                if i >= tiles || self.stop.load(Ordering::Relaxed) {
                    break;
                }
                if let Err(error) = self.tile(step, i, scratch) {
                    self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    self.stop.store(true, Ordering::Relaxed);
                    return;
                }
                counter.done.fetch_add(1, Ordering::Release);
            }
            if !self.wait(counter, tiles) {
                return;
            }
        }
        drop(guard);
    }

    #[allow(unsafe_code, reason = "hands out disjoint parts of the arena")]
    fn tile(&self, step: &Step, i: usize, scratch: &mut [u8]) -> Result<(), Error> {
        let Some((work, tiling)) = &step.work else { return Ok(()) };
        // SAFETY: every other step has either ended (the counters' release and acquire order its writes before these reads)
        // or not begun, and `Walk` exists only while the executor holds the memory exclusively.
        let inputs = unsafe { self.memory.inputs(&step.inputs, &step.output) };
        // SAFETY: regions of one tiling are disjoint and each is claimed once; inputs give no view of the step's output.
        let mut tile = unsafe { self.memory.tile(&step.output, tiling.region(i)) };
        work.run(&inputs, &mut tile, scratch)?;
        tile.fill_halo();
        Ok(())
    }

    /// Waits until every tile of a step is done; false if the walk was stopped.
    fn wait(&self, counter: &Counter, tiles: usize) -> bool {
        let mut spins = 0;
        while counter.done.load(Ordering::Acquire) < tiles {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        true
    }
}

/// A kernel that panics must not leave the other threads waiting for its tile.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
