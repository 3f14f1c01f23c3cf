//! A pipeline that fits its models, ready to run.

use std::collections::BTreeMap;

use tilemark_model::Tensor;
use tilemark_model::numerics::narrow::number;

use crate::error::{Error, Result};
use crate::faults::Faults;
use crate::image::Image;
use crate::interface::Interface;
use crate::labels::Labels;
use crate::limits::{MAX_RESULT_VALUES, MAX_STEPS};
use crate::outcome::{Label, Outcome};
use crate::parameters::{Parameter, Settings, Value};
use crate::place::Place;
use crate::post::Memory;
use crate::run::{Clock, Done, Given, Prepared, Times};
use crate::spec::{ONLY_MODEL, PostStage, Spec, StepSpec};
use crate::step::{Means, Step, StepValue, wrong_input};
use crate::value::{Kind, Made};

/// A declared pipeline, checked against its models. Immutable, so that many threads can share it.
#[derive(Debug)]
pub struct Pipeline {
    spec: Spec,
    settings: Settings,
    resources: Resources,
    models: Interfaces,
    steps: Vec<Step>,
}

/// The ends of an app's models, by name.
#[derive(Clone, Debug, Default)]
pub struct Interfaces(BTreeMap<String, Option<Interface>>);

/// The files that a [`Spec`] refers to, by name: from the app's folder when packing, from its blobs when running.
#[derive(Clone, Debug, Default)]
pub struct Resources(BTreeMap<String, Vec<u8>>);

impl Pipeline {
    /// Checks `spec` against its models, or its only one, and the files it names, with every parameter at its default. What
    /// passes can later fail only because of the picture or tensor that a user brings.
    ///
    /// # Errors
    /// Every error from `TM0320` to `TM0336` and from `TM0360` on; [`Error::ImageTooLarge`] for a declared size beyond the
    /// limits. What is wrong in one of several steps is an [`Error::Step`].
    pub fn new(spec: Spec, models: impl Into<Interfaces>, resources: &Resources) -> Result<Self> {
        spec.resources()?; // checks the names
        let settings = Settings::new(&spec.parameters, &spec.references())?;
        Self::made(spec, settings, models.into(), resources.clone())
    }

    /// The same pipeline with parameters set, beside those that are set already.
    ///
    /// # Errors
    /// [`Error::UnknownParameter`], [`Error::ParameterValue`].
    pub fn with(&self, values: &BTreeMap<String, Value>) -> Result<Self> {
        let mut settings = self.settings.clone();
        values.iter().try_for_each(|(name, value)| settings.set(name, value))?;
        Self::made(self.spec.clone(), settings, self.models.clone(), self.resources.clone())
    }

    /// Everything that [`Pipeline::new`] would refuse, one after the other, in the order of the declaration. What depends on
    /// something that is wrong itself is left out, and so is what would be compared with a model that is not known
    /// ([`Interfaces::insert_unknown`]).
    pub fn faults(spec: &Spec, models: &Interfaces, resources: &Resources) -> Vec<Error> {
        let mut faults = Faults::default();
        faults.note(spec.resources());
        if let Some(settings) = faults.note(Settings::new(&spec.parameters, &spec.references())) {
            steps(spec, &Means { models, settings: &settings, resources }, &mut faults);
        }
        faults.all()
    }

    fn made(spec: Spec, settings: Settings, models: Interfaces, resources: Resources) -> Result<Self> {
        let mut faults = Faults::default();
        let means = Means { models: &models, settings: &settings, resources: &resources };
        let steps = steps(&spec, &means, &mut faults);
        faults.first()?;
        Ok(Self { spec, settings, resources, models, steps })
    }

    /// What may be set, by name.
    pub fn parameters(&self) -> &BTreeMap<String, Parameter> {
        &self.spec.parameters
    }

    /// What each parameter is set to.
    pub fn values(&self) -> &BTreeMap<String, Value> {
        self.settings.values()
    }

    /// The declaration.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The names of the classes that it tells apart, by their numbers: the labels of its last stage that has any.
    pub fn class_names(&self) -> Vec<String> {
        let lists = std::iter::once(&self.spec.post).chain(self.spec.steps.iter().map(|step| &step.post));
        let mut files =
            lists.flatten().filter_map(|stage| stage.file()).filter(|(field, _)| *field == "labels");
        let Some((_, file)) = files.next_back() else { return Vec::new() };
        // The steps that use it were made, so it is there and can be read.
        let labels = self.resources.get(file).and_then(|bytes| Labels::parse(file, bytes).ok());
        labels.map(Labels::into_names).unwrap_or_default()
    }

