//! Decides by measuring: which way of choosing ranges, whether corrected biases help, which layers stay in float.

use std::collections::{BTreeSet, HashMap};

use tilemark_model::ValueId;
use tilemark_model::quantize::{FloatModel, Method, Placement, Range};

use super::calibrate::{Distributions, Extremes, quants};
use super::correct::corrections;
use super::data::Samples;
use super::likeness::Loss;
use super::progress::Progress;
use super::report::Candidate;
use super::simulate::{Decisions, Simulation, losses, sensitivities};
use super::{KeepFloat, Options, Ranges};
use crate::error::Error;

/// Samples on which candidates are compared.
const COMPARED: usize = 32;
/// Samples on which layers are quantized one at a time.
const SENSED: usize = 8;
/// What is tried where the method is not said. Percentiles are those in common use.
const METHODS: &[Method] =
    &[Method::MinMax, Method::Percentile(99.99), Method::Percentile(99.999), Method::Mse, Method::Entropy];

/// A model, the data to decide with, and what was asked for.
pub(super) struct Search<'a> {
    pub(super) model: &'a FloatModel,
    pub(super) samples: &'a Samples,
    pub(super) options: &'a Options,
    pub(super) progress: &'a dyn Progress,
}

/// What was decided, and what it was decided by.
pub(super) struct Found {
    pub(super) placement: Placement,
    pub(super) decisions: Decisions,
    pub(super) method: Method,
    /// The range of each quantized value.
    pub(super) ranges: HashMap<ValueId, Range>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) corrected: bool,
    /// Loss of quantizing each layer alone, by its name; empty if that was not asked for.
    pub(super) sensitivities: HashMap<String, Loss>,
    /// Layers kept in float, the most sensitive first.
    pub(super) kept: Vec<String>,
    /// What the reader of the report should know.
    pub(super) notes: Vec<String>,
}

