//! Gather by constant indices, of which one axis at most is longer than 1: then no place along an axis depends on another's.

use tilemark_model::shape::normalize_axis;
use tilemark_model::{Data, Graph, Node, Shapes, Tensor};

use super::routes::Places;
use crate::plan::Lowering;

/// Whether the indices are constants of this kind, and of the axis. Others are told by the reference.
pub(super) fn applies(graph: &Graph, node: &Node, shapes: &Shapes, axis: i64) -> bool {
    let (from, indices) = (shapes.of(node.inputs[0]), node.inputs[1]);
    let long = shapes.of(indices).iter().filter(|&&n| n > 1).count();
    let constant = || shapes.known(indices).cloned().or_else(|| graph.constant(indices));
    let places = || places_of(&constant()?, *from.get(normalize_axis(axis, from.len())?)?);
    !shapes.of(node.output).is_empty() && long <= 1 && places().is_some()
}

/// For every axis of the output what its places add to the offset in the input; `None` if it is no such Gather.
pub(super) fn places(step: &Lowering<'_>, axis: i64) -> Option<Vec<Places>> {
    let (x, indices) = (&step.inputs[0], step.constant(1)?);
    let strides = x.strides();
    let axis = normalize_axis(axis, x.shape.len())?;
    let picked: Vec<usize> = places_of(&indices, x.shape[axis])?.iter().map(|i| i * strides[axis]).collect();
    let along = |axis: usize| (0..x.shape[axis]).map(|i| Some(i * strides[axis])).collect::<Places>();
    let mut of_axes: Vec<Places> = (0..axis).map(along).collect();
    // Where all axes of the indices are 1, any of them may have the only index.
    let long = indices.shape().iter().position(|&n| n > 1).unwrap_or(0);
    let of_indices = |i: usize| match i == long {
        true => picked.iter().copied().map(Some).collect(),
        false => vec![Some(0)],
    };
    of_axes.extend((0..indices.shape().len()).map(of_indices));
    of_axes.extend((axis + 1..x.shape.len()).map(along));
    if indices.shape().is_empty() {
        // The axis is gone; another one has its offset.
        let (first, at) = (of_axes.first_mut()?, picked.first()?);
        first.iter_mut().flatten().for_each(|place| *place += at);
    }
    Some(of_axes)
}

/// The places on an axis of `n` that indices mean; `None` if one is not on it.
fn places_of(indices: &Tensor, n: usize) -> Option<Vec<usize>> {
    let place = |index: i64| {
        let index = if index < 0 { index.checked_add_unsigned(n as u64)? } else { index };
        usize::try_from(index).ok().filter(|&index| index < n)
    };
    match indices.data() {
        Data::I64(indices) => indices.iter().map(|&index| place(index)).collect(),
        Data::I32(indices) => indices.iter().map(|&index| place(index.into())).collect(),
        _ => None,
    }
}
