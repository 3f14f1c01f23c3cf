//! An app on a device, ready to run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tilemark_bundle::OutputLevel;
use tilemark_engine::Plan;
use tilemark_model::{Graph, Tensor, TensorView, ValueId, shape};
use tilemark_pipeline::{Done, Given, Label, Memory, Outcome, Pipeline, Place, Prepared};

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
    /// One for each of the app's models, in their order.
    engines: Vec<tilemark_engine::Session>,
}

impl Session {
    pub(crate) fn new(app: App, engines: Vec<tilemark_engine::Session>) -> Self {
        Self { app, engines }
    }

    /// Runs the whole app on one input: pre-processing, models, post-processing.
    ///
    /// # Errors
    /// [`Error::Pipeline`] if the input does not fit the app, [`Error::Unlicensed`] if its grant does not allow another
    /// inference, [`Error::Engine`] if the device fails.
    pub fn run(&mut self, input: Input) -> Result<Output, Error> {
        self.run_seen(&input, |_| {})
    }

    /// The same; `seen` is shown what the first model gets.
    pub(crate) fn run_seen(
        &mut self,
        input: &Input,
        mut seen: impl FnMut(&[Tensor]),
    ) -> Result<Output, Error> {
        let given = given(&self.app, input)?;
        let (app, engines) = (&self.app, &mut self.engines);
        let mut counted = false;
        let done = app.pipeline().run(&given, |model, inputs| {
            if !std::mem::replace(&mut counted, true) {
                app.admit(&inputs)?; // what does not fit the app does not count
                seen(&inputs);
            }
            let (graph, engine) = find(app, engines, model)?;
            declared(graph, &engine.run(&inputs)?)
        })?;
        let [pre, infer, post] = done.times.parts().map(|time| time.as_secs_f64() * 1e3);
        let (tensors, outcome) = entitled(app, done.tensors, done.outcome)?;
        Ok(Output { outcome, tensors, ms: Milliseconds { pre, infer, post }, times: done.times })
    }

    /// Runs the whole pipeline for a replay: `observe` sees every tensor that exists in memory on the way, with the position
    /// of its model. Nothing is counted.
    pub(crate) fn replay<E: From<Error> + From<tilemark_pipeline::Error>>(
        &mut self,
        input: &Input,
        mut begin: impl FnMut(usize, &[Tensor]) -> Result<(), E>,
        mut observe: impl FnMut(usize, ValueId, &Tensor),
    ) -> Result<Done, E> {
        let given = given(&self.app, input)?;
        let (app, engines) = (&self.app, &mut self.engines);
        app.pipeline().run(&given, |model, inputs| {
            let position = app.models().position(|(name, _)| name == model).unwrap_or_default();
            begin(position, &inputs)?;
            let (graph, engine) = find(app, engines, model)?;
            let outputs = engine
                .run_observed(&inputs, |id, tensor| observe(position, id, tensor))
                .map_err(Error::from)?;
            Ok(declared(graph, &outputs)?)
        })
    }

