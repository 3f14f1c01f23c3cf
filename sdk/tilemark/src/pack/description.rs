//! `app.toml`: what a vendor writes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use tilemark_bundle::{AppIdentity, Origin};
use tilemark_pipeline::{InputSpec, ONLY_MODEL, Parameter, PostStage, PreStage, Spec, StepSpec};

use crate::contents;
use crate::error::Error;
use crate::targets::TargetsSection;

/// The largest `app.toml` read.
const MAX_DESCRIPTION_BYTES: u64 = 1 << 20;

/// A whole `app.toml`. Unknown keys are errors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// `[app]`: who publishes what.
    pub app: AppSection,
    /// `[origin]`: what it is made of, under which licences. Stores sell nothing whose origin is not stated.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// `[models.NAME]`: the models.
    pub models: BTreeMap<String, ModelSection>,
    /// `[input]`: what a user gives.
    #[serde(default)]
    pub input: InputSpec,
    /// `[[pre]]`: steps from the user's input to the model's.
    #[serde(default)]
    pub pre: Vec<PreStage>,
    /// `[[post]]`: steps from the model's outputs to a result.
    #[serde(default)]
    pub post: Vec<PostStage>,
    /// `[[step]]`: in an app of several models, each with stages of its own.
    #[serde(default, rename = "step")]
    pub steps: Vec<StepSpec>,
    /// `[parameters.NAME]`: what an integrator may set.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// `[golden]`: inputs to record.
    #[serde(default)]
    pub golden: GoldenSection,
    /// `[statistics]`: inputs to count, so that a buyer sees whether theirs look alike.
    #[serde(default)]
    pub statistics: StatisticsSection,
    /// `[targets]`: FPGAs that the app ships bitstreams for.
    #[serde(default)]
    pub targets: TargetsSection,
}

/// `[app]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppSection {
    /// `publisher/name`.
    pub name: String,
    /// A semantic version, for people.
    pub version: String,
    /// Monotonic; rollback protection compares this.
    pub release: u64,
    /// An SPDX expression.
    pub license: String,
    /// One or two lines.
    #[serde(default)]
    pub description: String,
}

/// `[models.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// An ONNX file, relative to `app.toml`.
    pub file: String,
}

/// `[golden]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenSection {
    /// Pictures, or `input=file.npy` for models of raw tensors; an input made by rule if there is none.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// JSON files, one for each input: the result that it must give, as `tilemark run --json` has it. What a file does not
    /// say may be anything.
    #[serde(default)]
    pub results: Vec<String>,
}

/// `[statistics]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatisticsSection {
    /// Pictures or sounds, and folders of them, such as those that the model was calibrated with. Only counts of them are in the bundle.
    #[serde(default)]
    pub inputs: Vec<String>,
}

impl Description {
    /// Reads and checks the form of an `app.toml`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Description`] with line and column if it is not what it must be.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let invalid = |reason: String| Error::Description { path: path.to_owned(), reason };
        let io = |source| Error::Io { path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(io)?.len();
        if size > MAX_DESCRIPTION_BYTES {
            return Err(invalid(format!("{size} bytes, the limit is {MAX_DESCRIPTION_BYTES}")));
        }
        let text = std::fs::read_to_string(path).map_err(io)?;
        toml::from_str(&text).map_err(|error| invalid(error.to_string().trim_end().to_owned()))
    }

    /// The models by the names that the pipeline knows, in the order in which its steps use them.
    ///
    /// # Errors
    /// [`Error::Description`] if one is missing or not used, there are several but no steps, or a name is not plain.
    pub fn models_of(&self, spec: &Spec, path: &Path) -> Result<Vec<(String, &ModelSection)>, Error> {
        let invalid = |reason: String| Error::Description { path: path.to_owned(), reason };
        let count = self.models.len();
        if self.steps.is_empty() {
            let mut models = self.models.values();
            return match (models.next(), models.next()) {
                (Some(model), None) => Ok(vec![(ONLY_MODEL.to_owned(), model)]),
                _ => Err(invalid(format!(
                    "{count} models are declared; without [[step]] exactly one is needed"
                ))),
            };
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        // The name of the blobs of an app without steps is no model's.
        let is_name =
            |name: &str| (1..=64).contains(&name.len()) && name.chars().all(plain) && name != ONLY_MODEL;
        if let Some(name) = self.models.keys().find(|name| !is_name(name)) {
            let rule = "1 to 64 small letters, digits and _, other than \"model\", are expected";
            return Err(invalid(format!("a model is named {name:?}; {rule}")));
        }
        let used = contents::model_names(spec)?;
        if let Some(name) = self.models.keys().find(|name| !used.contains(name)) {
            return Err(invalid(format!("no step uses the model {name:?}")));
        }
        let section = |name: String| match self.models.get(&name) {
            Some(section) => Ok((name, section)),
            None => Err(invalid(format!("a step uses the model {name:?}, which is not declared"))),
        };
        used.into_iter().map(section).collect()
    }

    /// The models as they are declared, for who wants to know what is wrong with each though they do not fit the steps.
    pub(super) fn declared_models(&self) -> Vec<(String, &ModelSection)> {
        let name = |name: &String| if self.steps.is_empty() { ONLY_MODEL.to_owned() } else { name.clone() };
        let all = self.models.iter().map(|(declared, section)| (name(declared), section));
        all.take(if self.steps.is_empty() { 1 } else { usize::MAX }).collect()
    }

    /// The pipeline.
    pub fn pipeline(&self) -> Spec {
        Spec {
            input: self.input.clone(),
            pre: self.pre.clone(),
            post: self.post.clone(),
            steps: self.steps.clone(),
            parameters: self.parameters.clone(),
        }
    }
}

impl AppSection {
    /// The app's identity, each part checked.
    ///
    /// # Errors
    /// [`Error::Bundle`] naming the part that is impossible.
    pub fn identity(&self) -> Result<AppIdentity, Error> {
        Ok(AppIdentity::new(&self.name, &self.version, self.release, &self.license, &self.description)?)
    }
}
