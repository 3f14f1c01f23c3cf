//! Means over any axes, those of whole images among them.

use tilemark_kernels::REDUCE;
use tilemark_model::{Graph, Node, Shapes, numerics};

use super::places::{self, MOST_PLACES, Table, numbers};
use super::walk::{RUN, sizes};
use super::{Arg, Kernel, Launch, Needs, Site, Suits, int, is_bytes, place, pool, size};
use crate::error::Error;
use crate::host::kernels::movement::Places;
use crate::host::kernels::reduce::{Reduced, reduction};
use crate::opencl::launch::ProgramKey;
use crate::plan::{Layout, stored_zero_point};

pub(super) const KERNELS: &[Kernel] =
    &[Kernel { name: "global_average_pool/opencl", needs: Needs::Nothing, suits: Suits::Any, build }];

/// Elements of a result that an item takes at least.
const LEAST_ELEMENTS: usize = 4;
/// Most items of a work-group.
const MOST_ITEMS: usize = 64;

/// Whether the kernel computes these means: of bytes, by tables of bearable size.
pub(super) fn applies(graph: &Graph, node: &Node, shapes: &Shapes) -> bool {
    let (from, to) = (shapes.of(node.inputs[0]), shapes.of(node.output));
    let size = |shape: &[usize]| shape.iter().fold(1usize, |all, &n| all.saturating_mul(n)).max(1);
    is_bytes(graph, node.inputs[0]) && places::fits(to) && size(from) / size(to) <= MOST_PLACES
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "sums wrap, as the contract's do"
)]
fn build(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let (step, x, y) = (site.step, &site.inputs[0], site.output);
    let inconsistent = || Error::internal(&step.node.name, "planned as a mean");
    let (axes, _) = reduction(&step.node.op, x.layout.shape.len()).ok_or_else(inconsistent)?;
    let reduced = Reduced::new(&axes, &x.layout, &y.layout);
    let table = Table::new(&along_kept(&reduced, &x.layout, &y.layout), &y.layout);
    let strides = x.layout.strides();
    let offsets = reduced.axes.iter().fold(vec![0], |outer: Vec<i32>, &axis| {
        let inner = |&at: &i32| (0..x.layout.shape[axis]).map(move |place| (at, place)).collect::<Vec<_>>();
        let places = outer.iter().flat_map(inner);
        places.map(|(at, place)| at + int(place * strides[axis])).collect()
    });
    let n = offsets.len();
    let scale = |id| step.graph.quant(id).map(|quant| quant.scale);
    let multiplier = numerics::mean_multiplier(scale(step.node.inputs[0])?, scale(step.node.output)?, n);
    let zeros = (n as i32).wrapping_mul(stored_zero_point(step.graph, step.node.inputs[0])?);
    let args = vec![
        Arg::Arena,
        table.arg(site)?,
        numbers(site, &offsets)?,
        Arg::Int(int(x.offset + x.layout.offset(0, 0, 0))),
        size(y),
        place(y),
        Arg::Int4([int(n), zeros, table.is_run.into(), 0]),
        Arg::Float(multiplier),
        pool::clamp_of(site)?,
    ];
    let [images, rows, columns, channels] = sizes(&y.layout);
    let runs = images * rows * columns * channels.div_ceil(RUN);
    let shared = Shared::new(site, n / LEAST_ELEMENTS, runs);
    let program =
        ProgramKey::new(REDUCE, format!("-DTM_ITEMS={} -DTM_RUNS={}", shared.items, shared.results));
    let (global, local) = shared.grid(runs);
    Ok(Some(vec![Launch { program, entry: "reduce_mean_run", args, global, local }]))
}

/// For every axis of the result what its places add to the offset of their first element.
pub(super) fn along_kept(reduced: &Reduced, x: &Layout, y: &Layout) -> Vec<Places> {
    let strides = x.strides();
    let mut of_axes: Vec<Places> = vec![vec![Some(0)]; y.shape.len()];
    for (axis, to) in reduced.kept() {
        of_axes[to] = (0..x.shape[axis]).map(|place| Some(place * strides[axis])).collect();
    }
    of_axes
}

/// A work-group where items share results: so many results, and items of each. Powers of four, since drivers for CPUs compile a
/// kernel once for every size.
pub(super) struct Shared {
    pub(super) items: usize,
    pub(super) results: usize,
}

impl Shared {
    /// At most `items` for each of `results`.
    pub(super) fn new(site: &Site<'_>, items: usize, results: usize) -> Self {
        let power = |n: usize, most: usize| 1 << (n.clamp(1, most.max(1)).ilog2() / 2 * 2);
        let most = MOST_ITEMS.min(site.opened.facts().max_work_group);
        let items = power(items, most);
        Self { items, results: power(results, most / items) }
    }

    /// Work items and work-groups.
    pub(super) fn grid(&self, results: usize) -> ([usize; 3], Option<[usize; 3]>) {
        ([results.next_multiple_of(self.results), self.items, 1], Some([self.results, self.items, 1]))
    }
}
