//! Operations that only move bytes, by tables of places as on the host.

use std::sync::Arc;

use tilemark_kernels::MOVEMENT;
use tilemark_model::{Graph, Node, Shapes};

use super::walk::{runs, sizes};
use super::{Arg, Kernel, Launch, Needs, Site, Suits, int, is_bytes, place, size};
use crate::error::Error;
use crate::host::kernels::movement::{Places, fill, places};
use crate::opencl::launch::ProgramKey;

pub(super) const KERNELS: &[Kernel] =
    &[Kernel { name: "movement/opencl", needs: Needs::Nothing, suits: Suits::Any, build }];

/// Most entries of a step's table. Images have thousands; lines of single bytes would have one each.
const MOST_PLACES: usize = 1 << 20;

/// Whether the kernel moves this: bytes, not in too many lines.
pub(super) fn applies(graph: &Graph, node: &Node, shapes: &Shapes) -> bool {
    let lines = match shapes.of(node.output) {
        // Channels may come last in memory or in the shape.
        &[images, channels, rows, columns] => {
            images.saturating_mul(rows.max(channels)).saturating_add(columns)
        }
        [outer @ .., _] => outer.iter().product(),
        [] => 1,
    };
    is_bytes(graph, node.output) && lines <= MOST_PLACES
}

fn build(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let (step, x, y) = (site.step, &site.inputs[0], site.output);
    let inconsistent = || Error::internal(&step.node.name, "planned as a movement");
    let of_axes = places(step)?.ok_or_else(inconsistent)?;
    let mut axes: Vec<Places> =
        y.layout.memory_axes().into_iter().map(|axis| of_axes[axis].clone()).collect();
    let channels = axes.pop().unwrap_or_else(|| vec![Some(0)]);
    let columns = if y.layout.shape.len() == 4 { axes.pop() } else { None };
    let columns = columns.unwrap_or_else(|| vec![Some(0)]);
    let lines = axes.iter().fold(vec![Some(0)], |outer, inner| together(&outer, inner));
    let is_run = channels.iter().enumerate().all(|(i, &place)| place == channels[0].map(|first| first + i));
    let is_run = is_run && channels[0].is_some();
    let entries = lines.iter().chain(&columns).chain(&channels);
    let table: Vec<i32> = entries.map(|place| place.map_or(-1, int)).collect();
    let is_complete = !table.contains(&-1);
    let fill = if is_complete { vec![0] } else { fill(step).ok_or_else(inconsistent)?? };
    let args = vec![
        Arg::Arena,
        Arg::Constants(Arc::new(site.opened.constants(bytemuck::cast_slice(&table))?)),
        Arg::Int(int(x.offset + x.layout.offset(0, 0, 0))),
        size(y),
        place(y),
        Arg::Int2([fill.first().copied().unwrap_or(0).into(), is_run.into()]),
    ];
    let (global, local) = runs(sizes(&y.layout));
    let program = ProgramKey::new(MOVEMENT, "");
    Ok(Some(vec![Launch { program, entry: "movement_run", args, global, local }]))
}

/// Two axes as one.
fn together(outer: &Places, inner: &Places) -> Places {
    let of_outer =
        |&at: &Option<usize>| inner.iter().map(move |place| at.zip(*place).map(|(at, place)| at + place));
    outer.iter().flat_map(of_outer).collect()
}
