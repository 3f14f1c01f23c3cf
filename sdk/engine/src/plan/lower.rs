//! From a graph and shapes to steps in an arena.

use std::any::Any;
use std::sync::Arc;

use tilemark_model::{Graph, Node, Op, Shapes, Tensor, ValueId, shape};

use super::arena::{Arena, Lifetime};
use super::axis_order;
use super::choose::{Choice, activations};
use super::device::DevicePart;
use super::fusion::{Epilogues, Fusion};
use super::joins::Places;
use super::layout::{Halo, Layout, Order};
use super::overwrite;
use super::packed::PackedWeights;
use super::passes;
use super::pick::Pick;
use super::route::Route;
use super::source::{Beside, Source};
use super::{Plan, Slot, Step, StepInfo, Tail};
use crate::error::Error;
use crate::host::CpuLevel;
use crate::host::kernels::pairwise::Residual;
use crate::host::kernels::{Kernel, Planned};
use crate::host::pages::Pool;
use crate::limits::{MAX_PAIR_TABLES, MAX_SCRATCH_BYTES};

/// One node on its way to a step: what a kernel's `build` sees.
pub(crate) struct Lowering<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) node: &'a Node,
    /// The node that the epilogue ends with.
    pub(crate) end: Option<&'a Node>,
    /// Layouts of the activations that it reads.
    pub(crate) inputs: Vec<Layout>,
    pub(crate) output: &'a Layout,
    pub(crate) macs: u64,
    pub(crate) shapes: &'a Shapes,
    /// The operand whose elements are in the output, to be read line by line before they are overwritten.
    pub(crate) overwritten: Option<ValueId>,
    pub(super) index: usize,
    pub(super) packed: &'a PackedWeights,
}

impl Lowering<'_> {
    /// Whether it multiplies a matrix by packed weights, so that kernels of lower levels may be faster.
    pub(crate) fn is_product(&self) -> bool {
        matches!(self.node.op, Op::Conv(..) | Op::FullyConnected(_))
    }

    /// The table that the epilogue applies to its bytes.
    pub(crate) fn table(&self) -> Option<&Node> {
        self.end.filter(|end| end.op == Op::Table)
    }

    /// The node's operand of this number, if it does not change between runs.
    pub(crate) fn constant(&self, operand: usize) -> Option<Tensor> {
        let id = *self.node.inputs.get(operand)?;
        self.shapes.known(id).cloned().or_else(|| self.graph.constant(id))
    }

    /// The number among the step's inputs of the node's operand of this number; `None` for a constant.
    pub(crate) fn input(&self, operand: usize) -> Option<usize> {
        let varies =
            |id: &ValueId| self.shapes.known(*id).is_none() && self.graph.value(*id).constant.is_none();
        let id = self.node.inputs.get(operand)?;
        varies(id).then(|| self.node.inputs[..operand].iter().filter(|id| varies(id)).count())
    }

    /// Where packed weights go.
    pub(crate) fn pool(&self) -> &Pool {
        self.packed.pool()
    }

    /// The weights that `kernel` packed for this node, made by `pack` the first time.
    pub(crate) fn packed<T: Any + Send + Sync>(
        &self,
        kernel: &'static str,
        pack: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Arc<T>, Error> {
        let apart = self.inputs.first().is_some_and(|input| !input.is_dense());
        self.packed.get(self.index, kernel, apart, pack)
    }
}

/// What a stored byte 0 stands for: the smallest value of the type, since `i8` is stored with 128 added.
pub(crate) fn stored_lowest(graph: &Graph, value: ValueId) -> i32 {
    graph.value(value).dtype.range().map_or(0, |(lowest, _)| lowest)
}

/// A value's zero point as a stored byte, 0 to 255.
pub(crate) fn stored_zero_point(graph: &Graph, value: ValueId) -> Result<i32, Error> {
    Ok(graph.quant(value)?.zero_point - stored_lowest(graph, value))
}

/// A table node's entries from stored byte to stored byte.
pub(crate) fn stored_table(graph: &Graph, node: &Node) -> Result<[u8; 256], Error> {
    let missing = || Error::internal(&node.name, "lacks its table");
    let entries = graph.constant_bytes(node.inputs[1]).ok_or_else(missing)?;
    let entries: &[u8; 256] = entries.try_into().map_err(|_| missing())?;
    let flip = |value: ValueId| if stored_lowest(graph, value) < 0 { 0x80 } else { 0 };
    let (x, y) = (flip(node.inputs[0]), flip(node.output));
    Ok(std::array::from_fn(|byte| entries[byte ^ usize::from(x)] ^ y))
}

