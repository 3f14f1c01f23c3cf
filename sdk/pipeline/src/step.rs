//! One step, checked against its model and the steps before it, and ready to run.

use tilemark_model::Tensor;

use crate::error::{Error, Result};
use crate::image::Rectifier;
use crate::interface::{Interface, TensorInfo};
use crate::limits::MAX_STEP_NAME_BYTES;
use crate::parameters::Settings;
use crate::pipeline::{Interfaces, Resources};
use crate::place::Place;
use crate::post::Post;
use crate::pre::Pre;
use crate::run::{CROP, Clock, Given, MODEL, Times};
use crate::sound::{Frames, Sound};
use crate::spec::{INPUT, InputSpec, StepSpec};
use crate::value::{Detection, FoundRegion, Kind, Line, Made, Quad, around, corners};

/// What runs a model, by its name, on its inputs in order: the outputs in its order.
pub(crate) type Models<'a, E> = &'a mut dyn FnMut(&str, Vec<Tensor>) -> std::result::Result<Vec<Tensor>, E>;

/// A step that fits.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    of: Source,
    each: Option<usize>,
    turn_tall: Option<f32>,
    model: String,
    interface: Interface,
    pub(crate) pre: Option<Pre>,
    frames: Option<Frames>,
    pub(crate) post: Post,
    /// The kind of value that later steps and the result get.
    pub(crate) makes: Kind,
}

/// What steps are made with.
pub(crate) struct Means<'a> {
    pub(crate) models: &'a Interfaces,
    pub(crate) settings: &'a Settings,
    pub(crate) resources: &'a Resources,
}

/// Where a step's input comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    Input,
    /// The tensors of an earlier step.
    Step(usize),
}

/// What a step made.
#[derive(Debug)]
pub(crate) struct StepValue {
    /// The outputs of a model that ran once, by name, as the post stages leave them.
    pub(crate) outputs: Vec<(String, Tensor)>,
    /// The same before the stages.
    pub(crate) raw: Vec<(String, Tensor)>,
    pub(crate) made: Option<Made>,
}

impl Step {
    /// Checks a declaration against the models, the files, and the steps above it.
    pub(crate) fn new(spec: &StepSpec, input: &InputSpec, means: &Means, before: &[Self]) -> Result<Self> {
        let Means { models, settings, resources } = *means;
        check_name(&spec.name, before)?;
        let of = source(&spec.of, before)?;
        let each = spec.for_each.as_deref().map(|name| boxes_of(name, before)).transpose()?;
        let turn_tall = check_turn(spec, each.is_some())?;
        let model = spec.model.clone().ok_or_else(|| Error::UnknownName {
            at: "model",
            name: String::new(),
            expected: models.names(),
        })?;
        let interface = models.get(&model).cloned().ok_or_else(|| Error::UnknownName {
            at: "model",
            name: model.clone(),
            expected: models.names(),
        })?;
        let image = match of {
            Source::Input => spec.image.as_ref().or(input.image.as_ref()).filter(|_| input.image.is_some()),
            Source::Step(_) => None,
        };
        let sound = input.sound.as_ref().filter(|_| of == Source::Input);
        let frames = sound.map(|sound| Frames::new(&spec.pre, sound, &interface)).transpose()?;
        let pre = if frames.is_some() { None } else { Pre::new(&spec.pre, settings, image, &interface)? };
        if let Source::Step(i) = of {
            check_join(&before[i], &model, &interface)?;
        }
        if each.is_some() && pre.is_none() {
            let found = if of == Source::Input { "tensors" } else { "the tensors of a step" };
            let (at, found) = ("for_each".to_owned(), found.to_owned());
            return Err(Error::ValueKind { at, found, expected: "a picture to cut out of" });
        }
        let post = Post::new(&spec.post, &interface, settings, resources, pre.is_some())?;
        let makes = makes(post.makes(), each.map(|i| before[i].makes), frames.is_some())?;
        Ok(Self { name: spec.name.clone(), of, each, turn_tall, model, interface, pre, frames, post, makes })
    }

    /// Whether step `i` is read by this one.
    pub(crate) fn reads(&self, i: usize) -> bool {
        self.each == Some(i) || self.of == Source::Step(i)
    }

    /// Whether the model runs once, on what the user gives.
    pub(crate) fn is_plain(&self) -> bool {
        self.of == Source::Input && self.each.is_none() && self.frames.is_none()
    }

