//! One node of a graph as tiles of the engine's list.

use tilemark_bitstreams::{
    Add, AveragePool, Compiler, Config, Conv, MaxPool, MeanMultiplier, Refused, Requant, Table, Tensor,
    Window,
};
use tilemark_model::graph::{self, Bounds, MoveOp, Pool};
use tilemark_model::numerics::{self, AddCoefficients};
use tilemark_model::shape::output_extent;
use tilemark_model::{DType, Graph, Node, Op, Shapes, ValueId};

use super::place;
use crate::error::Error;
use crate::plan::activations;

/// Why a node does not become tiles.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The engine cannot: another device must.
    Refused(String),
    /// Something is wrong with the graph.
    Wrong(Error),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Stop::Refused(refused.to_string())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Wrong(error)
    }
}

impl From<tilemark_model::Error> for Stop {
    fn from(error: tilemark_model::Error) -> Self {
        Stop::Wrong(error.into())
    }
}

/// A node with the places of its operands and its result.
pub(super) struct Layer<'a> {
    pub(super) graph: &'a Graph,
    pub(super) node: &'a Node,
    /// The table that its results go through.
    pub(super) table: Option<&'a Node>,
    /// Of one image.
    pub(super) inputs: &'a [Tensor],
    pub(super) output: Tensor,
}

/// Why an engine takes a node, or why it does not.
pub(crate) fn judge(graph: &Graph, node: &Node, shapes: &Shapes, config: &Config) -> Result<String, String> {
    let why = takes(graph, node, shapes)?;
    for &input in activations(node) {
        stays_as_it_is(graph, shapes, input)?;
    }
    let place = |id: ValueId| place::of(place::grid(shapes.of(id)), 0);
    let inputs: Vec<Tensor> = activations(node).iter().map(|&id| place(id)).collect();
    let layer = Layer { graph, node, table: None, inputs: &inputs, output: place(node.output) };
    match layer.emit(&mut Compiler::judge(*config)) {
        Ok(()) => Ok(why),
        Err(Stop::Refused(reason)) => Err(reason),
        Err(Stop::Wrong(error)) => Err(error.to_string()),
    }
}

/// Whether there is a layer for the node's operation and types.
fn takes(graph: &Graph, node: &Node, shapes: &Shapes) -> Result<String, String> {
    let bytes = |id: ValueId| graph.value(id).dtype.range().is_some();
    let varies = |id: ValueId| graph.value(id).constant.is_none() && shapes.known(id).is_none();
    let why = match &node.op {
        Op::Conv(conv, _) => {
            let [height, width] = conv.window.kernel;
            match conv.groups {
                1 => format!("dense {height}x{width}"),
                groups => format!("{height}x{width}, {groups} groups"),
            }
        }
        Op::FullyConnected(_) if shapes.of(node.inputs[0]).len() != 4 => "constant weights".to_owned(),
        Op::AveragePool(_) => "means of windows".to_owned(),
        Op::GlobalAveragePool if shapes.of(node.inputs[0]).len() == 4 => "means of images".to_owned(),
        Op::MaxPool(_) if bytes(node.inputs[0]) => "largest of windows".to_owned(),
        Op::Add(_) => {
            let [a, b] = [0, 1].map(|i| shapes.of(node.inputs[i]));
            if a != b || !node.inputs.iter().all(|&id| varies(id)) {
                return Err("the engine adds two computed tensors of one shape".to_owned());
            }
            "two tensors".to_owned()
        }
        Op::Table => "look-up".to_owned(),
        _ => return Err("the engine has no such operation".to_owned()),
    };
    let all = activations(node).iter().chain([&node.output]);
    match all.copied().find(|&id| !bytes(id)) {
        Some(id) => Err(format!("`{}` is not of 8 bits", graph.value(id).name)),
        None => Ok(why),
    }
}

/// A value that is another one under a new shape lies as that one does: blocks of channels of planes of pixels.
fn stays_as_it_is(graph: &Graph, shapes: &Shapes, value: ValueId) -> Result<(), String> {
    let mut root = value;
    while let Some(node) = graph.nodes.iter().find(|node| node.output == root)
        && matches!(
            node.op,
            Op::Reshape { .. }
                | Op::Flatten { .. }
                | Op::Squeeze { .. }
                | Op::Unsqueeze { .. }
                | Op::Move(MoveOp::Reshape { .. })
        )
    {
        root = node.inputs[0];
    }
    let grid = |id: ValueId| place::grid(shapes.of(id));
    if grid(root) == grid(value) {
        return Ok(());
    }
    Err(format!("`{}` lies in another order in the engine's memory", graph.value(value).name))
}