    /// The ends of the first step's model: of the only one, where there is only one step.
    pub fn interface(&self) -> &Interface {
        // `normalized` gives at least one step.
        self.steps[0].interface()
    }

    /// Whether a picture goes in; otherwise tensors do ([`Interface::arrange`]).
    pub fn takes_image(&self) -> bool {
        self.spec.takes_image()
    }

    /// Whether it is one step, whose model runs once: only then can it be prepared, run and finished by itself.
    pub fn is_single(&self) -> bool {
        matches!(self.steps.as_slice(), [step] if step.is_plain())
    }

    /// Runs the whole pipeline. `models` runs a model by its name on its inputs in order, and returns its outputs in order,
    /// quantized ones as the declared integers or already as f32.
    ///
    /// # Errors
    /// [`Error::InputKind`], [`Error::TakesTensors`] if the input is not what the app takes; [`Error::TooSmallToCrop`],
    /// [`Error::ImageTooLarge`] for a picture that a stage cannot take; those of `models`, and those of
    /// [`Pipeline::finish`].
    pub fn run<E: From<Error>>(
        &self,
        given: &Given,
        mut models: impl FnMut(&str, Vec<Tensor>) -> std::result::Result<Vec<Tensor>, E>,
    ) -> std::result::Result<Done, E> {
        if !self.is_single() && matches!(given, Given::Tensors(_)) && self.takes_image() {
            return Err(wrong_input(given, "a picture").into());
        }
        if self.spec.takes_sound() && !matches!(given, Given::Sound(_)) {
            return Err(wrong_input(given, "a sound").into());
        }
        let mut times = Times::default();
        let mut values = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            values.push(step.run(given, &values, &mut models, &mut times)?);
        }
        let prefix = |i: usize, name: &str| match self.steps.len() {
            1 => name.to_owned(),
            _ => format!("{}.{name}", self.steps[i].name),
        };
        let mut tensors = BTreeMap::new();
        for (i, value) in values.iter_mut().enumerate() {
            let raw = std::mem::take(&mut value.raw);
            tensors.extend(raw.into_iter().map(|(name, tensor)| (prefix(i, &name), tensor)));
        }
        Ok(Done { outcome: self.outcome(values), tensors, times })
    }

    /// The model's inputs for what a user gives, of a pipeline of one step.
    ///
    /// # Errors
    /// [`Error::SeveralSteps`], and those of the stages before the model as in [`Pipeline::run`].
    pub fn prepare(&self, given: &Given) -> Result<Prepared> {
        let step = self.single()?;
        let mut times = Times::default();
        let (tensors, place) = step.inputs(given, &[], &mut Clock { times: &mut times, step: &step.name })?;
        Ok(Prepared { tensors, place: place.unwrap_or_else(|| Place::whole([1, 1])) })
    }

    /// The result for the outputs of a pipeline's only model, given in its order, for one input. Quantized outputs may be
    /// given as the declared integers or already as f32.
    ///
    /// # Errors
    /// [`Error::SeveralSteps`]; [`Error::OutputCount`], [`Error::OutputMismatch`] if they are not what the model declares;
    /// [`Error::ScoreShape`], [`Error::LabelCount`], [`Error::OutputShape`] where only a run shows the shape.
    pub fn finish(&self, outputs: Vec<Tensor>, place: &Place) -> Result<Outcome> {
        self.finish_in_time(outputs, place, &mut Memory::default())
    }

    /// [`Pipeline::finish`] for a frame of a sequence, of which `memory` is kept: at first a new one.
    ///
    /// # Errors
    /// Those of [`Pipeline::finish`].
    pub fn finish_in_time(
        &self,
        outputs: Vec<Tensor>,
        place: &Place,
        memory: &mut Memory,
    ) -> Result<Outcome> {
        let step = self.single()?;
        // The model has run: what the step reads is of no matter any more, but for its place.
        let mut times = Times::default();
        Ok(self.outcome(vec![step.finish(outputs, place, &mut times, memory)?]))
    }

    /// The model's input for an encoded picture: [`Image::decode`], then [`Pipeline::pre_image`].
    ///
    /// # Errors
    /// Those of both.
    pub fn pre(&self, encoded: &[u8]) -> Result<Vec<Tensor>> {
        if !self.takes_image() {
            return Err(Error::TakesTensors { inputs: crate::interface::names(&self.interface().inputs) });
        }
        self.pre_image(&Image::decode(encoded)?)
    }

    /// The model's input for a picture: one tensor of batch 1, in the model's layout and element type.
    ///
    /// # Errors
    /// Those of [`Pipeline::prepare`].
    pub fn pre_image(&self, image: &Image) -> Result<Vec<Tensor>> {
        Ok(self.prepare(&Given::Image(image))?.tensors)
    }

    /// [`Pipeline::finish`] for a model whose input was no picture, or one of the model's own size.
    ///
    /// # Errors
    /// Those of [`Pipeline::finish`].
    pub fn post(&self, outputs: Vec<Tensor>) -> Result<Outcome> {
        let place = self.single()?.own_place();
        self.finish(outputs, &place)
    }

    /// Refuses a pipeline that is not [`Pipeline::is_single`].
    ///
    /// # Errors
    /// [`Error::SeveralSteps`].
    pub fn check_single(&self) -> Result<()> {
        self.single().map(|_| ())
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    fn single(&self) -> Result<&Step> {
        match self.steps.as_slice() {
            [step] if step.is_plain() => Ok(step),
            steps => Err(Error::SeveralSteps { steps: steps.len() }),
        }
    }

    /// Whether no later step reads the value of step `i`: then it is part of the result.
    fn is_result(&self, i: usize) -> bool {
        is_result(&self.steps, i)
    }

    fn outcome(&self, values: Vec<StepValue>) -> Outcome {
        let mut outcome = Outcome::default();
        for (i, value) in values.into_iter().enumerate() {
            if !self.is_result(i) {
                continue;
            }
            let step = &self.steps[i];
            if value.made.is_none() {
                let name = |output: &String| match self.steps.len() {
                    1 => output.clone(),
                    _ => format!("{}.{output}", step.name),
                };
                let small = value.outputs.iter().filter(|(_, tensor)| tensor.len() <= MAX_RESULT_VALUES);
                outcome.values.extend(small.map(|(output, tensor)| (name(output), numbers(tensor))));
            }
            outcome.outputs.extend(value.outputs);
            match value.made {
                Some(Made::Labels(labels)) => outcome.labels = Some(labels),
                Some(Made::Detections(found)) => outcome.detections = Some(found),
                Some(Made::Regions(found)) => outcome.regions = Some(found),
                Some(Made::Lines(lines)) => outcome.lines = Some(lines),
                Some(Made::Mask(picture, shares)) => {
                    outcome.pictures.insert("mask".to_owned(), picture);
                    outcome.values.insert("share".to_owned(), shares);
                }
                Some(Made::Picture(picture)) => {
                    outcome.pictures.insert("image".to_owned(), picture);
                }
                Some(Made::Pitches(pitches)) => tell_pitches(&mut outcome, &pitches),
                Some(Made::Text(_) | Made::Turn(_) | Made::Pitch { .. }) | None => {}
            }
        }
        outcome
    }
}