    pub(crate) fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Runs the step on what the user gives and on what the steps before it made.
    pub(crate) fn run<E: From<Error>>(
        &self,
        given: &Given,
        values: &[StepValue],
        models: Models<E>,
        times: &mut Times,
    ) -> std::result::Result<StepValue, E> {
        let mut clock = Clock { times, step: &self.name };
        if let (Some(frames), Given::Sound(sound)) = (&self.frames, given) {
            return self.run_frames(frames, sound, models, &mut clock);
        }
        let Some(each) = self.each else {
            let (tensors, place) = self.inputs(given, values, &mut clock)?;
            let outputs = clock.time(MODEL, || models(&self.model, tensors))?;
            return Ok(self.value(outputs, place.as_ref(), &mut clock)?);
        };
        let (Given::Image(image), Some(pre)) = (given, &self.pre) else {
            return Err(wrong_input(given, "a picture").into());
        };
        let mut gathered = Gathered::new(self.makes);
        for item in items(values.get(each)) {
            let quad = self.upright(item.quad);
            let (crop, rectifier) = clock.time(CROP, || {
                let rectifier = Rectifier::new(&quad);
                (rectifier.cut(image.raster()), rectifier)
            });
            let (tensor, place) = pre.run(&crop, &mut clock)?;
            let place = Place { crop: Some(rectifier), ..place };
            let outputs = clock.time(MODEL, || models(&self.model, vec![tensor]))?;
            let (_, made) = self.post.run(&self.interface, outputs, Some(&place), &mut clock)?;
            gathered.add(&Item { quad, ..item }, made);
        }
        Ok(StepValue { outputs: Vec::new(), raw: Vec::new(), made: Some(gathered.0) })
    }

    /// Runs the model on each frame of a sound.
    fn run_frames<E: From<Error>>(
        &self,
        frames: &Frames,
        sound: &Sound,
        models: Models<E>,
        clock: &mut Clock,
    ) -> std::result::Result<StepValue, E> {
        let mut pitches = Vec::new();
        for tensor in frames.run(sound, clock)? {
            let outputs = clock.time(MODEL, || models(&self.model, vec![tensor]))?;
            if let (_, Some(Made::Pitch { hz, confidence })) =
                self.post.run(&self.interface, outputs, None, clock)?
            {
                pitches.push((hz, confidence));
            }
        }
        Ok(StepValue { outputs: Vec::new(), raw: Vec::new(), made: Some(Made::Pitches(pitches)) })
    }

    /// The rest of the step for the outputs of a model that ran once.
    pub(crate) fn finish(&self, outputs: Vec<Tensor>, place: &Place, times: &mut Times) -> Result<StepValue> {
        let place = self.pre.is_some().then_some(place);
        self.value(outputs, place, &mut Clock { times, step: &self.name })
    }

    fn value(&self, outputs: Vec<Tensor>, place: Option<&Place>, clock: &mut Clock) -> Result<StepValue> {
        let raw = named(&self.interface.outputs, outputs.clone());
        let (outputs, made) = self.post.run(&self.interface, outputs, place, clock)?;
        let made = made.map(|made| whole(made, place));
        Ok(StepValue { outputs: named(&self.interface.outputs, outputs), raw, made })
    }

    /// The place of a picture that is the model's input as it is; of sides of 1 where the model leaves them open.
    pub(crate) fn own_place(&self) -> Place {
        self.pre.as_ref().map_or_else(|| Place::whole([1, 1]), |pre| pre.own_place(&self.interface.inputs))
    }

    /// The model's inputs, and their place where they are of a picture.
    pub(crate) fn inputs(
        &self,
        given: &Given,
        values: &[StepValue],
        clock: &mut Clock,
    ) -> Result<(Vec<Tensor>, Option<Place>)> {
        if let Source::Step(i) = self.of {
            return Ok((self.joined(values.get(i))?, None));
        }
        match (given, &self.pre) {
            (Given::Image(image), Some(pre)) => {
                let (tensor, place) = pre.run(image.raster(), clock)?;
                Ok((vec![tensor], Some(place)))
            }
            (Given::Tensors(tensors), Some(pre)) => {
                let place = tensors.first().map(|tensor| pre.place_of(tensor));
                Ok((tensors.clone(), place))
            }
            (Given::Tensors(tensors), None) => Ok((tensors.clone(), None)),
            (Given::Sound(_), _) => Err(wrong_input(given, "no sound")),
            (Given::Image(_), None) if self.frames.is_some() => Err(wrong_input(given, "a sound")),
            (Given::Image(_), None) => {
                Err(Error::TakesTensors { inputs: crate::interface::names(&self.interface.inputs) })
            }
        }
    }

