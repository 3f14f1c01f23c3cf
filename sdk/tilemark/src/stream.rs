//! Frame after frame: reading and pre-processing, the model, and post-processing at the same time on frames that follow each other.
//!
//! ```text
//! frames --prepare--> queue --model--> queue --finish--> results, in order
//! ```
//! Each arrow is a thread, each queue bounded. The bits are those of [`Session::run`] on the frames that are not dropped.

mod queue;

use std::ops::ControlFlow;

use tilemark_model::Tensor;
use tilemark_pipeline::{Memory, Place};

use self::queue::Queue;
use crate::app::App;
use crate::error::Error;
use crate::input::Input;
use crate::output::Output;
use crate::session::{self, Session};

/// Most frames that may wait: each holds a picture or a tensor.
const MAX_WAITING: usize = 64;

/// What happens to frames that come faster than they are computed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Pressure {
    /// They are asked for later: nothing is lost. For files.
    #[default]
    Wait,
    /// The oldest that waits is dropped: results stay near to what happens now. For cameras.
    Drop,
}

/// How frames flow.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// What happens to frames that come too fast.
    pub pressure: Pressure,
    /// How many frames may wait for the model, from 1 to 64.
    pub waiting: usize,
}

impl Default for Flow {
    fn default() -> Self {
        Self { pressure: Pressure::Wait, waiting: 2 }
    }
}

/// The result for one frame.
#[derive(Debug)]
pub struct FrameResult {
    /// Its number among all that were given, from 0.
    pub frame: u64,
    /// What the app gives; an error concerns this frame alone.
    pub output: Result<Output, Error>,
}

/// What became of all frames.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flowed {
    /// Frames given.
    pub frames: u64,
    /// Frames that were dropped, as newer ones came.
    pub dropped: u64,
    /// Frames of these that could not be read or run.
    pub failed: u64,
}

/// A frame between two threads.
struct Waiting<T> {
    frame: u64,
    /// What is to be done with it.
    work: Result<T, Error>,
    pre: f64,
}

/// A frame before the model: the tensors of an app of one step, or all of it.
enum Ready {
    Tensors(Vec<Tensor>, Place),
    Whole(Box<Input>),
}

/// A frame after the model.
enum Ran {
    Tensors(Vec<Tensor>, Place, f64),
    Whole(Box<Output>),
}

/// What a thread does when it ends, also by a panic: the others must not wait for it.
struct AtEnd<T, F: FnMut() -> T>(F);

impl<T, F: FnMut() -> T> Drop for AtEnd<T, F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Session {
    /// Runs the app on frame after frame. `frames` is asked for the next one on a thread of its own, where decoding belongs;
    /// `result` gets each result in the order of the frames, and says whether to go on. Where the app smooths over time, the
    /// frames of one call are one sequence.
    ///
    /// Apps of several steps, crops or tiles run their stages with their models, and overlap with reading and with `result`.
    ///
    /// # Errors
    /// What `frames` could not read, and what a frame could not be run for, is given to `result`; nothing else fails.
    pub fn stream(
        &mut self,
        flow: Flow,
        frames: impl Iterator<Item = Result<Input, Error>> + Send,
        mut result: impl FnMut(FrameResult) -> ControlFlow<()> + Send,
    ) -> Flowed {
        let app = self.app().clone();
        let ready = Queue::new(flow.waiting.clamp(1, MAX_WAITING), flow.pressure == Pressure::Drop);
        let ran = Queue::new(1, false);
        let mut flowed = Flowed::default();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let _end = AtEnd(|| ready.finish());
                read(&app, frames, &ready)
            });
            let finisher = scope.spawn(|| {
                // Whoever still waits for room, or for a frame, ends too.
                let _end = AtEnd(|| [ran.close(), ready.close()]);
                finish(&app, &ran, &mut result)
            });
            let end = AtEnd(|| [ready.close(), ran.finish()]);
            while let Some(Waiting { frame, work, pre }) = ready.pop() {
                let work = work.and_then(|work| self.run_ready(work));
                if !ran.push(Waiting { frame, work, pre }) {
                    break;
                }
            }
            drop(end);
            // A panic of theirs goes on here.
            flowed.frames = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            flowed.failed = finisher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        flowed.dropped = ready.dropped();
        flowed
    }

    fn run_ready(&mut self, ready: Ready) -> Result<Ran, Error> {
        Ok(match ready {
            Ready::Tensors(tensors, place) => {
                let start = std::time::Instant::now();
                let outputs = self.run_admitted(&tensors)?;
                Ran::Tensors(outputs, place, start.elapsed().as_secs_f64() * 1e3)
            }
            Ready::Whole(input) => Ran::Whole(Box::new(self.run(*input)?)),
        })
    }
}

/// Reads and prepares frames until there are no more, or nobody wants them; how many there were.
fn read(app: &App, frames: impl Iterator<Item = Result<Input, Error>>, ready: &Queue<Waiting<Ready>>) -> u64 {
    let mut count = 0;
    for input in frames {
        let start = std::time::Instant::now();
        let work = input.and_then(|input| match app.pipeline().is_single() {
            true => session::prepare(app, &input).map(|p| Ready::Tensors(p.tensors, p.place)),
            false => Ok(Ready::Whole(Box::new(input))),
        });
        let pre = start.elapsed().as_secs_f64() * 1e3;
        let wanted = ready.push(Waiting { frame: count, work, pre });
        count += 1;
        if !wanted {
            break;
        }
    }
    count
}

/// Makes results of what the model gave, until there are no more or nobody wants them; how many frames had none.
fn finish(
    app: &App,
    ran: &Queue<Waiting<Ran>>,
    result: &mut impl FnMut(FrameResult) -> ControlFlow<()>,
) -> u64 {
    let (mut failed, mut memory) = (0, Memory::default());
    while let Some(Waiting { frame, work, pre }) = ran.pop() {
        let output = work.and_then(|ran| match ran {
            Ran::Whole(output) => Ok(*output),
            Ran::Tensors(outputs, place, infer) => {
                let start = std::time::Instant::now();
                let (tensors, outcome) = session::finish_in_time(app, &outputs, &place, &mut memory)?;
                let post = start.elapsed().as_secs_f64() * 1e3;
                Ok(Output::new(outcome, tensors, crate::Milliseconds { pre, infer, post }))
            }
        });
        failed += u64::from(output.is_err());
        if result(FrameResult { frame, output }).is_break() {
            break;
        }
    }
    failed
}
