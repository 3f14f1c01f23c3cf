//! Which kernels take a node, and why.

use tilemark_model::graph::{FloatOp, GeneralOp, MoveOp};
use tilemark_model::shape::normalize_axis;
use tilemark_model::{DType, Graph, Node, Op, Shapes, ValueId};

use super::layout::{Halo, Layout};
use super::source::Beside;
use crate::host::kernels::{self, Kernel, depthwise};
use crate::opencl::fpga;
use crate::opencl::kernels::{self as device, Kernel as DeviceKernel};

/// What becomes of one node.
pub(crate) enum Choice {
    /// One operation's kernels, and why this one.
    Kernels(&'static [Kernel], String),
    /// An operation's kernels on the OpenCL device, and why these.
    Device(&'static [DeviceKernel], String),
    /// Tiles of an FPGA's engine, and why.
    Layer(String),
    /// Another name for the same bytes, if memory allows.
    Alias,
    /// Nothing: the steps that compute its operands write them where they belong.
    InPlace,
    /// The reference interpreter, and why.
    Reference(String),
}

impl Choice {
    /// Decides by the node's operation, types and shapes. What the host would do by a kernel the device does, where it can.
    pub(crate) fn new(graph: &Graph, node: &Node, shapes: &Shapes, beside: Beside<'_>) -> Self {
        let context = Context { graph, node, shapes };
        match context.obstacle() {
            Some(why) => Choice::Reference(why),
            None => context.choose().or_on_device(graph, node, shapes, beside),
        }
    }

    fn or_on_device(self, graph: &Graph, node: &Node, shapes: &Shapes, beside: Beside<'_>) -> Self {
        match (&self, beside) {
            (Choice::Kernels(kernels, why), Beside::Engine(config)) => {
                match fpga::judge(graph, node, shapes, config) {
                    Ok(why) => Choice::Layer(why),
                    Err(reason) => Choice::Kernels(kernels, format!("{why}; not on the FPGA: {reason}")),
                }
            }
            (Choice::Kernels(..), Beside::Kernels) => {
                device::of(graph, node, shapes).map_or(self, |(kernels, why)| Choice::Device(kernels, why))
            }
            (Choice::Reference(_), Beside::Kernels) => {
                device::alone(graph, node, shapes).map_or(self, |(kernels, why)| Choice::Device(kernels, why))
            }
            _ => self,
        }
    }

    /// What becomes of a node whose result would have been an alias if memory allowed.
    pub(crate) fn moved(graph: &Graph, node: &Node, shapes: &Shapes, beside: Beside<'_>) -> Self {
        let why = || "the elements lie in another order".to_owned();
        let moved = (Context { graph, node, shapes }).movement();
        match moved.or_on_device(graph, node, shapes, beside) {
            Choice::Kernels(kernels, _) => Choice::Kernels(kernels, why()),
            Choice::Device(kernels, _) => Choice::Device(kernels, why()),
            _ => Choice::Reference(why()),
        }
    }

    /// Whether the chosen kernel keeps a table of all pairs.
    pub(crate) fn has_pair_table(&self, node: &Node) -> bool {
        matches!(self, Choice::Kernels(..)) && matches!(node.op, Op::Add(_) | Op::Mul(_))
    }

    /// Whether the chosen kernel can also do the second of `nodes`, for which `end` was chosen and which reads nothing but the
    /// result of the first.
    pub(crate) fn takes_end(&self, end: &Self, [node, next]: [&Node; 2]) -> bool {
        let kernel = |choice: &Self| match choice {
            Choice::Kernels([kernel, ..], _) => Some(kernel.operation),
            _ => None,
        };
        match (&next.op, kernel(self), kernel(end)) {
            (Op::Table, ..) => self.takes_table(node),
            (Op::Quantize { .. }, Some(own), Some("quantize")) => kernels::may_be_quantized(own),
            // One result for each byte.
            (Op::Float(FloatOp::Unary(op)), Some("dequantize"), Some(_)) => kernels::unary::is_costly(*op),
            _ => false,
        }
    }

    /// Whether the chosen kernel ends in an epilogue that can apply a table.
    fn takes_table(&self, node: &Node) -> bool {
        match (&node.op, self) {
            (Op::Conv(..) | Op::FullyConnected(_), Choice::Layer(_)) => true,
            (Op::Conv(..) | Op::FullyConnected(_) | Op::Add(_) | Op::Mul(_), choice) => {
                matches!(choice, Choice::Kernels(..) | Choice::Device(..))
            }
            _ => false,
        }
    }

    /// Whether the node's inputs may be pixels that lie apart, of `channels` channels.
    pub(crate) fn reads_apart(&self, channels: usize) -> bool {
        match self {
            Choice::Kernels([kernel, ..], _) => kernels::reads_apart(kernel.operation, channels),
            Choice::Reference(_) => true,
            _ => false,
        }
    }

    /// The halo that the chosen kernel wants around its first input.
    pub(crate) fn halo(&self, node: &Node, shapes: &Shapes) -> Option<Halo> {
        match (self, &node.op) {
            (Choice::Kernels(..), Op::Conv(conv, _)) => {
                kernels::conv::halo(&conv.window, shapes.of(node.inputs[0]))
            }
            _ => None,
        }
    }
}

/// How many of a node's inputs are activations for its kernel; the others are packed weights.
pub(crate) fn activations(node: &Node) -> &[ValueId] {
    match node.op {
        Op::Conv(..) | Op::FullyConnected(_) | Op::Table => &node.inputs[..1],
        // Its shape follows from those of the inputs.
        Op::Move(MoveOp::Reshape { .. }) => &node.inputs[..1],
        _ => &node.inputs,
    }
}

struct Context<'a> {
    graph: &'a Graph,
    node: &'a Node,
    shapes: &'a Shapes,
}

impl Context<'_> {
    /// What stands against any kernel.
    fn obstacle(&self) -> Option<String> {
        let Self { graph, node, shapes } = self;
        let empty = |id: &ValueId| shapes.of(*id).contains(&0);
        if node.inputs.iter().chain([&node.output]).any(empty) {
            return Some("a tensor without elements".into());
        }
        let constant = |id: &ValueId| graph.value(*id).constant.is_some() || shapes.known(*id).is_some();
        let mut operands = 0..activations(node).len();
        if let Some(i) = operands.find(|&i| constant(&node.inputs[i]) && !self.takes_constant(i)) {
            return Some(format!("operand `{}` is a constant", graph.value(node.inputs[i]).name));
        }
        let computed = self.constants().iter().find(|id| !constant(id));
        computed.map(|id| format!("operand `{}` is computed", graph.value(*id).name))
    }