    /// Runs the whole app on several inputs. Where the model's batch axis is dynamic and the inputs have one shape the
    /// model runs once on all of them; otherwise one after another, with the next ones on their way to a device that has memory of
    /// its own. The time is shared out evenly.
    ///
    /// ```no_run
    /// use tilemark::{Error, Input, Session};
    ///
    /// # fn tag(session: &mut Session) -> Result<(), Error> {
    /// let pictures = ["a.jpg", "b.jpg"].map(Input::image).into_iter().collect::<Result<Vec<_>, _>>()?;
    /// for output in session.run_batch(pictures)? {
    ///     println!("{:?}", output.labels().first());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub fn run_batch(&mut self, inputs: Vec<Input>) -> Result<Vec<Output>, Error> {
        if inputs.len() < 2 || !self.app.pipeline().is_single() {
            return inputs.into_iter().map(|input| self.run(input)).collect();
        }
        let count = inputs.len();
        let start = Instant::now();
        let prepared = inputs.iter().map(|input| prepare(&self.app, input)).collect::<Result<Vec<_>, _>>()?;
        let share = |from: Instant, to: Instant| ms(from, to) / count as f64;
        let (each, places): (Vec<_>, Vec<_>) =
            prepared.into_iter().map(|prepared| (prepared.tensors, prepared.place)).unzip();
        let is_batch = batch::is_dynamic(self.app.graph()) && batch::is_uniform(&each);
        let each = if is_batch { vec![batch::stack(each)?] } else { each };
        each.iter().try_for_each(|inputs| self.app.admit(inputs))?;
        let infer = Instant::now();
        let answers = self.engine()?.run_many(&each)?;
        let post = Instant::now();
        let answers = match answers.as_slice() {
            [outputs] if is_batch => batch::split(outputs, count)?,
            _ => answers,
        };
        let results = answers.iter().zip(&places).map(|(outputs, place)| finish(&self.app, outputs, place));
        let results = results.collect::<Result<Vec<_>, _>>()?;
        let end = Instant::now();
        let ms = Milliseconds { pre: share(start, infer), infer: share(infer, post), post: share(post, end) };
        Ok(results.into_iter().map(|(tensors, outcome)| Output::new(outcome, tensors, ms)).collect())
    }

    /// The tensors that the model gets for an input: pre-processing alone. For apps of one step.
    ///
    /// # Errors
    /// [`Error::Pipeline`] if the input does not fit the app, or the app has several steps.
    pub fn prepare_input(&self, input: Input) -> Result<Vec<Tensor>, Error> {
        Ok(prepare(&self.app, &input)?.tensors)
    }

    /// Runs the model alone, of an app of several the first step's, for those who measure or have their own stages: tensors in the model's order; integers
    /// where the model is quantized.
    ///
    /// # Errors
    /// [`Error::Engine`] if a tensor does not fit or the device fails, [`Error::Unlicensed`] if the app's grant does not allow
    /// it.
    pub fn run_tensors(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        self.app.admit_raw(inputs.first().map(Tensor::view))?;
        Ok(self.engine()?.run(inputs)?)
    }

    /// Runs the model of an app of one step on a prepared frame, and counts it.
    pub(crate) fn run_admitted(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        self.app.admit(inputs)?;
        Ok(self.engine()?.run(inputs)?)
    }

    /// Runs the model alone on tensors that lie in somebody else's memory, such as a slot of [`crate::slots`]: nothing is copied
    /// but into the model's own layout. Gives its outputs as the model declares them.
    ///
    /// # Errors
    /// Those of [`Session::run_tensors`].
    pub fn run_views(&mut self, inputs: &[TensorView<'_>]) -> Result<Vec<Tensor>, Error> {
        self.app.admit_raw(inputs.first().copied())?;
        let mut outputs = Vec::new();
        self.engine()?.run_views(inputs, &mut outputs)?;
        declared(self.app.graph(), &outputs)
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
        self.app.admit_raw(inputs.first().map(Tensor::view))?;
        Ok(self.engine()?.run_observed(inputs, observe)?)
    }

    /// [`Session::run_tensors`], and how long each step of the plan took. Steps run one by one, so their sum is a little
    /// more than a run takes.
    ///
    /// # Errors
    /// Those of [`Session::run_tensors`].
    pub fn run_timed(&mut self, inputs: &[Tensor]) -> Result<(Vec<Tensor>, Vec<Duration>), Error> {
        self.app.admit_raw(inputs.first().map(Tensor::view))?;
        Ok(self.engine()?.run_timed(inputs)?)
    }

    /// The plan of the first step's model for one input of the declared shape (dynamic axes 1).
    ///
    /// # Errors
    /// [`Error::Engine`] if it cannot be made.
    pub fn plan(&mut self) -> Result<Arc<Plan>, Error> {
        let shapes = shape::declared(self.app.graph(), 1);
        Ok(self.engine()?.prepare(&shapes)?)
    }

    /// The app.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The first step's.
    fn engine(&mut self) -> Result<&mut tilemark_engine::Session, Error> {
        let none = || Error::Contents { what: "graph", reason: "there is none".to_owned() };
        self.engines.first_mut().ok_or_else(none)
    }
}

/// A model of the app and its engine.
fn find<'a>(
    app: &'a App,
    engines: &'a mut [tilemark_engine::Session],
    model: &str,
) -> Result<(&'a Graph, &'a mut tilemark_engine::Session), Error> {
    let mut models = app.models().zip(engines).filter(|((name, _), _)| *name == model);
    let none = || Error::Contents { what: "graph", reason: format!("there is none of model {model}") };
    models.next().map(|((_, graph), engine)| (&**graph, engine)).ok_or_else(none)
}

/// An input as the pipeline takes it.
pub(crate) fn given<'a>(app: &App, input: &'a Input) -> Result<Given<'a>, Error> {
    given_to(app.pipeline(), input)
}

/// The same for a pipeline that is in no app yet.
pub(crate) fn given_to<'a>(pipeline: &Pipeline, input: &'a Input) -> Result<Given<'a>, Error> {
    Ok(match &input.0 {
        Kind::Image(image) => Given::Image(image),
        Kind::Sound(sound) => Given::Sound(sound),
        Kind::Tensors(tensors) => Given::Tensors(pipeline.interface().arrange(tensors.clone())?),
    })
}

/// Pre-processing: the tensors that the only model gets for an input, and where they lie on it.
pub(crate) fn prepare(app: &App, input: &Input) -> Result<Prepared, Error> {
    Ok(app.pipeline().prepare(&given(app, input)?)?)
}

/// The model's tensors by name, and what the pipeline made of them.
type Results = (BTreeMap<String, Tensor>, Outcome);

/// Post-processing of the only model's outputs.
pub(crate) fn finish(app: &App, outputs: &[Tensor], place: &Place) -> Result<Results, Error> {
    finish_in_time(app, outputs, place, &mut Memory::default())
}

/// The same for a frame of a sequence.
pub(crate) fn finish_in_time(
    app: &App,
    outputs: &[Tensor],
    place: &Place,
    memory: &mut Memory,
) -> Result<Results, Error> {
    let graph = app.graph();
    let declared = declared(graph, outputs)?;
    let names = graph.outputs.iter().map(|port| port.name.clone());
    let tensors = names.zip(declared.iter().cloned()).collect();
    entitled(app, tensors, app.pipeline().finish_in_time(declared, place, memory)?)
}

/// As much of a result as the app's grant gives out.
fn entitled(app: &App, tensors: BTreeMap<String, Tensor>, outcome: Outcome) -> Result<Results, Error> {
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
