//! The pitch of a frame of sound from the salience of bins, as CREPE has them (Kim et al., 2018): the mean of the bins around the best
//! one, weighted with their salience, in f64.

use super::outputs::Reads;
use super::scores::best_first;
use super::{Checks, Stage, State};
use crate::error::Result;
use crate::interface::Interface;
use crate::place::Place;
use crate::spec;
use crate::value::Made;

/// Bins on each side of the best one that count.
const AROUND: usize = 4;

#[derive(Debug)]
pub(super) struct Pitch {
    reads: Reads,
    first_cents: f64,
    step_cents: f64,
    min_confidence: f32,
}

impl Pitch {
    pub(super) fn new(stage: &spec::Pitch, checks: &Checks) -> Result<Self> {
        Ok(Self {
            reads: Reads::new(checks, None)?,
            first_cents: f64::from(checks.within("first_cents", stage.first_cents, [0.0, 20_000.0])?),
            step_cents: f64::from(checks.within("step_cents", stage.step_cents, [0.1, 1_200.0])?),
            min_confidence: checks.within("min_confidence", stage.min_confidence, [0.0, 1.0])?,
        })
    }
}

impl Stage for Pitch {
    fn run(&self, state: &mut State, interface: &Interface, _place: Option<&Place>) -> Result<()> {
        let (_, salience) = self.reads.real(interface, &state.outputs)?;
        let order = |a: &usize, b: &usize| best_first(salience[*a], salience[*b]).then(a.cmp(b));
        let best = (0..salience.len()).min_by(order).unwrap_or(0);
        let confidence = salience.get(best).copied().filter(|c| c.is_finite()).unwrap_or(0.0);
        let bins = best.saturating_sub(AROUND)..(best + AROUND + 1).min(salience.len());
        let (mut sum, mut total) = (0.0, 0.0);
        for bin in bins {
            let weight = f64::from(salience[bin]);
            sum += weight * (self.first_cents + self.step_cents * bin as f64);
            total += weight;
        }
        // Cents count from 10 Hz.
        let hz = 10.0 * libm::exp2(sum / total / 1200.0);
        let sure = confidence >= self.min_confidence && hz.is_finite();
        state.made = Some(Made::Pitch { hz: if sure { hz } else { 0.0 }, confidence });
        Ok(())
    }
}
