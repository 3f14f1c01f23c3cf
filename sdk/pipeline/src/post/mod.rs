//! The stages from the model's outputs to a value, checked against the model and ready to run.

mod anchors;
mod ctc;
mod mask;
mod nms;
mod outputs;
mod pitch;
mod regions;
mod scores;

use tilemark_model::Tensor;

use crate::error::{Error, Result};
use crate::interface::Interface;
use crate::labels::Labels;
use crate::limits::{MAX_FOUND, MAX_STAGES};
use crate::parameters::Settings;
use crate::pipeline::Resources;
use crate::place::Place;
use crate::run::Clock;
use crate::spec::PostStage;
use crate::value::{Kind, Made};

use outputs::check_output;

/// The outputs' way to a value.
#[derive(Debug)]
pub(crate) struct Post {
    stages: Vec<(&'static str, Box<dyn Stage>)>,
    makes: Kind,
}

/// One stage, ready to run.
trait Stage: std::fmt::Debug + Send + Sync {
    fn run(&self, state: &mut State, interface: &Interface, place: Option<&Place>) -> Result<()>;
}

/// What the stages pass on: the model's outputs, and what was made of them.
struct State {
    outputs: Vec<Tensor>,
    made: Option<Made>,
}

/// What a stage's declaration is checked against.
struct Checks<'a> {
    /// Where the stage stands, such as `post[0].nms`.
    at: String,
    interface: &'a Interface,
    settings: &'a Settings,
    resources: &'a Resources,
}

impl Post {
    /// `on_picture` says whether the model sees a picture, on which what it finds has a place.
    pub(crate) fn new(
        stages: &[PostStage],
        interface: &Interface,
        settings: &Settings,
        resources: &Resources,
        on_picture: bool,
    ) -> Result<Self> {
        if stages.len() > MAX_STAGES {
            return Err(Error::TooManyStages { list: "post", found: stages.len(), limit: MAX_STAGES });
        }
        for output in &interface.outputs {
            output.checked_quant()?;
        }
        let mut post = Self { stages: Vec::new(), makes: Kind::Tensors };
        for (i, stage) in stages.iter().enumerate() {
            post.makes = follows(i, stage, &stages[..i], post.makes, on_picture)?;
            let checks = Checks { at: format!("post[{i}].{}", stage.name()), interface, settings, resources };
            let (name, stage) = prepared(stage, &checks)?;
            post.stages.push((name, stage));
        }
        Ok(post)
    }

    /// The kind of value that the stages make.
    pub(crate) fn makes(&self) -> Kind {
        self.makes
    }

    /// The outputs as the stages leave them, and what they make of them.
    pub(crate) fn run(
        &self,
        interface: &Interface,
        outputs: Vec<Tensor>,
        place: Option<&Place>,
        clock: &mut Clock,
    ) -> Result<(Vec<Tensor>, Option<Made>)> {
        let expected = interface.outputs.len();
        if outputs.len() != expected {
            return Err(Error::OutputCount { expected, found: outputs.len() });
        }
        for (info, tensor) in interface.outputs.iter().zip(&outputs) {
            check_output(info, tensor)?;
        }
        let mut state = State { outputs, made: None };
        for (name, stage) in &self.stages {
            clock.time(name, || stage.run(&mut state, interface, place))?;
        }
        Ok((state.outputs, state.made))
    }
}

