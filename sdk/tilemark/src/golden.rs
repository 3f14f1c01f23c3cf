//! Golden vectors: inputs with the SHA-256 of every tensor that the reference interpreter computed from them, model by model
//! in the order in which the pipeline ran them, and of the result. They are inside the signature, so a replay shows on the user's own device that it gives the bits the vendor recorded.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};
use tilemark_bundle::{Bundle, Digest, codec, sha256};
use tilemark_engine::Device;
use tilemark_model::{Data, Tensor, ValueId, reference};
use tilemark_pipeline::{Image, Outcome, Pipeline, Sound, npy};

use crate::app::App;
use crate::contents::{AppModel, GOLDEN, declared};
use crate::error::Error;
use crate::input::{Input, Kind};
use crate::session::given_to;

/// Version of a record; a reader refuses any other.
const RECORD_SCHEMA: u16 = 2;
/// Most golden vectors in a bundle: a replay must stay a matter of seconds.
pub(crate) const MAX_VECTORS: usize = 64;
/// Most runs of models in one vector, for the same reason: one for each line of a page of text.
const MAX_RUNS: usize = 256;

/// One golden vector of a bundle. Its input is decoded when it is used: few runs replay, and pictures are large.
#[derive(Debug)]
pub(crate) struct Golden {
    /// Where in the bundle it lies.
    folder: String,
    record: Record,
}

/// What the reference computed. Tensors are hashed as their little-endian elements in the model's own layout.
#[derive(Debug, Deserialize, Serialize)]
struct Record {
    schema: u16,
    /// Names of the input tensors; empty where the input is a picture.
    tensors: Vec<String>,
    /// What the models computed, run by run: one whose step cuts out crops runs once for each.
    runs: Vec<ModelRun>,
    /// The pipeline's result as JSON, and the pictures that it made.
    outcome: Digest,
}

/// One run of one model.
#[derive(Debug, Deserialize, Serialize)]
struct ModelRun {
    /// Its position among the app's models.
    model: u32,
    /// Its inputs, after pre-processing.
    inputs: Vec<Digest>,
    /// Every tensor of its graph by name, in execution order.
    values: Vec<(String, Digest)>,
}

/// What a replay found.
#[derive(Clone, Debug, Serialize)]
pub struct Replay {
    /// The device.
    pub device: String,
    /// Golden vectors replayed.
    pub vectors: usize,
    /// Tensors compared, all vectors together; those that a plan fuses away do not exist to be compared.
    pub tensors_compared: usize,
    /// Tensors recorded, all vectors together.
    pub tensors_recorded: usize,
    /// The first difference, if there is one.
    pub divergence: Option<Divergence>,
}

/// Where a device first departed from the record.
#[derive(Clone, Debug, Serialize)]
pub struct Divergence {
    /// Which golden vector, from 0.
    pub vector: usize,
    /// The tensor, or `result` for what the pipeline made of them.
    pub tensor: String,
    /// The first element that differs from this machine's reference interpreter, as text: index, expected, found.
    pub element: Option<String>,
}

impl Replay {
    /// An error if the device departed from the record, or if there was no record to prove anything by.
    ///
    /// # Errors
    /// [`Error::GoldenMismatch`], or [`Error::Contents`] for a bundle without golden vectors.
    pub fn check(&self) -> Result<(), Error> {
        if self.vectors == 0 {
            let reason = "there are none, so nothing was proven".to_owned();
            return Err(Error::Contents { what: "golden vectors", reason });
        }
        let Some(Divergence { vector, tensor, element }) = &self.divergence else { return Ok(()) };
        let element = element.as_ref().map(|element| format!(", {element}")).unwrap_or_default();
        let (device, tensor) = (self.device.clone(), tensor.clone());
        Err(Error::GoldenMismatch { device, vector: *vector, tensor, element })
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.check() {
            Err(error) => write!(f, "{error}"),
            Ok(()) => {
                let Self { device, vectors, tensors_compared, tensors_recorded, .. } = self;
                let plural = if *vectors == 1 { "" } else { "s" };
                let fused =
                    if tensors_compared < tensors_recorded { " (the others are fused away)" } else { "" };
                write!(
                    f,
                    "{vectors} golden vector{plural} replayed on {device}, {tensors_compared} of {tensors_recorded} \
                     tensors compared{fused}, all bits as recorded"
                )
            }
        }
    }
}

impl Golden {
    fn read(bundle: &Bundle, folder: &str) -> Result<Self, Error> {
        let folder = format!("{GOLDEN}{folder}/");
        let record: Record = codec::decode(bundle.blob(&format!("{folder}record"))?)?;
        if record.schema != RECORD_SCHEMA {
            let reason = format!("schema {}, this version reads {RECORD_SCHEMA}", record.schema);
            return Err(Error::Contents { what: "golden vectors", reason });
        }
        Ok(Self { folder, record })
    }

