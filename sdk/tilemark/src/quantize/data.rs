//! What a model is calibrated and measured with: pictures, or `.npy` tensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tilemark_model::graph::Dim;
use tilemark_model::{DType, Data, Graph, Port, Tensor};
use tilemark_pipeline::{Image, Pipeline, Resources, Spec, npy};

use crate::contents;
use crate::error::Error;
use crate::input::read_file;

/// Most samples of a set; a few hundred are enough to calibrate with.
const MAX_SAMPLES: usize = 1_000_000;
/// Endings of picture files.
const PICTURES: &[&str] = &["jpg", "jpeg", "png", "bmp", "webp"];

/// A set of samples: a folder, or one `.npy` file, for one model.
///
/// - Pictures go through the steps of a pipeline.
/// - A `.npy` file has one sample or, along the first axis, several.
/// - A model of several inputs takes one sub-folder for each, under its name with `/` and `:` made `_`; files of the same name
///   belong together.
///
/// Samples are read when they are used, so that a large set takes no memory; files of several samples are kept.
#[derive(Debug)]
pub struct Samples {
    path: PathBuf,
    ports: Vec<Port>,
    pipeline: Option<Pipeline>,
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
enum Item {
    Picture(PathBuf),
    /// One file an input.
    Files(Vec<PathBuf>),
    /// One row of a file of several samples.
    Row(PathBuf, Arc<Tensor>, usize),
}

impl Samples {
    /// Finds the samples at `path` for a model of float inputs. `steps` are the pipeline's stages before the model, for
    /// pictures.
    ///
    /// # Errors
    /// [`Error::Samples`] if there are none, or pictures and tensors, or pictures without steps; those of reading.
    pub fn open(path: &Path, graph: &Graph, steps: Option<&Spec>) -> Result<Self, Error> {
        let ports = graph.inputs.clone();
        let mut samples = Self { path: path.to_owned(), ports, pipeline: None, items: Vec::new() };
        let files = if path.is_dir() { list(path, false)? } else { vec![path.to_owned()] };
        let pictures = files.iter().filter(|file| has_ending(file, PICTURES)).count();
        let tensors = files.iter().filter(|file| has_ending(file, &["npy"])).count();
        match (pictures, tensors) {
            (0, 0) if path.is_dir() && samples.ports.len() > 1 => samples.find_folders()?,
            (0, 0) => {
                return Err(samples.wrong("no picture (JPEG, PNG, BMP, WebP) and no .npy file is there"));
            }
            (0, _) if samples.ports.len() > 1 => return Err(samples.wrong(samples.wants_folders())),
            (0, _) => {
                files.iter().filter(|f| has_ending(f, &["npy"])).try_for_each(|f| samples.add_file(f))?
            }
            (_, 0) => {
                let Some(steps) = steps else {
                    let reason = "pictures need the steps that make the model's input of them: an app.toml, or a mean \
                                  and a standard deviation";
                    return Err(samples.wrong(reason));
                };
                let spec = Spec { post: Vec::new(), ..steps.clone() };
                samples.pipeline = Some(Pipeline::new(spec, contents::interface(graph)?, &Resources::new())?);
                if !samples.pipeline.as_ref().is_some_and(Pipeline::takes_image) {
                    return Err(samples.wrong("these are pictures, the pipeline takes tensors"));
                }
                samples.items =
                    files.into_iter().filter(|f| has_ending(f, PICTURES)).map(Item::Picture).collect();
            }
            (pictures, tensors) => {
                let reason =
                    format!("{pictures} pictures and {tensors} .npy files are there: one kind is expected");
                return Err(samples.wrong(reason));
            }
        }
        match samples.items.len() {
            0 => Err(samples.wrong("no samples are there")),
            n if n > MAX_SAMPLES => Err(samples.wrong(format!("{n} samples, the limit is {MAX_SAMPLES}"))),
            _ => Ok(samples),
        }
    }

