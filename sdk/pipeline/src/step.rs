//! One step, checked against its model and the steps before it, and ready to run.

mod checks;
mod combine;
mod gather;
mod tiles;

use tilemark_model::Tensor;

use crate::error::{Error, Result};
use crate::faults::Faults;
use crate::image::{Raster, Rectifier};
use crate::interface::{Interface, TensorInfo};
use crate::parameters::Settings;
use crate::pipeline::{Interfaces, Resources};
use crate::place::Place;
use crate::post::{Memory, Post};
use crate::pre::Pre;
use crate::run::{CROP, Clock, Given, MODEL, Times};
use crate::sound::{Frames, Sound};
use crate::spec::{InputSpec, StepSpec};
use crate::value::{Kind, Line, Made, Quad, around, corners};

use self::checks::{boxes_of, check_cuts, check_join, check_name, check_turn, makes, source};
use self::combine::Combining;
use self::gather::{Gathered, Heard, Item, items};
use self::tiles::Tiling;

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
    tiling: Option<Tiling>,
    /// Instead of a model.
    combining: Option<Combining>,
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

/// What later steps see of a step: nothing of what its faults hide.
#[derive(Debug)]
pub(crate) struct Known {
    name: String,
    makes: Option<Kind>,
    outputs: Option<Vec<TensorInfo>>,
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
    /// Checks a declaration against the models, the files, and the steps above it: the step, if it has no fault, and what the
    /// steps below it may count on.
    pub(crate) fn new(
        spec: &StepSpec,
        input: &InputSpec,
        means: &Means,
        before: &[Known],
        faults: &mut Faults,
    ) -> (Option<Self>, Known) {
        let mut known = Known { name: spec.name.clone(), makes: None, outputs: None };
        let step = Self::checked(spec, input, means, before, faults, &mut known);
        (step, known)
    }

    fn checked(
        spec: &StepSpec,
        input: &InputSpec,
        means: &Means,
        before: &[Known],
        faults: &mut Faults,
        known: &mut Known,
    ) -> Option<Self> {
        let Means { models, settings, resources } = *means;
        let clean = faults.count();
        faults.note(check_name(&spec.name, before));
        let of = faults.note(source(&spec.of, before));
        let each = faults.note(spec.for_each.as_deref().map(|name| boxes_of(name, before)).transpose());
        let turn_tall = faults.note(check_turn(spec));
        if let Some(combining) = faults.note(Combining::new(spec, before))? {
            return Self::combined(spec, combining, means, faults, known);
        }
        let model = spec.model.clone().unwrap_or_default();
        let interface = faults.note(models.get(&model))??.clone();
        known.outputs = Some(interface.outputs.clone());
        let of = of?; // what a stage may be depends on it
        let from_user = of == Source::Input;
        let image =
            spec.image.as_ref().or(input.image.as_ref()).filter(|_| from_user && input.image.is_some());
        let sound = input.sound.as_ref().filter(|_| from_user);
        let frames = sound.and_then(|sound| faults.note(Frames::new(&spec.pre, sound, &interface)));
        let pre =
            if sound.is_some() { None } else { Pre::new(&spec.pre, settings, image, &interface, faults) };
        if let Source::Step(i) = of {
            faults.note(check_join(&before[i], &model, &interface));
        }
        faults.note(check_cuts(spec, image.is_some(), from_user));
        let tiling = faults.note(Tiling::new(&spec.pre));
        let post = Post::new(&spec.post, &interface, settings, resources, None, image.is_some(), faults);
        let is_tiled = matches!(tiling, Some(Some(_)));
        known.makes = match each.flatten().map(|i| before[i].makes) {
            Some(None) => None, // of a step that has a fault itself
            _ if faults.count() > clean => post.makes().likely(spec.for_each.is_some()),
            boxes => faults.note(makes(post.makes(), boxes.flatten(), frames.is_some(), is_tiled)),
        };
        if faults.count() > clean {
            return None;
        }
        let (each, turn_tall, tiling, makes) = (each?, turn_tall?, tiling?, known.makes?);
        Some(Self {
            name: spec.name.clone(),
            of,
            each,
            turn_tall,
            model,
            interface,
            pre,
            frames,
            tiling,
            combining: None,
            post,
            makes,
        })
    }

    /// A step that has no model, and so nothing of what belongs to one.
    fn combined(
        spec: &StepSpec,
        combining: Combining,
        means: &Means,
        faults: &mut Faults,
        known: &mut Known,
    ) -> Option<Self> {
        let clean = faults.count();
        let interface = Interface { inputs: Vec::new(), outputs: Vec::new() };
        let from = combining.makes;
        let post =
            Post::new(&spec.post, &interface, means.settings, means.resources, Some(from), true, faults);
        known.makes = Some(post.makes());
        (faults.count() == clean).then(|| Self {
            name: spec.name.clone(),
            of: Source::Input,
            each: None,
            turn_tall: None,
            model: String::new(),
            interface,
            pre: None,
            frames: None,
            tiling: None,
            combining: Some(combining),
            makes: post.makes(),
            post,
        })
    }

