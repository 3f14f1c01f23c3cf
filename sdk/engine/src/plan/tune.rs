//! Times the kernels that a plan could use and keeps the fastest of each layer.
//!
//! A layer is timed as a plan of its own whose steps are the rivals: same buffers, same executor, one thread. On several
//! threads the time is scaled by how well the tiles can be shared out, which unlike a timing on all of them is no matter of
//! chance on a busy machine. Rivals take turns, and the minimum of each counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::device;
use super::lower::{Lower, scratch_bytes};
use super::pick::Pick;
use super::source::Source;
use super::{Plan, READ_SLACK, Step, Tail};
use crate::error::Error;
use crate::host::cost;
use crate::host::executor::Executor;
use crate::host::kernels::Kernel;
use crate::host::memory::Memory;
use crate::tuning::{Measured, TuningRecord, TuningStore};

/// Turns of each rival: the minimum of fewer is still noise, more find little.
const TURNS: usize = 7;
/// No more turns for a layer that took so long: then one run is long enough to be told from noise.
const ENOUGH: Duration = Duration::from_millis(12);
/// A rival must be faster than the one predicted to be fastest by this factor.
const ADVANTAGE: f64 = 0.97;

/// Times what `plan` took by prediction until `deadline`, what takes longest first.
///
/// # Errors
/// [`Error::OutOfMemory`], and those of the plan.
pub(crate) fn tune(
    source: Source<'_>,
    plan: &Plan,
    store: &dyn TuningStore,
    deadline: Instant,
) -> Result<TuningRecord, Error> {
    if source.opened.is_some() {
        return device::tune(source, plan, store, deadline);
    }
    let mut trial = Trial {
        lower: Lower::new(source, Arc::clone(&plan.shapes))?,
        threads: source.picker.threads,
        plan,
        executor: Executor::new(1)?,
        memory: Memory::new(plan.arena_bytes())?,
        deadline,
    };
    let mut record = TuningRecord::default();
    for (i, pick) in layers(plan) {
        // At least one turn to check bytes and one to time.
        let least = 2.0 * pick.predicted * pick.rivals.len() as f64;
        if least < deadline.saturating_duration_since(Instant::now()).as_secs_f64()
            && let Some(measured) = trial.layer(i, pick)?
        {
            record.insert(pick.layer, measured);
        }
    }
    Ok(record)
}

/// The first step of every layer that has rivals, what takes longest first.
fn layers(plan: &Plan) -> Vec<(usize, &Pick)> {
    let mut layers: Vec<(usize, &Pick)> = Vec::new();
    for (i, step) in plan.steps.iter().enumerate() {
        if let Some(pick) = step.pick.as_ref().filter(|pick| pick.rivals.len() > 1)
            && layers.iter().all(|(_, known)| known.layer != pick.layer)
        {
            layers.push((i, pick));
        }
    }
    layers.sort_by(|a, b| b.1.predicted.total_cmp(&a.1.predicted));
    layers
}

struct Trial<'a> {
    lower: Lower<'a>,
    plan: &'a Plan,
    threads: usize,
    executor: Executor,
    memory: Memory,
    deadline: Instant,
}

impl Trial<'_> {
    /// The fastest kernel for a step of the plan; `None` if time ran out before each had a turn.
    fn layer(&mut self, step: usize, pick: &Pick) -> Result<Option<Measured>, Error> {
        let mut rivals: Vec<&'static Kernel> = Vec::new();
        let mut steps: Vec<Step> = Vec::new();
        for &kernel in &pick.rivals {
            let rival = self.lower.step(self.lower.order[step], &self.plan.slots, Some(kernel))?;
            let twin = |(other, known): (&Step, &&Kernel)| {
                known.arithmetic() == kernel.arithmetic() && other.is_cut_like(&rival)
            };
            if !steps.iter().zip(&rivals).any(twin) {
                rivals.push(kernel);
                steps.push(rival);
            }
        }
        let tiles: Vec<usize> = steps.iter().map(Step::tiles).collect();
        let plan = self.plan.with_steps(steps);
        self.executor.prepare(&plan)?;
        let Some(seconds) = self.time(&plan)? else { return Ok(None) };
        let scores: Vec<f64> =
            seconds.iter().zip(tiles).map(|(s, tiles)| s * cost::share(tiles, self.threads)).collect();
        let best = (0..scores.len()).min_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0);
        let best = if scores[best] < ADVANTAGE * scores[0] { best } else { 0 };
        let nanoseconds = (1e9 * scores[best]) as u64;
        Ok(Some(Measured { kernel: rivals[best].name.to_owned(), nanoseconds }))
    }

    /// Seconds of each step of `plan`, infinite where the bytes differ from those of the first: that would be a defect of the
    /// kernel, and must not decide what is computed.
    fn time(&mut self, plan: &Plan) -> Result<Option<Vec<f64>>, Error> {
        let mut seconds = vec![f64::INFINITY; plan.steps.len()];
        let mut expected = Vec::new();
        let mut spent = Duration::ZERO;
        for turn in 0..TURNS {
            for (i, step) in plan.steps.iter().enumerate() {
                if Instant::now() > self.deadline {
                    return Ok((turn > 1).then_some(seconds));
                }
                if turn == 0 {
                    self.fill(step);
                }
                let start = Instant::now();
                self.executor.run(plan, i..i + 1, &mut self.memory)?;
                let elapsed = start.elapsed();
                if turn == 0 {
                    let bytes = self.memory.slice_mut(step.output.range());
                    if i == 0 {
                        expected = bytes.to_vec();
                    }
                    seconds[i] = if bytes == expected { f64::MAX } else { f64::INFINITY };
                } else if seconds[i].is_finite() {
                    seconds[i] = seconds[i].min(elapsed.as_secs_f64());
                }
                spent += elapsed;
            }
            if turn > 0 && spent > ENOUGH {
                break;
            }
        }
        Ok(Some(seconds))
    }

    /// Makes every byte that the step reads a different one: a multiplication by zeros is no proof.
    fn fill(&mut self, step: &Step) {
        let mut state = 1u32;
        for slot in &step.inputs {
            let range = slot.range();
            let slack = (range.end + READ_SLACK).min(self.memory.len());
            for byte in self.memory.slice_mut(range.start..slack) {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = state.to_be_bytes()[0];
            }
        }
    }
}

impl Plan {
    /// The same values in the same places, with other steps.
    fn with_steps(&self, steps: Vec<Step>) -> Self {
        Self {
            shapes: Arc::clone(&self.shapes),
            input_shapes: self.input_shapes.clone(),
            passes: 1,
            scratch_bytes: scratch_bytes(&steps),
            steps,
            tail: Tail::default(),
            slots: Vec::new(),
            engine: None,
            route: super::route::Route::default(),
            arena_bytes: self.arena_bytes,
        }
    }
}