    /// Whether the node's kernels take a constant in place of the activation of this number.
    fn takes_constant(&self, i: usize) -> bool {
        match &self.node.op {
            Op::Add(_) | Op::Mul(_) | Op::Float(FloatOp::Binary(_)) => true,
            Op::Move(_) | Op::Float(FloatOp::Resize(_)) => i > 0, // sizes and a fill
            Op::General(GeneralOp::ConvInteger { .. } | GeneralOp::MatMulInteger) => i > 0, // weights and zero points
            Op::General(GeneralOp::TopK { .. }) => i > 0,                                   // how many
            Op::Float(FloatOp::MatMul(_) | FloatOp::Lstm(_) | FloatOp::Gru(_)) => i > 0,
            op => i > 0 && !self.constants().is_empty() && matches!(op, Op::Float(_)),
        }
    }

    /// The operands that must be constants for the node's kernels, besides those that all kernels pack.
    fn constants(&self) -> &[ValueId] {
        match self.node.op {
            Op::Float(
                FloatOp::Conv(_)
                | FloatOp::ScaleShift
                | FloatOp::ConvTranspose(_)
                | FloatOp::LayerNorm { .. }
                | FloatOp::InstanceNorm { .. },
            ) => &self.node.inputs[1..],
            _ => &[],
        }
    }

