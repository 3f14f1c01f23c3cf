//! Times the variants of the steps on a device and keeps the fastest of each layer.
//!
//! Every variant computes the step in the plan's own places, from bytes that are all different; one whose result differs from that
//! of the plain variant is never taken, whatever its speed. Turns alternate, and the minimum of each counts.

use std::sync::Arc;
use std::time::Instant;

use super::api::{Buffer, Queue};
use super::kernels::Kernel;
use super::remote::{Prepared, time};
use super::{Launch, Opened};
use crate::error::Error;
use crate::plan::{Plan, READ_SLACK, Slot};
use crate::tuning::Measured;

/// Turns of each variant.
const TURNS: usize = 3;
/// A variant that takes longer than the fastest by this factor gets no second turn.
const HOPELESS: u64 = 2;

/// A queue and an arena to time variants in.
pub(crate) struct Trial {
    opened: Arc<Opened>,
    queue: Queue,
    arena: Buffer,
}

/// A variant and what it would launch.
pub(crate) struct Rival {
    pub(crate) kernel: &'static Kernel,
    pub(crate) launches: Vec<Launch>,
}

impl Trial {
    /// # Errors
    /// [`Error::DeviceFault`] if the device has no memory for another arena.
    pub(crate) fn new(opened: &Arc<Opened>, plan: &Plan) -> Result<Self, Error> {
        let arena = opened.buffer(plan.arena_bytes() + READ_SLACK)?;
        let trial = Self { opened: Arc::clone(opened), queue: opened.queue(true)?, arena };
        trial.fill(plan.arena_bytes() + READ_SLACK)?;
        Ok(trial)
    }

    /// The fastest of the rivals, the first of which is the plain one; `None` if time ran out before each had a turn.
    ///
    /// # Errors
    /// Those of the plain variant. A rival that cannot be built or run is none.
    pub(crate) fn layer(
        &self,
        rivals: &[Rival],
        output: &Slot,
        deadline: Instant,
    ) -> Result<Option<Measured>, Error> {
        let mut expected = Vec::new();
        let mut standing: Vec<(u64, &Rival, Vec<Prepared>)> = Vec::new();
        for (i, rival) in rivals.iter().enumerate() {
            if Instant::now() > deadline {
                return Ok(None);
            }
            match self.first_turn(rival, output) {
                Ok((bytes, prepared)) if i == 0 || bytes == expected => {
                    let nanoseconds = self.time(&prepared)?;
                    standing.push((nanoseconds, rival, prepared));
                    if i == 0 {
                        expected = bytes;
                    }
                }
                Err(error) if i == 0 => return Err(error),
                _ => {}
            }
        }
        for _ in 1..TURNS {
            let fastest = standing.iter().map(|(nanoseconds, ..)| *nanoseconds).min().unwrap_or(0);
            standing.retain(|(nanoseconds, ..)| *nanoseconds <= fastest.saturating_mul(HOPELESS));
            if standing.len() < 2 || Instant::now() > deadline {
                break;
            }
            for (nanoseconds, _, prepared) in &mut standing {
                *nanoseconds = self.time(prepared)?.min(*nanoseconds);
            }
        }
        let fastest = standing.iter().min_by_key(|(nanoseconds, ..)| *nanoseconds);
        Ok(fastest
            .map(|&(nanoseconds, rival, _)| Measured { kernel: rival.kernel.name.to_owned(), nanoseconds }))
    }

    /// Builds a rival and runs it once: drivers compile late. Returns what it wrote.
    fn first_turn(&self, rival: &Rival, output: &Slot) -> Result<(Vec<u8>, Vec<Prepared>), Error> {
        let prepare = |launch| Prepared::new(&self.opened, launch, &self.arena);
        let prepared = rival.launches.iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
        let mut bytes = vec![0xa5; output.bytes];
        self.write(output.offset, &bytes)?;
        self.time(&prepared)?;
        let read = self.queue.read(&self.arena, output.offset, &mut bytes);
        read.map_err(|fault| self.opened.fault(fault))?;
        Ok((bytes, prepared))
    }

    /// Nanoseconds.
    fn time(&self, launches: &[Prepared]) -> Result<u64, Error> {
        let time = time(&self.queue, launches).map_err(|fault| self.opened.fault(fault))?;
        Ok(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Makes every byte of the arena another one: products with zeros prove nothing.
    fn fill(&self, bytes: usize) -> Result<(), Error> {
        let mut state = 1u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let filling: Vec<u8> = std::iter::repeat_with(next).take(bytes).collect();
        self.write(0, &filling)
    }

    #[allow(unsafe_code, reason = "the copy has ended when this returns")]
    fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        // SAFETY: `finish` waits for the copy, while `bytes` are borrowed.
        let written = unsafe { self.queue.write(&self.arena, offset, bytes) };
        written.and_then(|_| self.queue.finish()).map_err(|fault| self.opened.fault(fault))
    }
}
