//! Fully connected layers.

use std::sync::Arc;

use tilemark_kernels::FULLY_CONNECTED;
use tilemark_model::Op;

use super::epilogue::Epilogue;
use super::walk::{RUN, groups};
use super::{Arg, Kernel, Launch, Needs, Site, Suits, int, place, size};
use crate::error::Error;
use crate::opencl::launch::ProgramKey;

pub(super) const KERNELS: &[Kernel] = &[
    Kernel { name: "fully_connected/opencl", needs: Needs::Nothing, suits: Suits::Cpu, build: by_rows },
    Kernel { name: "fully_connected/opencl:shared", needs: Needs::Nothing, suits: Suits::Gpu, build: shared },
];

/// Rows that an item takes at once, where there are several.
const ROWS: usize = 4;
/// Items that share one output, where they do.
const ITEMS: usize = 32;

/// An item computes an output of one row, or of some.
fn by_rows(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let grid = site.output.layout.grid;
    let rows = if grid.rows == 1 { 1 } else { ROWS };
    let program = ProgramKey::new(FULLY_CONNECTED, format!("-DTM_ROWS={rows}"));
    let (global, local) = groups([grid.channels, grid.rows.div_ceil(rows), 1]);
    let args = arguments(site)?;
    Ok(Some(vec![Launch { program, entry: "fully_connected_rows", args, global, local }]))
}

/// The items of a work-group share an output: for a GPU, which one row of outputs would not fill.
fn shared(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    if site.opened.facts().max_work_group < ITEMS {
        return Ok(None);
    }
    let grid = site.output.layout.grid;
    let program = ProgramKey::new(FULLY_CONNECTED, format!("-DTM_ITEMS={ITEMS}"));
    let (global, local) = ([ITEMS, grid.channels, grid.rows], Some([ITEMS, 1, 1]));
    let args = arguments(site)?;
    Ok(Some(vec![Launch { program, entry: "fully_connected_shared", args, global, local }]))
}

fn arguments(site: &Site<'_>) -> Result<Vec<Arg>, Error> {
    let step = site.step;
    let Op::FullyConnected(bounds) = step.node.op else {
        return Err(Error::internal(&step.node.name, "planned as FullyConnected"));
    };
    let (x, y) = (&site.inputs[0], site.output);
    let (length, outputs) = (x.layout.grid.channels, y.layout.grid.channels);
    let padded = length.next_multiple_of(RUN);
    let pack = || {
        let missing = || Error::internal(&step.node.name, "lacks its weights");
        let weights = step.graph.constant_bytes(step.node.inputs[1]).ok_or_else(missing)?;
        let mut packed = vec![0; outputs * padded];
        for (row, padded) in weights.chunks_exact(length).zip(packed.chunks_exact_mut(padded)) {
            padded[..length].copy_from_slice(row);
        }
        site.opened.constants(&packed)
    };
    let weights = step.packed("fully_connected/opencl", pack)?;
    let epilogue = Epilogue::new(site, bounds, outputs)?;
    let mut args = vec![Arg::Arena, Arg::Constants(Arc::clone(&weights))];
    args.extend(epilogue.constants());
    args.extend([size(x), place(x), Arg::Int(int(outputs)), place(y), Arg::Int(int(padded))]);
    args.extend(epilogue.tail(site.other().map_or(Arg::Int4([0; 4]), place)));
    Ok(args)
}
