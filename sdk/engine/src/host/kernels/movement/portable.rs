//! Copies along routes.

use tilemark_model::graph::MoveOp;
use tilemark_model::shape::normalize_axis;
use tilemark_model::{Data, Op, Tensor, reference};

use super::gather;
use super::routes::{self, Places, Routes};
use crate::error::Error;
use crate::host::kernels::operand::Element;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Lowering, Tiling, stored_zero_point};

struct Movement {
    /// One for each input.
    routes: Vec<Routes>,
    /// What stands where no input has an element, as it is stored; `None` if there is no such place.
    fill: Option<Vec<u8>>,
    element: usize,
}

pub(super) fn build(step: &Lowering<'_>) -> Result<Planned, Error> {
    let inconsistent = || Error::internal(&step.node.name, "planned as a movement");
    let input = &step.inputs[0];
    let routes = match &step.node.op {
        Op::Concat { axis } => joined(step, *axis).ok_or_else(inconsistent)?,
        Op::Reshape { .. }
        | Op::Flatten { .. }
        | Op::Squeeze { .. }
        | Op::Unsqueeze { .. }
        | Op::Move(MoveOp::Reshape { .. }) => {
            vec![Routes::reshaped(input, step.output).ok_or_else(inconsistent)?]
        }
        _ => vec![Routes::new(input.origin(), &places(step)?.ok_or_else(inconsistent)?, step.output)],
    };
    let pads = routes.len() == 1 && !routes[0].is_complete();
    let fill = if pads { Some(fill(step).ok_or_else(inconsistent)??) } else { None };
    let element = step.output.dtype.size();
    let work = Box::new(Movement { routes, fill, element });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, 0) })
}

/// For every axis of the output of a movement other than Concat, in the shape's order, what its places add to the offset in
/// the input. `None` if it is none, or elements go where no table of an axis says.
///
/// # Errors
/// Those of [`reference::places`].
pub(crate) fn places(step: &Lowering<'_>) -> Result<Option<Vec<Places>>, Error> {
    let input = &step.inputs[0];
    match &step.node.op {
        Op::Reshape { .. }
        | Op::Flatten { .. }
        | Op::Squeeze { .. }
        | Op::Unsqueeze { .. }
        | Op::Move(MoveOp::Reshape { .. }) => Ok(routes::reshaped(input, step.output)),
        Op::Move(MoveOp::Gather { axis }) => Ok(gather::places(step, *axis)),
        _ => Ok(reference::places(step.node, step.shapes, &input.strides())?),
    }
}

/// One way for each input of a Concat: along its axis each has its own places.
fn joined(step: &Lowering<'_>, axis: i64) -> Option<Vec<Routes>> {
    let output = step.output;
    let joined = normalize_axis(axis, output.shape.len())?;
    let mut start = 0;
    let route = |input: &crate::plan::Layout| {
        let (first, strides) = (start, input.strides());
        start += input.shape[joined];
        let place = |axis: usize, i: usize| {
            let i = if axis == joined { i.checked_sub(first)? } else { i };
            (i < input.shape[axis]).then(|| i * strides[axis])
        };
        let along = |axis: usize| (0..output.shape[axis]).map(|i| place(axis, i)).collect::<Places>();
        let places: Vec<Places> = (0..output.shape.len()).map(along).collect();
        Routes::new(input.origin(), &places, output)
    };
    Some(step.inputs.iter().map(route).collect())
}

/// The element around a padded tensor, as it is stored.
pub(crate) fn fill(step: &Lowering<'_>) -> Option<Result<Vec<u8>, Error>> {
    if matches!(step.node.op, Op::Move(MoveOp::Pad { filled: true, .. })) {
        return stored(&step.constant(1)?).map(Ok);
    }
    let (graph, value) = (step.graph, step.node.inputs[0]);
    let mut element = vec![0; step.output.dtype.size()];
    if graph.value(value).quant.is_some() {
        match stored_zero_point(graph, value).map(u8::try_from) {
            Ok(zero) => *element.first_mut()? = zero.ok()?,
            Err(error) => return Some(Err(error)),
        }
    } else if step.output.dtype == tilemark_model::DType::I8 {
        element = vec![0x80];
    }
    Some(Ok(element))
}

/// The bytes of a tensor's only element.
fn stored(tensor: &Tensor) -> Option<Vec<u8>> {
    match tensor.data() {
        Data::I8(_) => u8::of(tensor),
        _ => Some(tensor.to_bytes()),
    }
}

impl Work for Movement {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        match self.element {
            1 => self.lines::<1>(inputs, tile),
            2 => self.lines::<2>(inputs, tile),
            4 => self.lines::<4>(inputs, tile),
            _ => self.lines::<8>(inputs, tile),
        }
        Ok(())
    }
}

impl Movement {
    fn lines<const N: usize>(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>) {
        let rows = tile.grid().rows;
        for (image, row) in tile.region().clone().lines() {
            let y: &mut [[u8; N]] = tile.row(image, row).as_chunks_mut().0;
            if let Some(fill) = &self.fill {
                y.iter_mut().for_each(|element| element.copy_from_slice(fill));
            }
            for (i, routes) in self.routes.iter().enumerate() {
                routes.copy(image * rows + row, inputs.view(i).bytes.as_chunks().0, y);
            }
        }
    }
}
