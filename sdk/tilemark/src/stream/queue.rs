//! A bounded queue between two threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// First in, first out; when it is full, who pushes waits, or the oldest item goes.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    room: usize,
    drops: bool,
}

struct State<T> {
    items: VecDeque<T>,
    dropped: u64,
    /// No more will come.
    finished: bool,
    /// Nobody wants any.
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(room: usize, drops: bool) -> Self {
        let state = State { items: VecDeque::new(), dropped: 0, finished: false, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), room, drops }
    }

    /// Adds an item; whether anybody wants it.
    pub(super) fn push(&self, item: T) -> bool {
        let mut state = self.state();
        while !self.drops && state.items.len() >= self.room && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return false;
        }
        while state.items.len() >= self.room {
            state.items.pop_front();
            state.dropped += 1;
        }
        state.items.push_back(item);
        self.changed.notify_all();
        true
    }

    /// The oldest item, once there is one; `None` if there will be none.
    pub(super) fn pop(&self) -> Option<T> {
        let mut state = self.state();
        while state.items.is_empty() && !state.finished && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let item = if state.closed { None } else { state.items.pop_front() };
        self.changed.notify_all();
        item
    }

    /// No more items come; those that wait can still be had.
    pub(super) fn finish(&self) {
        self.state().finished = true;
        self.changed.notify_all();
    }

    /// Nobody wants items any more.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// How many went without being had.
    pub(super) fn dropped(&self) -> u64 {
        self.state().dropped
    }

    /// A thread that panicked leaves the queue as it was: every change of it is one step.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_the_oldest_or_waits() {
        let queue = Queue::new(2, true);
        assert!((0..5).all(|i| queue.push(i)));
        queue.finish();
        assert_eq!((queue.pop(), queue.pop(), queue.pop(), queue.dropped()), (Some(3), Some(4), None, 3));

        let queue = Queue::new(1, false);
        let sum: u32 = std::thread::scope(|scope| {
            scope.spawn(|| {
                assert!((0..100).all(|i| queue.push(i)));
                queue.finish();
            });
            std::iter::from_fn(|| queue.pop()).sum()
        });
        assert_eq!((sum, queue.dropped()), (4950, 0));
    }

    #[test]
    fn closing_frees_whoever_waits() {
        let queue = Queue::new(1, false);
        assert!(queue.push(1));
        std::thread::scope(|scope| {
            let pusher = scope.spawn(|| queue.push(2));
            queue.close();
            assert!(!pusher.join().unwrap());
        });
        assert_eq!(queue.pop(), None);
    }
}
