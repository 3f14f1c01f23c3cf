//! A plan's part on an engine: the list, its constants, and where values lie in the engine's memory.
//!
//! ```text
//! 0            constants          list               end
//! | activations | ...             | descriptors ...  |
//! ```

use std::collections::HashMap;
use std::ops::Range;

use tilemark_bitstreams::{Compiler, DESCRIPTOR_BYTES, Tensor, traffic};
use tilemark_model::{Graph, Node, Shapes, ValueId};

use super::layer::{Layer, Stop};
use super::place;
use super::target::EngineSpec;
use crate::error::Error;
use crate::plan::{Arena, Grid, Lifetime};

/// What an engine runs of a plan. Sessions share it.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) spec: EngineSpec,
    /// Written once: constants, then the list.
    pub(super) fixed: Vec<u8>,
    /// Where they begin, and where in them the list does.
    pub(super) fixed_at: usize,
    list_at: usize,
    /// For every step its descriptors; empty where the host runs it.
    tiles: Vec<Range<usize>>,
    /// Address of the first image of every value that is ever there.
    addresses: HashMap<ValueId, u32>,
}

/// A step as the engine's compiler sees it.
pub(crate) struct LayerStep<'a> {
    pub(crate) node: &'a Node,
    /// The table that is part of it.
    pub(crate) table: Option<&'a Node>,
    /// The values that it reads, each the one whose bytes they are.
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) output: ValueId,
    /// Whether the engine runs it.
    pub(crate) on_engine: bool,
}

impl Program {
    /// Compiles the steps that the engine runs. `needed` are the values that the host reads at the end.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; [`Error::Internal`] if a step is refused that was not when it was chosen.
    pub(crate) fn new(
        graph: &Graph,
        shapes: &Shapes,
        steps: &[LayerStep<'_>],
        needed: &[ValueId],
        spec: &EngineSpec,
    ) -> Result<Self, Error> {
        let config = spec.config;
        let grid = |id: ValueId| place::grid(shapes.of(id));
        let (values, lifetimes) = lifetimes(steps, needed, |id| place::bytes(grid(id), &config));
        let arena = Arena::new(&lifetimes)?;
        let address = |offset: &usize| u32::try_from(*offset).unwrap_or(u32::MAX);
        let addresses: HashMap<ValueId, u32> =
            values.into_iter().zip(arena.offsets.iter().map(address)).collect();
        let fixed_at = arena.bytes;
        let mut compiler = Compiler::new(config, address(&fixed_at));
        let mut ends = vec![0];
        for step in steps {
            if step.on_engine {
                let inputs: Vec<(u32, Grid)> =
                    step.inputs.iter().map(|id| (addresses[id], grid(*id))).collect();
                let output = (addresses[&step.output], grid(step.output));
                emit(&mut compiler, graph, step, &inputs, output)?;
            }
            ends.push(compiler.tiles() as usize);
        }
        let tiles = ends.windows(2).map(|ends| ends[0]..ends[1]).collect();
        let program = compiler.finish();
        let list_at = program.constants.len();
        let fixed = [program.constants, program.list].concat();
        Ok(Self { spec: spec.clone(), fixed, fixed_at, list_at, tiles, addresses })
    }

    /// Bytes of the engine's memory.
    pub(super) fn bytes(&self) -> usize {
        self.fixed_at + self.fixed.len()
    }

    /// Where the list of some steps begins, and how many descriptors it has.
    pub(super) fn list(&self, steps: Range<usize>) -> Option<(usize, usize)> {
        let first = self.tiles.get(steps.start)?.start;
        let end = self.tiles.get(steps.end.checked_sub(1)?)?.end;
        Some((self.fixed_at + self.list_at + first * DESCRIPTOR_BYTES, end - first))
    }

    /// Address of a value's first image.
    pub(super) fn address(&self, value: ValueId) -> Option<u32> {
        self.addresses.get(&value).copied()
    }

    /// Bytes that the engine reads and writes of its memory for a step: input, constants and list, and the result.
    pub(crate) fn traffic(&self, step: usize) -> u64 {
        let tiles = self.tiles.get(step).cloned().unwrap_or_default();
        let list = &self.fixed[self.list_at..].as_chunks::<DESCRIPTOR_BYTES>().0;
        list.get(tiles).unwrap_or_default().iter().map(|tile| traffic(tile, &self.spec.config)).sum()
    }

    /// Descriptors of a step.
    pub(crate) fn tiles(&self, step: usize) -> usize {
        self.tiles.get(step).map_or(0, Range::len)
    }
}

/// Emits a step, image by image.
fn emit(
    compiler: &mut Compiler,
    graph: &Graph,
    step: &LayerStep<'_>,
    inputs: &[(u32, Grid)],
    output: (u32, Grid),
) -> Result<(), Error> {
    let config = *compiler.config();
    for image in 0..output.1.images {
        let tensor = |(address, grid): (u32, Grid)| -> Tensor {
            let bytes = place::of(grid, 0).bytes(&config);
            place::of(grid, address + u32::try_from(image * bytes).unwrap_or(u32::MAX))
        };
        let inputs: Vec<Tensor> = inputs.iter().map(|&input| tensor(input)).collect();
        let (node, table) = (step.node, step.table);
        let layer = Layer { graph, node, table, inputs: &inputs, output: tensor(output) };
        layer.emit(compiler).map_err(|stop| match stop {
            Stop::Refused(reason) => Error::internal(&node.name, reason),
            Stop::Wrong(error) => error,
        })?;
    }
    Ok(())
}

/// The values that are ever in the engine's memory, and from when to when: one from the host from its first reader on, one of a
/// layer from there on; both to their last reader on either side.
fn lifetimes(
    steps: &[LayerStep<'_>],
    needed: &[ValueId],
    bytes: impl Fn(ValueId) -> usize,
) -> (Vec<ValueId>, Vec<Lifetime>) {
    let mut places: HashMap<ValueId, usize> = HashMap::new();
    let (mut values, mut lifetimes) = (Vec::new(), Vec::new());
    let mut live = |id: ValueId, moment: usize, enters: bool| match places.get(&id) {
        Some(&at) => {
            let lifetime: &mut Lifetime = &mut lifetimes[at];
            lifetime.last = moment;
        }
        None if enters => {
            places.insert(id, values.len());
            values.push(id);
            lifetimes.push(Lifetime { bytes: bytes(id), first: moment, last: moment });
        }
        None => {}
    };
    for (moment, step) in steps.iter().enumerate() {
        step.inputs.iter().for_each(|&id| live(id, moment, step.on_engine));
        if step.on_engine {
            live(step.output, moment, true);
        }
    }
    needed.iter().for_each(|&id| live(id, steps.len(), false));
    (values, lifetimes)
}
