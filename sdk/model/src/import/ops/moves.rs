//! Operations that move or select elements, of any type.

use crate::error::Error;
use crate::graph::{Ints, MoveOp, Op, PadMode};
use crate::import::lowering::Lowered;
use crate::tensor::DType;

/// Pads and value are attributes before opset 11 and inputs since.
pub(super) fn pad(node: &mut Lowered) -> Result<(), Error> {
    let mode = match node.attributes.string("mode")?.unwrap_or("constant") {
        "constant" => PadMode::Constant,
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Edge,
        "wrap" => PadMode::Wrap,
        other => return Err(node.malformed(format!("mode `{other}`"))),
    };
    let mut inputs = vec![node.input(0)?];
    let dtype = node.dtype(inputs[0]);
    let (fill, pads);
    if node.opset() < 11 {
        let value = node.attributes.float("value", 0.0)?;
        let given = node.attributes.ints("pads")?.ok_or_else(|| node.malformed("pads are missing"))?;
        pads = Some(Ints::Given(given.to_vec()));
        fill = (value.to_bits() != 0 && mode == PadMode::Constant)
            .then(|| node.float_constant("fill", vec![], vec![value]))
            .transpose()?;
        if fill.is_some() && dtype != DType::F32 {
            return Err(node.unsupported(format!("a value for type {dtype}"), "f32 tensors"));
        }
    } else {
        let given = node.optional(2)?.filter(|_| mode == PadMode::Constant);
        // A quantized tensor is padded with its zero point, which is what zero means.
        fill = given.filter(|&id| !node.is_zero(id));
        if let Some(id) = fill
            && node.dtype(id) != dtype
        {
            return Err(node.malformed(format!("a fill of type {} for {dtype}", node.dtype(id))));
        }
        pads = None;
    }
    inputs.extend(fill);
    let pads = match pads {
        Some(pads) => pads,
        None => node.ints_operand(1, &mut inputs)?.ok_or_else(|| node.malformed("input 1 is missing"))?,
    };
    let axes = node.constant_ints(3)?;
    node.emit_moved(MoveOp::Pad { mode, pads, axes, filled: fill.is_some() }, inputs)
}

/// Everything is an attribute before opset 10 and an input since.
pub(super) fn slice(node: &mut Lowered) -> Result<(), Error> {
    let mut inputs = vec![node.input(0)?];
    let missing = |node: &Lowered, what: &str| node.malformed(format!("{what} are missing"));
    let op = if node.opset() < 10 {
        let ints = |name: &'static str| Ok::<_, Error>(node.attributes.ints(name)?.map(<[i64]>::to_vec));
        let starts = Ints::Given(ints("starts")?.ok_or_else(|| missing(node, "starts"))?);
        let ends = Ints::Given(ints("ends")?.ok_or_else(|| missing(node, "ends"))?);
        MoveOp::Slice { starts, ends, axes: ints("axes")?, steps: None }
    } else {
        let starts = node.ints_operand(1, &mut inputs)?.ok_or_else(|| missing(node, "starts"))?;
        let ends = node.ints_operand(2, &mut inputs)?.ok_or_else(|| missing(node, "ends"))?;
        MoveOp::Slice { starts, ends, axes: node.constant_ints(3)?, steps: node.constant_ints(4)? }
    };
    node.emit_moved(op, inputs)
}

/// Each used output is a slice of its own. Sizes are an attribute before opset 13 and an input since.
pub(super) fn split(node: &mut Lowered) -> Result<(), Error> {
    let x = node.input(0)?;
    let axis = node.attributes.int("axis", 0)?;
    let sizes = node.int_list_any(1, "split")?;
    let outputs = node.node.output.len();
    let count = node.attributes.int("num_outputs", outputs as i64)?;
    let count = usize::try_from(count).ok().filter(|&n| n > 0 && n >= outputs);
    let count = count.ok_or_else(|| node.malformed("has another number of outputs than it says"))?;
    if sizes.as_ref().is_some_and(|sizes| sizes.len() != outputs || sizes.iter().any(|&n| n < 0)) {
        return Err(node.malformed(format!("sizes {sizes:?} for {outputs} outputs")));
    }
    let mut start = 0i64;
    for index in 0..outputs {
        let op = match &sizes {
            None => MoveOp::Part { axis, index, count },
            Some(sizes) => {
                let end = start.saturating_add(sizes[index]);
                let (starts, ends) = (Ints::Given(vec![start]), Ints::Given(vec![end]));
                start = end;
                MoveOp::Slice { starts, ends, axes: Some(vec![axis]), steps: None }
            }
        };
        node.write_moved(index, op, vec![x])?;
    }
    node.finish()
}

pub(super) fn gather(node: &mut Lowered) -> Result<(), Error> {
    let inputs = vec![node.input(0)?, node.input(1)?];
    let op = match node.node.op_type.as_str() {
        "Gather" => MoveOp::Gather { axis: node.attributes.int("axis", 0)? },
        "GatherElements" => MoveOp::GatherElements { axis: node.attributes.int("axis", 0)? },
        _ => {
            let batch_dims = usize::try_from(node.attributes.int("batch_dims", 0)?);
            MoveOp::GatherNd { batch_dims: batch_dims.map_err(|_| node.malformed("negative batch_dims"))? }
        }
    };
    node.emit_moved(op, inputs)
}

/// Expand and Tile.
pub(super) fn repeat(node: &mut Lowered) -> Result<(), Error> {
    if node.node.op_type == "Tile" && node.opset() < 6 {
        return Err(node.unsupported("the form before opset 6", "opset 6 and newer"));
    }
    let mut inputs = vec![node.input(0)?];
    let ints = node.ints_operand(1, &mut inputs)?.ok_or_else(|| node.malformed("input 1 is missing"))?;
    let op = if node.node.op_type == "Tile" {
        MoveOp::Tile { repeats: ints }
    } else {
        MoveOp::Expand { shape: ints }
    };
    node.emit_moved(op, inputs)
}

/// DepthToSpace and SpaceToDepth.
pub(super) fn blocks(node: &mut Lowered) -> Result<(), Error> {
    let block = usize::try_from(node.attributes.int("blocksize", 0)?).ok().filter(|&block| block > 0);
    let block = block.ok_or_else(|| node.malformed("blocksize is missing or not positive"))?;
    let op = if node.node.op_type == "SpaceToDepth" {
        MoveOp::SpaceToDepth { block }
    } else {
        let column_row_depth = match node.attributes.string("mode")?.unwrap_or("DCR") {
            "DCR" => false,
            "CRD" => true,
            other => return Err(node.malformed(format!("mode `{other}`"))),
        };
        MoveOp::DepthToSpace { block, column_row_depth }
    };
    let x = node.input(0)?;
    node.emit_moved(op, vec![x])
}

/// A shape that is a constant is part of the operation; one that is computed is its input.
pub(super) fn reshape(node: &mut Lowered) -> Result<(), Error> {
    if node.opset() < 5 {
        return Err(node.unsupported("the form before opset 5", "a shape as the second input"));
    }
    let allow_zero = node.attributes.flag("allowzero", false)?;
    let mut inputs = vec![node.input(0)?];
    match node.ints_operand(1, &mut inputs)?.ok_or_else(|| node.malformed("input 1 is missing"))? {
        Ints::Given(shape) => node.emit_kept(Op::Reshape { shape, allow_zero }, inputs),
        Ints::Input(_) => node.emit_moved(MoveOp::Reshape { allow_zero }, inputs),
    }
}
