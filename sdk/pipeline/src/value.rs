//! What steps make, and where on the user's picture it lies.

use png::{ColorType, Compression, Encoder, Filter};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::outcome::Label;

/// A thing found on a picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Detection {
    /// What it is.
    pub label: String,
    /// The model's score for it.
    pub score: f32,
    /// Left, top, right and bottom, in pixels of the user's picture.
    #[serde(rename = "box")]
    pub frame: [f32; 4],
    /// Its key points (x, y), in the model's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<[f32; 2]>,
}

/// A region of a picture, not necessarily upright.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundRegion {
    /// The model's score for it.
    pub score: f32,
    /// Its corners (x, y) in pixels of the user's picture: top left, top right, bottom right, bottom left, as its content is
    /// read.
    pub quad: Quad,
}

/// Four corners, clockwise on the picture.
pub type Quad = [[f32; 2]; 4];

/// A line of text on a picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// What is written.
    pub text: String,
    /// The mean score of its symbols.
    pub score: f32,
    /// The upright box around it: left, top, right and bottom.
    #[serde(rename = "box")]
    pub frame: [f32; 4],
    /// Its corners, as in [`FoundRegion::quad`].
    pub quad: Quad,
}

/// A picture that an app made: samples of one or three channels, rows from top to bottom.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// 1 or 3.
    pub channels: u32,
    /// `width * height * channels` of them.
    pub samples: Vec<u8>,
}

impl Picture {
    /// The picture as a PNG file.
    ///
    /// # Errors
    /// [`Error::PictureSamples`] if there are not as many samples as its size says, or neither one nor three channels.
    pub fn png(&self) -> Result<Vec<u8>> {
        let Self { width, height, channels, ref samples } = *self;
        let expected = u64::from(width) * u64::from(height) * u64::from(channels);
        let colour = match channels {
            1 => ColorType::Grayscale,
            _ => ColorType::Rgb,
        };
        let fits = matches!(channels, 1 | 3) && expected == samples.len() as u64 && expected > 0;
        let wrong = |message: String| Error::PictureSamples { width, height, channels, message };
        if !fits {
            return Err(wrong(format!("{} samples were found", samples.len())));
        }
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, width, height);
        encoder.set_color(colour);
        encoder.set_compression(Compression::Fast);
        encoder.set_filter(Filter::Adaptive);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(samples));
        written.map_err(|error| wrong(error.to_string()))?;
        Ok(bytes)
    }
}

/// What the stages of a step make of a model's outputs.
#[derive(Clone, Debug)]
pub(crate) enum Made {
    Labels(Vec<Label>),
    Detections(Vec<Detection>),
    Regions(Vec<FoundRegion>),
    Lines(Vec<Line>),
    /// Of one crop; `None` where nothing can be read.
    Text(Option<(String, f32)>),
    /// Whether one crop is upside down.
    Turn(bool),
    /// Of one frame: 0 Hz where it has none.
    Pitch {
        hz: f64,
        confidence: f32,
    },
    /// Of each frame of a sound.
    Pitches(Vec<(f64, f32)>),
    /// The model's output as a picture.
    Picture(Picture),
    /// A mask, and the share of its pixels that each class has.
    Mask(Picture, Vec<f64>),
}

/// The kind of a value, known before there is one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Image,
    Tensors,
    Labels,
    Detections,
    Regions,
    Lines,
    Text,
    Turn,
    Pitch,
    Pitches,
    Mask,
    Picture,
}

impl Kind {
    /// What a step whose stages make this probably makes, of each crop or once, though something else in it is wrong: later
    /// steps are checked as if it were mended.
    pub(crate) fn likely(self, crops: bool) -> Option<Self> {
        Some(match self {
            Self::Text => Self::Lines,
            Self::Turn if crops => Self::Regions,
            Self::Labels if crops => Self::Detections,
            Self::Pitch => Self::Pitches,
            Self::Turn | Self::Tensors => return None,
            other => other,
        })
    }

    /// The kind in words, for messages.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Image => "a picture",
            Self::Tensors => "tensors",
            Self::Labels => "labels",
            Self::Detections => "detections",
            Self::Regions => "regions",
            Self::Lines => "lines of text",
            Self::Text => "the text of one crop",
            Self::Turn => "whether one crop is upside down",
            Self::Pitch => "the pitch of one frame",
            Self::Pitches => "the pitch of each frame",
            Self::Mask => "a mask",
            Self::Picture => "the picture that a model made",
        }
    }
}

/// The upright box around four corners.
pub(crate) fn around(quad: &Quad) -> [f32; 4] {
    let least = |axis: usize| quad.iter().map(|corner| corner[axis]).fold(f32::INFINITY, f32::min);
    let most = |axis: usize| quad.iter().map(|corner| corner[axis]).fold(f32::NEG_INFINITY, f32::max);
    [least(0), least(1), most(0), most(1)]
}

/// The corners of an upright box.
pub(crate) fn corners([left, top, right, bottom]: [f32; 4]) -> Quad {
    [[left, top], [right, top], [right, bottom], [left, bottom]]
}
