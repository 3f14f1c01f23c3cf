//! The stages from the model's outputs to a value, checked against the model and ready to run.

mod anchors;
mod ctc;
mod grid;
mod mask;
mod nms;
mod outputs;
mod peaks;
mod picture;
mod pitch;
mod regions;
mod scores;
mod smooth;

use tilemark_model::Tensor;

use crate::error::{Error, Result};
use crate::faults::Faults;
use crate::interface::Interface;
use crate::labels::Labels;
use crate::limits::{MAX_FOUND, MAX_LABEL_BYTES, MAX_STAGES};
use crate::parameters::Settings;
use crate::pipeline::Resources;
use crate::place::Place;
use crate::run::Clock;
use crate::spec::PostStage;
use crate::value::{Kind, Made};

use outputs::check_output;
pub(crate) use scores::best_first;
pub use smooth::Memory;

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
    /// Of the frames before this one.
    memory: Memory,
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
    /// The stages that fit; what does not is noted. `from` is the kind that is there already, if the stages follow
    /// no model; `on_picture` says whether the model sees a picture, on which what it finds
    /// has a place.
    pub(crate) fn new(
        stages: &[PostStage],
        interface: &Interface,
        settings: &Settings,
        resources: &Resources,
        from: Option<Kind>,
        on_picture: bool,
        faults: &mut Faults,
    ) -> Self {
        let mut post = Self { stages: Vec::new(), makes: from.unwrap_or(Kind::Tensors) };
        if stages.len() > MAX_STAGES {
            let many = Error::TooManyStages { list: "post", found: stages.len(), limit: MAX_STAGES };
            faults.note::<()>(Err(many));
            return post;
        }
        for output in &interface.outputs {
            faults.note(output.checked_quant());
        }
        for (i, stage) in stages.iter().enumerate() {
            let Some(makes) = faults.note(follows(i, stage, &stages[..i], post.makes, on_picture)) else {
                continue;
            };
            post.makes = makes;
            let checks = Checks { at: format!("post[{i}].{}", stage.name()), interface, settings, resources };
            post.stages.extend(faults.note(prepared(i, stage, &checks)));
        }
        post
    }

    /// The kind of value that the stages make.
    pub(crate) fn makes(&self) -> Kind {
        self.makes
    }

    /// The outputs as the stages leave them, and what they make of them. `memory` is that of the frames before, where there
    /// are some.
    pub(crate) fn run(
        &self,
        interface: &Interface,
        outputs: Vec<Tensor>,
        place: Option<&Place>,
        clock: &mut Clock,
        memory: &mut Memory,
    ) -> Result<(Vec<Tensor>, Option<Made>)> {
        let expected = interface.outputs.len();
        if outputs.len() != expected {
            return Err(Error::OutputCount { expected, found: outputs.len() });
        }
        for (info, tensor) in interface.outputs.iter().zip(&outputs) {
            check_output(info, tensor)?;
        }
        let mut state = State { outputs, made: None, memory: std::mem::take(memory) };
        let ran = self
            .stages
            .iter()
            .try_for_each(|(name, stage)| clock.time(name, || stage.run(&mut state, interface, place)));
        *memory = state.memory;
        ran?;
        Ok((state.outputs, state.made))
    }
}

impl Post {
    /// What the stages make of a value that is there already.
    pub(crate) fn run_on(
        &self,
        made: Made,
        interface: &Interface,
        clock: &mut Clock,
    ) -> Result<Option<Made>> {
        let mut state = State { outputs: Vec::new(), made: Some(made), memory: Memory::default() };
        for (name, stage) in &self.stages {
            clock.time(name, || stage.run(&mut state, interface, None))?;
        }
        Ok(state.made)
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
        PostStage::Dequantize(_) | PostStage::Softmax(_) | PostStage::Sigmoid(_) | PostStage::Smooth(_) => {
            Kind::Tensors
        }
        PostStage::TopK(_) => Kind::Labels,
        PostStage::Anchors(_) | PostStage::Grid(_) | PostStage::Peaks(_) | PostStage::Points(_) => {
            Kind::Detections
        }
        PostStage::Image(_) => Kind::Picture,
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
    let of_pictures = matches!(
        makes,
        Kind::Detections | Kind::Mask | Kind::Picture | Kind::Regions | Kind::Text | Kind::Turn
    );
    if of_pictures && !on_picture {
        let (at, found) = (format!("post[{i}].{}", stage.name()), "tensors".to_owned());
        return Err(Error::ValueKind { at, found, expected: "the outputs of a model of pictures" });
    }
    Ok(makes)
}

/// The stage with its numbers, names and files checked, and its name in the list of times.
fn prepared(i: usize, stage: &PostStage, checks: &Checks) -> Result<(&'static str, Box<dyn Stage>)> {
    Ok(match stage {
        PostStage::Dequantize(_) => ("post.dequantize", Box::new(outputs::Dequantize)),
        PostStage::Softmax(stage) => ("post.softmax", scores::Softmax::prepared(stage, checks)?),
        PostStage::Sigmoid(stage) => ("post.sigmoid", Box::new(scores::Sigmoid::new(stage, checks)?)),
        PostStage::Smooth(stage) => ("post.smooth", Box::new(smooth::Smooth::new(stage, checks, i)?)),
        PostStage::TopK(stage) => ("post.top_k", Box::new(scores::TopK::new(stage, checks)?)),
        PostStage::Threshold(stage) => ("post.threshold", Box::new(scores::Threshold::new(stage, checks)?)),
        PostStage::Anchors(stage) => ("post.anchors", Box::new(anchors::Anchors::new(stage, checks)?)),
        PostStage::Grid(stage) => ("post.grid", Box::new(grid::Grid::new(stage, checks)?)),
        PostStage::Peaks(stage) => ("post.peaks", Box::new(peaks::Peaks::new(stage, checks)?)),
        PostStage::Points(stage) => ("post.points", Box::new(peaks::Points::new(stage, checks)?)),
        PostStage::Image(stage) => ("post.image", Box::new(picture::ImageOutput::new(stage, checks)?)),
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

    /// What a stage calls the things that it finds.
    fn label(&self, label: &str) -> Result<String> {
        if label.len() > MAX_LABEL_BYTES || label.chars().any(char::is_control) {
            return Err(self.wrong("label", "a long text or control characters", "a short text"));
        }
        Ok(label.to_owned())
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
