//! What runs where: with an OpenCL device, stretches of steps on it and on the host, and the copies between them.

use std::collections::HashMap;
use std::ops::Range;

use tilemark_model::ValueId;

use super::choose::Choice;
use super::lower::Lower;
use super::{Slot, Step};

/// A part of a run. The stretches of steps follow each other without a gap: those that do nothing are in one of them too.
#[derive(Clone, Debug)]
pub(crate) enum Leg {
    /// Steps on the host.
    Host(Range<usize>),
    /// Steps on the device.
    Device(Range<usize>),
    /// A value goes from the host to the device.
    Upload(ValueId, Slot),
    /// A value comes from the device to the host.
    Download(ValueId, Slot),
}

/// The way through a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    /// Its parts, in order; none where all runs on the host.
    pub(crate) legs: Vec<Leg>,
    /// Whether the host has nothing to do with inputs but to send them: then those of the next run can be sent during this one.
    pub(crate) streams: bool,
}

/// Where the bytes of a value are up to date.
#[derive(Clone, Copy, Default)]
struct Places {
    host: bool,
    device: bool,
}

impl Lower<'_> {
    /// The way through all steps: inputs begin on the host, outputs and what the host tail reads end there. Tells each step
    /// of the copies before it, and the last one of those after it.
    pub(super) fn route(&self, steps: &mut [Step], slots: &[Option<Slot>]) -> Route {
        let graph = self.source.graph;
        let (places, root) = (HashMap::new(), HashMap::new());
        let mut route = Walk { legs: Vec::new(), next: 0, places, root, slots };
        for port in &graph.inputs {
            route.places.insert(port.value, Places { host: true, device: false });
        }
        for (at, (step, &index)) in steps.iter_mut().zip(&self.order).enumerate() {
            if matches!(self.choices[index], Choice::Alias) {
                let from = route.root(graph.nodes[index].inputs[0]);
                route.root.insert(step.value, from);
                continue;
            }
            let on_device = step.is_on_device();
            let reads: Vec<ValueId> = self.reads(index).collect();
            step.info.moved = reads.into_iter().map(|value| route.bring(value, on_device)).sum();
            route.step(at, on_device);
            route.places.insert(step.value, Places { host: !on_device, device: on_device });
        }
        route.end(steps.len());
        let returned = self.needed_on_host().map(|value| route.bring(value, false)).sum();
        steps.last_mut().into_iter().for_each(|last| last.info.returned = returned);
        let is_input = |value: ValueId| graph.inputs.iter().any(|port| port.value == route.root(value));
        let is_engine = self.source.opened.is_some_and(|opened| opened.engine().is_some());
        let streams = !is_engine // which has no place for two inputs
            && !self.needed_on_host().any(is_input)
            && route.legs.iter().all(|leg| !matches!(leg, Leg::Host(_)));
        Route { legs: route.legs, streams }
    }
}

struct Walk<'a> {
    legs: Vec<Leg>,
    /// The first step that is in no stretch yet.
    next: usize,
    places: HashMap<ValueId, Places>,
    /// The value whose bytes an alias names.
    root: HashMap<ValueId, ValueId>,
    slots: &'a [Option<Slot>],
}

impl Walk<'_> {
    fn root(&self, value: ValueId) -> ValueId {
        self.root.get(&value).copied().unwrap_or(value)
    }

    /// Copies a value where it is needed, unless it is there; constants are everywhere. Returns the bytes copied.
    fn bring(&mut self, value: ValueId, to_device: bool) -> u64 {
        let root = self.root(value);
        let (Some(places), Some(slot)) = (self.places.get_mut(&root), &self.slots[root.index()]) else {
            return 0;
        };
        let there = if to_device { &mut places.device } else { &mut places.host };
        if std::mem::replace(there, true) {
            return 0;
        }
        let slot = slot.clone();
        let bytes = slot.bytes as u64;
        self.legs.push(if to_device { Leg::Upload(root, slot) } else { Leg::Download(root, slot) });
        bytes
    }

    /// Appends a step and those before it that do nothing, to the stretch before if that runs at the same place.
    fn step(&mut self, at: usize, on_device: bool) {
        let steps = self.next..at + 1;
        self.next = steps.end;
        match (self.legs.last_mut(), on_device) {
            (Some(Leg::Device(before)), true) | (Some(Leg::Host(before)), false) => before.end = steps.end,
            (_, true) => self.legs.push(Leg::Device(steps)),
            (_, false) => self.legs.push(Leg::Host(steps)),
        }
    }

    /// Appends the steps at the end that do nothing, of which there are `count` with all others.
    fn end(&mut self, count: usize) {
        match self.legs.last_mut() {
            Some(Leg::Device(steps) | Leg::Host(steps)) => steps.end = count,
            _ if self.next < count => self.legs.push(Leg::Host(self.next..count)),
            _ => {}
        }
    }
}