    /// The input, out of the bundle that this was read from.
    pub(crate) fn input(&self, bundle: &Bundle) -> Result<Input, Error> {
        let Self { folder, record } = self;
        let blob = |name: &str| bundle.blob(&format!("{folder}{name}"));
        if bundle.blob(&format!("{folder}sound.npy")).is_ok() {
            return Ok(Input::samples(sound(npy::read(blob("rate.npy")?)?, npy::read(blob("sound.npy")?)?)?));
        }
        if record.tensors.is_empty() {
            return Ok(Input::pixels(picture(npy::read(blob("image.npy")?)?)?));
        }
        record.tensors.iter().enumerate().try_fold(Input::tensors(), |input, (i, name)| {
            Ok(input.tensor(name, npy::read(blob(&format!("input.{i}.npy"))?)?))
        })
    }
}

/// The blobs of a golden vector, by name, and the result that it has.
type Recorded = (Vec<(String, Vec<u8>)>, Outcome);

/// Runs the pipeline on `input` with the reference and returns golden vector `index`.
pub(crate) fn record(
    index: usize,
    input: &Input,
    models: &[AppModel],
    pipeline: &Pipeline,
) -> Result<Recorded, Error> {
    let folder = format!("{GOLDEN}{index}/");
    let mut blobs = Vec::new();
    let names = match &input.0 {
        Kind::Image(image) => {
            let shape = [image.height() as usize, image.width() as usize, 3];
            let pixels = npy::write(&Tensor::u8(shape, image.pixels().to_vec())?);
            blobs.push((format!("{folder}image.npy"), pixels));
            Vec::new()
        }
        Kind::Sound(sound) => {
            let samples = Tensor::f32([sound.samples().len()], sound.samples().to_vec())?;
            let rate = i32::try_from(sound.rate()).unwrap_or(i32::MAX); // far below, by its limit
            blobs.push((format!("{folder}sound.npy"), npy::write(&samples)));
            blobs.push((format!("{folder}rate.npy"), npy::write(&Tensor::new([1], Data::I32(vec![rate]))?)));
            Vec::new()
        }
        Kind::Tensors(tensors) => {
            let each = tensors.values().enumerate();
            blobs.extend(each.map(|(i, tensor)| (format!("{folder}input.{i}.npy"), npy::write(tensor))));
            tensors.keys().cloned().collect()
        }
    };
    let mut runs = Vec::new();
    let done = pipeline.run(&given_to(pipeline, input)?, |name, inputs| {
        let none = || Error::Contents { what: "graph", reason: format!("there is none of model {name}") };
        let model = models.iter().position(|model| model.name == name).ok_or_else(none)?;
        let (graph, inputs_seen) = (&models[model].graph, inputs.iter().map(digest).collect());
        let mut values = Vec::with_capacity(graph.values.len());
        let outputs = reference::run_observed(graph, inputs, |id, tensor| {
            values.push((graph.value(id).name.clone(), digest(tensor)));
        })?;
        if runs.len() == MAX_RUNS {
            let reason = format!("golden input {index} makes the models run more than {MAX_RUNS} times");
            return Err(Error::Contents { what: "golden vectors", reason });
        }
        runs.push(ModelRun { model: model as u32, inputs: inputs_seen, values }); // at most a few
        declared(graph, &outputs)
    })?;
    let outcome = outcome_digest(&done.outcome)?;
    let record = Record { schema: RECORD_SCHEMA, tensors: names, runs, outcome };
    blobs.push((format!("{folder}record"), codec::encode(&record)?));
    Ok((blobs, done.outcome))
}

/// The golden vectors of a verified bundle.
pub(crate) fn read(bundle: &Bundle) -> Result<Vec<Golden>, Error> {
    let invalid = |reason: String| Error::Contents { what: "golden vectors", reason };
    let folders: BTreeSet<&str> = bundle
        .blobs()
        .filter_map(|(name, _)| name.strip_prefix(GOLDEN)?.split_once('/').map(|(folder, _)| folder))
        .collect();
    if folders.len() > MAX_VECTORS {
        return Err(invalid(format!("{} vectors, at most {MAX_VECTORS} are read", folders.len())));
    }
    let golden = |folder: &str| {
        let golden = Golden::read(bundle, folder)?;
        golden.input(bundle)?; // an input that cannot be decoded is found when the app is opened
        Ok(golden)
    };
    folders.into_iter().map(golden).collect()
}