    /// The outputs of an earlier step in the order of this model's inputs, which fit as [`check_join`] has seen.
    fn joined(&self, value: Option<&StepValue>) -> Result<Vec<Tensor>> {
        let found = value.map_or(0, |value| value.outputs.len());
        let outputs =
            value.into_iter().flat_map(|value| value.outputs.iter().map(|(_, tensor)| tensor.clone()));
        if found != self.interface.inputs.len() {
            return Err(Error::OutputCount { expected: self.interface.inputs.len(), found });
        }
        let names = self.interface.inputs.iter().map(|input| input.name.clone());
        self.interface.arrange(names.zip(outputs).collect())
    }

    /// The corners of a region in the order in which its content is upright, if tall ones lie on their side.
    fn upright(&self, quad: Quad) -> Quad {
        let side = |a: [f32; 2], b: [f32; 2]| {
            let (dx, dy) = (f64::from(a[0] - b[0]), f64::from(a[1] - b[1]));
            (dx * dx + dy * dy).sqrt()
        };
        let [a, b, c, d] = quad;
        let (width, height) = (side(a, b).max(side(d, c)), side(a, d).max(side(b, c)));
        let tall = self.turn_tall.is_some_and(|ratio| height >= f64::from(ratio) * width);
        if tall { [b, c, d, a] } else { quad }
    }
}

/// A box or region to be cut out.
#[derive(Clone)]
struct Item {
    quad: Quad,
    score: f32,
    detection: Option<Detection>,
}

fn items(value: Option<&StepValue>) -> Vec<Item> {
    match value.and_then(|value| value.made.as_ref()) {
        Some(Made::Detections(found)) => {
            let item =
                |d: &Detection| Item { quad: corners(d.frame), score: d.score, detection: Some(d.clone()) };
            found.iter().map(item).collect()
        }
        Some(Made::Regions(found)) => {
            found.iter().map(|r| Item { quad: r.quad, score: r.score, detection: None }).collect()
        }
        _ => Vec::new(),
    }
}

/// What the crops of a step make together.
struct Gathered(Made);

impl Gathered {
    fn new(kind: Kind) -> Self {
        Self(match kind {
            Kind::Lines => Made::Lines(Vec::new()),
            Kind::Regions => Made::Regions(Vec::new()),
            _ => Made::Detections(Vec::new()),
        })
    }

    fn add(&mut self, item: &Item, made: Option<Made>) {
        let quad = item.quad;
        match (&mut self.0, made) {
            (Made::Lines(lines), Some(Made::Text(Some((text, score))))) => {
                lines.push(Line { text, score, frame: around(&quad), quad });
            }
            (Made::Regions(regions), Some(Made::Turn(turned))) => {
                let [a, b, c, d] = quad;
                let quad = if turned { [c, d, a, b] } else { quad };
                regions.push(FoundRegion { score: item.score, quad });
            }
            (Made::Detections(found), Some(Made::Labels(labels))) => {
                if let Some(best) = labels.into_iter().next() {
                    let frame = item.detection.as_ref().map_or_else(|| around(&quad), |d| d.frame);
                    let points = item.detection.as_ref().map(|d| d.points.clone()).unwrap_or_default();
                    found.push(Detection { label: best.name, score: best.score, frame, points });
                }
            }
            (Made::Detections(found), Some(Made::Detections(inside))) => found.extend(inside),
            _ => {}
        }
    }
}

/// The kind that a step makes: of every crop's value, where it cuts crops out.
fn makes(each: Kind, boxes: Option<Kind>, frames: bool) -> Result<Kind> {
    match (each, boxes) {
        (Kind::Pitch, None) if frames => Ok(Kind::Pitches),
        (other, None) if frames || other == Kind::Pitch => Err(Error::ValueKind {
            at: if frames { "frames" } else { "pitch" }.to_owned(),
            found: other.words().to_owned(),
            expected: "a pitch of each frame of a sound",
        }),
        (Kind::Text, _) => Ok(Kind::Lines),
        (Kind::Turn, Some(Kind::Regions)) => Ok(Kind::Regions),
        (Kind::Labels | Kind::Detections, Some(_)) => Ok(Kind::Detections),
        (Kind::Turn, _) => Err(Error::ValueKind {
            at: "turn".to_owned(),
            found: boxes.unwrap_or(Kind::Image).words().to_owned(),
            expected: "a step for each of some regions",
        }),
        (_, Some(_)) => Err(Error::ValueKind {
            at: "for_each".to_owned(),
            found: format!("{} of each crop", each.words()),
            expected: "labels, detections, text or a turn of each crop",
        }),
        (kind, None) => Ok(kind),
    }
}

