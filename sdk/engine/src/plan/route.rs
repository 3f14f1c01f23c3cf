//! What runs where: with an OpenCL device, stretches of steps on it and on the host, and the copies between them.

use std::collections::HashMap;
use std::ops::Range;

use tilemark_model::ValueId;

use super::choose::Choice;
use super::lower::Lower;
use super::{Slot, Step};

/// A part of a run.
#[derive(Clone, Debug)]
pub(crate) enum Leg {
    /// Steps on the host.
    Host(Range<usize>),
    /// Steps on the device.
    Device(Range<usize>),
    /// A value goes from the host to the device.
    Upload(Slot),
    /// A value comes from the device to the host.
    Download(Slot),
}

/// Where the bytes of a value are up to date.
#[derive(Clone, Copy, Default)]
struct Places {
    host: bool,
    device: bool,
}

impl Lower<'_> {
    /// The way through all steps: inputs begin on the host, outputs and what the host tail reads end there. Tells each step
    /// of the copies before it.
    pub(super) fn route(&self, steps: &mut [Step], slots: &[Option<Slot>]) -> Vec<Leg> {
        let graph = self.source.graph;
        let mut route = Route { legs: Vec::new(), places: HashMap::new(), root: HashMap::new(), slots };
        for port in &graph.inputs {
            route.places.insert(port.value, Places { host: true, device: false });
        }
        for (at, (step, &index)) in steps.iter_mut().zip(&self.order).enumerate() {
            if matches!(self.choices[index], Choice::Alias) {
                let from = route.root(graph.nodes[index].inputs[0]);
                route.root.insert(step.value, from);
                continue;
            }
            let on_device = !step.device.launches.is_empty();
            let reads: Vec<ValueId> = self.reads(index).collect();
            step.info.moved = reads.into_iter().map(|value| route.bring(value, on_device)).sum();
            route.step(at, on_device);
            route.places.insert(step.value, Places { host: !on_device, device: on_device });
        }
        for value in self.needed_on_host() {
            route.bring(value, false);
        }
        route.legs
    }
}

struct Route<'a> {
    legs: Vec<Leg>,
    places: HashMap<ValueId, Places>,
    /// The value whose bytes an alias names.
    root: HashMap<ValueId, ValueId>,
    slots: &'a [Option<Slot>],
}

impl Route<'_> {
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
        self.legs.push(if to_device { Leg::Upload(slot) } else { Leg::Download(slot) });
        bytes
    }

    /// Appends a step, to the stretch before it if that runs at the same place.
    fn step(&mut self, at: usize, on_device: bool) {
        match (self.legs.last_mut(), on_device) {
            (Some(Leg::Device(steps)), true) | (Some(Leg::Host(steps)), false) => steps.end = at + 1,
            (_, true) => self.legs.push(Leg::Device(at..at + 1)),
            (_, false) => self.legs.push(Leg::Host(at..at + 1)),
        }
    }
}
