//! The resize: a separable filter with integer coefficients, horizontal pass first, 8 bits in between.
//!
//! The coefficients come from f64 by additions, subtractions, multiplications, divisions and conversions to
//! integer only, each of which IEEE 754 defines to the bit, so they are the same on every host. From there on all
//! is integer. `docs/pipeline.md` states the definition; it equals Pillow's 8-bit BILINEAR and BOX byte for byte.

use super::Raster;
use crate::spec::Mode;

/// Fraction bits of a coefficient: 32 less 8 of the sample less 2 of headroom.
const PRECISION: u32 = 22;

/// Stretches `source` to `width` x `height`, both at least 1. A side that keeps its length is copied.
pub(super) fn resize(source: &Raster, width: usize, height: usize, mode: Mode) -> Raster {
    let filter = match mode {
        Mode::Nearest => return nearest(source, width, height),
        Mode::Bilinear => Filter { support: 1.0, weight: triangle },
        Mode::Area => Filter { support: 0.5, weight: box_ },
    };
    let vertical = (height != source.height).then(|| Taps::new(filter, source.height, height));
    let wide;
    let (narrowed, first_row) = if width == source.width {
        (source, 0)
    } else {
        // Only the rows that the vertical pass will read; skipping the others changes no result.
        let rows = vertical.as_ref().map_or(0..source.height, Taps::span);
        wide = horizontal(source, rows.clone(), &Taps::new(filter, source.width, width));
        (&wide, rows.start)
    };
    match vertical {
        Some(taps) => self::vertical(narrowed, first_row, &taps),
        None => narrowed.clone(),
    }
}

/// A weight function that is 0 outside `-support..=support`.
#[derive(Clone, Copy)]
struct Filter {
    support: f64,
    weight: fn(f64) -> f64,
}

fn triangle(x: f64) -> f64 {
    let x = if x < 0.0 { -x } else { x };
    if x < 1.0 { 1.0 - x } else { 0.0 }
}

fn box_(x: f64) -> f64 {
    if x > -0.5 && x <= 0.5 { 1.0 } else { 0.0 }
}

/// The source samples and coefficients of every output sample along one axis.
struct Taps {
    /// Per output sample: the first source sample, and where its coefficients are.
    windows: Vec<(usize, std::ops::Range<usize>)>,
    coefficients: Vec<i32>,
}

impl Taps {
    /// Taps that take `from` samples to `to`.
    fn new(filter: Filter, from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let stretch = if scale < 1.0 { 1.0 } else { scale };
        let (support, inverse) = (filter.support * stretch, 1.0 / stretch);
        let mut taps = Self { windows: Vec::with_capacity(to), coefficients: Vec::new() };
        let mut weights = Vec::new();
        for i in 0..to {
            let centre = (i as f64 + 0.5) * scale;
            // Conversions cut off and saturate: below the first sample becomes 0.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            weights.clear();
            weights.extend((first..end).map(|j| (filter.weight)((j as f64 - centre + 0.5) * inverse)));
            let total = weights.iter().fold(0.0, |sum, w| sum + w);
            let start = taps.coefficients.len();
            taps.coefficients.extend(weights.iter().map(|w| fixed(w / total)));
            taps.windows.push((first, start..taps.coefficients.len()));
        }
        taps
    }

    /// The source samples that any output sample reads.
    fn span(&self) -> std::ops::Range<usize> {
        let first = self.windows.first().map_or(0, |(first, _)| *first);
        first..self.windows.last().map_or(0, |(first, c)| first + c.len())
    }

    /// Per output sample, the first source sample and the coefficients from there on.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.windows.iter().map(|(first, range)| (*first, &self.coefficients[range.clone()]))
    }
}

/// A weight in `0..=1` as an integer of [`PRECISION`] fraction bits, halves up.
fn fixed(weight: f64) -> i32 {
    (0.5 + weight * f64::from(1 << PRECISION)) as i32
}

/// A sum of products back to 8 bits. The rounding half was added before the products.
fn sample(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION - 1);

fn horizontal(source: &Raster, rows: std::ops::Range<usize>, taps: &Taps) -> Raster {
    let (channels, width, height) = (source.channels, taps.windows.len(), rows.len());
    let mut samples = vec![0; width * height * channels];
    let from = source.samples.chunks_exact(source.width * channels).skip(rows.start);
    for (line, target) in from.zip(samples.chunks_exact_mut(width * channels)) {
        match channels {
            1 => horizontal_line::<1>(line, target, taps),
            _ => horizontal_line::<3>(line, target, taps),
        }
    }
    Raster { width, height, channels, samples }
}

fn horizontal_line<const C: usize>(line: &[u8], target: &mut [u8], taps: &Taps) {
    let (line, _) = line.as_chunks::<C>();
    let (target, _) = target.as_chunks_mut::<C>();
    for ((first, coefficients), pixel) in taps.iter().zip(target) {
        let mut sums = [HALF; C];
        for (source, k) in line[first..].iter().zip(coefficients) {
            for (sum, s) in sums.iter_mut().zip(source) {
                *sum += i32::from(*s) * k;
            }
        }
        *pixel = sums.map(sample);
    }
}

