//! Plans: a graph with concrete shapes, compiled for one device.
//!
//! Each stage has a file: `choose` (an operation's kernels for every node), `fusion` (what vanishes into another step),
//! `layout` (where elements lie), `joins` (which operands lie inside the result of a Concat), `arena` (where buffers lie), `pick` (one of the kernels), `tiling` (what threads claim),
//! `tail` (what waits for values), `passes` (batches image by image), `explain` (what it all came to). `tune` times kernels for `pick`.

mod arena;
mod axis_order;
mod choose;
mod device;
mod engine;
mod explain;
mod fusion;
mod host;
mod joins;
mod layout;
mod lower;
mod overwrite;
mod packed;
mod passes;
mod pick;
mod route;
mod source;
mod tail;
mod tiling;
mod tune;

use std::ops::Range;
use std::sync::Arc;

use tilemark_model::{Shapes, ValueId};

use crate::host::kernels::Work;
use crate::opencl::Launch;
use crate::opencl::fpga::{EngineSpec, Program};
use device::DevicePart;

pub(crate) use arena::{ALIGN, Arena, Lifetime};
pub(crate) use choose::activations;
pub use engine::Refusal;
pub(crate) use engine::rehearse;
pub use explain::{EngineInfo, StepInfo};
pub(crate) use layout::{Grid, Halo, Layout, Order, READ_SLACK};
pub(crate) use lower::{Lowering, stored_lowest, stored_table, stored_zero_point};
pub(crate) use packed::PackedWeights;
pub use pick::Basis;
pub(crate) use pick::{Pick, Picker};
pub(crate) use route::Leg;
use route::Route;
pub(crate) use source::Source;
pub(crate) use tail::Tail;
pub(crate) use tiling::{Region, Tiling};
pub(crate) use tune::tune;

/// A graph compiled for one device and one set of input shapes.
pub struct Plan {
    /// Of every value in one pass.
    shapes: Arc<Shapes>,
    input_shapes: Vec<Vec<usize>>,
    /// How often a run goes through the steps: once, or once for each image of a batch.
    passes: usize,
    steps: Vec<Step>,
    /// Nodes that run after the steps, since their shapes depend on values.
    tail: Tail,
    /// Where each value lies; `None` for constants and for what fusion removed.
    slots: Vec<Option<Slot>>,
    /// What runs where.
    route: Route,
    /// What an FPGA's engine runs of it.
    engine: Option<Arc<Program>>,
    arena_bytes: usize,
    scratch_bytes: usize,
}

/// A value's place in the arena.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) offset: usize,
    /// Without the slack after it.
    pub(crate) bytes: usize,
    pub(crate) layout: Layout,
    /// What the halo holds: the value's zero point.
    pub(crate) fill: u8,
}

impl Slot {
    /// Its bytes in the arena.
    pub(crate) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.bytes
    }

    /// Whether reading it, with the slack after it, would touch bytes of `written`.
    pub(crate) fn overlaps(&self, written: &Slot) -> bool {
        let (read, written) = (self.range(), written.range());
        read.start < written.end && written.start < read.end + READ_SLACK
    }
}

/// One step: work on tiles, or an alias that has none.
pub(crate) struct Step {
    pub(crate) info: StepInfo,
    pub(crate) value: ValueId,
    pub(crate) inputs: Vec<Slot>,
    pub(crate) output: Slot,
    /// The kernel, unless it is the reference interpreter or nothing at all.
    pub(crate) pick: Option<Pick>,
    pub(crate) work: Option<(Box<dyn Work>, Tiling)>,
    /// What an OpenCL device runs instead.
    device: DevicePart,
    /// Whether an FPGA's engine runs it instead.
    on_engine: bool,
}

impl Step {
    /// Whether its tiles are those of `other`.
    pub(crate) fn is_cut_like(&self, other: &Self) -> bool {
        let tiling = |step: &Step| step.work.as_ref().map(|(_, tiling)| tiling.clone());
        tiling(self) == tiling(other)
    }

    /// Whether a device runs it.
    pub(crate) fn is_on_device(&self) -> bool {
        self.on_engine || !self.device.launches.is_empty()
    }

    pub(crate) fn launches(&self) -> &[Launch] {
        &self.device.launches
    }

    pub(crate) fn tiles(&self) -> usize {
        self.work.as_ref().map_or(0, |(_, tiling)| tiling.count())
    }
}

impl Plan {
    /// What is run, in order, the host tail last. Nodes that became part of others are named by them.
    pub fn steps(&self) -> impl Iterator<Item = &StepInfo> {
        self.steps.iter().map(|step| &step.info).chain(self.tail.steps())
    }

    pub(crate) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The input shapes that it was made for, in the order of the graph's inputs.
    pub fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shapes
    }

    /// How often a run goes through the steps: once for each image of a batch whose images do not meet, if that is faster, and else
    /// once. [`Plan::steps`] tells of all passes together.
    pub fn passes(&self) -> usize {
        self.passes
    }

    /// The shape of every value in one pass.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// Bytes of the activations of one session.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// Bytes of working memory of one thread.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch_bytes
    }

    /// Multiply-accumulates of one inference.
    pub fn macs(&self) -> u64 {
        self.steps().fold(0, |sum, step| sum.saturating_add(step.macs))
    }

    /// Those of them that are integer arithmetic.
    pub fn integer_macs(&self) -> u64 {
        self.steps().filter(|step| !step.float).fold(0, |sum, step| sum.saturating_add(step.macs))
    }

    /// Whether a measurement could change the choice of a kernel.
    pub(crate) fn is_untuned(&self) -> bool {
        self.steps.iter().filter_map(|step| step.pick.as_ref()).any(|pick| pick.rivals.len() > 1)
            || device::is_open(self)
    }

    pub(crate) fn all_steps(&self) -> &[Step] {
        &self.steps
    }

    pub(crate) fn route(&self) -> &[Leg] {
        &self.route.legs
    }

    /// Whether the next run's inputs can be sent to the device while it computes this one's.
    pub(crate) fn streams(&self) -> bool {
        self.route.streams
    }

    /// The FPGA's engine, where one runs the plan.
    pub fn engine_info(&self) -> Option<EngineInfo> {
        let EngineSpec { target, config, kilohertz, .. } = &self.engine.as_ref()?.spec;
        let products_a_clock = config.peak() as u64;
        Some(EngineInfo { target: target.clone(), products_a_clock, kilohertz: *kilohertz })
    }

    pub(crate) fn engine(&self) -> Option<&Arc<Program>> {
        self.engine.as_ref()
    }

    pub(crate) fn slot(&self, value: ValueId) -> Option<&Slot> {
        self.slots.get(value.index())?.as_ref()
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("input_shapes", &self.input_shapes)
            .field("steps", &self.steps.len())
            .field("arena_bytes", &self.arena_bytes)
            .finish_non_exhaustive()
    }
}
