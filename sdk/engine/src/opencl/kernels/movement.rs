//! Operations that only move bytes, by tables of places as on the host.

use tilemark_kernels::MOVEMENT;
use tilemark_model::{Graph, Node, Shapes};

use super::places::{self, Table};
use super::walk::{runs, sizes};
use super::{Arg, Kernel, Launch, Needs, Site, Suits, int, is_bytes, place, size};
use crate::error::Error;
use crate::host::kernels::movement::{fill, places as places_of};
use crate::opencl::launch::ProgramKey;

pub(super) const KERNELS: &[Kernel] =
    &[Kernel { name: "movement/opencl", needs: Needs::Nothing, suits: Suits::Any, build }];

/// Whether the kernel moves this: bytes, not in too many lines.
pub(super) fn applies(graph: &Graph, node: &Node, shapes: &Shapes) -> bool {
    is_bytes(graph, node.output) && places::fits(shapes.of(node.output))
}

fn build(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let (step, x, y) = (site.step, &site.inputs[0], site.output);
    let inconsistent = || Error::internal(&step.node.name, "planned as a movement");
    let table = Table::new(&places_of(step)?.ok_or_else(inconsistent)?, &y.layout);
    let fill = if table.is_complete() { vec![0] } else { fill(step).ok_or_else(inconsistent)?? };
    let args = vec![
        Arg::Arena,
        table.arg(site)?,
        Arg::Int(int(x.offset + x.layout.offset(0, 0, 0))),
        size(y),
        place(y),
        Arg::Int2([fill.first().copied().unwrap_or(0).into(), table.is_run.into()]),
    ];
    let (global, local) = runs(sizes(&y.layout));
    let program = ProgramKey::new(MOVEMENT, "");
    Ok(Some(vec![Launch { program, entry: "movement_run", args, global, local }]))
}
