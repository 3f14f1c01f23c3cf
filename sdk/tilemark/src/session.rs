//! An app on a device, ready to run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tilemark_bundle::OutputLevel;
use tilemark_engine::Plan;
use tilemark_model::{Tensor, ValueId, shape};
use tilemark_pipeline::{Label, Outcome};

use crate::app::App;
use crate::batch;
use crate::contents::declared;
use crate::error::Error;
use crate::input::{Input, Kind};
use crate::output::{Milliseconds, Output};

/// A compiled app with memory and threads of its own. It can move to another thread; to run on several at once, make
/// one session each from the same [`crate::CompiledApp`].
#[derive(Debug)]
pub struct Session {
    app: App,
    engine: tilemark_engine::Session,
}

impl Session {
    pub(crate) fn new(app: App, engine: tilemark_engine::Session) -> Self {
        Self { app, engine }
    }

    /// Runs the whole app on one input: pre-processing, model, post-processing.
    ///
    /// # Errors
    /// [`Error::Pipeline`] if the input does not fit the app, [`Error::Unlicensed`] if its grant does not allow another
    /// inference, [`Error::Engine`] if the device fails.
    pub fn run(&mut self, input: Input) -> Result<Output, Error> {
        let start = Instant::now();
        let inputs = self.prepare_input(input)?;
        self.run_prepared(&inputs, ms(start, Instant::now()))
    }

    /// Runs the whole app on several inputs. Where the model's batch axis is dynamic and the inputs have one shape the
    /// model runs once on all of them; otherwise one after another, with the next ones on their way to a device that has memory of
    /// its own. The time is shared out evenly.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub fn run_batch(&mut self, inputs: Vec<Input>) -> Result<Vec<Output>, Error> {
        if inputs.len() < 2 {
            return inputs.into_iter().map(|input| self.run(input)).collect();
        }
        let count = inputs.len();
        let start = Instant::now();
        let each =
            inputs.into_iter().map(|input| self.prepare_input(input)).collect::<Result<Vec<_>, _>>()?;
        let share = |from: Instant, to: Instant| ms(from, to) / count as f64;
        let is_batch = batch::is_dynamic(self.app.graph()) && batch::is_uniform(&each);
        let each = if is_batch { vec![batch::stack(each)?] } else { each };
        each.iter().try_for_each(|inputs| self.app.admit(inputs))?;
        let infer = Instant::now();
        let answers = self.engine.run_many(&each)?;
        let post = Instant::now();
        let answers = match answers.as_slice() {
            [outputs] if is_batch => batch::split(outputs, count)?,
            _ => answers,
        };
        let results =
            answers.iter().map(|outputs| finish(&self.app, outputs)).collect::<Result<Vec<_>, _>>()?;
        let end = Instant::now();
        let ms = Milliseconds { pre: share(start, infer), infer: share(infer, post), post: share(post, end) };
        Ok(results.into_iter().map(|(tensors, outcome)| Output { outcome, tensors, ms }).collect())
    }

    /// The tensors that the model gets for an input: pre-processing alone.
    ///
    /// # Errors
    /// [`Error::Pipeline`] if the input does not fit the app.
    pub fn prepare_input(&self, input: Input) -> Result<Vec<Tensor>, Error> {
        prepare_input(&self.app, input)
    }

    /// Runs the model alone, for those who measure or have their own stages: tensors in the model's order; integers
    /// where the model is quantized.
    ///
    /// # Errors
    /// [`Error::Engine`] if a tensor does not fit or the device fails, [`Error::Unlicensed`] if the app's grant does not allow
    /// it.
    pub fn run_tensors(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        self.app.admit_raw(inputs)?;
        Ok(self.engine.run(inputs)?)
    }

    /// [`Session::run_tensors`], showing every tensor that exists in memory on the way.
    ///
    /// # Errors
    /// Those of [`Session::run_tensors`].
    pub fn run_observed(
        &mut self,
        inputs: &[Tensor],
        observe: impl FnMut(ValueId, &Tensor),
    ) -> Result<Vec<Tensor>, Error> {
        self.app.admit_raw(inputs)?;
        Ok(self.engine.run_observed(inputs, observe)?)
    }

    /// [`Session::run_tensors`], and how long each step of the plan took. Steps run one by one, so their sum is a little
    /// more than a run takes.
    ///
    /// # Errors
    /// Those of [`Session::run_tensors`].
    pub fn run_timed(&mut self, inputs: &[Tensor]) -> Result<(Vec<Tensor>, Vec<Duration>), Error> {
        self.app.admit_raw(inputs)?;
        Ok(self.engine.run_timed(inputs)?)
    }

    /// The plan for one input of the declared shape (dynamic axes 1).
    ///
    /// # Errors
    /// [`Error::Engine`] if it cannot be made.
    pub fn plan(&mut self) -> Result<Arc<Plan>, Error> {
        let shapes = shape::declared(self.app.graph(), 1);
        Ok(self.engine.prepare(&shapes)?)
    }

    /// The app.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Model and post-processing; `pre` is the time that the inputs took already.
    fn run_prepared(&mut self, inputs: &[Tensor], pre: f64) -> Result<Output, Error> {
        self.app.admit(inputs)?;
        let infer = Instant::now();
        let outputs = self.engine.run(inputs)?;
        let post = Instant::now();
        let (tensors, outcome) = finish(&self.app, &outputs)?;
        let ms = Milliseconds { pre, infer: ms(infer, post), post: ms(post, Instant::now()) };
        Ok(Output { outcome, tensors, ms })
    }
}

/// Pre-processing: the tensors that the model gets for an input.
pub(crate) fn prepare_input(app: &App, input: Input) -> Result<Vec<Tensor>, Error> {
    Ok(match input.0 {
        Kind::Image(image) => app.pipeline().pre_image(&image)?,
        Kind::Tensors(tensors) => app.pipeline().interface().arrange(tensors)?,
    })
}

/// Post-processing: the model's outputs by name, and what the pipeline makes of them.
pub(crate) fn finish(app: &App, outputs: &[Tensor]) -> Result<(BTreeMap<String, Tensor>, Outcome), Error> {
    let graph = app.graph();
    let declared = declared(graph, outputs)?;
    let names = graph.outputs.iter().map(|port| port.name.clone());
    let tensors = names.zip(declared.iter().cloned()).collect();
    let outcome = app.pipeline().post(declared)?;
    match app.license().map(|license| license.grant().output) {
        Some(OutputLevel::Label) => Ok((BTreeMap::new(), best_label(app, outcome)?)),
        _ => Ok((tensors, outcome)),
    }
}

/// What a grant of that output level gives out: the name of the best label, no score and nothing else.
fn best_label(app: &App, outcome: Outcome) -> Result<Outcome, Error> {
    match outcome.labels.and_then(|labels| labels.into_iter().next()) {
        Some(best) => {
            let best = Label { score: f32::NAN, ..best };
            Ok(Outcome { labels: Some(vec![best]), ..Outcome::default() })
        }
        None => app
            .license()
            .map_or(Ok(()), |license| license.check_output("an app without labels"))
            .map(|()| Outcome::default()),
    }
}

fn ms(from: Instant, to: Instant) -> f64 {
    (to - from).as_secs_f64() * 1e3
}
