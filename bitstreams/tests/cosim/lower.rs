//! Graphs on the engine: every node that it can run becomes tiles, and its bytes are compared with the reference's. The SDK's own
//! lowering is above this crate and in no reach of it; here a second, simpler one shows that the tiles mean what they say.

use std::collections::HashMap;

use tilemark_bitstreams::{
    Add, AveragePool, Compiler, Config, Conv, MaxPool, MeanMultiplier, Program, Refused, Requant, Table,
    Tensor, Window,
};
use tilemark_model::graph::{self, Bounds, Graph, Node, Op, Pads};
use tilemark_model::numerics::{AddCoefficients, mean_multiplier};
use tilemark_model::shape::output_extent;
use tilemark_model::{DType, Quant, ValueId, reference};

use super::simulator::{CONSTANTS, Ran, Simulator, TENSORS};

/// More than any case takes on the slowest engine.
const MAX_CLOCKS: u64 = 100_000_000;

/// A graph of layers in order, and its inputs.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) graph: Graph,
    pub(crate) inputs: Vec<tilemark_model::Tensor>,
}

/// What a case gave.
pub(crate) struct Compared {
    pub(crate) elements: usize,
    pub(crate) different: usize,
    pub(crate) ran: Ran,
}

struct Lowering<'a> {
    graph: &'a Graph,
    compiler: Compiler,
    places: HashMap<ValueId, Tensor>,
    free: u32,
    /// Values that are not written, since a table is fused to the node before.
    fused: Vec<ValueId>,
}

/// Runs a case and compares all values that the engine wrote.
pub(crate) fn compare(simulator: &mut Simulator, config: Config, case: &Case) -> Result<Compared, Refused> {
    let mut expected = HashMap::new();
    reference::run_observed(&case.graph, case.inputs.clone(), |id, tensor| {
        expected.insert(id, tensor.clone());
    })
    .unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let (program, places, fused) = lower(&case.graph, config, &expected)?;
    for (&id, tensor) in &places {
        let garbage = vec![0xa5; tensor.bytes(&config)];
        simulator.write(tensor.address, &garbage);
        if case.graph.inputs.iter().any(|port| port.value == id) {
            simulator.write(tensor.address, &tensor.pack(&config, &expected[&id].to_bytes()));
        }
    }
    let ran = simulator.execute(&program, MAX_CLOCKS);
    assert_eq!(ran.error, 0, "{}: refused at {}", case.name, ran.error_index);
    assert_eq!(ran.tiles, program.tiles, "{}", case.name);
    let mut compared = Compared { elements: 0, different: 0, ran };
    for node in &case.graph.nodes {
        if fused.contains(&node.output) {
            continue;
        }
        let place = places[&node.output];
        let got = place.unpack(&config, &simulator.read(place.address, place.bytes(&config)));
        let wanted = expected[&node.output].to_bytes();
        let different = got.iter().zip(&wanted).filter(|(a, b)| a != b).count();
        if different > 0 {
            let first = got.iter().zip(&wanted).position(|(a, b)| a != b).unwrap();
            let (name, op) = (&case.name, node.op.name());
            let found = (got[first], wanted[first]);
            eprintln!("{name}: {op} {place:?}: {different} differ, the first at {first}: {found:?}");
        }
        compared.elements += wanted.len();
        compared.different += different;
    }
    Ok(compared)
}

/// A case, ready to be written to an engine's memory.
pub(crate) struct Prepared {
    pub(crate) program: Program,
    /// Inputs, packed.
    pub(crate) inputs: Vec<(Tensor, Vec<u8>)>,
    /// What the last node must give.
    pub(crate) outputs: Vec<(Tensor, Vec<u8>)>,
}

/// Compiles a case, and computes what it must give.
pub(crate) fn prepared(case: &Case, config: Config) -> Result<Prepared, Refused> {
    let mut values = HashMap::new();
    reference::run_observed(&case.graph, case.inputs.clone(), |id, tensor| {
        values.insert(id, tensor.clone());
    })
    .unwrap();
    let (program, places, _) = lower(&case.graph, config, &values)?;
    let bytes = |id: ValueId| values[&id].to_bytes();
    let inputs = case.graph.inputs.iter().map(|port| places[&port.value].pack(&config, &bytes(port.value)));
    let inputs = case.graph.inputs.iter().map(|port| places[&port.value]).zip(inputs).collect();
    let outputs = case.graph.outputs.iter().map(|port| (places[&port.value], bytes(port.value))).collect();
    Ok(Prepared { program, inputs, outputs })
}

