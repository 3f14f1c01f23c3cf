//! Throughput: many inputs at once, each on one thread.

use std::time::Instant;

use crate::app::App;
use crate::error::Error;
use crate::input::Input;
use crate::output::{Milliseconds, Output};
use crate::session::{finish, prepare};

/// A compiled app that runs as many inputs at once as the device has threads, each on one of them: more inputs a second
/// than a [`crate::Session`], each of them later.
#[derive(Debug)]
pub struct Fleet {
    app: App,
    engine: tilemark_engine::Fleet,
}

impl Fleet {
    pub(crate) fn new(app: App, engine: tilemark_engine::Fleet) -> Self {
        Self { app, engine }
    }

    /// Runs the whole app on every input. The model runs on all threads at once; pre- and post-processing run on the
    /// calling one. Times are shared out evenly.
    ///
    /// # Errors
    /// Those of [`crate::Session::run`] for the first input that has one.
    pub fn run_many(&mut self, inputs: Vec<Input>) -> Result<Vec<Output>, Error> {
        let count = inputs.len().max(1) as f64;
        let start = Instant::now();
        let prepared = inputs.iter().map(|input| prepare(&self.app, input)).collect::<Result<Vec<_>, _>>()?;
        let (requests, places): (Vec<_>, Vec<_>) =
            prepared.into_iter().map(|prepared| (prepared.tensors, prepared.place)).unzip();
        requests.iter().try_for_each(|request| self.app.admit(request))?;
        let infer = Instant::now();
        let answers = self.engine.run_many(&requests)?;
        let post = Instant::now();
        let results = answers.iter().zip(&places).map(|(outputs, place)| finish(&self.app, outputs, place));
        let results = results.collect::<Result<Vec<_>, _>>()?;
        let share = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e3 / count;
        let end = Instant::now();
        let ms = Milliseconds { pre: share(start, infer), infer: share(infer, post), post: share(post, end) };
        Ok(results.into_iter().map(|(tensors, outcome)| Output::new(outcome, tensors, ms)).collect())
    }
}
