//! Pooling: largest byte and mean of windows.

use std::sync::Arc;

use tilemark_kernels::{AVERAGE_POOL, MAX_POOL};
use tilemark_model::graph::Window;
use tilemark_model::{Op, numerics};

use super::walk::{runs, sizes};
use super::{Arg, Kernel, Launch, Needs, Site, Suits, int, place, size};
use crate::error::Error;
use crate::host::kernels::average_pool::Windows;
use crate::host::kernels::clamp;
use crate::opencl::launch::ProgramKey;
use crate::plan::stored_zero_point;

pub(super) const AVERAGE: &[Kernel] =
    &[Kernel { name: "average_pool/opencl", needs: Needs::Nothing, suits: Suits::Any, build: average }];
pub(super) const MAX: &[Kernel] =
    &[Kernel { name: "max_pool/opencl", needs: Needs::Nothing, suits: Suits::Any, build: max }];
fn max(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let (x, y) = (&site.inputs[0], site.output);
    let windows = Windows::new(site.step)?;
    let (steps, rows, columns) = (window(site)?.dilations, y.layout.grid.rows, y.layout.grid.columns);
    let spans = spans(&windows, [rows, columns], |_, _| 0);
    let spans = Arc::new(site.opened.constants(bytemuck::cast_slice(&spans))?);
    let args =
        vec![Arg::Arena, Arg::Constants(spans), place(x), size(y), place(y), Arg::Int2(steps.map(int))];
    let (global, local) = runs(sizes(&y.layout));
    Ok(Some(vec![Launch {
        program: ProgramKey::new(MAX_POOL, ""),
        entry: "max_pool_run",
        args,
        global,
        local,
    }]))
}

fn average(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let (step, x, y) = (site.step, &site.inputs[0], site.output);
    let windows = Windows::new(step)?;
    let outputs = [y.layout.grid.rows, y.layout.grid.columns];
    // Rows and columns whose windows count as many elements have a multiplier in common.
    let classes = [0, 1].map(|axis| {
        let mut counts: Vec<usize> = (0..outputs[axis]).map(|output| windows.count(axis, output)).collect();
        counts.sort_unstable();
        counts.dedup();
        counts
    });
    let class = |axis: usize, output: usize| {
        int(classes[axis].binary_search(&windows.count(axis, output)).unwrap_or_default())
    };
    let spans = spans(&windows, outputs, class);
    let scale = |id| step.graph.quant(id).map(|quant| quant.scale);
    let (from, to) = (scale(step.node.inputs[0])?, scale(step.node.output)?);
    let multiplier = |n: usize| match n {
        0 => 0.0, // a window in the padding: its mean is the zero point, whatever the scales
        n => numerics::mean_multiplier(from, to, n),
    };
    let of_row = |&rows: &usize| classes[1].iter().map(move |&columns| multiplier(rows * columns));
    let multipliers: Vec<f32> = classes[0].iter().flat_map(of_row).collect();
    let constants = |bytes: &[u8]| Ok::<_, Error>(Arg::Constants(Arc::new(site.opened.constants(bytes)?)));
    let [down, along] = window(site)?.dilations.map(int);
    let zero = stored_zero_point(step.graph, step.node.inputs[0])?;
    let args = vec![
        Arg::Arena,
        constants(bytemuck::cast_slice(&spans))?,
        constants(bytemuck::cast_slice(&multipliers))?,
        place(x),
        size(y),
        place(y),
        Arg::Int4([down, along, int(classes[1].len()), zero]),
        clamp_of(site)?,
    ];
    let (global, local) = runs(sizes(&y.layout));
    let program = ProgramKey::new(AVERAGE_POOL, "");
    Ok(Some(vec![Launch { program, entry: "average_pool_run", args, global, local }]))
}

fn window<'a>(site: &Site<'a>) -> Result<&'a Window, Error> {
    match &site.step.node.op {
        Op::AveragePool(pool) | Op::MaxPool(pool) => Ok(&pool.window),
        _ => Err(Error::internal(&site.step.node.name, "planned as pooling")),
    }
}

/// Bounds and zero point of a result.
pub(super) fn clamp_of(site: &Site<'_>) -> Result<Arg, Error> {
    let [lo, hi, zero] = clamp(site.step.graph, site.step.node.output, None)?.bytes();
    Ok(Arg::Int4([lo, hi, zero, 0]))
}

/// For each row of outputs, then for each column: first row (column) of x under the window, how many, class, unused.
fn spans(windows: &Windows, outputs: [usize; 2], class: impl Fn(usize, usize) -> i32) -> Vec<[i32; 4]> {
    let span = |axis: usize, output: usize| {
        let mut taps = windows.along(axis, output);
        let count = int(taps.len());
        [int(taps.next().unwrap_or(0)), count, class(axis, output), 0]
    };
    let along = |axis: usize| (0..outputs[axis]).map(move |output| (axis, output));
    along(0).chain(along(1)).map(|(axis, output)| span(axis, output)).collect()
}
