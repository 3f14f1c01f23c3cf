//! The pipeline as a vendor declares it: `[input]`, and `[[pre]]` and `[[post]]` or several `[[step]]` of `app.toml`.
//!
//! Closed and bounded: no stage runs code, and each costs at most a constant per pixel or class. Unknown keys are
//! errors, so that a misspelt option is never ignored.

mod post;
mod step;

pub use post::{
    Anchors, Ctc, Dequantize, Grid, ImageOutput, Level, Mask, Nms, NmsKind, Peaks, Pitch, Points, PostStage,
    Regions, Sigmoid, Smooth, Softmax, Threshold, TopK, Turn,
};
pub(crate) use step::INPUT;
pub use step::{Combine, StepSpec};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::limits::MAX_FILE_NAME_BYTES;
use crate::parameters::{Parameter, Region, Settable};

/// All of a pipeline. The default one takes and returns raw tensors.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// What a user gives.
    pub input: InputSpec,
    /// Steps from the user's input to the model's, in order.
    pub pre: Vec<PreStage>,
    /// Steps from the model's outputs to a result, in order.
    pub post: Vec<PostStage>,
    /// The steps of an app of several models; with these, `pre` and `post` stand in each of them instead.
    #[serde(rename = "step", skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepSpec>,
    /// What an integrator may set, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Parameter>,
}

/// `[input]`: what a user gives; raw tensors where nothing is declared.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct InputSpec {
    /// A picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageInput>,
    /// A sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sound: Option<SoundInput>,
}

/// `sound = { rate = 16000 }`: a sound, mixed to one channel.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SoundInput {
    /// Samples a second that the model wants.
    pub rate: u32,
}

/// `image = { channels = "rgb" }`: a picture, and how the model wants its channels.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageInput {
    /// Number and order of the channels.
    pub channels: Channels,
    /// Where the model's channel axis is; needed only where the shape does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

/// Number and order of a picture's channels.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red, as OpenCV has them.
    Bgr,
    /// One channel of luma (ITU-R 601).
    Gray,
}

impl Channels {
    /// Number of channels.
    pub fn count(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Gray => 1,
        }
    }
}

/// Order of a picture tensor's axes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channel, row, column.
    Nchw,
    /// Batch, row, column, channel.
    Nhwc,
}

/// One of `[[pre]]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PreStage {
    /// A large picture in parts; the first stage.
    Tiles(Tiles),
    /// A part of the picture.
    Region(RegionOf),
    /// Another size.
    Resize(Resize),
    /// The middle of the picture.
    Crop(Crop),
    /// Pixels to the model's numbers; the last stage.
    Normalize(Normalize),
    /// A sound to frames; the first stage of a sound.
    Frames(Frames),
    /// Each frame to the logarithms of its energy in bands.
    LogMel(LogMel),
    /// Each frame to mean 0 and deviation 1.
    Standardize(Standardize),
}

impl PreStage {
    /// The stage's name in `app.toml`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tiles(_) => "tiles",
            Self::Region(_) => "region",
            Self::Resize(_) => "resize",
            Self::Crop(_) => "crop",
            Self::Normalize(_) => "normalize",
            Self::Frames(_) => "frames",
            Self::LogMel(_) => "log_mel",
            Self::Standardize(_) => "standardize",
        }
    }
}

/// `tiles = { width = 640, height = 640, overlap = 64 }`: the step runs once for each part of a large picture, and its results are
/// put together: boxes where they lie, masks and pictures cut in the middle of what two tiles share.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tiles {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Pixels that neighbours share, at least.
    #[serde(default)]
    pub overlap: u32,
    /// Detections of one label from different tiles are the same if they share more than this part of the smaller one.
    #[serde(default = "half")]
    pub merge: f32,
}

/// `region = { area = [0.1, 0.0, 0.9, 1.0] }`: the part of the picture that counts, in fractions of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RegionOf {
    /// Left, top, right, bottom, from 0 to 1.
    pub area: Settable<Region>,
}

/// `resize = { width = 224, height = 224, mode = "bilinear", fit = "crop" }`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// How new pixels are made.
    #[serde(default)]
    pub mode: Settable<Mode>,
    /// What happens to pictures of another shape.
    #[serde(default)]
    pub fit: Fit,
    /// Colour (red, green, blue) around a letterboxed picture; black if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad: Option<[u8; 3]>,
    /// Where a letterboxed picture lies.
    #[serde(default, skip_serializing_if = "Align::is_default")]
    pub align: Align,
}

/// How a resize makes new pixels.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A triangle filter, widened when the picture shrinks, so that every source pixel counts.
    #[default]
    Bilinear,
    /// The mean of the source pixels that fall into the new one.
    Area,
    /// The source pixel under the centre of the new one.
    Nearest,
}

impl Mode {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bilinear => "bilinear",
            Self::Area => "area",
            Self::Nearest => "nearest",
        }
    }
}

/// How a picture of another shape fits the declared width and height.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Stretched: sides change by different factors.
    #[default]
    Stretch,
    /// The largest centred part with the right shape is kept.
    Crop,
    /// All of it is kept, centred, with `pad` around it.
    Letterbox,
    /// All of it is kept and covers width x height; one side may come out longer. A `crop` usually follows.
    Shortest,
}

/// Where a letterboxed picture lies on its canvas.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Align {
    /// In the middle.
    #[default]
    Centre,
    /// At the top left corner.
    Start,
}

