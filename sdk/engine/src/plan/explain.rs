//! What a plan says about itself.

use serde::Serialize;

/// One step of a plan, for people and tools.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepInfo {
    /// The node's name.
    pub node: String,
    /// What it computes.
    pub op: String,
    /// Name of the value that it writes.
    pub output: String,
    /// Shape of that value; empty in the host tail.
    pub shape: Vec<usize>,
    /// `operation/level` of the kernel; `reference` where the interpreter runs, `alias` where nothing does.
    pub kernel: String,
    /// Why this kernel.
    pub why: String,
    /// Tiles that threads claim.
    pub tiles: usize,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes read and written: activations and weights.
    pub bytes: u64,
    /// Names of the nodes that became part of this step.
    pub fused: Vec<String>,
    /// Whether it runs in f32.
    pub float: bool,
    /// Whether it is of the host tail: nodes whose shapes depend on values run one by one after all other steps.
    pub tail: bool,
}