/// The steps of a declaration that fit; what does not is noted.
fn steps(spec: &Spec, means: &Means, faults: &mut Faults) -> Vec<Step> {
    let Some(declared) = faults.note(spec.normalized()) else { return Vec::new() };
    if declared.len() > MAX_STEPS {
        let many = Error::TooManyStages { list: "step", found: declared.len(), limit: MAX_STEPS };
        faults.note::<()>(Err(many));
        return Vec::new();
    }
    let (mut steps, mut before) = (Vec::new(), Vec::new());
    for step in &declared {
        let say = |error: Error| if spec.steps.is_empty() { error } else { error.in_step(&step.name) };
        let (made, known) = faults.within(say, |faults| Step::new(step, &spec.input, means, &before, faults));
        steps.extend(made);
        before.push(known);
    }
    let used = |name: &str| declared.iter().any(|step| step.model.as_deref() == Some(name));
    if let Some(name) = means.models.0.keys().find(|name| !used(name)) {
        let expected = declared.iter().filter_map(|step| step.model.clone()).collect();
        let unused = Error::UnknownName { at: "[models]", name: name.clone(), expected };
        faults.note::<()>(Err(unused));
    }
    // A step that is missing could be what reads the value of another.
    if steps.len() == declared.len() {
        faults.note(check_results(&steps));
        faults.note(check_smoothing(&declared, &steps));
    }
    steps
}

/// Whether no later step reads the value of step `i`.
fn is_result(steps: &[Step], i: usize) -> bool {
    !steps.iter().any(|step| step.reads(i))
}

