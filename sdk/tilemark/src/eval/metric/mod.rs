//! What is measured of an app's answers, from integers where the answers allow it.

pub mod classes;
pub mod detect;
pub mod pixels;
pub mod text;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::data::Kind;

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Metric {
    /// The share of samples whose best label is right.
    Accuracy,
    /// The share of samples of which one of the five best labels is right.
    #[serde(rename = "top-5")]
    Top5,
    /// The mean over classes of the harmonic mean of precision and recall.
    F1,
    /// Mean average precision of boxes, as COCO has it.
    Map,
    /// The mean over classes of the intersection over the union of masks.
    Iou,
    /// Character errors a character of text.
    Cer,
    /// Word errors a word of text.
    Wer,
    /// The mean over pictures of the peak signal to noise ratio, in decibels.
    Psnr,
    /// The mean absolute difference of pictures, in steps of 1/255.
    Mae,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Accuracy,
        Self::Top5,
        Self::F1,
        Self::Map,
        Self::Iou,
        Self::Cer,
        Self::Wer,
        Self::Psnr,
        Self::Mae,
    ];

    /// Its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Top5 => "top-5",
            Self::F1 => "f1",
            Self::Map => "map",
            Self::Iou => "iou",
            Self::Cer => "cer",
            Self::Wer => "wer",
            Self::Psnr => "psnr",
            Self::Mae => "mae",
        }
    }

    /// What data has to be labelled with.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Accuracy | Self::Top5 | Self::F1 => Kind::Class,
            Self::Map => Kind::Things,
            Self::Cer | Self::Wer => Kind::Text,
            Self::Iou | Self::Psnr | Self::Mae => Kind::Picture,
        }
    }

    /// Whether a larger number is a better one.
    #[must_use]
    pub fn more_is_better(self) -> bool {
        !matches!(self, Self::Cer | Self::Wer | Self::Mae)
    }

    /// Whether a sample is right or wrong, and nothing between.
    #[must_use]
    pub fn is_share(self) -> bool {
        matches!(self, Self::Accuracy | Self::Top5)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|metric| metric.name() == name);
        found.ok_or_else(|| format!("expected one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

#[cfg(test)]
mod oracle_tests;