/// `source` starts at row `first_row` of the picture that `taps` speak of.
fn vertical(source: &Raster, first_row: usize, taps: &Taps) -> Raster {
    let line = source.width * source.channels;
    let mut samples = vec![0; line * taps.windows.len()];
    let mut sums = vec![0; line];
    for ((first, coefficients), target) in taps.iter().zip(samples.chunks_exact_mut(line)) {
        sums.fill(HALF);
        let rows = source.samples[(first - first_row) * line..].chunks_exact(line);
        for (row, k) in rows.zip(coefficients) {
            for (sum, s) in sums.iter_mut().zip(row) {
                *sum += i32::from(*s) * k;
            }
        }
        for (t, sum) in target.iter_mut().zip(&sums) {
            *t = sample(*sum);
        }
    }
    Raster { width: source.width, height: taps.windows.len(), channels: source.channels, samples }
}

/// Output sample `i` is source sample `floor((2 i + 1) from / (2 to))`, in integers.
fn nearest(source: &Raster, width: usize, height: usize) -> Raster {
    let pick = |i: usize, from: usize, to: usize| (2 * i + 1) * from / (2 * to);
    let channels = source.channels;
    let columns: Vec<usize> = (0..width).map(|x| pick(x, source.width, width) * channels).collect();
    let mut samples = Vec::with_capacity(width * height * channels);
    for y in 0..height {
        let start = pick(y, source.height, height) * source.width * channels;
        let line = &source.samples[start..start + source.width * channels];
        samples.extend(columns.iter().flat_map(|&x| &line[x..x + channels]));
    }
    Raster { width, height, channels, samples }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [Mode; 3] = [Mode::Bilinear, Mode::Area, Mode::Nearest];

    fn gray(width: usize, height: usize, f: impl Fn(usize, usize) -> u8) -> Raster {
        let samples =
            (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| f(x, y)).collect();
        Raster { width, height, channels: 1, samples }
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let source = gray(13, 7, |x, y| (x * 19 + y * 57) as u8);
        assert!(MODES.iter().all(|&mode| resize(&source, 13, 7, mode) == source));
    }

    #[test]
    fn a_flat_picture_stays_flat_at_any_size() {
        for (w, h, tw, th) in [(1, 1, 5, 9), (1, 40, 3, 3), (100, 1, 7, 7), (64, 48, 1, 1), (9, 9, 31, 2)] {
            for (mode, value) in MODES.iter().flat_map(|&m| [0, 1, 128, 255].map(|v| (m, v))) {
                let out = resize(&gray(w, h, |_, _| value), tw, th, mode);
                assert_eq!((out.width, out.height), (tw, th));
                assert!(
                    out.samples.iter().all(|&s| s == value),
                    "{mode:?} {w}x{h} -> {tw}x{th}: {:?}",
                    out.samples
                );
            }
        }
    }

    #[test]
    fn known_values_by_hand() {
        let ramp = gray(4, 1, |x, _| [0, 100, 200, 40][x]);
        assert_eq!(resize(&ramp, 2, 1, Mode::Area).samples, [50, 120]);
        // Taps 3/8 3/8 1/8 over what exists, each sum divided by 7/8: (300 + 200) / 7 and (100 + 600 + 120) / 7.
        assert_eq!(resize(&ramp, 2, 1, Mode::Bilinear).samples, [71, 117]);
        assert_eq!(resize(&ramp, 2, 1, Mode::Nearest).samples, [100, 40]);
        // Twice as wide: 1/4 and 3/4 of the neighbours.
        assert_eq!(resize(&ramp, 8, 1, Mode::Bilinear).samples, [0, 25, 75, 125, 175, 160, 80, 40]);
        assert_eq!(resize(&ramp, 8, 1, Mode::Nearest).samples, [0, 0, 100, 100, 200, 200, 40, 40]);
    }

    #[test]
    fn coefficients_never_overflow_the_sum() {
        for (filter, from, to) in [
            (Filter { support: 1.0, weight: triangle }, 16_384, 1),
            (Filter { support: 0.5, weight: box_ }, 16_384, 3),
            (Filter { support: 1.0, weight: triangle }, 1, 16_384),
            (Filter { support: 1.0, weight: triangle }, 1000, 999),
        ] {
            for (first, coefficients) in Taps::new(filter, from, to).iter() {
                assert!(!coefficients.is_empty() && first + coefficients.len() <= from);
                let sum: i64 = coefficients.iter().map(|&k| i64::from(k)).sum();
                assert!(
                    coefficients.iter().all(|&k| k >= 0) && i64::from(HALF) + 255 * sum < i64::from(i32::MAX)
                );
            }
        }
    }

    #[test]
    fn channels_are_independent() {
        let plane = |c: usize| gray(17, 11, move |x, y| (x * (c + 3) * 7 + y * 31 * (c + 1)) as u8);
        let planes = [plane(0), plane(1), plane(2)];
        let samples = (0..17 * 11).flat_map(|i| planes.iter().map(move |p| p.samples[i]).collect::<Vec<_>>());
        let colour = Raster { width: 17, height: 11, channels: 3, samples: samples.collect() };
        for mode in MODES {
            let resized = resize(&colour, 5, 23, mode);
            for (c, p) in planes.iter().enumerate() {
                let one: Vec<u8> = resized.samples.iter().skip(c).step_by(3).copied().collect();
                assert_eq!(one, resize(p, 5, 23, mode).samples);
            }
        }
    }
}
