//! A sound as frames, each one input of the model.

use tilemark_model::Tensor;

use super::Sound;
use super::mel::Mel;
use crate::error::{Error, Result};
use crate::interface::{Interface, TensorInfo, names};
use crate::limits::{MAX_FRAMES, MAX_SOUND_SAMPLES, MAX_STAGES, MAX_WINDOWS};
use crate::run::Clock;
use crate::spec::{PreStage, SoundInput};

/// A sound's way into the model.
#[derive(Debug)]
pub(crate) struct Frames {
    rate: u32,
    size: usize,
    hop: usize,
    mel: Option<Mel>,
    standardize: bool,
    input: TensorInfo,
}

impl Frames {
    /// The declared stages: `frames`, then perhaps `log_mel`, then perhaps `standardize`.
    pub(crate) fn new(stages: &[PreStage], sound: &SoundInput, interface: &Interface) -> Result<Self> {
        if stages.len() > MAX_STAGES {
            return Err(Error::TooManyStages { list: "pre", found: stages.len(), limit: MAX_STAGES });
        }
        let [input] = interface.inputs.as_slice() else {
            return Err(Error::ImageInputs { found: names(&interface.inputs) });
        };
        Sound::from_samples(sound.rate, Vec::new())?;
        let (frames, log_mel, standardize) = match stages {
            [PreStage::Frames(frames)] => (frames, None, false),
            [PreStage::Frames(frames), PreStage::Standardize(_)] => (frames, None, true),
            [PreStage::Frames(frames), PreStage::LogMel(mel)] => (frames, Some(mel), false),
            [PreStage::Frames(frames), PreStage::LogMel(mel), PreStage::Standardize(_)] => {
                (frames, Some(mel), true)
            }
            _ => {
                let why =
                    "a sound goes through frames, and then perhaps log_mel, and then perhaps standardize";
                return Err(Error::StageOrder { at: "pre".to_owned(), why });
            }
        };
        let (size, hop) = (frames.size as usize, frames.hop as usize);
        for (field, value) in [("size", size), ("hop", hop)] {
            if value == 0 || value as u64 > MAX_SOUND_SAMPLES {
                let (at, found) = (format!("pre[0].frames.{field}"), value.to_string());
                return Err(Error::Value { at, found, expected: format!("1 to {MAX_SOUND_SAMPLES}") });
            }
        }
        let mel = log_mel.map(|stage| Mel::new(stage, "pre[1].log_mel", sound.rate)).transpose()?;
        check_size(input, size, mel.as_ref())?;
        let input = input.clone();
        Ok(Self { rate: sound.rate, size, hop, mel, standardize, input })
    }

    /// The model's input for each frame that lies inside the sound, in time. Quantized as `QuantizeLinear` does it.
    pub(crate) fn run(&self, sound: &Sound, clock: &mut Clock) -> Result<Vec<Tensor>> {
        let sound = clock.time("pre.resample", || sound.resampled(self.rate))?;
        let samples = sound.samples();
        let count = samples.len().checked_sub(self.size).map_or(0, |rest| rest / self.hop + 1);
        if count > MAX_FRAMES {
            return Err(Error::TooManyFrames { found: count, limit: MAX_FRAMES });
        }
        let windows = self.mel.as_ref().map_or(0, |mel| mel.windows(self.size));
        if count.saturating_mul(windows) > MAX_WINDOWS {
            return Err(Error::TooManyFrames { found: count, limit: MAX_WINDOWS / windows });
        }
        let frame = |i: usize| {
            let values = &samples[i * self.hop..][..self.size];
            let values = self.mel.as_ref().map_or_else(|| values.to_vec(), |mel| mel.of(values));
            let values = if self.standardize { standardized(values) } else { values };
            let shape: Vec<usize> = self.input.shape.iter().map(|axis| axis.unwrap_or(1)).collect();
            self.input.admit(Tensor::f32(shape, values)?)
        };
        clock.time("pre.frames", || (0..count).map(frame).collect())
    }
}

/// The model takes as many numbers as a frame has, and those of `log_mel` as rows and columns.
fn check_size(input: &TensorInfo, size: usize, mel: Option<&Mel>) -> Result<()> {
    let made = mel.map(|mel| mel.shape(size));
    let takes = input.shape.iter().enumerate().try_fold(1usize, |n, (i, axis)| match axis {
        Some(axis) => n.checked_mul(*axis),
        None => (i == 0).then_some(n), // a batch of one
    });
    let long = || input.shape.iter().flatten().copied().filter(|&n| n != 1).collect::<Vec<_>>();
    let fits = match made {
        None => takes == Some(size),
        Some(made) => {
            let made_long: Vec<usize> = made.into_iter().filter(|&n| n != 1).collect();
            takes == Some(made[0] * made[1]) && takes != Some(0) && long() == made_long
        }
    };
    if fits {
        return Ok(());
    }
    let made = made.map_or_else(
        || format!("frames of {size} samples, not"),
        |[rows, columns]| format!("{rows} x {columns} numbers, not"),
    );
    Err(Error::ImageSize { name: input.name.clone(), made, expected: input.shape_text() })
}

/// Less their mean, divided by their deviation, at least 1e-10; sums in f64 in time.
fn standardized(values: Vec<f32>) -> Vec<f32> {
    let count = values.len() as f64;
    let mean = values.iter().fold(0.0, |sum, &x| sum + f64::from(x)) / count;
    let square = |x: f32| (f64::from(x) - mean) * (f64::from(x) - mean);
    let deviation = (values.iter().fold(0.0, |sum, &x| sum + square(x)) / count).sqrt().max(1e-10);
    values.into_iter().map(|x| ((f64::from(x) - mean) / deviation) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standardized_frames_have_no_mean_and_one_deviation_and_silence_stays() {
        assert_eq!(standardized(vec![1.0, 3.0, 1.0, 3.0]), [-1.0, 1.0, -1.0, 1.0]);
        assert_eq!(standardized(vec![0.25; 4]), [0.0; 4]);
    }
}