/// The value of a whole picture: its text is one line.
fn whole(made: Made, place: Option<&Place>) -> Made {
    let Made::Text(text) = made else { return made };
    let [width, height] = place.map_or([0.0; 2], |place| place.source.map(|side| side as f32));
    let quad = corners([0.0, 0.0, width, height]);
    let line = |(text, score)| Line { text, score, frame: around(&quad), quad };
    Made::Lines(text.map(line).into_iter().collect())
}

fn named(infos: &[TensorInfo], tensors: Vec<Tensor>) -> Vec<(String, Tensor)> {
    infos.iter().map(|info| info.name.clone()).zip(tensors).collect()
}

pub(crate) fn wrong_input(given: &Given, expected: &'static str) -> Error {
    Error::InputKind { found: given.words(), expected }
}

fn check_name(name: &str, before: &[Step]) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let why = if name.is_empty() || name.len() > MAX_STEP_NAME_BYTES || !name.chars().all(plain) {
        "expected 1 to 64 small letters, digits and _"
    } else if name == INPUT {
        "that is what the user gives"
    } else if before.iter().any(|step| step.name == name) {
        "another step has that name"
    } else {
        return Ok(());
    };
    let name = name.chars().take(MAX_STEP_NAME_BYTES).collect();
    Err(Error::StepName { at: format!("step {}", before.len()), name, why })
}

fn source(of: &str, before: &[Step]) -> Result<Source> {
    if of == INPUT {
        return Ok(Source::Input);
    }
    let Some(i) = before.iter().position(|step| step.name == of) else {
        return Err(unknown("of", of, before));
    };
    match before[i].makes {
        Kind::Tensors => Ok(Source::Step(i)),
        other => Err(Error::ValueKind {
            at: "of".to_owned(),
            found: other.words().to_owned(),
            expected: "the input, or a step that makes tensors",
        }),
    }
}

fn boxes_of(name: &str, before: &[Step]) -> Result<usize> {
    let i =
        before.iter().position(|step| step.name == name).ok_or_else(|| unknown("for_each", name, before))?;
    match before[i].makes {
        Kind::Detections | Kind::Regions => Ok(i),
        other => Err(Error::ValueKind {
            at: "for_each".to_owned(),
            found: other.words().to_owned(),
            expected: "detections or regions",
        }),
    }
}

fn unknown(at: &'static str, name: &str, before: &[Step]) -> Error {
    let expected = before.iter().map(|step| step.name.clone()).collect();
    Error::UnknownName { at, name: name.chars().take(MAX_STEP_NAME_BYTES).collect(), expected }
}

fn check_turn(spec: &StepSpec, crops: bool) -> Result<Option<f32>> {
    let Some(ratio) = spec.turn_tall else { return Ok(None) };
    if crops && (1.0..=100.0).contains(&ratio) {
        return Ok(Some(ratio));
    }
    let expected = "1 to 100, in a step with for_each".to_owned();
    Err(Error::Value { at: "turn_tall".to_owned(), found: ratio.to_string(), expected })
}

/// The tensors of one step as the inputs of another, in order: as many, of these shapes, and of a type that fits. Those of a
/// quantized input are quantized again, from real numbers.
fn check_join(from: &Step, model: &str, interface: &Interface) -> Result<()> {
    let outputs = &from.interface.outputs;
    let join = |found: String, input: &TensorInfo| Error::Join {
        from: from.name.clone(),
        found,
        input: format!("{model}.{}", input.name),
        expected: format!("{} {}", input.dtype, input.shape_text()),
    };
    for (i, input) in interface.inputs.iter().enumerate() {
        let Some(output) = outputs.get(i) else { return Err(join("nothing".to_owned(), input)) };
        let fits = output.shape.len() == input.shape.len()
            && output
                .shape
                .iter()
                .zip(&input.shape)
                .all(|(made, taken)| made.is_none() || taken.is_none() || made == taken);
        let real = |info: &TensorInfo| info.dtype == tilemark_model::DType::F32 || info.quant.is_some();
        if !fits || !(output.dtype == input.dtype || (real(output) && real(input))) {
            return Err(join(format!("{} {}", output.dtype, output.shape_text()), input));
        }
    }
    match outputs.len() == interface.inputs.len() {
        true => Ok(()),
        false => Err(Error::OutputCount { expected: interface.inputs.len(), found: outputs.len() }),
    }
}