impl Plan {
    /// Compiles a graph for input shapes.
    ///
    /// # Errors
    /// Those of shape inference, and [`Error::TooLarge`] beyond the limits on memory.
    pub(crate) fn new(source: Source<'_>, input_shapes: Vec<Vec<usize>>) -> Result<Self, Error> {
        let (shapes, passes) =
            passes::split(source, shape::infer(source.graph, &input_shapes)?, &input_shapes);
        let lower = Lower::new(source, Arc::new(shapes))?;
        let engine = lower.engine_program()?;
        let (slots, arena_bytes) = lower.slots()?;
        let mut steps = Vec::with_capacity(lower.order.len());
        for &node in &lower.order {
            steps.push(lower.step(node, &slots, None)?);
        }
        for (i, step) in steps.iter_mut().enumerate().filter(|(_, step)| step.on_engine) {
            step.info.tiles = engine.as_ref().map_or(0, |engine| engine.tiles(i));
            step.info.bytes = engine.as_ref().map_or(0, |engine| engine.traffic(i));
        }
        let scratch_bytes = scratch_bytes(&steps);
        if scratch_bytes > MAX_SCRATCH_BYTES {
            let limit = MAX_SCRATCH_BYTES;
            return Err(Error::TooLarge { what: "working memory", found: scratch_bytes, limit });
        }
        let tail = Tail::new(source.graph, &lower.shapes);
        let route = if source.opened.is_some() { lower.route(&mut steps, &slots) } else { Route::default() };
        let shapes = lower.shapes;
        steps.iter_mut().for_each(|step| step.info.repeat(passes));
        Ok(Self {
            shapes,
            input_shapes,
            passes,
            steps,
            tail,
            slots,
            route,
            engine,
            arena_bytes,
            scratch_bytes,
        })
    }
}

/// The choices for a whole graph.
pub(super) struct Lower<'a> {
    pub(super) source: Source<'a>,
    pub(super) shapes: Arc<Shapes>,
    pub(super) choices: Vec<Choice>,
    pub(super) fusion: Fusion,
    /// Nodes that become steps.
    pub(super) order: Vec<usize>,
    /// Layout of every value in memory.
    pub(super) layouts: Vec<Option<Layout>>,
    /// Which values lie inside others.
    pub(super) places: Places,
    /// For every node the operand that its step overwrites.
    overwritten: Vec<Option<ValueId>>,
}

impl<'a> Lower<'a> {
    pub(super) fn new(source: Source<'a>, shapes: Arc<Shapes>) -> Result<Self, Error> {
        let graph = source.graph;
        let beside = source.beside();
        let mut choices = choices(graph, &shapes, beside);
        let kernels = Kernels { graph, shapes: &shapes, choices: &choices, level: source.picker.level };
        let fusion = Fusion::new(graph, &kernels);
        // What follows from the shapes alone is computed already; what follows from values comes after the plan.
        let is_step = |i: usize| {
            let output = graph.nodes[i].output;
            !fusion.vanished[i] && shapes.known(output).is_none() && !shapes.is_late(output)
        };
        let order: Vec<usize> = (0..graph.nodes.len()).filter(|&i| is_step(i)).collect();
        let orders = axis_order::of_values(graph, &order, &choices);
        let halos = halos(graph, &order, &choices, &shapes, &orders);
        let layout = |id: ValueId| {
            let plain = Layout::new(shapes.of(id), graph.value(id).dtype, halos[id.index()]);
            plain.in_order(orders[id.index()])
        };
        let mut layouts = vec![None; graph.values.len()];
        let written = order.iter().map(|&i| fusion.ends_in(i, graph));
        for id in graph.inputs.iter().map(|port| port.value).chain(written) {
            layouts[id.index()] = Some(layout(id));
        }
        for &i in &order {
            let node = &graph.nodes[i];
            let same = || layout(node.inputs[0]).same_bytes(&layout(node.output));
            let [from, to] = [node.inputs[0], node.output].map(|id| (orders[id.index()], halos[id.index()]));
            if axis_order::is_alias(node, from.0, to.0) && from.1 == to.1 {
                choices[i] = Choice::Alias;
            } else if matches!(choices[i], Choice::Alias) && !same() {
                choices[i] = Choice::moved(graph, node, &shapes, beside);
            }
        }
        let places = Places::default();
        let overwritten = vec![None; graph.nodes.len()];
        let mut lower = Self { source, shapes, choices, fusion, order, layouts, places, overwritten };
        // Values that lie in one another cannot be copied between host and device one by one.
        if matches!(beside, Beside::Nothing) {
            lower.places = Places::new(&mut lower);
            lower.overwritten = overwrite::of_steps(&lower);
        }
        Ok(lower)
    }

