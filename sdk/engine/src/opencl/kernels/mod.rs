//! The operations on an OpenCL device: one file per operation, each says what to launch with which arguments.
//!
//! A variant is registered in its operation's `KERNELS`, the usual one first; it may refuse a step.

mod concat;
mod conv;
mod depthwise;
mod epilogue;
mod fully_connected;
mod matmul;
mod movement;
mod pairwise;
mod places;
mod pool;
mod ranking;
mod reduce;
mod table;
mod walk;

use serde::Serialize;
use tilemark_model::graph::GeneralOp;
use tilemark_model::{Graph, Node, Op, Shapes, ValueId};

use super::api::Arg;
use super::{Facts, Launch, Opened};
use crate::device::{Device, DeviceKind};
use crate::error::Error;
use crate::host::kernels::{family, variant};
use crate::plan::{Lowering, Slot};

/// One variant of one operation.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// `operation/opencl`, or `operation/opencl:variant` for further ones; unique.
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    pub(crate) suits: Suits,
    /// What to launch for a step; `None` if this variant does not fit it or the device.
    pub(crate) build: Build,
}

/// What to launch for a step; `None` if the variant does not fit it.
type Build = fn(&Site<'_>) -> Result<Option<Vec<Launch>>, Error>;

/// A step on the device: what a kernel's `build` sees.
pub(crate) struct Site<'a> {
    pub(crate) step: &'a Lowering<'a>,
    /// Where its inputs lie; the other operand of a fused addition last.
    pub(crate) inputs: &'a [Slot],
    pub(crate) output: &'a Slot,
    /// The addition that is its last part.
    pub(crate) sum: Option<SumPart<'a>>,
    pub(crate) opened: &'a Opened,
}

impl Site<'_> {
    /// The other operand of the addition that is its last part.
    pub(super) fn other(&self) -> Option<&Slot> {
        self.sum.and_then(|_| self.inputs.last())
    }
}

/// An addition behind a step's own result.
#[derive(Clone, Copy)]
pub(crate) struct SumPart<'a> {
    pub(crate) node: &'a Node,
    /// The table that follows it.
    pub(crate) table: Option<&'a Node>,
    /// Whether the step's own result is its second operand.
    pub(crate) is_second: bool,
}

const OPERATIONS: [&[Kernel]; 13] = [
    conv::KERNELS,
    depthwise::KERNELS,
    fully_connected::KERNELS,
    pairwise::KERNELS,
    pool::AVERAGE,
    pool::MAX,
    reduce::KERNELS,
    ranking::ARG_EXTREMES,
    ranking::TOP_KS,
    matmul::KERNELS,
    concat::KERNELS,
    movement::KERNELS,
    table::KERNELS,
];

/// An OpenCL kernel of this build.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OpenclKernel {
    /// `operation/opencl`.
    pub name: &'static str,
    /// Which of several; `usual` for the one that is taken where nothing speaks for another.
    pub variant: &'static str,
    /// What it computes.
    pub operation: &'static str,
    #[serde(skip)]
    needs: Needs,
}

/// Every OpenCL kernel of this build, those that no device here can run included.
pub fn opencl_kernels() -> impl Iterator<Item = OpenclKernel> {
    OPERATIONS.iter().copied().flatten().map(|kernel| OpenclKernel {
        name: kernel.family(),
        variant: kernel.variant(),
        operation: kernel.name.split('/').next().unwrap_or_default(),
        needs: kernel.needs,
    })
}

impl OpenclKernel {
    /// Whether a device has what it needs.
    pub fn runs_on(&self, device: &Device) -> bool {
        device.facts().is_some_and(|facts| self.needs.are_met_by(facts))
    }
}

/// What a kernel needs of a device beyond OpenCL 1.2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Needs {
    Nothing,
    /// `cl_khr_integer_dot_product`.
    IntegerDot,
    /// PTX of NVIDIA's sm_61 and later.
    Dp4a,
    /// The `mma.m16n8k32` of NVIDIA's sm_80 and later.
    Mma,
    /// A compiler that takes barriers in loops that it unrolls: Intel's for CPUs crashes.
    #[cfg(feature = "emulate-mma")]
    EmulatedMma,
}

/// Where a variant is taken as long as nothing was measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Suits {
    /// Wherever no other one suits.
    Any,
    /// On processors.
    Cpu,
    /// Elsewhere: graphics processors and their like.
    Gpu,
    /// Nowhere: it is worth a measurement only.
    Other,
}

impl Suits {
    /// The smaller, the rather it is taken.
    fn rank(self, kind: DeviceKind) -> u8 {
        match (self, kind) {
            (Suits::Cpu, DeviceKind::Cpu) => 0,
            (Suits::Gpu, kind) if kind != DeviceKind::Cpu => 0,
            (Suits::Any, _) => 1,
            _ => 2,
        }
    }
}