    /// How many there are; at least one.
    pub fn count(&self) -> usize {
        self.items.len()
    }

    /// The model's inputs for sample `i`, in its order.
    ///
    /// # Errors
    /// [`Error::Samples`], naming the file, if it is no sample of this model.
    pub fn load(&self, i: usize) -> Result<Vec<Tensor>, Error> {
        let item = &self.items[i];
        let tensors = match item {
            Item::Picture(path) => {
                let at = |error: tilemark_pipeline::Error| wrong(path, error.to_string());
                let image = Image::decode(&read_file(path)?).map_err(at)?;
                self.pipeline.as_ref().map(|pipeline| pipeline.pre_image(&image)).transpose().map_err(at)?
            }
            Item::Files(paths) => Some(paths.iter().map(|path| read_array(path)).collect::<Result<_, _>>()?),
            Item::Row(path, stack, row) => Some(vec![row_of(path, stack, *row)?]),
        };
        let tensors = tensors.unwrap_or_default();
        for (port, tensor) in self.ports.iter().zip(&tensors) {
            self.check(item.path(), port, tensor)?;
        }
        Ok(tensors)
    }

    /// The name of sample `i` for messages.
    pub fn name(&self, i: usize) -> String {
        match &self.items[i] {
            Item::Row(path, _, row) => format!("{}, row {row}", path.display()),
            item => item.path().display().to_string(),
        }
    }

    /// At most `most` samples, evenly spread over the set.
    pub(super) fn spread(&self, most: usize) -> Vec<usize> {
        let n = self.count().min(most);
        (0..n).map(|i| i * self.count() / n).collect()
    }

    /// A file of one input: one sample, or several along the first axis.
    fn add_file(&mut self, path: &Path) -> Result<(), Error> {
        let tensor = read_array(path)?;
        let shape = tensor.shape();
        let declared = self.ports.first().map(|port| port.shape.as_slice()).unwrap_or_default();
        let one = matches!(declared.first(), Some(Dim::Fixed(1) | Dim::Dynamic(_)));
        match shape.first() {
            Some(&rows) if one && rows > 1 && shape.len() == declared.len() => {
                let stack = Arc::new(tensor);
                self.items.extend((0..rows).map(|row| Item::Row(path.to_owned(), Arc::clone(&stack), row)));
            }
            _ => self.items.push(Item::Files(vec![path.to_owned()])),
        }
        Ok(())
    }

    fn wants_folders(&self) -> String {
        let names: Vec<String> = self.ports.iter().map(|port| folder_name(&port.name)).collect();
        format!(
            "the model has several inputs: one folder of .npy files for each is expected: {}",
            names.join(", ")
        )
    }

    /// One folder an input, files of one name belong together.
    fn find_folders(&mut self) -> Result<(), Error> {
        let mut together: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for port in &self.ports {
            let folder = self.path.join(folder_name(&port.name));
            if !folder.is_dir() {
                return Err(self.wrong(self.wants_folders()));
            }
            for file in list(&folder, false)?.into_iter().filter(|file| has_ending(file, &["npy"])) {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                together.entry(name).or_default().push(file);
            }
        }
        if let Some((name, found)) = together.iter().find(|(_, files)| files.len() != self.ports.len()) {
            let reason = format!("`{name}` is there for {} of {} inputs", found.len(), self.ports.len());
            return Err(self.wrong(reason));
        }
        self.items = together.into_values().map(Item::Files).collect();
        Ok(())
    }

