//! The stages that make a model's input of a picture: an app's own, or the usual ones.

use std::path::Path;

use tilemark_model::graph::Dim;
use tilemark_model::{Graph, Port};
use tilemark_pipeline::{
    Align, Channels, Fit, ImageInput, InputSpec, Mode, Normalize, PreStage, Resize, Spec,
};

use crate::error::Error;
use crate::pack::Description;

/// The stages that `app.toml` declares before its model.
///
/// # Errors
/// [`Error::Io`] and [`Error::Description`] if it cannot be read.
pub fn steps_of_app(path: &Path) -> Result<Spec, Error> {
    Ok(Description::read(path)?.pipeline())
}

/// The usual stages: resize to what the model takes, then `(p / divide - mean) / std`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels {
    /// Number and order of channels.
    pub channels: Channels,
    /// What happens to pictures of another shape.
    pub fit: Fit,
    /// Subtracted: one number, or one a channel.
    pub mean: Vec<f32>,
    /// Divided by, after.
    pub std: Vec<f32>,
    /// Divided by, before.
    pub divide: f32,
}

impl Pixels {
    /// These stages for a model of one picture, whose size the model must fix.
    ///
    /// # Errors
    /// [`Error::Samples`] if the model's input is no picture of a fixed size.
    pub fn steps(&self, graph: &Graph) -> Result<Spec, Error> {
        let size = graph.inputs.first().and_then(|port| size(port, self.channels.count()));
        let Some((height, width)) = size else {
            let reason = "the model's input is no picture of a fixed size: describe the steps in an app.toml";
            return Err(Error::Samples { path: graph.name.clone().into(), reason: reason.into() });
        };
        let resize = Resize {
            width,
            height,
            mode: Mode::Bilinear.into(),
            fit: self.fit,
            pad: None,
            align: Align::Centre,
        };
        let normalize = Normalize { mean: self.mean.clone(), std: self.std.clone(), divide: self.divide };
        Ok(Spec {
            input: InputSpec {
                image: Some(ImageInput { channels: self.channels, layout: None }),
                ..InputSpec::default()
            },
            pre: vec![PreStage::Resize(resize), PreStage::Normalize(normalize)],
            ..Spec::default()
        })
    }
}

/// Height and width of an input that is a picture.
fn size(port: &Port, channels: usize) -> Option<(u32, u32)> {
    let [_, a, b, c] = port.shape.as_slice() else { return None };
    let (height, width) = if *a == Dim::Fixed(channels) { (b, c) } else { (a, b) };
    let side = |dim: &Dim| match dim {
        Dim::Fixed(n) => u32::try_from(*n).ok(),
        Dim::Dynamic(_) => None,
    };
    Some((side(height)?, side(width)?))
}