impl Search<'_> {
    pub(super) fn decide(&self, placement: &Placement, extremes: &Extremes) -> Result<Found, Error> {
        let (method, ranges, mut candidates) = self.choose_ranges(placement, extremes)?;
        let quants = quants(self.model, placement, &ranges, self.options.activations.dtype())?;
        let decisions =
            Decisions { dtype: self.options.activations.dtype(), quants, corrections: HashMap::new() };
        let ranges = placement.tensors.iter().map(|t| (t.value, ranges[t.group])).collect();
        let mut found = Found {
            placement: placement.clone(),
            decisions,
            method,
            ranges,
            candidates: Vec::new(),
            corrected: false,
            sensitivities: HashMap::new(),
            kept: Vec::new(),
            notes: Vec::new(),
        };
        if self.options.keep_float != KeepFloat::None {
            self.keep_float(&mut found)?;
        }
        if self.options.bias_correction {
            self.correct(&mut found, &mut candidates)?;
        }
        found.candidates = candidates;
        Ok(found)
    }

    fn choose_ranges(
        &self,
        placement: &Placement,
        extremes: &Extremes,
    ) -> Result<(Method, Vec<Range>, Vec<Candidate>), Error> {
        let methods = match &self.options.ranges {
            Ranges::Auto => METHODS,
            Ranges::Method(method) => std::slice::from_ref(method),
        };
        let ranges: Vec<Vec<Range>> = if methods == [Method::MinMax] {
            vec![extremes.ranges.clone()]
        } else {
            let counted = Distributions::count(self.model, placement, extremes, self.samples, self.progress)?;
            methods.iter().map(|&method| counted.ranges(method)).collect()
        };
        let simulations = ranges.iter().map(|ranges| {
            let dtype = self.options.activations.dtype();
            let quants = quants(self.model, placement, ranges, dtype)?;
            Simulation::new(self.model, placement, &Decisions { dtype, quants, corrections: HashMap::new() })
        });
        let simulations = simulations.collect::<Result<Vec<_>, Error>>()?;
        let losses = self.losses(&simulations)?;
        let candidates: Vec<Candidate> = methods
            .iter()
            .zip(&losses)
            .map(|(&method, loss)| Candidate { name: name(method), snr_db: loss.db() })
            .collect();
        let mut best = 0;
        for (i, loss) in losses.iter().enumerate() {
            if loss.ratio() < losses[best].ratio() {
                best = i;
            }
        }
        let chosen = ranges.into_iter().nth(best).unwrap_or_default();
        Ok((methods[best], chosen, candidates))
    }

    /// Corrects biases, unless that takes the outputs further away.
    fn correct(&self, found: &mut Found, candidates: &mut Vec<Candidate>) -> Result<(), Error> {
        let corrections =
            corrections(self.model, &found.placement, &found.decisions, self.samples, self.progress)?;
        let corrected = Decisions { corrections, ..found.decisions.clone() };
        let simulate = |decisions| Simulation::new(self.model, &found.placement, decisions);
        let losses = self.losses(&[simulate(&found.decisions)?, simulate(&corrected)?])?;
        let name = format!("{}, biases corrected", name(found.method));
        candidates.push(Candidate { name, snr_db: losses[1].db() });
        if losses[1].ratio() <= losses[0].ratio() {
            (found.decisions, found.corrected) = (corrected, true);
        }
        Ok(())
    }

    fn keep_float(&self, found: &mut Found) -> Result<(), Error> {
        let chosen = self.samples.spread(SENSED);
        let layers = &found.placement.layers;
        let losses = sensitivities(
            self.model,
            &found.placement,
            &found.decisions,
            self.samples,
            &chosen,
            self.progress,
        )?;
        let mut order: Vec<(&str, &Loss)> = layers.iter().map(|l| l.name.as_str()).zip(&losses).collect();
        order.sort_by(|a, b| b.1.ratio().total_cmp(&a.1.ratio()));
        let order: Vec<String> = order.into_iter().map(|(name, _)| name.to_owned()).collect();
        found.sensitivities = layers.iter().map(|layer| layer.name.clone()).zip(losses).collect();
        let count = match self.options.keep_float {
            KeepFloat::None => 0,
            KeepFloat::Layers(count) => count.min(order.len()),
            KeepFloat::UntilSnr(wanted) => self.fewest(found, &order, wanted)?,
        };
        found.kept = order[..count].to_vec();
        found.placement = self.without(&found.kept)?;
        found.decisions = within(&found.placement, &found.decisions);
        if let KeepFloat::UntilSnr(wanted) = self.options.keep_float {
            let simulation = Simulation::new(self.model, &found.placement, &found.decisions)?;
            let reached = self.losses(&[simulation])?.first().map_or(0.0, Loss::db);
            if reached < wanted {
                found.notes.push(format!(
                    "{wanted} dB were asked for; with {count} layers in float {reached:.1} dB are reached: the tensors \
                     between them are still quantized"
                ));
            }
        }
        Ok(())
    }

    /// The fewest layers of `order` that must stay in float for the outputs to reach `wanted` dB: halving, since more
    /// float layers rarely add noise.
    fn fewest(&self, found: &Found, order: &[String], wanted: f64) -> Result<usize, Error> {
        let (mut enough, mut too_few) = (order.len().saturating_sub(1), None::<usize>);
        let reaches = |count: usize| {
            let placement = self.without(&order[..count])?;
            let decisions = within(&placement, &found.decisions);
            let simulation = Simulation::new(self.model, &placement, &decisions)?;
            Ok::<_, Error>(self.losses(&[simulation])?.first().is_some_and(|loss| loss.db() >= wanted))
        };
        loop {
            let least = too_few.map_or(0, |few| few + 1);
            if least >= enough {
                return Ok(enough);
            }
            let middle = least + (enough - least) / 2;
            if reaches(middle)? {
                enough = middle;
            } else {
                too_few = Some(middle);
            }
        }
    }

    fn without(&self, kept: &[String]) -> Result<Placement, Error> {
        Ok(Placement::of(self.model.graph(), &kept.iter().cloned().collect::<BTreeSet<_>>())?)
    }

    fn losses(&self, candidates: &[Simulation]) -> Result<Vec<Loss>, Error> {
        losses(self.model, candidates, self.samples, &self.samples.spread(COMPARED), self.progress)
    }
}

/// The decisions for the tensors of another placement.
fn within(placement: &Placement, decisions: &Decisions) -> Decisions {
    let quants = placement.tensors.iter();
    let quants = quants.filter_map(|t| Some((t.value, *decisions.quants.get(&t.value)?))).collect();
    Decisions { quants, ..decisions.clone() }
}

/// What a method is called on the command line.
pub(super) fn name(method: Method) -> String {
    match method {
        Method::MinMax => "min-max".into(),
        Method::Percentile(percent) => format!("percentile {percent}"),
        Method::Entropy => "entropy".into(),
        Method::Mse => "mse".into(),
    }
}