    /// Whether step `i` is read by this one.
    pub(crate) fn reads(&self, i: usize) -> bool {
        let combined = self.combining.as_ref().is_some_and(|combining| combining.sources.contains(&i));
        self.each == Some(i) || self.of == Source::Step(i) || combined
    }

    /// The step whose tensors this one takes.
    pub(crate) fn reads_tensors(&self) -> Option<usize> {
        match self.of {
            Source::Step(i) => Some(i),
            Source::Input => None,
        }
    }

    /// Whether the model runs once, on what the user gives.
    pub(crate) fn is_plain(&self) -> bool {
        let once = self.frames.is_none() && self.tiling.is_none() && self.combining.is_none();
        self.of == Source::Input && self.each.is_none() && once
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
        if let Some(combining) = &self.combining {
            let made = clock.time("post.combine", || combining.run(values));
            let made = self.post.run_on(made, &self.interface, &mut clock)?;
            return Ok(StepValue { outputs: Vec::new(), raw: Vec::new(), made });
        }
        if let (Some(frames), Given::Sound(sound)) = (&self.frames, given) {
            return self.run_frames(frames, sound, models, &mut clock);
        }
        if let (Some(tiling), Given::Image(image), Some(pre)) = (&self.tiling, given, &self.pre) {
            return self.run_tiles(tiling, image.raster(), pre, models, &mut clock);
        }
        let Some(each) = self.each else {
            let (tensors, place) = self.inputs(given, values, &mut clock)?;
            let outputs = clock.time(MODEL, || models(&self.model, tensors))?;
            return Ok(self.value(outputs, place.as_ref(), &mut clock, &mut Memory::default())?);
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
            let (_, made) =
                self.post.run(&self.interface, outputs, Some(&place), &mut clock, &mut Memory::default())?;
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
        let (mut pitches, mut heard) = (Vec::new(), Heard::default());
        for tensor in frames.run(sound, clock)? {
            let outputs = clock.time(MODEL, || models(&self.model, vec![tensor]))?;
            match self.post.run(&self.interface, outputs, None, clock, &mut Memory::default())? {
                (_, Some(Made::Pitch { hz, confidence })) => pitches.push((hz, confidence)),
                (_, Some(Made::Labels(labels))) => heard.add(labels),
                _ => {}
            }
        }
        let made = match self.makes {
            Kind::Labels => Made::Labels(heard.best()),
            _ => Made::Pitches(pitches),
        };
        Ok(StepValue { outputs: Vec::new(), raw: Vec::new(), made: Some(made) })
    }

    /// Runs the model on each tile of a picture.
    fn run_tiles<E: From<Error>>(
        &self,
        tiling: &Tiling,
        picture: &Raster,
        pre: &Pre,
        models: Models<E>,
        clock: &mut Clock,
    ) -> std::result::Result<StepValue, E> {
        let size = [picture.width, picture.height];
        let mut parts = Vec::new();
        for tile in tiling.tiles(size)? {
            let crop = clock.time(CROP, || picture.cropped(tile.frame));
            let (tensor, place) = pre.run(&crop, clock)?;
            let place = Place { corner: [tile.frame.x as f64, tile.frame.y as f64], ..place };
            let outputs = clock.time(MODEL, || models(&self.model, vec![tensor]))?;
            let (_, made) =
                self.post.run(&self.interface, outputs, Some(&place), clock, &mut Memory::default())?;
            parts.push((tile, made));
        }
        let made = clock.time("post.tiles", || tiling.put_together(size, parts))?;
        Ok(StepValue { outputs: Vec::new(), raw: Vec::new(), made: Some(made) })
    }

    /// The rest of the step for the outputs of a model that ran once. `memory` is that of the frames before.
    pub(crate) fn finish(
        &self,
        outputs: Vec<Tensor>,
        place: &Place,
        times: &mut Times,
        memory: &mut Memory,
    ) -> Result<StepValue> {
        let place = self.pre.is_some().then_some(place);
        self.value(outputs, place, &mut Clock { times, step: &self.name }, memory)
    }

    fn value(
        &self,
        outputs: Vec<Tensor>,
        place: Option<&Place>,
        clock: &mut Clock,
        memory: &mut Memory,
    ) -> Result<StepValue> {
        let raw = named(&self.interface.outputs, outputs.clone());
        let (outputs, made) = self.post.run(&self.interface, outputs, place, clock, memory)?;
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