    fn choose(&self) -> Choice {
        match &self.node.op {
            Op::Conv(conv, _) => {
                let weights = self.shapes.of(self.node.inputs[1]);
                let [height, width] = conv.window.kernel;
                if depthwise::applies(conv, weights) {
                    return Choice::Kernels(
                        depthwise::KERNELS,
                        format!("one {height}x{width} filter per channel"),
                    );
                }
                let groups =
                    if conv.groups == 1 { "dense".into() } else { format!("{} groups", conv.groups) };
                Choice::Kernels(kernels::conv::KERNELS, format!("{groups} {height}x{width}"))
            }
            Op::FullyConnected(_) if self.rank(0) != 4 => {
                self.kernels(kernels::fully_connected::KERNELS, "constant weights")
            }
            Op::Add(_) | Op::Mul(_) => self.pairwise(),
            Op::AveragePool(_) if self.finite_ratio() => {
                self.kernels(kernels::average_pool::KERNELS, "8 bits")
            }
            Op::GlobalAveragePool if self.rank(0) == 4 && self.finite_ratio() => {
                self.kernels(kernels::global_average_pool::KERNELS, "8 bits, an image")
            }
            Op::ReduceMean { .. } | Op::GlobalAveragePool
                if kernels::reduce::applies(&self.node.op, self.rank(0)) && self.finite_ratio() =>
            {
                self.kernels(kernels::reduce::KERNELS, "8 bits")
            }
            Op::MaxPool(_) if self.is_bytes(0) => self.kernels(kernels::max_pool::KERNELS, "8 bits"),
            Op::MaxPool(_) if self.layout(0).dtype == DType::F32 => {
                self.kernels(kernels::max_pool::FLOAT_KERNELS, "f32")
            }
            Op::MatMul(_)
                if kernels::matmul::applies(self.graph, self.node, &self.layout(0), &self.layout(1)) =>
            {
                self.kernels(kernels::matmul::KERNELS, "two activations")
            }
            Op::Table => self.kernels(kernels::table::KERNELS, "reads a value that others read too"),
            Op::Concat { axis } if self.joins_channels(*axis) => {
                self.kernels(kernels::concat::KERNELS, "joins channels")
            }
            Op::Quantize { axis: None } => self.kernels(kernels::quantize::KERNELS, "one scale"),
            Op::Dequantize { axis: None } if self.is_bytes(0) => {
                self.kernels(kernels::dequantize::KERNELS, "one scale")
            }
            Op::Reshape { .. } | Op::Flatten { .. } | Op::Squeeze { .. } | Op::Unsqueeze { .. } => {
                Choice::Alias
            }
            Op::Move(MoveOp::Reshape { .. }) => Choice::Alias,
            Op::Transpose { .. } | Op::Concat { .. } | Op::Move(_) => self.movement(),
            Op::Float(op) => self.float(op),
            Op::General(op) => self.general(op),
            _ => Choice::Reference("no kernel for this form of the operation".into()),
        }
    }

    fn kernels(&self, kernels: &'static [Kernel], why: &str) -> Choice {
        Choice::Kernels(kernels, why.into())
    }

    fn float(&self, op: &FloatOp) -> Choice {
        match op {
            FloatOp::Unary(_) => self.kernels(kernels::unary::KERNELS, "f32, element by element"),
            FloatOp::Binary(_) => self.kernels(kernels::binary::KERNELS, "f32, element by element"),
            FloatOp::Conv(_) => self.kernels(kernels::sliding::FLOAT_KERNELS, "f32, constant weights"),
            FloatOp::MatMul(_) if self.multiplies() => self.kernels(kernels::matmul::FLOAT_KERNELS, "f32"),
            FloatOp::ScaleShift => self.kernels(kernels::scale_shift::KERNELS, "f32, constants per channel"),
            FloatOp::Softmax { .. } | FloatOp::LogSoftmax { .. } => {
                self.kernels(kernels::softmax::KERNELS, "f32, line by line")
            }
            FloatOp::LayerNorm { .. } | FloatOp::InstanceNorm { .. }
                if kernels::normalize::applies(self.node, self.shapes) =>
            {
                self.kernels(kernels::normalize::KERNELS, "f32, line by line")
            }
            FloatOp::Lstm(_) | FloatOp::Gru(_)
                if kernels::recurrent::applies(self.node, |i| self.is_fixed(i)) =>
            {
                self.kernels(kernels::recurrent::KERNELS, "f32, constant weights")
            }
            FloatOp::ConvTranspose(conv) if conv.window.kernel.len() == 2 => {
                self.kernels(kernels::conv_transpose::KERNELS, "f32, constant weights")
            }
            FloatOp::Reduce { .. } | FloatOp::GlobalAveragePool
                if kernels::reduce::applies(&self.node.op, self.rank(0)) =>
            {
                self.kernels(kernels::reduce::KERNELS, "f32, eight sums a result")
            }
            FloatOp::AveragePool(_) => self.kernels(kernels::average_pool::FLOAT_KERNELS, "f32"),
            FloatOp::Resize(_) if kernels::resize::applies(self.node, self.shapes) => {
                self.kernels(kernels::resize::KERNELS, "f32, rows and columns")
            }
            _ => Choice::Reference("f32 runs on the host in its one fixed order".into()),
        }
    }

