//! The parts of an app as its files hold them, each read and checked by itself: what is wrong with one hides nothing of another.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tilemark_bundle::{AppIdentity, Origin};
use tilemark_model::import::{Imported, import_traced};
use tilemark_pipeline::{Interfaces, Pipeline, Spec};

use super::Description;
use crate::contents;
use crate::error::Error;
use crate::golden;
use crate::input::Input;
use crate::statistics::MAX_INPUTS;
use crate::targets::{self, Packed};

/// The largest model or resource read while packing: what a bundle can hold is smaller still.
const MAX_FILE_BYTES: u64 = 1 << 31;

/// What was read, and everything that is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) errors: Vec<Error>,
    pub(super) identity: Option<AppIdentity>,
    pub(super) origin: Option<Origin>,
    /// The models by name, as the steps use them.
    pub(super) models: Vec<(String, Imported)>,
    pub(super) spec: Spec,
    pub(super) resources: Vec<(String, Vec<u8>)>,
    pub(super) golden: Vec<Sample>,
    pub(super) targets: Packed,
    /// Inputs to count.
    pub(super) counted: Vec<PathBuf>,
}

/// A golden input.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) input: Input,
    /// The file of the declared result, and what it says.
    pub(super) result: Option<(String, Value)>,
}

impl Draft {
    /// Reads all that an `app.toml` names.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Description`] for the file itself; all else is noted.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let description = Description::read(path)?;
        let files = Files { folder: path.parent().unwrap_or(Path::new(".")).to_owned() };
        let mut draft = Self { spec: description.pipeline(), ..Self::default() };
        draft.identity = draft.note(description.app.identity());
        let origin = description.origin.clone();
        draft.origin = draft
            .note(origin.map_or(Ok(None), |origin| Ok(origin.check().map(|()| Some(origin))?)))
            .flatten();
        draft.read_models(&description, &files, path);
        draft.read_golden(&description, &files, path);
        draft.counted = draft.note(files.counted(&description.statistics.inputs)).unwrap_or_default();
        let targets = targets::pack(&description.targets, |name| files.read(name));
        draft.targets = draft.note(targets).unwrap_or_default();
        Ok(draft)
    }

    /// An app of a model alone.
    pub(super) fn of_model(model: &[u8], identity: AppIdentity) -> Self {
        let mut draft = Self { identity: Some(identity), ..Self::default() };
        let imported = draft.note(import_traced(model).map_err(Error::from));
        draft.models = imported
            .map(|imported| (tilemark_pipeline::ONLY_MODEL.to_owned(), imported))
            .into_iter()
            .collect();
        draft
    }

    /// The models, the files of the pipeline, and what is wrong with the pipeline between them.
    fn read_models(&mut self, description: &Description, files: &Files, path: &Path) {
        let spec = self.spec.clone();
        let named = match description.models_of(&spec, path) {
            Ok(named) => named,
            Err(error) => {
                self.errors.push(error);
                description.declared_models()
            }
        };
        let mut interfaces = Interfaces::new();
        for name in contents::model_names(&spec).unwrap_or_default() {
            interfaces.insert_unknown(name);
        }
        let used = interfaces.clone();
        for (name, section) in named {
            let read = files.read(&section.file).and_then(|bytes| {
                let imported = import_traced(&bytes)?;
                let interface = contents::interface(&imported.graph)?;
                Ok((imported, interface))
            });
            let Some((imported, interface)) = self.note(read) else { continue };
            if used.contains(&name) {
                interfaces.insert(&name, interface);
            }
            self.models.push((name, imported));
        }
        let mut missing = Vec::new();
        for name in spec.resources().unwrap_or_default() {
            match files.read(name) {
                Ok(bytes) => self.resources.push((name.to_owned(), bytes)),
                Err(error) => {
                    missing.push(name);
                    self.errors.push(error);
                }
            }
        }
        let resources = self.resources.iter().cloned().collect();
        let faults = Pipeline::faults(&spec, &interfaces, &resources);
        // A file that cannot be read is told already.
        let told = |fault: &tilemark_pipeline::Error| {
            fault.missing_file().is_some_and(|name| missing.contains(&name))
        };
        self.errors.extend(faults.into_iter().filter(|fault| !told(fault)).map(Error::from));
    }

    fn read_golden(&mut self, description: &Description, files: &Files, path: &Path) {
        let (inputs, results) = (&description.golden.inputs, &description.golden.results);
        let invalid = |reason: String| Err(Error::Description { path: path.to_owned(), reason });
        if inputs.len() > golden::MAX_VECTORS {
            let reason = format!("{} golden inputs, the limit is {}", inputs.len(), golden::MAX_VECTORS);
            self.note::<()>(invalid(reason));
            return;
        }
        if !results.is_empty() && results.len() != inputs.len() {
            let reason = format!("{} golden results for {} golden inputs", results.len(), inputs.len());
            self.note::<()>(invalid(reason));
        }
        for (i, name) in inputs.iter().enumerate() {
            let input = files.golden_input(name, &self.spec);
            let result = results.get(i).map(|file| Ok((file.clone(), files.result(file)?))).transpose();
            if let (Some(input), Some(result)) = (self.note(input), self.note(result)) {
                self.golden.push(Sample { name: name.clone(), input, result });
            }
        }
    }

    pub(super) fn note<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }
}

/// Files beside `app.toml`.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        let path = self.folder.join(name);
        let io = |source| Error::Io { path: path.clone(), source };
        let size = std::fs::metadata(&path).map_err(io)?.len();
        if size > MAX_FILE_BYTES {
            let reason = format!("{size} bytes, the limit is {MAX_FILE_BYTES}");
            return Err(Error::Description { path, reason });
        }
        std::fs::read(&path).map_err(io)
    }

    /// A picture or a sound; or for an app of raw tensors an array `input-name=file.npy`.
    fn golden_input(&self, name: &str, spec: &Spec) -> Result<Input, Error> {
        if spec.takes_image() {
            return Input::image_bytes(&self.read(name)?);
        }
        if spec.takes_sound() {
            return Input::sound_bytes(&self.read(name)?);
        }
        let path = || self.folder.join(name);
        let reason = "a golden input of a model without pictures is written input=file.npy".to_owned();
        let (input, file) =
            name.split_once('=').ok_or_else(|| Error::Description { path: path(), reason })?;
        Input::tensors().npy(input, self.folder.join(file))
    }

    /// Files, and those in folders by name.
    fn counted(&self, names: &[String]) -> Result<Vec<PathBuf>, Error> {
        let mut found = Vec::new();
        for name in names {
            let path = self.folder.join(name);
            let io = |source| Error::Io { path: path.clone(), source };
            if !std::fs::metadata(&path).map_err(io)?.is_dir() {
                found.push(path);
                continue;
            }
            let files = crate::eval::data::files_below(&path)?;
            if files.is_empty() {
                let reason = "no picture or sound is there to count".to_owned();
                return Err(Error::Description { path, reason });
            }
            found.extend(files.into_iter().map(|file| path.join(file)));
        }
        if found.len() > MAX_INPUTS {
            let reason = format!("{} inputs to count, the limit is {MAX_INPUTS}", found.len());
            return Err(Error::Description { path: self.folder.clone(), reason });
        }
        Ok(found)
    }

    /// A declared result: JSON.
    fn result(&self, name: &str) -> Result<Value, Error> {
        let path = self.folder.join(name);
        let invalid = |error: serde_json::Error| Error::Description { path, reason: error.to_string() };
        serde_json::from_slice(&self.read(name)?).map_err(invalid)
    }
}