impl Needs {
    fn are_met_by(self, facts: &Facts) -> bool {
        match self {
            Needs::Nothing => true,
            Needs::IntegerDot => facts.has_extension("cl_khr_integer_dot_product"),
            #[cfg(feature = "emulate-mma")]
            Needs::EmulatedMma => facts.platform.contains("Portable Computing Language") && crate::emulates(),
            Needs::Mma => facts.compute_capability.is_some_and(|capability| capability >= [8, 0]),
            Needs::Dp4a => facts.compute_capability.is_some_and(|capability| capability >= [6, 1]),
        }
    }
}

/// The kernels for a node that the host would run by kernels too, and why these. Values that are no bytes stay on the host:
/// f32 arithmetic is the host's, and a byte is the smallest form in which a value can go there.
pub(crate) fn of(graph: &Graph, node: &Node, shapes: &Shapes) -> Option<(&'static [Kernel], String)> {
    let (kernels, why) = match &node.op {
        Op::Conv(conv, _) => {
            let [height, width] = conv.window.kernel;
            if depthwise::applies(conv, shapes.of(node.inputs[1])) {
                let why = format!("one {height}x{width} filter per channel");
                return Some((depthwise::KERNELS, why));
            }
            let groups = if conv.groups == 1 { "dense".into() } else { format!("{} groups", conv.groups) };
            return Some((conv::KERNELS, format!("{groups} {height}x{width}")));
        }
        Op::FullyConnected(_) => (fully_connected::KERNELS, "constant weights"),
        Op::MatMul(_) => (matmul::KERNELS, "two activations"),
        Op::Add(_) | Op::Mul(_) if pairwise::applies(graph, node, shapes) => (pairwise::KERNELS, "8 bits"),
        Op::AveragePool(_) => (pool::AVERAGE, "8 bits"),
        Op::GlobalAveragePool | Op::ReduceMean { .. } if reduce::applies(graph, node, shapes) => {
            (reduce::KERNELS, "8 bits")
        }
        Op::MaxPool(_) if is_bytes(graph, node.output) => (pool::MAX, "8 bits"),
        Op::Table => (table::KERNELS, "look-up"),
        Op::Concat { axis } if concat::applies(graph, node, shapes, *axis) => {
            (concat::KERNELS, "joins bytes")
        }
        Op::Concat { .. } => return None,
        op if op.is_movement() && movement::applies(graph, node, shapes) => {
            (movement::KERNELS, "moves bytes")
        }
        _ => return None,
    };
    Some((kernels, why.to_owned()))
}

/// The kernels for a node that the host leaves to the reference interpreter, and why these: what comes after a network of bytes, so
/// that only the answer goes to the host.
pub(crate) fn alone(graph: &Graph, node: &Node, shapes: &Shapes) -> Option<(&'static [Kernel], String)> {
    let (kernels, why) = match &node.op {
        Op::General(GeneralOp::ArgExtreme { .. }) if ranking::finds_extremes(graph, node, shapes) => {
            (ranking::ARG_EXTREMES, "among bytes")
        }
        Op::General(GeneralOp::TopK { .. }) if ranking::sorts(graph, node, shapes) => {
            (ranking::TOP_KS, "among bytes")
        }
        _ => return None,
    };
    Some((kernels, why.to_owned()))
}

/// Whether a value is of 8 bits.
fn is_bytes(graph: &Graph, value: ValueId) -> bool {
    graph.value(value).dtype.range().is_some()
}

impl Kernel {
    /// The smaller, the rather it is taken on a device as long as nothing was measured.
    pub(crate) fn rank(&self, opened: &Opened) -> u8 {
        self.suits.rank(opened.facts().kind)
    }

    /// Whether the device can run it, as far as its driver says.
    pub(crate) fn fits(&self, opened: &Opened) -> bool {
        self.needs.are_met_by(opened.facts())
    }

    /// `operation/opencl`.
    pub(crate) fn family(&self) -> &'static str {
        family(self.name)
    }

    /// Which one of the operation.
    pub(crate) fn variant(&self) -> &'static str {
        variant(self.name)
    }
}

/// A tensor's extents: images, rows, columns, channels.
pub(super) fn size(slot: &Slot) -> Arg {
    Arg::Int4(walk::sizes(&slot.layout).map(int))
}

/// A tensor's place: offset of its first element, bytes from image to image, row to row, column to column.
pub(super) fn place(slot: &Slot) -> Arg {
    walk::Strided::of(slot).at()
}

/// Work items of a work-group of those kernels whose items are elements. A fixed number: PoCL compiles a kernel anew for each
/// (0.3 s), and picks another one for each grid if it may.
const GROUP: usize = 16;

/// Sizes and offsets fit: an arena has at most 2 GiB.
pub(super) fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
