//! What goes into a run of a pipeline and what comes out of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tilemark_model::Tensor;

use crate::image::Image;
use crate::outcome::Outcome;
use crate::place::Place;
use crate::sound::Sound;

/// What a user gives.
#[derive(Clone, Debug)]
pub enum Given<'a> {
    /// A picture.
    Image(&'a Image),
    /// A sound.
    Sound(&'a Sound),
    /// The inputs of the only model, in its order ([`Interface::arrange`](crate::Interface::arrange)).
    Tensors(Vec<Tensor>),
}

impl Given<'_> {
    pub(crate) fn words(&self) -> &'static str {
        match self {
            Self::Image(_) => "a picture",
            Self::Sound(_) => "a sound",
            Self::Tensors(_) => "tensors",
        }
    }
}

/// The inputs of a pipeline's only model, and what their outputs need to become a result.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// In the model's order.
    pub tensors: Vec<Tensor>,
    /// Where they came from on the picture.
    pub place: Place,
}

/// What a run gives.
#[derive(Clone, Debug)]
pub struct Done {
    /// The result.
    pub outcome: Outcome,
    /// The outputs of every model that runs once, by name; `STEP.NAME` where there are several steps.
    pub tensors: BTreeMap<String, Tensor>,
    /// How long each stage took.
    pub times: Times,
}

/// How long the stages of a run took, in the order in which they first ran.
#[derive(Clone, Debug, Default)]
pub struct Times(pub Vec<StageTime>);

/// Time spent in one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageTime {
    /// The step's name.
    pub step: String,
    /// `pre.NAME`, `model`, `post.NAME`, or `crop` for cutting regions out.
    pub stage: &'static str,
    /// All calls together.
    pub time: Duration,
    /// How often it ran: for each crop once.
    pub calls: u64,
}

impl Times {
    /// The stages before the model, the model, and those after it.
    pub fn parts(&self) -> [Duration; 3] {
        let of = |part: fn(&str) -> bool| self.0.iter().filter(|s| part(s.stage)).map(|s| s.time).sum();
        [
            of(|stage| stage.starts_with("pre.") || stage == CROP),
            of(|stage| stage == MODEL),
            of(|stage| stage.starts_with("post.")),
        ]
    }

    fn add(&mut self, step: &str, stage: &'static str, time: Duration) {
        match self.0.iter_mut().find(|known| known.step == step && known.stage == stage) {
            Some(known) => {
                known.time += time;
                known.calls += 1;
            }
            None => self.0.push(StageTime { step: step.to_owned(), stage, time, calls: 1 }),
        }
    }
}

/// The stage name of a model's run.
pub(crate) const MODEL: &str = "model";
/// The stage name of cutting regions out.
pub(crate) const CROP: &str = "crop";

/// Measures the stages of one step.
pub(crate) struct Clock<'a> {
    pub(crate) times: &'a mut Times,
    pub(crate) step: &'a str,
}

impl Clock<'_> {
    pub(crate) fn time<T>(&mut self, stage: &'static str, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = run();
        self.times.add(self.step, stage, start.elapsed());
        result
    }
}
