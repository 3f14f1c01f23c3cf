//! Smoothing over time: each element of an output becomes `weight * x + (1 - weight) * y`, `y` being what it was for the frame before.

use std::collections::BTreeMap;

use super::outputs::Reads;
use super::{Checks, Stage, State};
use crate::error::Result;
use crate::interface::Interface;
use crate::place::Place;
use crate::spec;

/// What the stages of a sequence of frames remember from one to the next.
#[derive(Clone, Debug, Default)]
pub struct Memory(BTreeMap<usize, Vec<f32>>);

#[derive(Debug)]
pub(super) struct Smooth {
    reads: Reads,
    weight: f32,
    /// Which of the stages this is.
    number: usize,
}

impl Smooth {
    pub(super) fn new(stage: &spec::Smooth, checks: &Checks, number: usize) -> Result<Self> {
        let reads = Reads::new(checks, stage.output.as_deref())?;
        let weight = checks.within("weight", stage.weight, [f32::MIN_POSITIVE, 1.0])?;
        Ok(Self { reads, weight, number })
    }
}

impl Stage for Smooth {
    fn run(&self, state: &mut State, interface: &Interface, _place: Option<&Place>) -> Result<()> {
        let (_, values) = self.reads.real(interface, &state.outputs)?;
        let mut values = values.into_owned();
        if let Some(before) = state.memory.0.get(&self.number).filter(|before| before.len() == values.len()) {
            for (x, y) in values.iter_mut().zip(before) {
                let smooth = self.weight * *x + (1.0 - self.weight) * y;
                // What was no number is forgotten, or it would stay for ever.
                *x = if y.is_finite() { smooth } else { *x };
            }
        }
        state.memory.0.insert(self.number, values.clone());
        self.reads.replace(&mut state.outputs, values)
    }
}