    fn check(&self, path: &Path, port: &Port, tensor: &Tensor) -> Result<(), Error> {
        let fits = |(dim, &n): (&Dim, &usize)| match dim {
            Dim::Fixed(expected) => *expected == n,
            Dim::Dynamic(_) => n > 0,
        };
        let shape = tensor.shape();
        if shape.len() != port.shape.len() || !port.shape.iter().zip(shape).all(fits) {
            let axis = |dim: &Dim| match dim {
                Dim::Fixed(n) => n.to_string(),
                Dim::Dynamic(name) => name.clone(),
            };
            let expected: Vec<String> = port.shape.iter().map(axis).collect();
            let reason = format!("shape {shape:?}, input `{}` takes [{}]", port.name, expected.join(", "));
            return Err(wrong(path, reason));
        }
        if tensor.dtype() != port.dtype {
            let reason = format!("{} elements, input `{}` takes {}", tensor.dtype(), port.name, port.dtype);
            return Err(wrong(path, reason));
        }
        if let Data::F32(values) = tensor.data()
            && let Some(at) = values.iter().position(|x| !x.is_finite())
        {
            return Err(wrong(path, format!("element {at} is {}", values[at])));
        }
        Ok(())
    }

    fn wrong(&self, reason: impl Into<String>) -> Error {
        wrong(&self.path, reason.into())
    }
}

impl Item {
    fn path(&self) -> &Path {
        match self {
            Item::Picture(path) | Item::Row(path, ..) => path,
            Item::Files(paths) => paths.first().map_or(Path::new(""), PathBuf::as_path),
        }
    }
}

/// The class of each sample: a `.npy` array of integers, or a text file with one number a line (of several columns, separated
/// by commas, the last counts; a first line without a number is a heading).
///
/// # Errors
/// [`Error::Samples`] if it is neither or has not `count` entries; those of reading.
pub fn read_labels(path: &Path, count: usize) -> Result<Vec<usize>, Error> {
    let bytes = read_file(path)?;
    let labels = if has_ending(path, &["npy"]) {
        let tensor = npy::read(&bytes)?;
        let ints: Vec<i64> = match tensor.data() {
            Data::I64(ints) => ints.clone(),
            _ if tensor.dtype() != DType::F32 => tensor.widened()?.into_iter().map(i64::from).collect(),
            _ => return Err(wrong(path, "f32 elements, integers are expected".into())),
        };
        ints.into_iter().map(|label| usize::try_from(label).map_err(|_| label.to_string())).collect()
    } else {
        let text = String::from_utf8(bytes).map_err(|_| wrong(path, "it is not text".into()))?;
        let lines = text.lines().filter(|line| !line.trim().is_empty()).map(|line| {
            let last = line.rsplit(',').next().unwrap_or_default().trim();
            last.parse::<usize>().map_err(|_| line.to_owned())
        });
        lines.enumerate().filter(|(i, label)| *i > 0 || label.is_ok()).map(|(_, label)| label).collect()
    };
    let labels: Result<Vec<usize>, String> = labels;
    let labels =
        labels.map_err(|found| wrong(path, format!("`{found}`, the number of a class is expected")))?;
    if labels.len() != count {
        return Err(wrong(path, format!("{} labels for {count} samples", labels.len())));
    }
    Ok(labels)
}

fn wrong(path: &Path, reason: String) -> Error {
    Error::Samples { path: path.to_owned(), reason }
}

fn folder_name(input: &str) -> String {
    input.replace(['/', ':', '\\'], "_")
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    ending.is_some_and(|ending| endings.contains(&ending.as_str()))
}

/// Files of a folder, by name; hidden ones are not looked at.
fn list(folder: &Path, folders: bool) -> Result<Vec<PathBuf>, Error> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() == folders && !hidden {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read_array(path: &Path) -> Result<Tensor, Error> {
    npy::read(&read_file(path)?).map_err(|error| wrong(path, error.to_string()))
}

fn row_of(path: &Path, stack: &Tensor, row: usize) -> Result<Tensor, Error> {
    let mut shape = stack.shape().to_vec();
    let Data::F32(values) = stack.data() else {
        return Err(wrong(path, format!("{} elements, f32 is expected", stack.dtype())));
    };
    let size = values.len() / shape[0].max(1);
    shape[0] = 1;
    Ok(Tensor::f32(shape, values[row * size..(row + 1) * size].to_vec())?)
}