/// The kind of value after stage `i`, if it may follow `before`, which made a value of kind `made`.
fn follows(i: usize, stage: &PostStage, before: &[PostStage], made: Kind, on_picture: bool) -> Result<Kind> {
    let order = |at: String, why| Err(Error::StageOrder { at, why });
    let makes = match stage {
        PostStage::Threshold(_) | PostStage::Nms(_) => {
            let (expected, takes): (_, &[Kind]) = match stage {
                PostStage::Nms(_) => ("detections", &[Kind::Detections]),
                _ => (
                    "labels, detections, regions or text",
                    &[Kind::Labels, Kind::Detections, Kind::Regions, Kind::Text],
                ),
            };
            if !takes.contains(&made) {
                let at = format!("post[{i}].{}", stage.name());
                return Err(Error::ValueKind { at, found: made.words().to_owned(), expected });
            }
            return Ok(made);
        }
        PostStage::Dequantize(_) | PostStage::Softmax(_) | PostStage::Sigmoid(_) => Kind::Tensors,
        PostStage::TopK(_) => Kind::Labels,
        PostStage::Anchors(_) => Kind::Detections,
        PostStage::Mask(_) => Kind::Mask,
        PostStage::Regions(_) => Kind::Regions,
        PostStage::Ctc(_) => Kind::Text,
        PostStage::Turn(_) => Kind::Turn,
        PostStage::Pitch(_) => Kind::Pitch,
    };
    if made == Kind::Labels {
        return order(format!("post[{i}]"), "top_k must be the last stage that reads the model's outputs");
    }
    if made != Kind::Tensors {
        return order(
            format!("post[{i}]"),
            "the stages before it made a value of the model's outputs already",
        );
    }
    if matches!(stage, PostStage::Softmax(_)) && before.iter().any(|s| matches!(s, PostStage::Softmax(_))) {
        return order(format!("post[{i}].softmax"), "there can be one only");
    }
    if matches!(makes, Kind::Detections | Kind::Mask | Kind::Regions | Kind::Text | Kind::Turn) && !on_picture
    {
        let (at, found) = (format!("post[{i}].{}", stage.name()), "tensors".to_owned());
        return Err(Error::ValueKind { at, found, expected: "the outputs of a model of pictures" });
    }
    Ok(makes)
}

/// The stage with its numbers, names and files checked, and its name in the list of times.
fn prepared(stage: &PostStage, checks: &Checks) -> Result<(&'static str, Box<dyn Stage>)> {
    Ok(match stage {
        PostStage::Dequantize(_) => ("post.dequantize", Box::new(outputs::Dequantize)),
        PostStage::Softmax(stage) => ("post.softmax", scores::Softmax::prepared(stage, checks)?),
        PostStage::Sigmoid(stage) => ("post.sigmoid", Box::new(scores::Sigmoid::new(stage, checks)?)),
        PostStage::TopK(stage) => ("post.top_k", Box::new(scores::TopK::new(stage, checks)?)),
        PostStage::Threshold(stage) => ("post.threshold", Box::new(scores::Threshold::new(stage, checks)?)),
        PostStage::Anchors(stage) => ("post.anchors", Box::new(anchors::Anchors::new(stage, checks)?)),
        PostStage::Nms(stage) => ("post.nms", Box::new(nms::Nms::new(stage, checks)?)),
        PostStage::Mask(stage) => ("post.mask", Box::new(mask::Mask::new(stage, checks)?)),
        PostStage::Regions(stage) => ("post.regions", Box::new(regions::Regions::new(stage, checks)?)),
        PostStage::Ctc(stage) => ("post.ctc", Box::new(ctc::Ctc::new(stage, checks)?)),
        PostStage::Turn(stage) => ("post.turn", Box::new(scores::Turn::new(stage, checks)?)),
        PostStage::Pitch(stage) => ("post.pitch", Box::new(pitch::Pitch::new(stage, checks)?)),
    })
}

impl Checks<'_> {
    /// A number that must lie in a range, ends included.
    fn within(&self, field: &str, value: f32, [least, most]: [f32; 2]) -> Result<f32> {
        if value >= least && value <= most {
            return Ok(value);
        }
        Err(self.wrong(field, value, format!("{least} to {most}")))
    }

    /// How many things a stage may return.
    fn most(&self, most: u32) -> Result<usize> {
        if (1..=MAX_FOUND).contains(&most) {
            return Ok(most as usize);
        }
        Err(self.wrong("most", most, format!("1 to {MAX_FOUND}")))
    }

    fn wrong(&self, field: &str, found: impl ToString, expected: impl Into<String>) -> Error {
        let at = if field.is_empty() { self.at.clone() } else { format!("{}.{field}", self.at) };
        Error::Value { at, found: found.to_string(), expected: expected.into() }
    }

    /// The lines of a file of the app.
    fn lines(&self, file: &str) -> Result<Labels> {
        let bytes = self.resources.get(file).ok_or_else(|| Error::MissingFile { name: file.to_owned() })?;
        Labels::parse(file, bytes)
    }
}

/// The place of what a model of pictures finds. [`Post::new`] lets only such models have stages that ask for it.
fn known(place: Option<&Place>) -> Result<&Place> {
    place.ok_or(Error::InputKind { found: "tensors", expected: "a picture" })
}
