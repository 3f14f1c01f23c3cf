//! LSTM and GRU with their default activations, and operations of detectors.

use crate::error::Error;
use crate::graph::{Direction, FloatOp, GeneralOp, Op, Recurrent, RoiAlign, State};
use crate::import::lowering::Lowered;
use crate::tensor::DType;

/// Each used output is a node of its own. What is left out is a constant of zeros.
pub(super) fn recurrent(node: &mut Lowered) -> Result<(), Error> {
    let lstm = node.node.op_type == "LSTM";
    let op = layer(node)?;
    refuse_variants(node, lstm)?;
    let (directions, hidden) = (op.directions(), op.hidden);
    let gates = if lstm { 4 } else { 3 };
    let mut inputs = vec![node.input(0)?, node.input(1)?, node.input(2)?];
    let mut optional = vec![(3, vec![directions, 2 * gates * hidden]), (5, vec![directions, 1, hidden])];
    if lstm {
        optional.extend([(6, vec![directions, 1, hidden]), (7, vec![directions, 3 * hidden])]);
    }
    for (i, shape) in optional {
        inputs.push(match node.optional(i)? {
            Some(given) => given,
            None => {
                let zeros = vec![0.0; shape.iter().product()];
                node.float_constant(&format!("zeros{i}"), shape, zeros)?
            }
        });
    }
    if let Some(&other) = inputs.iter().find(|&&id| node.dtype(id) != DType::F32) {
        return Err(node.unsupported(format!("an input has type {}", node.dtype(other)), "f32 tensors"));
    }
    for (i, state) in [State::Sequence, State::Hidden, State::Cell].into_iter().enumerate() {
        let op = Recurrent { state, ..op };
        let op = if lstm { FloatOp::Lstm(op) } else { FloatOp::Gru(op) };
        node.write(i, Op::Float(op), inputs.clone(), DType::F32, None)?;
    }
    node.finish()
}

fn layer(node: &Lowered) -> Result<Recurrent, Error> {
    let direction = match node.attributes.string("direction")?.unwrap_or("forward") {
        "forward" => Direction::Forward,
        "reverse" => Direction::Reverse,
        "bidirectional" => Direction::Both,
        other => return Err(node.malformed(format!("direction `{other}`"))),
    };
    let hidden = usize::try_from(node.attributes.int("hidden_size", 0)?).ok();
    let hidden = hidden.filter(|hidden| (1..=1 << 20).contains(hidden));
    let hidden = hidden.ok_or_else(|| node.malformed("hidden_size is missing or impossible"))?;
    let linear_before_reset =
        node.node.op_type == "GRU" && node.attributes.flag("linear_before_reset", false)?;
    Ok(Recurrent { hidden, direction, state: State::Sequence, linear_before_reset })
}

fn refuse_variants(node: &Lowered, lstm: bool) -> Result<(), Error> {
    for name in ["activations", "activation_alpha", "activation_beta", "clip"] {
        if node.attributes.has(name) && !(name == "activations" && default_activations(node, lstm)) {
            return Err(
                node.unsupported(format!("attribute `{name}`"), "the default activations, not clipped")
            );
        }
    }
    node.attributes.ignore("activations");
    for (name, variant) in [("layout", "batches first"), ("input_forget", "coupled gates")] {
        if node.attributes.flag(name, false)? {
            return Err(node.unsupported(variant, "layout 0 and separate gates"));
        }
    }
    if node.optional(4)?.is_some() {
        return Err(node.unsupported("sequences of different lengths", "input 4 left out"));
    }
    Ok(())
}

fn default_activations(node: &Lowered, lstm: bool) -> bool {
    let defaults: &[&[u8]] = if lstm { &[b"Sigmoid", b"Tanh", b"Tanh"] } else { &[b"Sigmoid", b"Tanh"] };
    let named = node.node.attribute.iter().find(|a| a.name == "activations");
    named.is_some_and(|named| {
        named
            .strings
            .chunks(defaults.len())
            .all(|chunk| chunk.iter().map(Vec::as_slice).eq(defaults.iter().copied()))
    })
}

pub(super) fn roi_align(node: &mut Lowered) -> Result<(), Error> {
    let length = |name: &'static str, default: i64| {
        let n = node.attributes.int(name, default)?;
        usize::try_from(n).map_err(|_| node.malformed(format!("{name} {n}")))
    };
    let half_pixel = match node.attributes.string("coordinate_transformation_mode")? {
        Some("half_pixel") => true,
        Some("output_half_pixel") => false,
        None => node.opset() >= 16,
        Some(other) => return Err(node.malformed(format!("coordinate_transformation_mode `{other}`"))),
    };
    let max = match node.attributes.string("mode")?.unwrap_or("avg") {
        "avg" => false,
        "max" => true,
        other => return Err(node.malformed(format!("mode `{other}`"))),
    };
    let op = RoiAlign {
        output: [length("output_height", 1)?, length("output_width", 1)?],
        sampling: length("sampling_ratio", 0)?,
        scale: node.attributes.float("spatial_scale", 1.0)?,
        half_pixel,
        max,
    };
    let inputs = vec![node.input(0)?, node.input(1)?, node.input(2)?];
    let types = [0, 1, 2].map(|i| node.dtype(inputs[i]));
    if types != [DType::F32, DType::F32, DType::I64] {
        return Err(node.unsupported(format!("inputs of types {types:?}"), "f32 tensors and i64 indices"));
    }
    node.emit(Op::Float(FloatOp::RoiAlign(op)), inputs, DType::F32, None)
}

pub(super) fn non_max_suppression(node: &mut Lowered) -> Result<(), Error> {
    let center = node.attributes.flag("center_point_box", false)?;
    let most = node.constant_ints(2)?.map_or(Some(0), |most| match most[..] {
        [most] => usize::try_from(most.max(0)).ok(),
        _ => None,
    });
    let most = most.ok_or_else(|| node.malformed("max_output_boxes_per_class is no number"))?;
    let threshold = |i: usize| -> Result<Option<f32>, Error> {
        let Some(tensor) = node.optional_constant(i)? else { return Ok(None) };
        match tensor.as_f32() {
            Ok(&[threshold]) => Ok(Some(threshold)),
            _ => Err(node.malformed(format!("input {i} is no threshold"))),
        }
    };
    let (iou, score) = (threshold(3)?.unwrap_or(0.0), threshold(4)?);
    let inputs = vec![node.input(0)?, node.input(1)?];
    let op = GeneralOp::NonMaxSuppression { center, most, iou, score };
    node.emit(Op::General(op), inputs, DType::I64, None)
}
