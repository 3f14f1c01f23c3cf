//! A sound as frames, each one input of the model.

use tilemark_model::Tensor;

use super::Sound;
use crate::error::{Error, Result};
use crate::interface::{Interface, TensorInfo, names};
use crate::limits::{MAX_FRAMES, MAX_SOUND_SAMPLES, MAX_STAGES};
use crate::run::Clock;
use crate::spec::{PreStage, SoundInput};

/// A sound's way into the model.
#[derive(Debug)]
pub(crate) struct Frames {
    rate: u32,
    size: usize,
    hop: usize,
    standardize: bool,
    input: TensorInfo,
}

impl Frames {
    /// The declared stages: `frames`, then perhaps `standardize`.
    pub(crate) fn new(stages: &[PreStage], sound: &SoundInput, interface: &Interface) -> Result<Self> {
        if stages.len() > MAX_STAGES {
            return Err(Error::TooManyStages { list: "pre", found: stages.len(), limit: MAX_STAGES });
        }
        let [input] = interface.inputs.as_slice() else {
            return Err(Error::ImageInputs { found: names(&interface.inputs) });
        };
        Sound::from_samples(sound.rate, Vec::new())?;
        let (frames, standardize) = match stages {
            [PreStage::Frames(frames)] => (frames, false),
            [PreStage::Frames(frames), PreStage::Standardize(_)] => (frames, true),
            _ => {
                let why = "a sound goes through frames, and then perhaps standardize";
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
        let takes = input.shape.iter().enumerate().try_fold(1usize, |n, (i, axis)| match axis {
            Some(axis) => n.checked_mul(*axis),
            None => (i == 0).then_some(n), // a batch of one
        });
        if takes != Some(size) {
            return Err(Error::ImageSize {
                name: input.name.clone(),
                made: format!("frames of {size} samples, not"),
                expected: input.shape_text(),
            });
        }
        let input = input.clone();
        Ok(Self { rate: sound.rate, size, hop, standardize, input })
    }

    /// The model's input for each frame that lies inside the sound, in time. Quantized as `QuantizeLinear` does it.
    pub(crate) fn run(&self, sound: &Sound, clock: &mut Clock) -> Result<Vec<Tensor>> {
        let sound = clock.time("pre.resample", || sound.resampled(self.rate))?;
        let samples = sound.samples();
        let count = samples.len().checked_sub(self.size).map_or(0, |rest| rest / self.hop + 1);
        if count > MAX_FRAMES {
            return Err(Error::TooManyFrames { found: count, limit: MAX_FRAMES });
        }
        let frame = |i: usize| {
            let values = samples[i * self.hop..][..self.size].to_vec();
            let values = if self.standardize { standardized(values) } else { values };
            let shape: Vec<usize> = self.input.shape.iter().map(|axis| axis.unwrap_or(1)).collect();
            self.input.admit(Tensor::f32(shape, values)?)
        };
        clock.time("pre.frames", || (0..count).map(frame).collect())
    }
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
