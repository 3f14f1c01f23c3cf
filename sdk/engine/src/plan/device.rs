//! Steps on an OpenCL device: which variant of a kernel, and the timing that decides it.

use std::sync::Arc;
use std::time::Instant;

use tilemark_model::Graph;

use super::choose::Choice;
use super::lower::{Lower, Lowering};
use super::pick::{Basis, layer};
use super::source::Source;
use super::{Plan, Slot};
use crate::error::Error;
use crate::opencl::kernels::{Kernel, Site, SumPart};
use crate::opencl::{Launch, Rival, Trial};
use crate::tuning::{TuningRecord, TuningStore};

/// What an OpenCL device runs for a step.
#[derive(Default)]
pub(crate) struct DevicePart {
    pub(crate) launches: Vec<Launch>,
    /// The variant; none where the host runs the step.
    pub(crate) kernel: Option<&'static Kernel>,
    /// What it was chosen by.
    pub(crate) basis: Option<Basis>,
    /// Nanoseconds that it took when it was timed.
    pub(crate) measured: Option<u64>,
    /// Equal for steps of the same geometry.
    layer: u64,
}

impl DevicePart {
    /// Whether a measurement could choose another variant.
    fn is_open(&self) -> bool {
        self.basis == Some(Basis::Predicted)
    }
}

impl<'a> Lower<'a> {
    /// The variant that is forced, was measured to be the fastest, or suits the device best.
    pub(super) fn on_device(&self, kernels: &'static [Kernel], site: &Site<'_>) -> Result<DevicePart, Error> {
        let picker = self.source.picker;
        let layer = layer(site.step);
        let fits = || kernels.iter().filter(|kernel| kernel.fits(site.opened));
        let forced = picker.variant.and_then(|name| fits().find(|kernel| kernel.variant() == name));
        let known = picker.record.get(layer);
        let measured = known.and_then(|measured| fits().find(|kernel| kernel.name == measured.kernel));
        let mut ranked: Vec<_> = fits().collect();
        ranked.sort_by_key(|kernel| kernel.rank(site.opened)); // stable: of equals the one registered first
        for kernel in forced.or(measured).into_iter().chain(ranked) {
            if let Some(launches) = (kernel.build)(site)? {
                let is_measured = measured.is_some_and(|measured| measured.name == kernel.name);
                let basis = match picker.variant {
                    Some(_) => Basis::Forced,
                    None if is_measured => Basis::Measured,
                    None if fits().nth(1).is_none() => Basis::Only,
                    None => Basis::Predicted,
                };
                let measured = known.filter(|_| is_measured).map(|measured| measured.nanoseconds);
                return Ok(DevicePart {
                    launches,
                    kernel: Some(kernel),
                    basis: Some(basis),
                    measured,
                    layer,
                });
            }
        }
        Err(Error::internal(&site.step.node.name, "has no kernel on this device"))
    }

    /// A step as its device's kernels see it.
    pub(super) fn site<'s>(
        &'s self,
        index: usize,
        step: &'s Lowering<'s>,
        inputs: &'s [Slot],
        output: &'s Slot,
    ) -> Result<Site<'s>, Error> {
        let none = || Error::internal(&step.node.name, "has no device");
        let opened = self.source.opened.ok_or_else(none)?;
        Ok(Site { step, inputs, output, sum: self.sum_part(index), opened })
    }

    /// Every variant that fits a step, the plain one first.
    fn rivals(&self, index: usize, slots: &[Option<Slot>]) -> Result<Vec<Rival>, Error> {
        let (inputs, output) = self.places(index, slots)?;
        let lowering = self.lowering(index, slots, &output);
        let site = self.site(index, &lowering, &inputs, &output)?;
        let Choice::Device(kernels, _) = &self.choices[index] else { return Ok(Vec::new()) };
        let fitting = kernels.iter().filter(|kernel| kernel.fits(site.opened));
        let rival = |kernel: &'static Kernel| {
            let launches = (kernel.build)(&site).transpose()?;
            Some(launches.map(|launches| Rival { kernel, launches }))
        };
        fitting.filter_map(rival).collect()
    }

    fn sum_part(&self, index: usize) -> Option<SumPart<'a>> {
        let graph: &'a Graph = self.source.graph;
        let sum = self.fusion.sum_of[index]?;
        let table = self.fusion.end_of[sum.node].map(|table| &graph.nodes[table]);
        Some(SumPart { node: &graph.nodes[sum.node], table, is_second: sum.is_second })
    }
}

/// Whether a measurement could change what the device runs.
pub(super) fn is_open(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| step.device.is_open())
}

/// Times the variants of each different layer that `plan` has on its device until `deadline`, what computes most first. Tells
/// `store` how far it is.
///
/// # Errors
/// [`Error::DeviceFault`], and those of the plan.
pub(super) fn tune(
    source: Source<'_>,
    plan: &Plan,
    store: &dyn TuningStore,
    deadline: Instant,
) -> Result<TuningRecord, Error> {
    let mut record = TuningRecord::default();
    let Some(opened) = source.opened else { return Ok(record) };
    let lower = Lower::new(source, Arc::clone(&plan.shapes))?;
    let trial = Trial::new(opened, plan)?;
    let mut layers: Vec<usize> = Vec::new();
    for (i, step) in plan.steps.iter().enumerate() {
        let is_new = layers.iter().all(|&other| plan.steps[other].device.layer != step.device.layer);
        if step.device.is_open() && is_new {
            layers.push(i);
        }
    }
    layers.sort_by_key(|&i| std::cmp::Reverse((plan.steps[i].info.macs, plan.steps[i].info.bytes)));
    for (done, &i) in layers.iter().enumerate() {
        store.progress(done, layers.len());
        if Instant::now() > deadline {
            break;
        }
        let step = &plan.steps[i];
        let rivals = lower.rivals(lower.order[i], &plan.slots)?;
        if let Some(measured) = trial.layer(&rivals, &step.output, deadline)? {
            record.insert(step.device.layer, measured);
        }
    }
    store.progress(layers.len(), layers.len());
    Ok(record)
}
