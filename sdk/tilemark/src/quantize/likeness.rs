//! How like two sets of outputs are.

use tilemark_model::Tensor;

/// Squared error and energy of each f32 output, over any number of samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Loss {
    outputs: Vec<Noise>,
}

/// Squared error against energy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Noise {
    pub(super) error: f64,
    pub(super) energy: f64,
}

/// The best ratio that is told apart, in dB: f32's own rounding is near it.
const BEST_DB: f64 = 140.0;

impl Noise {
    pub(super) fn of(expected: &[f32], found: &[f32]) -> Self {
        let square = |x: f64| x * x;
        let pairs = expected.iter().zip(found);
        Self {
            error: pairs.map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum(),
            energy: expected.iter().map(|&a| square(f64::from(a))).sum(),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.error += other.error;
        self.energy += other.energy;
    }

    /// Error over energy; a signal that is all zero counts as one of energy 1.
    fn ratio(self) -> f64 {
        self.error / if self.energy > 0.0 { self.energy } else { 1.0 }
    }

    /// Signal-to-noise ratio in dB, at most [`BEST_DB`].
    pub(super) fn db(self) -> f64 {
        decibels(self.ratio())
    }
}

impl Loss {
    pub(super) fn of(expected: &[Tensor], found: &[Tensor]) -> Self {
        let each = expected.iter().zip(found);
        Self { outputs: each.map(|(a, b)| Noise::of(reals(a), reals(b))).collect() }
    }

    pub(super) fn add(&mut self, other: &Self) {
        if self.outputs.is_empty() {
            self.outputs.clone_from(&other.outputs);
            return;
        }
        self.outputs.iter_mut().zip(&other.outputs).for_each(|(sum, noise)| sum.add(*noise));
    }

    /// Mean over the outputs of error over energy.
    pub(super) fn ratio(&self) -> f64 {
        self.outputs.iter().map(|noise| noise.ratio()).sum::<f64>() / self.outputs.len().max(1) as f64
    }

    /// The same as a signal-to-noise ratio in dB.
    pub(super) fn db(&self) -> f64 {
        decibels(self.ratio())
    }
}

fn decibels(ratio: f64) -> f64 {
    if ratio > 0.0 { (-10.0 * ratio.log10()).min(BEST_DB) } else { BEST_DB }
}

/// Cosine of the angle between two lists of numbers; 1 for two that are all zero.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
    let (aa, bb) = (dot(a, a), dot(b, b));
    if aa == 0.0 && bb == 0.0 { 1.0 } else { dot(a, b) / (aa * bb).sqrt().max(f64::MIN_POSITIVE) }
}

/// The f32 elements of a tensor; none of another type.
pub(super) fn reals(tensor: &Tensor) -> &[f32] {
    tensor.as_f32().unwrap_or_default()
}

/// Index of the largest element, of equal ones the first.
pub(super) fn top(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_told_in_decibels() {
        let noise = Noise::of(&[3.0, 4.0], &[3.0, 4.5]);
        assert_eq!((noise.error, noise.energy, noise.db()), (0.25, 25.0, 20.0));
        assert_eq!(Noise::of(&[1.0], &[1.0]).db(), BEST_DB);
        assert_eq!(
            Noise::of(&[0.0; 2], &[0.1, 0.0]).db(),
            Noise { error: f64::from(0.1f32).powi(2), energy: 1.0 }.db()
        );
        let mut loss = Loss::default();
        let one = |x| vec![Tensor::f32([1], vec![x]).unwrap()];
        loss.add(&Loss::of(&one(10.0), &one(9.0)));
        loss.add(&Loss::of(&one(0.0), &one(0.0)));
        assert!((loss.db() - 20.0).abs() < 1e-9);
    }

    #[test]
    fn cosines_and_the_largest() {
        assert!((cosine(&[1.0, 0.0], &[2.0, 0.0]) - 1.0).abs() < 1e-12);
        assert!((cosine(&[1.0, 0.0], &[1.0, 1.0]) - 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!((cosine(&[0.0], &[0.0]), cosine(&[0.0], &[1.0])), (1.0, 0.0));
        assert_eq!(top(&[1.0, 5.0, 5.0, -9.0]), 1);
    }
}
