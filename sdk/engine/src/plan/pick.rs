//! Which of several kernels computes a step: the one that is forced, was measured to be fastest on this machine, or is
//! predicted to be.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use super::lower::Lowering;
use crate::host::CpuLevel;
use crate::host::cost::Costs;
use crate::host::kernels::Kernel;
use crate::tuning::TuningRecord;

/// Kernels predicted to take longer than the best one by this factor are not worth a measurement.
const WORTH_TIMING: f64 = 1.5;

/// What a kernel is chosen by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picker<'a> {
    pub(crate) level: CpuLevel,
    pub(crate) threads: usize,
    /// The variant to take wherever there is one of this name.
    pub(crate) variant: Option<&'a str>,
    pub(crate) record: &'a TuningRecord,
}

/// Why a kernel was taken and not another one for the same operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// There is only one at this level.
    Only,
    /// Asked for by the program.
    Forced,
    /// It was the fastest when all were timed on this machine.
    Measured,
    /// It is predicted to be the fastest.
    Predicted,
}

/// A kernel chosen for a step.
#[derive(Clone, Debug)]
pub(crate) struct Pick {
    pub(crate) kernel: &'static Kernel,
    pub(crate) basis: Basis,
    /// Seconds.
    pub(crate) predicted: f64,
    /// Seconds, when it was timed.
    pub(crate) measured: Option<f64>,
    /// Equal for steps of the same geometry.
    pub(crate) layer: u64,
    /// Kernels worth timing, in the order of their prediction; the first is the one predicted to be fastest.
    pub(crate) rivals: Vec<&'static Kernel>,
}

impl Picker<'_> {
    /// Chooses among an operation's kernels; `None` if the level includes none of them.
    pub(crate) fn pick(&self, kernels: &'static [Kernel], step: &Lowering<'_>) -> Option<Pick> {
        let included = || kernels.iter().filter(|kernel| self.level.includes(kernel.level));
        let best = included().map(|kernel| kernel.level).max()?;
        let at_best = || included().filter(|kernel| kernel.level == best);
        let layer = layer(step);
        let costs = Costs::new(step, self.level, self.threads);
        let seconds = |kernel: &Kernel| costs.seconds(kernel);
        let pick = |kernel, basis, measured, rivals| {
            Some(Pick { kernel, basis, predicted: seconds(kernel), measured, layer, rivals })
        };
        if let Some(variant) = self.variant {
            let kernel = at_best().find(|kernel| kernel.variant() == variant).or(at_best().next())?;
            return pick(kernel, Basis::Forced, None, Vec::new());
        }
        if at_best().nth(1).is_none() && !step.is_product() {
            return pick(at_best().next()?, Basis::Only, None, Vec::new());
        }
        if let Some(measured) = self.record.get(layer)
            && let Some(kernel) = named(kernels, self.level, &measured.kernel)
        {
            return pick(kernel, Basis::Measured, Some(1e-9 * measured.nanoseconds as f64), Vec::new());
        }
        let mut rivals: Vec<(f64, &'static Kernel)> = included().map(|k| (seconds(k), k)).collect();
        // Stable: of equals the one that is registered first.
        rivals.sort_by(|a, b| a.0.total_cmp(&b.0));
        let fastest = rivals.first()?.0;
        rivals.retain(|(seconds, _)| *seconds <= WORTH_TIMING * fastest);
        let rivals: Vec<_> = rivals.into_iter().map(|(_, kernel)| kernel).collect();
        let basis = if rivals.len() == 1 { Basis::Only } else { Basis::Predicted };
        pick(rivals[0], basis, None, rivals)
    }
}

/// The kernel of this name among those that a step can have at `level`. Names come from a file, so any text may be asked for.
fn named(kernels: &'static [Kernel], level: CpuLevel, name: &str) -> Option<&'static Kernel> {
    kernels.iter().find(|kernel| kernel.name == name && level.includes(kernel.level))
}

/// A number for the geometry of a step: what it computes, on which layouts. That two geometries share one is as unlikely as it
/// is harmless: results do not depend on the choice.
pub(super) fn layer(step: &Lowering<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{:?}", step.node.op).hash(&mut hasher);
    let weights = step.node.inputs.get(1).map(|&id| step.shapes.of(id));
    format!("{:?} {weights:?} {:?} {}", step.inputs, step.output, step.end.is_some()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::kernels::conv;

    #[test]
    fn a_record_names_only_kernels_that_the_step_can_have() {
        let found = |level, name| named(conv::KERNELS, level, name).map(|kernel| kernel.name);
        assert_eq!(found(CpuLevel::Scalar, "conv/scalar"), Some("conv/scalar"));
        for name in
            ["", "conv", "conv/scalar:", "conv/scalar:narrow", "depthwise/scalar", "conv/none", "conv/avx2"]
        {
            assert_eq!(found(CpuLevel::Scalar, name), None, "{name}");
        }
    }

    /// The choice rests on names: one that two kernels had, or that hid a level, would be a wrong choice.
    #[test]
    fn kernels_of_one_operation_have_names_of_their_own() {
        for (i, kernel) in conv::KERNELS.iter().enumerate() {
            assert!(conv::KERNELS[..i].iter().all(|other| other.name != kernel.name), "{}", kernel.name);
            assert_eq!(kernel.family(), format!("{}/{}", kernel.operation, kernel.level));
        }
    }
}