    /// Places every value in the arena; also its size.
    fn slots(&self) -> Result<(Vec<Option<Slot>>, usize), Error> {
        let graph = self.source.graph;
        // Values that alias another one or lie inside it share its buffer: `buffer` is that, and where they begin in it.
        let mut buffer: Vec<Option<(usize, usize)>> = vec![None; graph.values.len()];
        let mut lifetimes: Vec<Lifetime> = Vec::new();
        let end = self.order.len() + 1;
        let create = |id: ValueId, moment: usize, lifetimes: &mut Vec<Lifetime>| -> Result<usize, Error> {
            let bytes = self.layout(id)?.bytes()?;
            lifetimes.push(Lifetime { bytes, first: moment, last: moment });
            Ok(lifetimes.len() - 1)
        };
        for port in &graph.inputs {
            buffer[port.value.index()] = Some((create(port.value, 0, &mut lifetimes)?, 0));
        }
        for (moment, &i) in (1..).zip(&self.order) {
            let node = &graph.nodes[i];
            for (buffer, _) in self.reads(i).filter_map(|id| buffer[id.index()]) {
                lifetimes[buffer].last = moment;
            }
            let written = self.fusion.ends_in(i, graph);
            if matches!(self.choices[i], Choice::Alias) {
                buffer[written.index()] = buffer[node.inputs[0].index()];
                continue;
            }
            let (home, at) = self.places.home(written);
            let shared = self.overwritten[i].and_then(|operand| buffer[operand.index()]);
            let own = match buffer[home.index()].or(shared) {
                Some((own, _)) => own,
                None => create(home, moment, &mut lifetimes)?,
            };
            lifetimes[own].last = moment;
            buffer[home.index()] = Some((own, 0));
            buffer[written.index()] = Some((own, at));
        }
        for id in self.needed_on_host() {
            if let Some((buffer, _)) = buffer[id.index()] {
                lifetimes[buffer].last = end;
            }
        }
        let arena = Arena::new(&lifetimes)?;
        let place = |(id, buffer): (usize, Option<(usize, usize)>)| {
            let (Some((buffer, at)), Some(layout)) = (buffer, &self.layouts[id]) else { return Ok(None) };
            let id = ValueId(u32::try_from(id).unwrap_or(u32::MAX));
            let fill = graph.value(id).quant.map_or(Ok(0), |_| stored_zero_point(graph, id))?;
            let fill =
                u8::try_from(fill).map_err(|_| Error::internal(&graph.value(id).name, "zero point"))?;
            let offset = arena.offsets[buffer] + at;
            Ok(Some(Slot { offset, bytes: layout.bytes()?, layout: layout.clone(), fill }))
        };
        Ok((buffer.into_iter().enumerate().map(place).collect::<Result<_, Error>>()?, arena.bytes))
    }

    /// What a run returns, and what the host tail reads.
    pub(super) fn needed_on_host(&self) -> impl Iterator<Item = ValueId> {
        let graph = self.source.graph;
        let late = graph.nodes.iter().filter(|node| self.shapes.is_late(node.output));
        let read_last = late.flat_map(|node| node.inputs.iter().copied());
        graph.outputs.iter().map(|port| port.value).chain(read_last)
    }

    fn layout(&self, id: ValueId) -> Result<&Layout, Error> {
        let missing = || Error::internal(&self.source.graph.value(id).name, "has no place in memory");
        self.layouts[id.index()].as_ref().ok_or_else(missing)
    }

