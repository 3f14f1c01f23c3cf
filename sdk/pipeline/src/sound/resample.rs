//! Another rate by a windowed sinc, as `scipy.signal.resample_poly` does it with its default window (Kaiser, beta 5).
//!
//! With `up / down` the ratio of the rates in lowest terms and `m` the larger of them, the filter has `20 m + 1` taps:
//! `sinc((n - 10 m) / m) * kaiser(n)`, divided by their sum and times `up`. Sample `i` of the result is the sum over `k`
//! of `x[k] * h[10 m + i * down - k * up]`, in f64, `k` ascending, rounded to f32 once.

use std::f64::consts::PI;

/// Half of the filter's length, in zeros of the sinc.
const ZEROS: usize = 10;
/// The window's shape.
const BETA: f64 = 5.0;

pub(super) fn resample(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    let common = gcd(from, to);
    let (up, down) = ((to / common) as usize, (from / common) as usize);
    let half = ZEROS * up.max(down);
    let taps = filter(up, down);
    let length = (samples.len() * up).div_ceil(down);
    let at = |i: usize| {
        // Taps from 0 to 2 * half: k * up from i * down - half to i * down + half.
        let (middle, last) = (i * down, samples.len().saturating_sub(1));
        let first = middle.saturating_sub(half).div_ceil(up);
        let end = ((middle + half) / up).min(last);
        let product = |k: usize| f64::from(samples[k]) * taps[half + middle - k * up];
        (first..=end).fold(0.0, |sum, k| sum + product(k)) as f32
    };
    (0..length).map(at).collect()
}

fn filter(up: usize, down: usize) -> Vec<f64> {
    let widest = up.max(down);
    let half = ZEROS * widest;
    let tap = |n: usize| {
        let offset = n as f64 - half as f64;
        let x = PI * (offset / widest as f64);
        let sinc = if n == half { 1.0 } else { libm::sin(x) / x };
        let across = offset / half as f64;
        sinc * bessel(BETA * (1.0 - across * across).max(0.0).sqrt())
    };
    let taps: Vec<f64> = (0..=2 * half).map(tap).collect();
    let gain = up as f64 / taps.iter().sum::<f64>();
    taps.into_iter().map(|tap| tap * gain).collect()
}

/// The modified Bessel function of order 0, by its power series; the window is divided by a sum later, so it needs no scale.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        let factor = x / (2.0 * f64::from(k));
        term *= factor * factor;
        sum += term;
    }
    sum
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_stays_a_constant_away_from_the_ends() {
        for (from, to) in [(44_100, 16_000), (16_000, 48_000), (8_000, 16_000), (11_025, 16_000)] {
            let sound = resample(&vec![0.5; 2000], from, to);
            assert_eq!(sound.len(), (2000 * to as usize).div_ceil(from as usize));
            let inner = &sound[sound.len() / 4..sound.len() * 3 / 4];
            // The window lets so much of the images through.
            assert!(inner.iter().all(|s| (s - 0.5).abs() < 2e-3), "{from} to {to}");
        }
    }

    #[test]
    fn one_sample_and_none_are_resampled_too() {
        assert!(resample(&[], 44_100, 16_000).is_empty());
        assert_eq!(resample(&[1.0], 48_000, 16_000).len(), 1);
    }
}
