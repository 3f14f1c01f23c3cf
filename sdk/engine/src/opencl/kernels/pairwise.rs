//! Quantized addition and multiplication of two values, either of which may broadcast or be a constant.

use tilemark_kernels::PAIRWISE;
use tilemark_model::graph::Bounds;
use tilemark_model::{Graph, Node, Shapes};

use super::walk::{Strided, Walk, axes};
use super::{Arg, Kernel, Launch, Needs, Site, Suits};
use crate::error::Error;
use crate::host::kernels::pairwise::Formula;
use crate::opencl::launch::ProgramKey;
use crate::plan::{Halo, Layout, stored_lowest, stored_table};

pub(super) const KERNELS: &[Kernel] =
    &[Kernel { name: "pairwise/opencl", needs: Needs::Nothing, suits: Suits::Any, build }];

/// Whether the kernels combine these: no number can be a NaN, and at most four axes differ.
pub(super) fn applies(graph: &Graph, node: &Node, shapes: &Shapes) -> bool {
    let is_finite = matches!(Formula::new(graph, node), Ok(Some(_)));
    is_finite && (shapes.of(node.output).len() <= 4 || are_equal(graph, node, shapes))
}

/// Whether both operands are computed, in the shape of the result.
fn are_equal(graph: &Graph, node: &Node, shapes: &Shapes) -> bool {
    let is_equal = |id: &tilemark_model::ValueId| {
        shapes.of(*id) == shapes.of(node.output)
            && shapes.known(*id).is_none()
            && graph.value(*id).constant.is_none()
    };
    node.inputs.iter().all(is_equal)
}

fn build(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let (step, graph, node) = (site.step, site.step.graph, site.step.node);
    let inconsistent = || Error::internal(&node.name, "planned as a pairwise operation");
    let (formula, Bounds { lo, hi }) = Formula::new(graph, node)?.ok_or_else(inconsistent)?;
    let (walk, [a, b]) = if are_equal(graph, node, step.shapes) {
        let [a, b] = [0, 1].map(|i| step.input(i).map(|input| &site.inputs[input]));
        let (Some(a), Some(b)) = (a, b) else { return Err(inconsistent()) };
        (Walk::equal(&[a, b, site.output]), [Arg::Arena, Arg::Arena])
    } else {
        let ((a, a_at), (b, b_at)) = (operand(site, 0)?, operand(site, 1)?);
        (Walk::new(axes(&site.output.layout), vec![a_at, b_at, Strided::along_axes(site.output)]), [a, b])
    };
    let pack = || match step.table() {
        Some(table) => site.opened.constants(&stored_table(graph, table)?),
        None => site.opened.constants(&[]),
    };
    let table = Arg::Constants(step.packed("pairwise/opencl", pack)?);
    let lowest = [node.inputs[0], node.inputs[1], node.output].map(|id| stored_lowest(graph, id));
    let steps = Arg::Int2([walk.step(0), walk.step(1)]);
    let mut args = vec![Arg::Arena, a, b, table, walk.size(), walk.at(0), walk.at(1), steps, walk.at(2)];
    args.push(Arg::Int4([lowest[0], lowest[1], lowest[2], i32::from(step.table().is_some())]));
    args.push(Arg::Int2([lo, hi]));
    let entry = match formula {
        Formula::Add(add) => {
            args.push(Arg::Float4([add.ra, add.rb, add.c, 0.0]));
            "add_run"
        }
        Formula::Multiply { zeros, multiplier, zero } => {
            args.extend([Arg::Float4([multiplier, zero, 0.0, 0.0]), Arg::Int2(zeros)]);
            "multiply_run"
        }
    };
    let (global, local) = walk.grid();
    Ok(Some(vec![Launch { program: ProgramKey::new(PAIRWISE, ""), entry, args, global, local }]))
}

/// What holds an operand, and where it lies along the result's axes.
fn operand(site: &Site<'_>, i: usize) -> Result<(Arg, Strided), Error> {
    let step = site.step;
    let to = &site.output.layout;
    if let Some(input) = step.input(i) {
        let slot = &site.inputs[input];
        return Ok((Arg::Arena, Strided::broadcast(slot.offset, &slot.layout, to)));
    }
    let missing = || Error::internal(&step.node.name, "lacks a constant");
    let tensor = step.constant(i).ok_or_else(missing)?;
    let layout = Layout::new(tensor.shape(), tensor.dtype(), Halo::default());
    let pack = || {
        let mut bytes = vec![0; layout.bytes()?];
        layout.store(&tensor, &mut bytes, 0)?;
        site.opened.constants(&bytes)
    };
    let constant = step.packed(["pairwise/opencl:a", "pairwise/opencl:b"][i], pack)?;
    Ok((Arg::Constants(constant), Strided::broadcast(0, &layout, to)))
}
