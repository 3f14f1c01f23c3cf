//! Threads that wait for inferences. Starting them on one allocates nothing, and one that wakes too late to help holds
//! nobody up: rayon's `broadcast` allocates for every thread and call, and returns only when each of them has woken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::error::Error;

/// Rounds of a waiting loop before a thread sleeps: some 50 microseconds, in which the next inference may begin.
const SPINS: usize = 2000;

/// What threads run together; the number is the thread's own, the caller's is 0.
type Job<'a> = &'a (dyn Fn(usize) + Sync);

/// The calling thread and those that help it.
pub(crate) struct Crew {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Counts the jobs, so that spinning threads see a new one without the lock. Changed under the lock only.
    round: AtomicUsize,
    /// Helpers that are in the current job. Changed under the lock only.
    running: AtomicUsize,
    begun: Condvar,
    ended: Condvar,
}

struct State {
    /// The current job, as long as helpers may still begin it.
    job: Option<Job<'static>>,
    panicked: bool,
    over: bool,
}

impl Crew {
    /// A crew of `threads`, the caller's included.
    ///
    /// # Errors
    /// [`Error::NoThreads`] if the system gives none.
    pub(crate) fn new(threads: usize) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { job: None, panicked: false, over: false }),
            round: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            begun: Condvar::new(),
            ended: Condvar::new(),
        });
        let mut crew = Self { shared, threads: Vec::new() };
        for i in 1..threads {
            let shared = Arc::clone(&crew.shared);
            let builder = std::thread::Builder::new().name(format!("tilemark-{i}"));
            let thread = builder
                .spawn(move || shared.help(i))
                .map_err(|error| Error::NoThreads { threads, reason: error.to_string() })?;
            crew.threads.push(thread);
        }
        Ok(crew)
    }

    /// Runs `job` on the calling thread and on every helper that wakes before the caller's part has ended.
    ///
    /// # Panics
    /// If a thread's part did.
    #[allow(unsafe_code, reason = "helpers outlive the job, but do not use it longer than this call lasts")]
    pub(crate) fn run(&mut self, job: Job<'_>) {
        if self.threads.is_empty() {
            return job(0);
        }
        let round = Round(&self.shared);
        // SAFETY: no helper uses the job after this function has returned or unwound: `Round::drop` takes it back and
        // waits for those that have begun it.
        let job_of_helpers = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(job) };
        let mut state = self.shared.lock();
        state.job = Some(job_of_helpers);
        self.shared.round.fetch_add(1, Ordering::Release);
        drop(state);
        self.shared.begun.notify_all();
        job(0);
        drop(round);
        let panicked = std::mem::take(&mut self.shared.lock().panicked);
        assert!(!panicked, "a thread of the session panicked");
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.begun.notify_all();
        for thread in self.threads.drain(..) {
            // It catches what its jobs panic with.
            let _ = thread.join();
        }
    }
}

/// A job's time: when it is dropped nobody runs the job any more, nor will.
struct Round<'a>(&'a Shared);

impl Drop for Round<'_> {
    fn drop(&mut self) {
        let shared = self.0;
        shared.lock().job = None;
        for _ in 0..SPINS {
            if shared.running.load(Ordering::Acquire) == 0 {
                return;
            }
            std::hint::spin_loop();
        }
        let mut state = shared.lock();
        while shared.running.load(Ordering::Acquire) > 0 {
            state = shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A helper's life.
    fn help(&self, thread: usize) {
        let mut seen = 0;
        while let Some(job) = self.next(&mut seen) {
            let panicked = catch_unwind(AssertUnwindSafe(|| job(thread))).is_err();
            let mut state = self.lock();
            state.panicked |= panicked;
            if self.running.fetch_sub(1, Ordering::Release) == 1 {
                drop(state);
                self.ended.notify_one();
            }
        }
    }

    /// The next job that this helper has not seen, which it has begun with that; `None` when the crew is over.
    fn next(&self, seen: &mut usize) -> Option<Job<'static>> {
        for _ in 0..SPINS {
            if self.round.load(Ordering::Acquire) != *seen {
                break;
            }
            std::hint::spin_loop();
        }
        let mut state = self.lock();
        loop {
            let round = self.round.load(Ordering::Relaxed);
            if state.over {
                return None;
            }
            if let Some(job) = state.job.filter(|_| round != *seen) {
                *seen = round;
                self.running.fetch_add(1, Ordering::Relaxed);
                return Some(job);
            }
            *seen = round; // if there was a job, it has ended without this helper
            state = self.begun.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_ends_before_the_call_returns() {
        for threads in [1, 2, 5] {
            let mut crew = Crew::new(threads).unwrap();
            for _ in 0..2000 {
                let (mut parts, begun, ended) = ([0usize; 5], AtomicUsize::new(0), AtomicUsize::new(0));
                let cells: Vec<Mutex<&mut usize>> = parts.iter_mut().map(Mutex::new).collect();
                crew.run(&|thread| {
                    begun.fetch_add(1, Ordering::Relaxed);
                    **cells[thread].lock().unwrap() += 1;
                    ended.fetch_add(1, Ordering::Relaxed);
                });
                assert_eq!(begun.load(Ordering::Relaxed), ended.load(Ordering::Relaxed));
                drop(cells);
                assert_eq!(parts[0], 1, "the caller takes part");
                assert!(parts.iter().all(|&n| n <= 1) && parts[threads..].iter().all(|&n| n == 0));
            }
        }
    }

    #[test]
    fn helpers_do_help() {
        let mut crew = Crew::new(2).unwrap();
        // The caller's part ends only when the helper has begun its own.
        for _ in 0..10 {
            let helped = AtomicUsize::new(0);
            crew.run(&|thread| match thread {
                0 => {
                    while helped.load(Ordering::Acquire) == 0 {
                        std::thread::yield_now();
                    }
                }
                _ => helped.store(1, Ordering::Release),
            });
        }
    }

    #[test]
    fn a_panic_of_any_thread_reaches_the_caller_and_the_crew_stays_usable() {
        let mut crew = Crew::new(2).unwrap();
        for culprit in [0, 1] {
            let helped = AtomicUsize::new(0);
            let result = catch_unwind(AssertUnwindSafe(|| {
                crew.run(&|thread| {
                    if thread == 1 {
                        helped.store(1, Ordering::Release);
                    }
                    while helped.load(Ordering::Acquire) == 0 {
                        std::thread::yield_now();
                    }
                    assert_ne!(thread, culprit);
                });
            }));
            assert!(result.is_err(), "thread {culprit}");
            crew.run(&|_| ());
        }
    }
}
