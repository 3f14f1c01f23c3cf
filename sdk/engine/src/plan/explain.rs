//! What a plan says about itself.

use serde::Serialize;

use super::device::DevicePart;
use super::pick::{Basis, Pick};
use super::tiling::Tiling;

/// An FPGA's engine, as a plan knows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EngineInfo {
    /// The target that the FPGA was programmed with.
    pub target: String,
    /// The most products that it forms in a clock.
    pub products_a_clock: u64,
    /// Its clock: for a bitstream that never ran, the routed estimate, by which times of its steps are numbers of clocks. 0 where
    /// it has none, as in an emulation.
    pub kilohertz: u32,
}

/// One step of a plan, for people and tools.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepInfo {
    /// The node's name.
    pub node: String,
    /// What it computes.
    pub op: String,
    /// Name of the value that it writes.
    pub output: String,
    /// Shape of that value; empty in the host tail.
    pub shape: Vec<usize>,
    /// `operation/level` of the kernel; `reference` where the interpreter runs; where nothing runs, `alias` for another
    /// name of the same bytes and `in place` for a result whose parts were written where they belong.
    pub kernel: String,
    /// Why an operation's kernels take it.
    pub why: String,
    /// Which of several kernels of the level; empty where none runs.
    pub variant: String,
    /// What the variant was chosen by, where a kernel runs.
    pub basis: Option<Basis>,
    /// Milliseconds that the kernel is predicted to take.
    pub predicted_ms: Option<f64>,
    /// Milliseconds that it took when it was timed on this machine, if it was.
    pub measured_ms: Option<f64>,
    /// Tiles that threads claim, or that an FPGA's engine computes.
    pub tiles: usize,
    /// Images, rows and channels of a tile; empty without tiles.
    pub tile: Vec<usize>,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes read and written: activations and weights; by an FPGA's engine also its list, and what it reads several times.
    pub bytes: u64,
    /// Bytes copied between host and device before this step.
    pub moved: u64,
    /// Bytes copied to the host after this step: what a run returns, after the last one.
    pub returned: u64,
    /// Names of the nodes that became part of this step.
    pub fused: Vec<String>,
    /// Whether it runs in f32.
    pub float: bool,
    /// Whether it is of the host tail: nodes whose shapes depend on values run one by one after all other steps.
    pub tail: bool,
}

impl StepInfo {
    /// Tells of so many passes together.
    pub(super) fn repeat(&mut self, passes: usize) {
        self.shape.first_mut().into_iter().for_each(|first| *first *= passes);
        self.tiles *= passes;
        for count in [&mut self.macs, &mut self.bytes] {
            *count = count.saturating_mul(passes as u64);
        }
        for milliseconds in [&mut self.predicted_ms, &mut self.measured_ms].into_iter().flatten() {
            *milliseconds *= passes as f64;
        }
    }

    /// Tells of the kernel that the device runs.
    pub(super) fn with_device(mut self, device: &DevicePart) -> Self {
        if let Some(kernel) = device.kernel {
            self.variant = kernel.variant().to_owned();
            self.basis = device.basis;
            self.measured_ms = device.measured.map(|nanoseconds| 1e-6 * nanoseconds as f64);
        }
        self
    }

    /// Tells of the kernel that was picked and of its tiles.
    pub(super) fn with_pick(mut self, pick: Option<&Pick>, tiling: Option<&Tiling>) -> Self {
        if let Some(pick) = pick {
            self.variant = pick.kernel.variant().to_owned();
            self.basis = Some(pick.basis);
            self.predicted_ms = Some(1e3 * pick.predicted);
            self.measured_ms = pick.measured.map(|seconds| 1e3 * seconds);
        }
        if let Some(tiling) = tiling.filter(|tiling| tiling.count() > 0) {
            let region = tiling.region(0);
            self.tiles = tiling.count();
            self.tile = vec![region.images.len(), region.rows.len(), region.channels.len()];
        }
        self
    }
}