/// Replays every vector, up to the first difference.
pub(crate) fn replay(app: &App, device: &Device) -> Result<Replay, Error> {
    let app = &app.unmetered();
    let mut session = app.session(device.clone())?;
    let mut replay = Replay {
        device: device.id(),
        vectors: 0,
        tensors_compared: 0,
        tensors_recorded: 0,
        divergence: None,
    };
    for (vector, golden) in app.golden().iter().enumerate() {
        replay.vectors += 1;
        replay.tensors_recorded += golden.record.runs.iter().map(|run| run.values.len()).sum::<usize>();
        let found = replay_one(app, &mut session, golden, &mut replay.tensors_compared)?;
        replay.divergence = found.map(|(tensor, element)| Divergence { vector, tensor, element });
        if replay.divergence.is_some() {
            break;
        }
    }
    Ok(replay)
}

/// The first tensor that differs, and its first differing element.
type Difference = Option<(String, Option<String>)>;

/// Why a replay ended early.
enum Stop {
    /// At this tensor.
    Differs(String),
    Failed(Box<Error>),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(Box::new(error.into()))
    }
}

fn replay_one(
    app: &App,
    session: &mut crate::Session,
    golden: &Golden,
    compared: &mut usize,
) -> Result<Difference, Error> {
    let input = golden.input(app.bundle())?;
    let names: Vec<&str> = app.models().map(|(name, _)| name).collect();
    let comparison = RefCell::new(Comparison::new(&golden.record));
    let tensor_name = |model: usize, tensor: &str| match names.len() {
        1 => tensor.to_owned(),
        _ => format!("{}/{tensor}", names[model]),
    };
    let ran = session.replay(
        &input,
        |model, inputs| comparison.borrow_mut().begin(app, model, inputs, &tensor_name),
        |model, id, tensor| {
            *compared += 1;
            comparison.borrow_mut().see(app, model, id, tensor);
        },
    );
    // A difference shows at the end of the run in which it is, before anything else is made of it.
    let mut comparison = comparison.into_inner();
    if let Some((model, id, found)) = comparison.differs.take() {
        let (_, graph) = app.models().nth(model).ok_or_else(no_model)?;
        let mut right = None;
        reference::run_observed(graph, std::mem::take(&mut comparison.inputs), |at, tensor| {
            if at == id {
                right = Some(tensor.clone());
            }
        })?;
        let element = right.and_then(|right| first_difference(&right, &found));
        return Ok(Some((tensor_name(model, &graph.value(id).name), element)));
    }
    match ran {
        Err(Stop::Differs(tensor)) => Ok(Some((tensor, None))),
        Err(Stop::Failed(error)) => Err(*error),
        Ok(done) => {
            let same = comparison.runs == golden.record.runs.len()
                && outcome_digest(&done.outcome)? == golden.record.outcome;
            Ok((!same).then(|| ("result".to_owned(), None)))
        }
    }
}

fn no_model() -> Error {
    Error::Contents { what: "golden vectors", reason: "they name a model that is not there".to_owned() }
}

/// A replay, run of a model by run of a model.
struct Comparison<'a> {
    record: &'a Record,
    /// How many have begun.
    runs: usize,
    /// The inputs of the latest, and what was recorded of it, by name.
    inputs: Vec<Tensor>,
    expected: HashMap<&'a str, &'a Digest>,
    /// The first tensor that differs, its model, and what was found.
    differs: Option<(usize, ValueId, Tensor)>,
}

impl<'a> Comparison<'a> {
    fn new(record: &'a Record) -> Self {
        Self { record, runs: 0, inputs: Vec::new(), expected: HashMap::new(), differs: None }
    }

    /// Before a model runs: it is the recorded one, with the recorded inputs.
    fn begin(
        &mut self,
        app: &App,
        model: usize,
        inputs: &[Tensor],
        tensor_name: &dyn Fn(usize, &str) -> String,
    ) -> Result<(), Stop> {
        if self.differs.is_some() {
            return Err(Stop::Differs(String::new())); // told by what differs
        }
        let Some(recorded) = self.record.runs.get(self.runs).filter(|run| run.model as usize == model) else {
            return Err(Stop::Differs("result".to_owned()));
        };
        self.runs += 1;
        let (_, graph) = app.models().nth(model).ok_or_else(no_model)?;
        if let Some(i) = (0..inputs.len()).find(|&i| recorded.inputs.get(i) != Some(&digest(&inputs[i]))) {
            let name = graph.inputs.get(i).map(|port| port.name.as_str()).unwrap_or_default();
            return Err(Stop::Differs(tensor_name(model, name)));
        }
        self.inputs = inputs.to_vec();
        self.expected = recorded.values.iter().map(|(name, hash)| (name.as_str(), hash)).collect();
        Ok(())
    }

    /// A tensor of the run that began last.
    fn see(&mut self, app: &App, model: usize, id: ValueId, tensor: &Tensor) {
        let Some((_, graph)) = app.models().nth(model).filter(|_| self.differs.is_none()) else { return };
        if self.expected.get(graph.value(id).name.as_str()) != Some(&&digest(tensor)) {
            self.differs = Some((model, id, tensor.clone()));
        }
    }
}

