//! Throughput: as many requests at once as there are threads, each on one of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tilemark_model::Tensor;

use crate::compiled::Compiled;
use crate::error::Error;
use crate::host::crew::Crew;
use crate::session::Session;

/// Sessions of one thread each, one for every thread of the device. A single request is answered no sooner than by a
/// session of one thread, but many are answered in less time than by a session of all threads: nobody waits for anybody
/// between steps.
pub struct Fleet {
    crew: Crew,
    sessions: Vec<Mutex<Session>>,
}

impl Fleet {
    pub(crate) fn new(compiled: &Compiled) -> Result<Self, Error> {
        let threads = compiled.device().threads();
        let session = |_| Session::with_threads(compiled.clone(), 1).map(Mutex::new);
        Ok(Self { crew: Crew::new(threads)?, sessions: (0..threads).map(session).collect::<Result<_, _>>()? })
    }

    /// Requests that are answered at once.
    pub fn width(&self) -> usize {
        self.sessions.len()
    }

    /// Answers every request as [`Session::run`] does. Requests may differ in shape.
    ///
    /// # Errors
    /// Those of [`Session::run`] for the first request that has one.
    pub fn run_many(&mut self, requests: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>, Error> {
        let next = AtomicUsize::new(0);
        let answers: Vec<_> = requests.iter().map(|_| Mutex::new(Ok(Vec::new()))).collect();
        self.crew.run(&|thread| {
            let mut session = self.sessions[thread].lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let (Some(request), Some(answer)) = (requests.get(i), answers.get(i)) else { return };
                *answer.lock().unwrap_or_else(PoisonError::into_inner) = session.run(request);
            }
        });
        answers
            .into_iter()
            .map(|answer| answer.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("width", &self.width()).finish_non_exhaustive()
    }
}