    fn general(&self, op: &GeneralOp) -> Choice {
        match op {
            GeneralOp::Cast { .. } if kernels::cast::applies(self.layout(0).dtype, self.output().dtype) => {
                self.kernels(kernels::cast::KERNELS, "element by element")
            }
            GeneralOp::DynamicQuantize(_) => {
                self.kernels(kernels::dynamic_quantize::KERNELS, "f32, the input's own range")
            }
            GeneralOp::MatMulInteger if self.multiplies() => {
                self.kernels(kernels::matmul::INTEGER_KERNELS, "bytes, zero points of the input's own")
            }
            GeneralOp::ConvInteger { .. }
                if kernels::sliding::takes_integers(self.node, |i| self.is_fixed(i)) =>
            {
                self.kernels(kernels::sliding::INTEGER_KERNELS, "bytes, zero points of the input's own")
            }
            _ => Choice::Reference("no kernel for this form of the operation".into()),
        }
    }

    /// Whether a matrix product that is not quantized has kernels.
    fn multiplies(&self) -> bool {
        kernels::matmul::takes(self.node, self.shapes, |i| self.is_fixed(i))
    }

    /// Whether the node's operand of this number does not change between runs.
    fn is_fixed(&self, i: usize) -> bool {
        let id = self.node.inputs[i];
        self.graph.value(id).constant.is_some() || self.shapes.known(id).is_some()
    }

    fn pairwise(&self) -> Choice {
        let shape = |i: usize| self.shapes.of(self.node.inputs[i]);
        let why = if shape(0) == shape(1) { "equal shapes" } else { "broadcasts" };
        self.kernels(kernels::pairwise::KERNELS, why)
    }

    /// Moves elements by tables of places, or not at all.
    fn movement(&self) -> Choice {
        if kernels::movement::applies(self.graph, self.node, self.shapes) {
            return self.kernels(kernels::movement::KERNELS, "moves elements");
        }
        Choice::Reference("no kernel for this form of the operation".into())
    }

    fn joins_channels(&self, axis: i64) -> bool {
        let rank = self.rank(0);
        let channels = if rank == 4 { 1 } else { rank.saturating_sub(1) };
        normalize_axis(axis, rank) == Some(channels)
    }

    fn rank(&self, i: usize) -> usize {
        self.shapes.of(self.node.inputs[i]).len()
    }

    fn is_bytes(&self, i: usize) -> bool {
        self.graph.value(self.node.inputs[i]).dtype.range().is_some()
    }

    fn layout(&self, i: usize) -> Layout {
        let id = self.node.inputs[i];
        Layout::new(self.shapes.of(id), self.graph.value(id).dtype, Halo::default())
    }

    fn output(&self) -> Layout {
        let id = self.node.output;
        Layout::new(self.shapes.of(id), self.graph.value(id).dtype, Halo::default())
    }

    /// Whether `x_scale / y_scale` is finite, so that no mean can be NaN. Only an absurd model fails this.
    fn finite_ratio(&self) -> bool {
        let quant = |id: ValueId| self.graph.value(id).quant;
        match (quant(self.node.inputs[0]), quant(self.node.output)) {
            (Some(x), Some(y)) => (x.scale / y.scale).is_finite(),
            _ => false,
        }
    }
}
