//! Sounds in memory, and their way into a model: another rate, frames, numbers.

mod frames;
mod mel;
mod resample;
mod wav;

pub(crate) use frames::Frames;

use crate::error::{Error, Result};
use crate::limits::{MAX_SAMPLE_RATE, MAX_SOUND_SAMPLES, MIN_SAMPLE_RATE};

/// A decoded sound of one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    rate: u32,
    samples: Vec<f32>,
}

impl Sound {
    /// A sound from samples between -1 and 1, `rate` of them a second. What is no number is silence.
    ///
    /// # Errors
    /// [`Error::SampleRate`], [`Error::SoundTooLong`] beyond the limits.
    pub fn from_samples(rate: u32, mut samples: Vec<f32>) -> Result<Self> {
        if !(MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&rate) {
            return Err(Error::SampleRate { rate, least: MIN_SAMPLE_RATE, most: MAX_SAMPLE_RATE });
        }
        check_length(samples.len() as u64, rate)?;
        samples.iter_mut().filter(|sample| !sample.is_finite()).for_each(|sample| *sample = 0.0);
        Ok(Self { rate, samples })
    }

    /// Decodes a WAV file: 8-, 16-, 24- and 32-bit integers, 32- and 64-bit floats; channels are mixed to one, their mean.
    ///
    /// # Errors
    /// [`Error::NotASound`], [`Error::Wav`], and those of [`Sound::from_samples`], before anything is allocated.
    pub fn decode(encoded: &[u8]) -> Result<Self> {
        wav::decode(encoded)
    }

    /// Samples a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// The samples in time.
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// The same sound at another rate: `ceil(samples * rate / old rate)` samples.
    ///
    /// # Errors
    /// [`Error::SampleRate`], [`Error::SoundTooLong`] beyond the limits.
    pub fn resampled(&self, rate: u32) -> Result<Self> {
        if rate == self.rate {
            return Ok(self.clone());
        }
        let empty = Self::from_samples(rate, Vec::new())?; // checks the rate
        let length = (self.samples.len() as u64 * u64::from(rate)).div_ceil(u64::from(self.rate));
        check_length(length, rate)?;
        Ok(Self { samples: resample::resample(&self.samples, self.rate, rate), ..empty })
    }
}

fn check_length(samples: u64, rate: u32) -> Result<()> {
    if samples > MAX_SOUND_SAMPLES {
        return Err(Error::SoundTooLong {
            seconds: samples / u64::from(rate),
            samples,
            limit: MAX_SOUND_SAMPLES,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_silence() {
        let sound = Sound::from_samples(16_000, vec![0.5, f32::NAN, f32::INFINITY]).unwrap();
        assert_eq!(sound.samples(), [0.5, 0.0, 0.0]);
    }

    #[test]
    fn rates_and_lengths_have_limits() {
        for rate in [0, 999, 400_000] {
            assert!(matches!(Sound::from_samples(rate, vec![]), Err(Error::SampleRate { .. })));
        }
        let second = Sound::from_samples(1_000, vec![0.0; 1 << 17]).unwrap();
        assert!(matches!(second.resampled(384_000), Err(Error::SoundTooLong { seconds: 131, .. })));
        assert!(second.resampled(0).is_err());
        assert!(Sound::from_samples(48_000, vec![]).unwrap().resampled(16_000).unwrap().samples().is_empty());
    }
}