type Lowered = (Program, HashMap<ValueId, Tensor>, Vec<ValueId>);

fn lower(
    graph: &Graph,
    config: Config,
    values: &HashMap<ValueId, tilemark_model::Tensor>,
) -> Result<Lowered, Refused> {
    let compiler = Compiler::new(config, CONSTANTS);
    let mut lowering = Lowering { graph, compiler, places: HashMap::new(), free: TENSORS, fused: Vec::new() };
    for port in &graph.inputs {
        lowering.place(port.value, values[&port.value].shape());
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        if matches!(node.op, Op::Table) && lowering.fused.contains(&node.inputs[0]) {
            continue;
        }
        lowering.place(node.output, values[&node.output].shape());
        let table = graph.nodes.get(i + 1).filter(|next| {
            matches!(
                (&node.op, &next.op),
                (Op::Conv(..) | Op::FullyConnected(_) | Op::AveragePool(_), Op::Table)
            ) && next.inputs[0] == node.output
        });
        lowering.node(node, table)?;
    }
    Ok((lowering.compiler.finish(), lowering.places, lowering.fused))
}

/// `mean_multiplier` of two scales.
#[derive(Debug)]
struct Mean(Quant, Quant);

impl MeanMultiplier for Mean {
    fn of(&self, n: usize) -> f32 {
        mean_multiplier(self.0.scale, self.1.scale, n)
    }
}