    /// The step of a node, with the kernel that is picked for it unless one is given.
    pub(super) fn step(
        &self,
        index: usize,
        slots: &[Option<Slot>],
        kernel: Option<&'static Kernel>,
    ) -> Result<Step, Error> {
        let graph = self.source.graph;
        let node = &graph.nodes[index];
        let value = self.fusion.ends_in(index, graph);
        let (inputs, output) = self.places(index, slots)?;
        let macs = shape::macs(node, &self.shapes);
        let mut pick: Option<Pick> = None;
        let mut device = DevicePart::default();
        let (name, why, planned) = match &self.choices[index] {
            Choice::Alias => ("alias", "the same bytes under another shape".to_owned(), None),
            Choice::InPlace => ("in place", "its operands are written where they belong".to_owned(), None),
            Choice::Reference(why) => ("reference", why.clone(), Some(self.fallback(index, &output)?)),
            Choice::Layer(why) => ("fpga", why.clone(), None),
            Choice::Device(kernels, why) => {
                let lowering = self.lowering(index, slots, &output);
                device = self.on_device(kernels, &self.site(index, &lowering, &inputs, &output)?)?;
                let family = device.kernel.map_or("", |kernel| kernel.family());
                (family, why.clone(), None)
            }
            Choice::Kernels(kernels, why) => {
                let lowering = self.lowering(index, slots, &output);
                let (kernel, planned) = self.on_host(kernels, kernel, lowering, &mut pick)?;
                (kernel.family(), why.clone(), Some(planned))
            }
        };
        let work = planned.map(|Planned { work, tiling }| (work, tiling));
        let is_layer = matches!(self.choices[index], Choice::Layer(_));
        let does_anything = work.is_some() || is_layer || !device.launches.is_empty();
        if does_anything {
            let over = self.overwritten[index].and_then(|id| slots[id.index()].as_ref());
            let apart = inputs.iter().filter(|input| over.is_none_or(|over| over.offset != input.offset));
            check_apart(&node.name, apart, &output)?;
        }
        let info = StepInfo {
            node: node.name.clone(),
            op: node.op.name().to_owned(),
            output: graph.value(value).name.clone(),
            shape: output.layout.shape.clone(),
            kernel: name.to_owned(),
            why,
            macs,
            bytes: if does_anything { self.traffic(node, &inputs, &output) } else { 0 },
            fused: self.fused(index).map(|node| node.name.clone()).collect(),
            float: is_float(&node.op),
            ..StepInfo::default()
        };
        let info =
            info.with_pick(pick.as_ref(), work.as_ref().map(|(_, tiling)| tiling)).with_device(&device);
        Ok(Step { info, value, inputs, output, pick, work, device, on_engine: is_layer })
    }

    /// Where a node's step reads and writes.
    pub(super) fn places(&self, index: usize, slots: &[Option<Slot>]) -> Result<(Vec<Slot>, Slot), Error> {
        let graph = self.source.graph;
        let slot = |id: ValueId| slots[id.index()].clone();
        let missing = || Error::internal(&graph.nodes[index].name, "has no place for its result");
        let output = slot(self.fusion.ends_in(index, graph)).ok_or_else(missing)?;
        Ok((self.reads(index).filter_map(slot).collect(), output))
    }

    /// What a kernel's `build` sees of a node.
    pub(super) fn lowering<'s>(
        &'s self,
        index: usize,
        slots: &[Option<Slot>],
        output: &'s Slot,
    ) -> Lowering<'s> {
        let graph = self.source.graph;
        let node = &graph.nodes[index];
        let layout = |&id: &ValueId| Some(slots[id.index()].as_ref()?.layout.clone());
        Lowering {
            graph,
            node,
            end: self.fusion.end_of[index].map(|end| &graph.nodes[end]),
            inputs: activations(node).iter().filter_map(layout).collect(),
            output: &output.layout,
            macs: shape::macs(node, &self.shapes),
            shapes: &self.shapes,
            overwritten: self.overwritten[index],
            index,
            packed: self.source.packed,
        }
    }

    /// What a node's step reads: its activations, and the other operand of an addition that is part of it.
    pub(super) fn reads(&self, index: usize) -> impl Iterator<Item = ValueId> {
        let other = self.fusion.sum_of[index].map(|sum| sum.other);
        activations(&self.source.graph.nodes[index]).iter().copied().chain(other)
    }

    /// The nodes that became part of a node's step, in order.
    fn fused(&self, index: usize) -> impl Iterator<Item = &'a Node> {
        let sum = self.fusion.sum_of[index].map(|sum| sum.node);
        let ends = [Some(index), sum].map(|node| self.fusion.end_of[node?]);
        let graph: &'a Graph = self.source.graph;
        [ends[0], sum, ends[1]].into_iter().flatten().map(|node| &graph.nodes[node])
    }

    /// Bytes of activations read and written and of constants read.
    fn traffic(&self, node: &Node, inputs: &[Slot], output: &Slot) -> u64 {
        let constants = node.inputs.iter().filter_map(|&id| self.source.graph.constant_bytes(id));
        let constants: usize = constants.map(<[u8]>::len).sum();
        let activations: usize = inputs.iter().map(|slot| slot.layout.own_bytes()).sum();
        (constants + activations + output.layout.own_bytes()) as u64
    }
}