/// What a step remembers of the frames before is of one model that runs once for each.
fn check_smoothing(declared: &[StepSpec], steps: &[Step]) -> Result<()> {
    let is_single = matches!(steps, [step] if step.is_plain());
    let smooths = |step: &&StepSpec| step.post.iter().any(|stage| matches!(stage, PostStage::Smooth(_)));
    match declared.iter().find(smooths) {
        Some(step) if !is_single => {
            let why = "it needs an app of one step, without crops, tiles or frames of a sound";
            Err(Error::StageOrder { at: format!("smooth in step {}", step.name), why })
        }
        _ => Ok(()),
    }
}

/// Two steps whose results have one key could not be told apart.
fn check_results(steps: &[Step]) -> Result<()> {
    let results: Vec<&Step> = (0..steps.len()).filter(|&i| is_result(steps, i)).map(|i| &steps[i]).collect();
    for (i, step) in results.iter().enumerate() {
        let clash = |other: &&&Step| other.makes == step.makes && step.makes != Kind::Tensors;
        if results[..i].iter().any(|other| clash(&other)) {
            let why = "an earlier step's result has the same key";
            return Err(Error::StageOrder { at: format!("the result of step {}", step.name), why });
        }
    }
    Ok(())
}

/// The pitch and the confidence of each frame, and the note of them all: that of the median pitch of those that have one.
fn tell_pitches(outcome: &mut Outcome, pitches: &[(f64, f32)]) {
    let column = |of: fn(&(f64, f32)) -> f64| pitches.iter().map(of).collect::<Vec<f64>>();
    outcome.values.insert("hz".to_owned(), column(|(hz, _)| *hz));
    outcome.values.insert("confidence".to_owned(), column(|(_, confidence)| f64::from(*confidence)));
    let mut sure: Vec<(f64, f32)> = pitches.iter().copied().filter(|(hz, _)| *hz > 0.0).collect();
    sure.sort_by(|a, b| a.0.total_cmp(&b.0));
    let labels = outcome.labels.insert(Vec::new());
    let Some(&(hz, _)) = sure.get(sure.len() / 2) else { return };
    // MIDI numbers the notes: 69 is the A of 440 Hz, and 12 are an octave.
    let number = 69.0 + 12.0 * libm::log2(hz / 440.0);
    let index = number.round().clamp(0.0, 127.0) as usize;
    let score = sure.iter().fold(0.0, |sum, (_, confidence)| sum + confidence) / sure.len() as f32;
    let name = format!("{}{}", NOTES[index % 12], (index / 12) as i64 - 1);
    labels.push(Label { name, index, score });
    outcome.values.insert("cents".to_owned(), vec![100.0 * (number - index as f64)]);
}

const NOTES: [&str; 12] = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];

/// For reading; `outputs` holds every bit.
fn numbers(tensor: &Tensor) -> Vec<f64> {
    (0..tensor.len()).map(|i| number(tensor.data(), i).real()).collect()
}

impl Interfaces {
    /// No models.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a model.
    pub fn insert(&mut self, name: impl Into<String>, interface: Interface) {
        self.0.insert(name.into(), Some(interface));
    }

    /// Adds a model whose ends are not known, as it cannot be read: no pipeline is made with it, but
    /// [`Pipeline::faults`] finds what is wrong elsewhere.
    pub fn insert_unknown(&mut self, name: impl Into<String>) {
        self.0.insert(name.into(), None);
    }

    /// Whether there is a model of this name, known or not.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The model of this name: nothing where its ends are not known.
    ///
    /// # Errors
    /// [`Error::UnknownName`] if there is none.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&Interface>> {
        let unknown = || Error::UnknownName { at: "model", name: name.to_owned(), expected: self.names() };
        self.0.get(name).map(Option::as_ref).ok_or_else(unknown)
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

impl From<Interface> for Interfaces {
    /// An app's only model.
    fn from(interface: Interface) -> Self {
        Self::from_iter([(ONLY_MODEL.to_owned(), interface)])
    }
}

impl FromIterator<(String, Interface)> for Interfaces {
    fn from_iter<I: IntoIterator<Item = (String, Interface)>>(models: I) -> Self {
        Self(models.into_iter().map(|(name, interface)| (name, Some(interface))).collect())
    }
}

impl Resources {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, or replaces it.
    pub fn insert(&mut self, name: impl Into<String>, bytes: Vec<u8>) {
        self.0.insert(name.into(), bytes);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

impl FromIterator<(String, Vec<u8>)> for Resources {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(files: I) -> Self {
        Self(files.into_iter().collect())
    }
}
