//! A pipeline that fits its model, ready to run.

use std::collections::BTreeMap;

use tilemark_model::Tensor;

use crate::error::{Error, Result};
use crate::image::Image;
use crate::interface::{Interface, names};
use crate::outcome::Outcome;
use crate::parameters::{Parameter, Settings, Value};
use crate::post::Post;
use crate::pre::Pre;
use crate::spec::Spec;

/// A declared pipeline, checked against a model. Immutable, so that many threads can share it.
#[derive(Debug)]
pub struct Pipeline {
    spec: Spec,
    settings: Settings,
    resources: Resources,
    interface: Interface,
    pre: Option<Pre>,
    post: Post,
}

/// The files that a [`Spec`] refers to, by name: from the app's folder when packing, from its blobs when running.
#[derive(Clone, Debug, Default)]
pub struct Resources(BTreeMap<String, Vec<u8>>);

impl Pipeline {
    /// Checks `spec` against a model and the files it names, with every parameter at its default. What passes can later
    /// fail only because of the picture or tensor that a user brings.
    ///
    /// # Errors
    /// Every error from `TM0320` to `TM0336`; [`Error::ImageTooLarge`] for a declared size beyond the limits.
    pub fn new(spec: Spec, interface: Interface, resources: &Resources) -> Result<Self> {
        let settings = Settings::new(&spec.parameters, &spec.references())?;
        Self::made(spec, settings, interface, resources.clone())
    }

    /// The same pipeline with parameters set, beside those that are set already.
    ///
    /// # Errors
    /// [`Error::UnknownParameter`], [`Error::ParameterValue`].
    pub fn with(&self, values: &BTreeMap<String, Value>) -> Result<Self> {
        let mut settings = self.settings.clone();
        values.iter().try_for_each(|(name, value)| settings.set(name, value))?;
        Self::made(self.spec.clone(), settings, self.interface.clone(), self.resources.clone())
    }

    fn made(spec: Spec, settings: Settings, interface: Interface, resources: Resources) -> Result<Self> {
        let pre = Pre::new(&spec, &settings, &interface)?;
        let post = Post::new(&spec, &settings, &interface, &resources)?;
        Ok(Self { spec, settings, resources, interface, pre, post })
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

    /// The model's ends.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Whether a picture goes in; otherwise tensors do ([`Interface::arrange`]).
    pub fn takes_image(&self) -> bool {
        self.pre.is_some()
    }

    /// The model's input for an encoded picture: [`Image::decode`], then [`Pipeline::pre_image`].
    ///
    /// # Errors
    /// Those of both.
    pub fn pre(&self, encoded: &[u8]) -> Result<Vec<Tensor>> {
        self.image_steps()?;
        self.pre_image(&Image::decode(encoded)?)
    }

    /// The model's input for a picture: one tensor of batch 1, in the model's layout and element type.
    ///
    /// # Errors
    /// [`Error::TakesTensors`] for a pipeline without a picture; [`Error::TooSmallToCrop`],
    /// [`Error::ImageTooLarge`] for a picture that a stage cannot take.
    pub fn pre_image(&self, image: &Image) -> Result<Vec<Tensor>> {
        Ok(vec![self.image_steps()?.run(image)?])
    }

    /// The result for the model's outputs, given in its order, for one input. Quantized outputs may be given as
    /// the declared integers or already as f32.
    ///
    /// # Errors
    /// [`Error::OutputCount`], [`Error::OutputMismatch`] if they are not what the model declares;
    /// [`Error::ScoreShape`], [`Error::LabelCount`] where only a run shows the number of classes.
    pub fn post(&self, outputs: Vec<Tensor>) -> Result<Outcome> {
        self.post.run(&self.interface, outputs)
    }

    fn image_steps(&self) -> Result<&Pre> {
        self.pre.as_ref().ok_or_else(|| Error::TakesTensors { inputs: names(&self.interface.inputs) })
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
