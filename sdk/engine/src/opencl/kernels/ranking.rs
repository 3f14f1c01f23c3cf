//! Bytes in order: the largest or smallest of an axis, and the first of them.

use tilemark_kernels::{ARG_EXTREME, TOP_K};
use tilemark_model::graph::{GeneralOp, Ranking};
use tilemark_model::shape::normalize_axis;
use tilemark_model::{Graph, Node, Op, Shapes};

use super::places::{self, MOST_PLACES, Table, numbers};
use super::reduce::{Shared, along_kept};
use super::walk::sizes;
use super::{Arg, Kernel, Launch, Needs, Site, Suits, int, is_bytes, place, size};
use crate::error::Error;
use crate::host::kernels::reduce::Reduced;
use crate::opencl::launch::ProgramKey;

pub(super) const ARG_EXTREMES: &[Kernel] =
    &[Kernel { name: "arg_extreme/opencl", needs: Needs::Nothing, suits: Suits::Any, build: arg_extreme }];
pub(super) const TOP_KS: &[Kernel] =
    &[Kernel { name: "top_k/opencl", needs: Needs::Nothing, suits: Suits::Any, build: top_k }];

/// Elements of a result that an item takes at least.
const LEAST_ELEMENTS: usize = 16;
/// Items of a line, as in `top_k.cl`.
const ITEMS: usize = 16;

/// Whether the kernel finds these: among bytes, by a table of bearable size.
pub(super) fn finds_extremes(graph: &Graph, node: &Node, shapes: &Shapes) -> bool {
    is_bytes(graph, node.inputs[0]) && places::fits(shapes.of(node.output))
}

/// Whether the kernel sorts these: bytes, not in too many lines.
pub(super) fn sorts(graph: &Graph, node: &Node, shapes: &Shapes) -> bool {
    let shape = shapes.of(node.inputs[0]);
    let Op::General(GeneralOp::TopK { ranking, .. }) = &node.op else { return false };
    let axis = normalize_axis(ranking.axis, shape.len()).unwrap_or(0);
    let others = shape.iter().enumerate().filter(|(i, _)| *i != axis);
    is_bytes(graph, node.inputs[0]) && others.map(|(_, n)| n).product::<usize>() <= MOST_PLACES
}

fn arg_extreme(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let (x, y) = (&site.inputs[0], site.output);
    let inconsistent = || Error::internal(&site.step.node.name, "planned as an arg max");
    let Op::General(GeneralOp::ArgExtreme { ranking, last, .. }) = site.step.node.op else {
        return Err(inconsistent());
    };
    let axis = normalize_axis(ranking.axis, x.layout.shape.len()).ok_or_else(inconsistent)?;
    let reduced = Reduced::new(&[ranking.axis], &x.layout, &y.layout);
    let table = Table::new(&along_kept(&reduced, &x.layout, &y.layout), &y.layout);
    let n = x.layout.shape[axis];
    let args = vec![
        Arg::Arena,
        table.arg(site)?,
        Arg::Int(int(x.offset + x.layout.offset(0, 0, 0))),
        size(y),
        place(y),
        Arg::Int2([int(n), int(x.layout.strides()[axis])]),
        Arg::Int2([turned(ranking.largest, 0), if last { 0 } else { -1 }]),
    ];
    let results = sizes(&y.layout).iter().product();
    let shared = Shared::new(site, n / LEAST_ELEMENTS, results);
    let options = format!("-DTM_ITEMS={} -DTM_RESULTS={}", shared.items, shared.results);
    let (global, local) = shared.grid(results);
    let program = ProgramKey::new(ARG_EXTREME, options);
    Ok(Some(vec![Launch { program, entry: "arg_extreme_run", args, global, local }]))
}

fn top_k(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let (x, y) = (&site.inputs[0], site.output);
    let inconsistent = || Error::internal(&site.step.node.name, "planned as a top k");
    let Op::General(GeneralOp::TopK { ranking: Ranking { axis, largest }, indices, .. }) = site.step.node.op
    else {
        return Err(inconsistent());
    };
    let axis = normalize_axis(axis, x.layout.shape.len()).ok_or_else(inconsistent)?;
    let element = y.layout.dtype.size();
    let (from, to) = (x.layout.strides(), y.layout.strides());
    let first = [x.offset + x.layout.offset(0, 0, 0), y.offset + y.layout.offset(0, 0, 0)];
    let others = (0..x.layout.shape.len()).filter(|&other| other != axis);
    let lines = others.fold(vec![first], |outer: Vec<[usize; 2]>, other| {
        let inner = |at: [usize; 2]| {
            let step = [from[other], to[other] * element];
            (0..x.layout.shape[other]).map(move |i| [at[0] + i * step[0], at[1] + i * step[1]])
        };
        outer.into_iter().flat_map(inner).collect()
    });
    let table: Vec<[i32; 2]> = lines.iter().map(|line| line.map(int)).collect();
    let (n, k) = (x.layout.shape[axis], y.layout.shape[axis]);
    let args = vec![
        Arg::Arena,
        numbers(site, &table)?,
        Arg::Int4([int(n), int(from[axis]), int(k), int(to[axis] * element)]),
        Arg::Int2([turned(largest, 255), indices.into()]),
    ];
    let program = ProgramKey::new(TOP_K, "");
    let (global, local) = ([ITEMS * lines.len(), 1, 1], Some([ITEMS, 1, 1]));
    Ok(Some(vec![Launch { program, entry: "top_k_line", args, global, local }]))
}

/// What a byte is combined with: `of_largest`, or its complement to order bytes the other way round. Stored bytes have the order of
/// their values.
fn turned(largest: bool, of_largest: i32) -> i32 {
    if largest { of_largest } else { 255 - of_largest }
}