impl Lowering<'_> {
    /// A place for a value: images, and lines of features as images of a pixel.
    fn place(&mut self, id: ValueId, shape: &[usize]) {
        let (channels, extent) = match *shape {
            [1, channels, rows, cols] => (channels, [rows, cols]),
            [1, channels] => (channels, [1, 1]),
            _ => panic!("a test with the shape {shape:?}"),
        };
        let tensor = Tensor { address: self.free, channels, extent };
        self.free += u32::try_from(tensor.bytes(self.compiler.config())).unwrap();
        self.places.insert(id, tensor);
    }

    fn is_unsigned(&self, id: ValueId) -> bool {
        self.graph.value(id).dtype == DType::U8
    }

    fn quant(&self, id: ValueId) -> Quant {
        self.graph.quant(id).unwrap()
    }

    fn bytes(&self, id: ValueId) -> [u8; 256] {
        self.graph.constant_bytes(id).unwrap().try_into().unwrap()
    }

    /// A place like that of the value which a table is fused to, for what the table makes of it.
    fn fuse(&mut self, value: ValueId, made: ValueId) -> ValueId {
        let (from, address) = (self.places[&value], self.free);
        self.places.insert(made, Tensor { address, ..from });
        self.free += u32::try_from(from.bytes(self.compiler.config())).unwrap();
        self.fused.push(value);
        made
    }

    fn node(&mut self, node: &Node, next: Option<&Node>) -> Result<(), Refused> {
        let graph = self.graph;
        let (x, output) = (node.inputs[0], node.output);
        let table = next.map(|next| self.bytes(next.inputs[1]));
        let y = next.map_or(output, |table| self.fuse(output, table.output));
        let places = [self.places[&x], self.places[&y]];
        let requant = |bounds: Bounds| Requant {
            x_unsigned: self.is_unsigned(x),
            x_zero: self.quant(x).zero_point,
            y_unsigned: self.is_unsigned(output),
            y_zero: self.quant(output).zero_point,
            bounds: [bounds.lo, bounds.hi],
            table: table.as_ref(),
        };
        let whole = |id| {
            let (lo, hi) = graph.value(id).dtype.range().unwrap();
            Bounds { lo, hi }
        };
        let [x_place, y_place] = places;
        match &node.op {
            Op::Conv(conv, bounds) => {
                let requant = requant(*bounds);
                self.conv(node, places, window(&conv.window, x_place.extent), conv.groups, requant)
            }
            Op::FullyConnected(bounds) => {
                let requant = requant(*bounds);
                self.conv(node, places, Window::PIXEL, 1, requant)
            }
            Op::AveragePool(pool) => {
                let window = window(&pool.window, x_place.extent);
                let counts = [0, 1].map(|axis| counts(pool, &x_place, &y_place, axis));
                let requant = requant(whole(output));
                self.mean(node, places, window, [&counts[0], &counts[1]], requant)
            }
            Op::GlobalAveragePool => {
                let window = Window { kernel: x_place.extent, ..Window::PIXEL };
                let requant = requant(whole(output));
                self.mean(node, places, window, [&x_place.extent[..1], &x_place.extent[1..]], requant)
            }
            Op::MaxPool(pool) => self.compiler.max_pool(&MaxPool {
                x: x_place,
                y: y_place,
                window: window(&pool.window, x_place.extent),
                unsigned: self.is_unsigned(x),
                table: None,
            }),
            Op::Add(bounds) => self.add(node, *bounds),
            Op::Table => {
                let table = &self.bytes(node.inputs[1]);
                self.compiler.table(&Table { x: x_place, y: y_place, table })
            }
            op => panic!("a test with {}", op.name()),
        }
    }

    fn mean(
        &mut self,
        node: &Node,
        [x, y]: [Tensor; 2],
        window: Window,
        counts: [&[usize]; 2],
        requant: Requant,
    ) -> Result<(), Refused> {
        let multiplier = &Mean(self.quant(node.inputs[0]), self.quant(node.output));
        self.compiler.average_pool(&AveragePool { x, y, window, counts, multiplier, requant })
    }

    fn conv(
        &mut self,
        node: &Node,
        [x, y]: [Tensor; 2],
        window: Window,
        groups: usize,
        requant: Requant,
    ) -> Result<(), Refused> {
        let constant = |i: usize| self.graph.constant(node.inputs[i]).unwrap();
        let weights: Vec<i8> = constant(1).to_bytes().into_iter().map(u8::cast_signed).collect();
        let (bias, multipliers) = (constant(2).widened().unwrap(), constant(3));
        let multipliers = multipliers.as_f32().unwrap();
        let conv = Conv { x, y, window, groups, weights: &weights, bias: &bias, multipliers, requant };
        self.compiler.conv(&conv)
    }

    fn add(&mut self, node: &Node, bounds: Bounds) -> Result<(), Refused> {
        let [a, b] = [node.inputs[0], node.inputs[1]];
        let y = node.output;
        let AddCoefficients { ra, rb, c } = AddCoefficients::new(self.quant(a), self.quant(b), self.quant(y));
        let b_unsigned = self.is_unsigned(b);
        let terms = std::array::from_fn(|byte| {
            let b = if b_unsigned { byte as i32 } else { i32::from((byte as u8).cast_signed()) };
            (b as f32).mul_add(rb, c)
        });
        self.compiler.add(&Add {
            a: self.places[&a],
            b: self.places[&b],
            y: self.places[&y],
            ra,
            terms: &terms,
            a_unsigned: self.is_unsigned(a),
            y_unsigned: self.is_unsigned(y),
            bounds: [bounds.lo, bounds.hi],
        })
    }
}

fn window(window: &graph::Window, image: [usize; 2]) -> Window {
    let before = output_extent(window, image, true).unwrap().before;
    Window { kernel: window.kernel, strides: window.strides, dilations: window.dilations, before }
}

/// How many elements of each output's window count, along an axis.
fn counts(pool: &graph::Pool, x: &Tensor, y: &Tensor, axis: usize) -> Vec<usize> {
    let extent = output_extent(&pool.window, x.extent, pool.ceil_mode).unwrap();
    let (before, image) = (extent.before[axis], x.extent[axis]);
    let inside = |place: usize| match pool.count_include_pad {
        true => place < before + image + extent.after[axis],
        false => (before..before + image).contains(&place),
    };
    let of = |output: usize| {
        let place = |tap| output * pool.window.strides[axis] + tap * pool.window.dilations[axis];
        (0..pool.window.kernel[axis]).filter(|&tap| inside(place(tap))).count()
    };
    (0..y.extent[axis]).map(of).collect()
}

/// A window with explicit padding: top, left, bottom, right.
pub(crate) fn explicit(
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    pads: [usize; 4],
) -> graph::Window {
    graph::Window { kernel, strides, dilations, pads: Pads::Explicit(pads) }
}
