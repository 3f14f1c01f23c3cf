//! Joining of bytes along any axis: each input is copied to where it belongs.

use tilemark_kernels::CONCAT;
use tilemark_model::shape::normalize_axis;
use tilemark_model::{Graph, Node, Op, Shapes};

use super::walk::{Strided, Walk, axes, sizes};
use super::{Arg, Kernel, Launch, Needs, Site, Suits, is_bytes};
use crate::error::Error;
use crate::opencl::launch::ProgramKey;
use crate::plan::Slot;

pub(super) const KERNELS: &[Kernel] =
    &[Kernel { name: "concat/opencl", needs: Needs::Nothing, suits: Suits::Any, build }];

/// Whether the kernel joins these: bytes along the axis that lies innermost, or along any of at most four.
pub(super) fn applies(graph: &Graph, node: &Node, shapes: &Shapes, axis: i64) -> bool {
    let rank = shapes.of(node.output).len();
    let is_last = normalize_axis(axis, rank).is_some_and(|axis| axis + 1 == rank);
    is_bytes(graph, node.output) && (rank <= 4 || is_last)
}

fn build(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let node = site.step.node;
    let inconsistent = || Error::internal(&node.name, "planned as a Concat");
    let Op::Concat { axis } = node.op else { return Err(inconsistent()) };
    let shape = &site.output.layout.shape;
    let joined = normalize_axis(axis, shape.len()).ok_or_else(inconsistent)?;
    let stride = site.output.layout.strides()[joined];
    let by_axis = shape.len() <= 4;
    let along = |slot: &Slot| if by_axis { Strided::along_axes(slot) } else { Strided::of(slot) };
    let mut result = along(site.output);
    let part = |input: &Slot| {
        let sizes = if by_axis { axes(&input.layout) } else { sizes(&input.layout) };
        let walk = Walk::new(sizes, vec![along(input), result]);
        result.first += input.layout.shape[joined] * stride;
        let args = vec![Arg::Arena, walk.size(), walk.at(0), Arg::Int(walk.step(0)), walk.at(1)];
        let (global, local) = walk.grid();
        Launch { program: ProgramKey::new(CONCAT, ""), entry: "concat_run", args, global, local }
    };
    Ok(Some(site.inputs.iter().map(part).collect()))
}