fn first_difference(expected: &Tensor, found: &Tensor) -> Option<String> {
    let size = expected.dtype().size();
    let (right, wrong) = (expected.to_bytes(), found.to_bytes());
    let index = right.chunks(size).zip(wrong.chunks(size)).position(|(a, b)| a != b)?;
    let at = |bytes: &[u8]| {
        bytes[index * size..][..size].iter().rev().map(|b| format!("{b:02x}")).collect::<String>()
    };
    let shape = expected.shape();
    Some(format!("element {index} of {shape:?}: expected 0x{}, found 0x{}", at(&right), at(&wrong)))
}

fn digest(tensor: &Tensor) -> Digest {
    sha256(&tensor.to_bytes())
}

/// Of the result as JSON, and of the name, size and samples of each picture, in order of names.
pub(crate) fn outcome_digest(outcome: &Outcome) -> Result<Digest, Error> {
    let json = serde_json::to_vec(outcome);
    let mut bytes = json.map_err(|source| Error::Contents { what: "result", reason: source.to_string() })?;
    for (name, picture) in &outcome.pictures {
        bytes.extend(name.as_bytes());
        bytes.extend([picture.width, picture.height, picture.channels].iter().flat_map(|n| n.to_le_bytes()));
        bytes.extend(&picture.samples);
    }
    Ok(sha256(&bytes))
}

/// The sound of an array of samples, and one of its rate.
fn sound(rate: Tensor, samples: Tensor) -> Result<Sound, Error> {
    match (rate.into_data(), samples.into_data()) {
        (Data::I32(rate), Data::F32(samples)) if rate.len() == 1 => {
            Ok(Sound::from_samples(u32::try_from(rate[0]).unwrap_or(0), samples)?)
        }
        _ => {
            let reason = "a sound of other arrays than f32 samples and an i32 rate".to_owned();
            Err(Error::Contents { what: "golden vectors", reason })
        }
    }
}

/// The picture in an array of bytes `[height, width, 3]`.
fn picture(pixels: Tensor) -> Result<Image, Error> {
    let found = format!("{} {:?}", pixels.dtype(), pixels.shape());
    let invalid = || Error::Contents {
        what: "golden vectors",
        reason: format!("a picture of {found}; u8 [height, width, 3] was expected"),
    };
    let &[height, width, 3] = pixels.shape() else { return Err(invalid()) };
    let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height)) else {
        return Err(invalid());
    };
    match pixels.into_data() {
        Data::U8(bytes) => Ok(Image::from_rgb(width, height, bytes)?),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differing_element_is_shown_as_its_bits() {
        let expected = Tensor::f32([2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(first_difference(&expected, &expected), None);
        let found = Tensor::f32([2, 2], vec![1.0, 2.0, -3.0, 9.0]).unwrap();
        let text = first_difference(&expected, &found).unwrap();
        assert_eq!(text, "element 2 of [2, 2]: expected 0x40400000, found 0xc0400000");
        let byte = |b: u8| Tensor::u8([3], vec![7, 8, b]).unwrap();
        let text = first_difference(&byte(9), &byte(10)).unwrap();
        assert_eq!(text, "element 2 of [3]: expected 0x09, found 0x0a");
    }

    #[test]
    fn a_difference_is_an_error_that_says_where() {
        let divergence = |element: Option<&str>| Replay {
            device: "host".into(),
            vectors: 1,
            tensors_compared: 3,
            tensors_recorded: 9,
            divergence: Some(Divergence {
                vector: 0,
                tensor: "conv1".into(),
                element: element.map(str::to_owned),
            }),
        };
        let text = divergence(Some("element 2")).to_string();
        assert_eq!(text, "host departs from golden vector 0 at `conv1`, element 2");
        assert_eq!(divergence(None).to_string(), "host departs from golden vector 0 at `conv1`");
        let good = Replay { divergence: None, ..divergence(None) };
        good.check().unwrap();
        let text = good.to_string();
        assert!(text.starts_with("1 golden vector replayed") && text.contains("3 of 9 tensors"), "{text}");
    }

    #[test]
    fn a_picture_is_an_array_of_rows_of_pixels_of_three_bytes() {
        let pixels = picture(Tensor::u8([2, 4, 3], vec![5; 24]).unwrap()).unwrap();
        assert_eq!((pixels.width(), pixels.height()), (4, 2));
        for shape in [vec![24], vec![2, 3, 4], vec![2, 4, 3, 1]] {
            let tensor = Tensor::u8(shape, vec![5; 24]).unwrap();
            assert_eq!(picture(tensor).unwrap_err().code(), "TM0503");
        }
        let floats = Tensor::f32([2, 4, 3], vec![5.0; 24]).unwrap();
        assert_eq!(picture(floats).unwrap_err().code(), "TM0503");
    }
}
