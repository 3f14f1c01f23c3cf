//! Spectra of sounds in bands of the mel scale: `ln(offset + sum of weight * |X|^power)`.
//!
//! All in f64, in one order, with sines, cosines and logarithms of the `libm` crate, so that every machine computes the same bits;
//! rounded to f32 at the end. Windows are periodic Hann, `0.5 - 0.5 cos(2 pi i / n)`; the transform is radix 2; bands are triangles
//! in Hz whose corners lie evenly on the mel scale `2595 log10(1 + f / 700)` (O'Shaughnessy, 1987), as `librosa.filters.mel` has them
//! with `htk=True, norm=None`.

use std::f64::consts::TAU;

use crate::error::{Error, Result};
use crate::spec::LogMel;

/// Most points of a transform: half a second at 16 kHz.
const MAX_FFT: u32 = 8_192;
/// Most bands.
const MAX_BANDS: u32 = 512;

/// The stage, with its tables.
#[derive(Debug)]
pub(super) struct Mel {
    hann: Vec<f64>,
    hop: usize,
    fft: Fft,
    /// For each band its first bin and its weights.
    bands: Vec<(usize, Vec<f64>)>,
    offset: f64,
    squared: bool,
    bands_first: bool,
}

impl Mel {
    /// `at` says where the stage stands, `rate` is that of the sound.
    pub(super) fn new(stage: &LogMel, at: &str, rate: u32) -> Result<Self> {
        let wrong = |field: &str, found: String, expected: &str| {
            Err(Error::Value { at: format!("{at}.{field}"), found, expected: expected.to_owned() })
        };
        let LogMel { window, hop, fft, bands, low, high, offset, power, bands_first } = *stage;
        if !(2..=MAX_FFT).contains(&fft) || !fft.is_power_of_two() {
            return wrong("fft", fft.to_string(), "a power of two from 2 to 8192");
        }
        if !(2..=fft).contains(&window) {
            return wrong("window", window.to_string(), "2 samples to as many as fft");
        }
        if hop == 0 {
            return wrong("hop", hop.to_string(), "at least 1");
        }
        if !(1..=MAX_BANDS).contains(&bands) {
            return wrong("bands", bands.to_string(), "1 to 512");
        }
        let half = f64::from(rate) / 2.0;
        if !(low >= 0.0 && f64::from(high) <= half && low < high) {
            return wrong("high", format!("{low} to {high}"), "low < high, from 0 Hz to half the rate");
        }
        if !(offset.is_normal() && offset > 0.0) {
            return wrong("offset", offset.to_string(), "a number above 0");
        }
        if !matches!(power, 1 | 2) {
            return wrong("power", power.to_string(), "1 or 2");
        }
        let hann = |i: u32| 0.5 - 0.5 * libm::cos(TAU * f64::from(i) / f64::from(window));
        Ok(Self {
            hann: (0..window).map(hann).collect(),
            hop: hop as usize,
            fft: Fft::new(fft as usize),
            bands: triangles(bands, [f64::from(low), f64::from(high)], fft as usize, rate),
            offset: f64::from(offset),
            squared: power == 2,
            bands_first,
        })
    }

    /// Windows and bands of a frame of this many samples.
    pub(super) fn shape(&self, samples: usize) -> [usize; 2] {
        let windows = samples.checked_sub(self.hann.len()).map_or(0, |rest| rest / self.hop + 1);
        if self.bands_first { [self.bands.len(), windows] } else { [windows, self.bands.len()] }
    }

    /// Windows of a frame of this many samples.
    pub(super) fn windows(&self, samples: usize) -> usize {
        self.shape(samples)[usize::from(self.bands_first)]
    }

    /// The numbers of a frame, row by row.
    pub(super) fn of(&self, samples: &[f32]) -> Vec<f32> {
        let windows = self.windows(samples.len());
        let (count, mut values) = (self.bands.len(), vec![0.0; windows * self.bands.len()]);
        let mut points = vec![[0.0; 2]; self.fft.points()];
        for w in 0..windows {
            points.fill([0.0; 2]);
            let window = &samples[w * self.hop..][..self.hann.len()];
            for ((point, &sample), hann) in points.iter_mut().zip(window).zip(&self.hann) {
                point[0] = f64::from(sample) * hann;
            }
            self.fft.run(&mut points);
            for (b, (first, weights)) in self.bands.iter().enumerate() {
                let energy = points[*first..].iter().zip(weights).fold(0.0, |sum, ([re, im], weight)| {
                    let square = re * re + im * im;
                    sum + weight * if self.squared { square } else { square.sqrt() }
                });
                let at = if self.bands_first { b * windows + w } else { w * count + b };
                values[at] = libm::log(self.offset + energy) as f32;
            }
        }
        values
    }
}