impl Align {
    fn is_default(&self) -> bool {
        *self == Self::Centre
    }
}

/// `crop = { width = 224, height = 224 }`: the middle of the picture.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// `normalize = { mean = [127, 127, 127], std = [128, 128, 128] }`: `(p / divide - mean[c]) / std[c]` in f32.
///
/// `mean` and `std` hold one number per channel, in the order of `channels`, or one for all.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// Subtracted.
    pub mean: Vec<f32>,
    /// Divided by, after; not 0.
    pub std: Vec<f32>,
    /// Divided by, before: 255 for means between 0 and 1. A divisor, since 1/255 is no float.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub divide: f32,
}

/// `frames = { size = 1024, hop = 160 }`: the model runs once for each frame that lies inside the sound.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Frames {
    /// Samples of a frame.
    pub size: u32,
    /// Samples from the beginning of one to that of the next.
    pub hop: u32,
}

/// `log_mel = { window = 400, hop = 160, fft = 512, bands = 64, low = 125, high = 7500, offset = 0.001 }`: the logarithm of the
/// energy in bands of the mel scale, window by window.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogMel {
    /// Samples of a window, under a periodic Hann window.
    pub window: u32,
    /// Samples from the beginning of one to that of the next.
    pub hop: u32,
    /// Points of the Fourier transform: a power of two, at least a window.
    pub fft: u32,
    /// Bands.
    pub bands: u32,
    /// Where the lowest band begins, in Hz.
    pub low: f32,
    /// Where the highest band ends, in Hz; at most half the rate.
    pub high: f32,
    /// Added before the logarithm; above 0.
    pub offset: f32,
    /// 1 for magnitudes, 2 for their squares.
    #[serde(default = "two")]
    pub power: u32,
    /// Whether bands come before windows.
    #[serde(default)]
    pub bands_first: bool,
}

/// `standardize = {}`: each frame less its mean, divided by its standard deviation.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Standardize {}

/// The name of an app's only model where its pipeline is written without steps.
pub const ONLY_MODEL: &str = "model";

impl Spec {
    /// Whether a picture goes in; otherwise tensors do.
    pub fn takes_image(&self) -> bool {
        self.input.image.is_some()
    }

    /// Whether a sound goes in.
    pub fn takes_sound(&self) -> bool {
        self.input.sound.is_some()
    }

    /// The one form that pipelines have: `pre` and `post` without steps are one step around the only model.
    ///
    /// # Errors
    /// [`Error::StageOrder`] for `pre` or `post` beside steps.
    pub fn normalized(&self) -> Result<Vec<StepSpec>> {
        if self.steps.is_empty() {
            let (pre, post) = (self.pre.clone(), self.post.clone());
            return Ok(vec![StepSpec {
                model: Some(ONLY_MODEL.to_owned()),
                pre,
                post,
                ..StepSpec::default()
            }]);
        }
        let stray = [("[[pre]]", self.pre.is_empty()), ("[[post]]", self.post.is_empty())];
        match stray.into_iter().find(|(_, empty)| !empty) {
            Some((at, _)) => {
                Err(Error::StageOrder { at: at.to_owned(), why: "each [[step]] has stages of its own" })
            }
            None => Ok(self.steps.clone()),
        }
    }

    /// Names of the parameters that stages take, in order.
    pub fn references(&self) -> Vec<&str> {
        let pre = self.pre.iter().chain(self.steps.iter().flat_map(|step| &step.pre));
        let pre = pre.filter_map(|stage| match stage {
            PreStage::Region(region) => region.area.parameter(),
            PreStage::Resize(resize) => resize.mode.parameter(),
            PreStage::Tiles(_)
            | PreStage::Crop(_)
            | PreStage::Normalize(_)
            | PreStage::Frames(_)
            | PreStage::LogMel(_)
            | PreStage::Standardize(_) => None,
        });
        let post = self.post.iter().chain(self.steps.iter().flat_map(|step| &step.post));
        pre.chain(post.flat_map(PostStage::parameters)).collect()
    }

    /// Names of the files that the pipeline refers to, in order, each once and checked to be a plain relative path.
    ///
    /// # Errors
    /// [`Error::FileName`] for a name that could leave the app's folder.
    pub fn resources(&self) -> Result<Vec<&str>> {
        let mut names = Vec::new();
        let lists = std::iter::once(&self.post).chain(self.steps.iter().map(|step| &step.post));
        for (i, stage) in lists.flat_map(|list| list.iter().enumerate()) {
            if let Some((field, name)) = stage.file() {
                check_file_name(name, || format!("post[{i}].{}.{field}", stage.name()))?;
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }
}

/// A name that means the same file on every system, and never one outside the app's folder.
fn check_file_name(name: &str, at: impl Fn() -> String) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let why = if name.is_empty() || name.len() > MAX_FILE_NAME_BYTES {
        "expected 1 to 255 bytes"
    } else if name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        "expected a relative path whose parts neither are empty nor start with a dot"
    } else if !name.split('/').all(|part| part.chars().all(plain)) {
        "expected letters, digits, '.', '_' and '-', with '/' between folders"
    } else {
        return Ok(());
    };
    Err(Error::FileName { at: at(), name: name.chars().take(MAX_FILE_NAME_BYTES).collect(), why })
}

fn two() -> u32 {
    2
}

fn half() -> f32 {
    0.5
}

fn one() -> f32 {
    1.0
}

fn is_one(value: &f32) -> bool {
    *value == 1.0
}