/// What computes each node.
fn choices(graph: &Graph, shapes: &Shapes, beside: Beside<'_>) -> Vec<Choice> {
    let choice = |node: &Node| match shapes.is_late(node.output) {
        true => Choice::Reference("its shape depends on values".into()),
        false => Choice::new(graph, node, shapes, beside),
    };
    let mut choices: Vec<Choice> = graph.nodes.iter().map(choice).collect();
    let pairs = choices.iter_mut().zip(&graph.nodes).filter(|(choice, node)| choice.has_pair_table(node));
    for (choice, _) in pairs.skip(MAX_PAIR_TABLES) {
        *choice = Choice::Reference(format!("the graph has over {MAX_PAIR_TABLES} additions and products"));
    }
    choices
}

/// The halo of every value: as wide as the neediest of its readers wants it, and the same for values that share bytes.
fn halos(graph: &Graph, steps: &[usize], choices: &[Choice], shapes: &Shapes, orders: &[Order]) -> Vec<Halo> {
    let mut halos = vec![Halo::default(); graph.values.len()];
    for &i in steps {
        if let Some(halo) = choices[i].halo(&graph.nodes[i], shapes) {
            let input = graph.nodes[i].inputs[0].index();
            halos[input] = halos[input].union(halo);
        }
    }
    for &i in steps {
        let node = &graph.nodes[i];
        let [input, output] = [node.inputs.first().map_or(0, |id| id.index()), node.output.index()];
        if axis_order::is_alias(node, orders[input], orders[output]) {
            halos[input] = halos[input].union(halos[output]);
            halos[output] = halos[input];
        }
    }
    halos
}

/// Working memory for any of some steps: whole cache lines, so that any element type divides it.
pub(super) fn scratch_bytes(steps: &[Step]) -> usize {
    let scratch = |step: &Step| step.work.as_ref().map_or(0, |(work, _)| work.scratch_bytes());
    steps.iter().map(scratch).max().unwrap_or(0).saturating_add(63) & !63
}

/// What fusion must know of the kernels.
struct Kernels<'a> {
    graph: &'a Graph,
    shapes: &'a Shapes,
    choices: &'a [Choice],
    level: CpuLevel,
}

impl Epilogues for Kernels<'_> {
    fn takes_end(&self, node: usize, end: usize) -> bool {
        let nodes = [node, end].map(|i| &self.graph.nodes[i]);
        self.choices[node].takes_end(&self.choices[end], nodes)
    }

    fn takes_sum(&self, node: usize, sum: usize) -> bool {
        let [host, sum_node] = [node, sum].map(|i| &self.graph.nodes[i]);
        let is_product = matches!(host.op, Op::Conv(..) | Op::FullyConnected(_));
        let shape = self.shapes.of(sum_node.output);
        let are_there = |id: &ValueId| {
            self.shapes.of(*id) == shape
                && self.graph.value(*id).constant.is_none()
                && self.shapes.known(*id).is_none()
        };
        let together = match [&self.choices[node], &self.choices[sum]] {
            [Choice::Kernels(..), Choice::Kernels(..)] => Residual::applies(self.graph, sum_node, self.level),
            [Choice::Device(..), Choice::Device(..)] => true,
            _ => false,
        };
        is_product && sum_node.inputs.iter().all(are_there) && together
    }
}

pub(super) fn is_float(op: &Op) -> bool {
    op.is_float() || matches!(op, Op::Quantize { .. } | Op::Dequantize { .. })
}

/// The executor's soundness rests on this: what a step reads is not what it writes.
fn check_apart<'a>(at: &str, mut inputs: impl Iterator<Item = &'a Slot>, output: &Slot) -> Result<(), Error> {
    if inputs.any(|input| input.overlaps(output)) {
        return Err(Error::internal(at, "an input and the output share bytes"));
    }
    Ok(())
}