impl Layer<'_> {
    /// Appends its tiles.
    pub(super) fn emit(&self, compiler: &mut Compiler) -> Result<(), Stop> {
        match &self.node.op {
            Op::Conv(conv, bounds) => {
                let window = self.window(&conv.window, false)?;
                self.product(compiler, window, conv.groups, *bounds)
            }
            Op::FullyConnected(bounds) => self.product(compiler, Window::PIXEL, 1, *bounds),
            Op::AveragePool(pool) => self.average(compiler, pool),
            Op::GlobalAveragePool => self.global_average(compiler),
            Op::MaxPool(pool) => {
                let window = self.window(&pool.window, pool.ceil_mode)?;
                let (x, y, unsigned) = (self.x()?, self.output, self.is_unsigned(self.node.output));
                Ok(compiler.max_pool(&MaxPool { x, y, window, unsigned, table: None })?)
            }
            Op::Add(bounds) => self.add(compiler, *bounds),
            Op::Table => {
                let table = self.entries(self.node)?;
                Ok(compiler.table(&Table { x: self.x()?, y: self.output, table: &table })?)
            }
            op => Err(self.internal(&format!("{} is no layer", op.name()))),
        }
    }

    fn product(
        &self,
        compiler: &mut Compiler,
        window: Window,
        groups: usize,
        bounds: Bounds,
    ) -> Result<(), Stop> {
        let lacks = || self.internal("lacks its weights");
        let weights = self.graph.constant_bytes(self.node.inputs[1]).ok_or_else(lacks)?;
        let [bias, multipliers] = [2, 3].map(|i| self.graph.constant(self.node.inputs[i]));
        let bias = bias.ok_or_else(lacks)?.widened()?;
        let multipliers = multipliers.ok_or_else(lacks)?;
        let table = self.table.map(|node| self.entries(node)).transpose()?;
        Ok(compiler.conv(&Conv {
            x: self.x()?,
            y: self.output,
            window,
            groups,
            weights: bytemuck::cast_slice(weights),
            bias: &bias,
            multipliers: multipliers.as_f32()?,
            requant: self.requant(bounds, table.as_ref())?,
        })?)
    }

    fn average(&self, compiler: &mut Compiler, pool: &Pool) -> Result<(), Stop> {
        let window = self.window(&pool.window, pool.ceil_mode)?;
        let image = self.x()?.extent;
        let windows = crate::host::kernels::average_pool::Windows::of(pool, image)
            .ok_or_else(|| self.internal("has a window that fits nowhere"))?;
        let counts = [0, 1].map(|axis| -> Vec<usize> {
            (0..self.output.extent[axis]).map(|output| windows.count(axis, output)).collect()
        });
        self.mean(compiler, window, [&counts[0], &counts[1]])
    }

    fn global_average(&self, compiler: &mut Compiler) -> Result<(), Stop> {
        let image = self.x()?.extent;
        self.mean(compiler, Window { kernel: image, ..Window::PIXEL }, [&image[..1], &image[1..]])
    }

    fn mean(&self, compiler: &mut Compiler, window: Window, counts: [&[usize]; 2]) -> Result<(), Stop> {
        let [from, to] = self.scales()?;
        let all = self.range(self.node.output);
        Ok(compiler.average_pool(&AveragePool {
            x: self.x()?,
            y: self.output,
            window,
            counts,
            multiplier: &Mean { from, to },
            requant: self.requant(all, None)?,
        })?)
    }

    fn add(&self, compiler: &mut Compiler, bounds: Bounds) -> Result<(), Stop> {
        let &[a, b] = self.inputs else { return Err(self.internal("is no addition of two")) };
        let [qa, qb, qy] = [self.node.inputs[0], self.node.inputs[1], self.node.output];
        let add = AddCoefficients::new(self.graph.quant(qa)?, self.graph.quant(qb)?, self.graph.quant(qy)?);
        let real = |pattern: usize| match self.graph.value(qb).dtype {
            DType::I8 => f32::from((pattern as u8).cast_signed()),
            _ => pattern as f32,
        };
        let terms: [f32; 256] = std::array::from_fn(|pattern| real(pattern).mul_add(add.rb, add.c));
        Ok(compiler.add(&Add {
            a,
            b,
            y: self.output,
            ra: add.ra,
            terms: &terms,
            a_unsigned: self.is_unsigned(qa),
            y_unsigned: self.is_unsigned(qy),
            bounds: [bounds.lo, bounds.hi],
        })?)
    }

    fn requant<'t>(&self, bounds: Bounds, table: Option<&'t [u8; 256]>) -> Result<Requant<'t>, Stop> {
        let (x, y) = (self.node.inputs[0], self.node.output);
        Ok(Requant {
            x_unsigned: self.is_unsigned(x),
            x_zero: self.graph.quant(x)?.zero_point,
            y_unsigned: self.is_unsigned(y),
            y_zero: self.graph.quant(y)?.zero_point,
            bounds: [bounds.lo, bounds.hi],
            table,
        })
    }

    /// A window with its padding found.
    fn window(&self, window: &graph::Window, ceil: bool) -> Result<Window, Stop> {
        let graph::Window { kernel, strides, dilations, .. } = *window;
        let extent = output_extent(window, self.x()?.extent, ceil)
            .ok_or_else(|| self.internal("has a window that fits nowhere"))?;
        Ok(Window { kernel, strides, dilations, before: extent.before })
    }

    fn x(&self) -> Result<Tensor, Stop> {
        self.inputs.first().copied().ok_or_else(|| self.internal("has no input"))
    }

    fn scales(&self) -> Result<[f32; 2], Stop> {
        let scale = |id| self.graph.quant(id).map(|quant| quant.scale);
        Ok([scale(self.node.inputs[0])?, scale(self.node.output)?])
    }

    fn range(&self, value: ValueId) -> Bounds {
        let (lo, hi) = self.graph.value(value).dtype.range().unwrap_or((0, 255));
        Bounds { lo, hi }
    }

    fn is_unsigned(&self, value: ValueId) -> bool {
        self.graph.value(value).dtype == DType::U8
    }

    /// A table node's entries, from bit pattern to bit pattern.
    fn entries(&self, node: &Node) -> Result<[u8; 256], Stop> {
        let lacks = || Stop::Wrong(Error::internal(&node.name, "lacks its table"));
        let bytes = self.graph.constant_bytes(node.inputs[1]).ok_or_else(lacks)?;
        bytes.try_into().map_err(|_| lacks())
    }

    fn internal(&self, reason: &str) -> Stop {
        Stop::Wrong(Error::internal(&self.node.name, reason))
    }
}

#[derive(Debug)]
struct Mean {
    from: f32,
    to: f32,
}

impl MeanMultiplier for Mean {
    fn of(&self, n: usize) -> f32 {
        numerics::mean_multiplier(self.from, self.to, n)
    }
}