fn triangles(bands: u32, [low, high]: [f64; 2], fft: usize, rate: u32) -> Vec<(usize, Vec<f64>)> {
    let mel = |hz: f64| 2595.0 * libm::log10(1.0 + hz / 700.0);
    let hz = |mel: f64| 700.0 * (libm::pow(10.0, mel / 2595.0) - 1.0);
    let (from, to) = (mel(low), mel(high));
    let corner = |i: u32| hz(from + (to - from) * f64::from(i) / f64::from(bands + 1));
    let bin = |k: usize| k as f64 * f64::from(rate) / fft as f64;
    let band = |b: u32| {
        let [left, middle, right] = [b, b + 1, b + 2].map(corner);
        let weight = |k: usize| {
            let (up, down) = ((bin(k) - left) / (middle - left), (right - bin(k)) / (right - middle));
            up.min(down).max(0.0)
        };
        let inside = |&k: &usize| weight(k) > 0.0;
        let first = (0..=fft / 2).find(inside).unwrap_or(0);
        let weights: Vec<f64> = (first..=fft / 2).take_while(|k| weight(*k) > 0.0).map(weight).collect();
        (first, weights)
    };
    (0..bands).map(band).collect()
}

/// A Fourier transform of a power of two of points, real and imaginary (Cooley and Tukey, 1965).
#[derive(Debug)]
struct Fft {
    /// `e^(-2 pi i k / n)` for the first half.
    roots: Vec<[f64; 2]>,
}

impl Fft {
    /// `points` is a power of two, at least 2.
    fn new(points: usize) -> Self {
        let angle = |k: usize| -TAU * k as f64 / points as f64;
        Self { roots: (0..points / 2).map(|k| [libm::cos(angle(k)), libm::sin(angle(k))]).collect() }
    }

    fn points(&self) -> usize {
        2 * self.roots.len()
    }

    fn run(&self, points: &mut [[f64; 2]]) {
        let n = points.len();
        let unused = usize::BITS - n.trailing_zeros();
        for i in 0..n {
            let j = i.reverse_bits() >> unused;
            if i < j {
                points.swap(i, j);
            }
        }
        let mut half = 1;
        while half < n {
            for block in points.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for (k, (a, b)) in low.iter_mut().zip(high).enumerate() {
                    let [c, s] = self.roots[k * (n / (2 * half))];
                    let turned = [b[0] * c - b[1] * s, b[0] * s + b[1] * c];
                    *b = [a[0] - turned[0], a[1] - turned[1]];
                    *a = [a[0] + turned[0], a[1] + turned[1]];
                }
            }
            half *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transform_is_the_sum_that_defines_it() {
        let n = 16;
        let x: Vec<f64> = (0..n).map(|i| f64::from(i * i % 7) - 3.0).collect();
        let mut points: Vec<[f64; 2]> = x.iter().map(|&re| [re, 0.0]).collect();
        Fft::new(n as usize).run(&mut points);
        for (k, [re, im]) in points.iter().enumerate() {
            let angle = |i: usize| -TAU * (k * i) as f64 / f64::from(n);
            let sum = |of: fn(f64) -> f64| x.iter().enumerate().map(|(i, x)| x * of(angle(i))).sum::<f64>();
            assert!((re - sum(f64::cos)).abs() < 1e-12 && (im - sum(f64::sin)).abs() < 1e-12, "{k}");
        }
    }

    #[test]
    fn silence_is_the_offset_and_a_short_frame_has_no_window() {
        let stage = LogMel {
            window: 400,
            hop: 160,
            fft: 512,
            bands: 64,
            low: 125.0,
            high: 7500.0,
            offset: 0.01,
            power: 2,
            bands_first: false,
        };
        let mel = Mel::new(&stage, "pre[1].log_mel", 16_000).unwrap();
        assert_eq!((mel.shape(720), mel.shape(399)), ([3, 64], [0, 64]));
        assert!(mel.of(&[0.0; 720]).iter().all(|&v| v == libm::log(f64::from(0.01f32)) as f32));
        for bad in [
            LogMel { fft: 500, ..stage.clone() },
            LogMel { window: 513, ..stage.clone() },
            LogMel { hop: 0, ..stage.clone() },
            LogMel { bands: 0, ..stage.clone() },
            LogMel { high: 8001.0, ..stage.clone() },
            LogMel { low: f32::NAN, ..stage.clone() },
            LogMel { offset: 0.0, ..stage.clone() },
            LogMel { power: 3, ..stage.clone() },
        ] {
            assert_eq!(Mel::new(&bad, "x", 16_000).unwrap_err().code(), "TM0322", "{bad:?}");
        }
    }
}
