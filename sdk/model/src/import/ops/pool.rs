//! Pooling and softmax.

use super::spatial;
use crate::error::Error;
use crate::graph::{FloatOp, Op, Pads, Pool, Window};
use crate::import::lowering::Lowered;
use crate::tensor::DType;

pub(super) fn average(node: &mut Lowered) -> Result<(), Error> {
    if spatial::other_than_two(node, None)? {
        return spatial::pool(node);
    }
    let pool = pool(node)?;
    let x = node.input(0)?;
    node.emit_float(FloatOp::AveragePool(pool), vec![x])
}

pub(super) fn max(node: &mut Lowered) -> Result<(), Error> {
    if spatial::other_than_two(node, None)? {
        return spatial::pool(node);
    }
    let pool = pool(node)?;
    // The second output alone depends on it.
    node.attributes.ignore("storage_order");
    let x = node.input(0)?;
    let dtype = node.dtype(x);
    if !matches!(dtype, DType::F32 | DType::U8 | DType::I8 | DType::I32) {
        return Err(node.unsupported(format!("an input of type {dtype}"), "f32, u8, i8 and i32"));
    }
    spatial::max_pool_indices(node)?;
    node.write_kept(0, Op::MaxPool(pool), vec![x])?;
    node.finish()
}

pub(super) fn global_max(node: &mut Lowered) -> Result<(), Error> {
    let x = node.input(0)?;
    node.emit_float(FloatOp::GlobalMaxPool, vec![x])
}

pub(super) fn global_average(node: &mut Lowered) -> Result<(), Error> {
    let x = node.input(0)?;
    node.emit_float(FloatOp::GlobalAveragePool, vec![x])
}

/// Before opset 13 softmax ran over all axes from `axis` on, together.
pub(super) fn softmax(node: &mut Lowered) -> Result<(), Error> {
    let to_end = node.opset() < 13;
    let axis = node.attributes.int("axis", if to_end { 1 } else { -1 })?;
    let x = node.input(0)?;
    let op = if node.node.op_type == "LogSoftmax" {
        FloatOp::LogSoftmax { axis, to_end }
    } else {
        FloatOp::Softmax { axis, to_end }
    };
    node.emit_float(op, vec![x])
}

fn pool(node: &Lowered) -> Result<Pool, Error> {
    Ok(Pool {
        window: window(node, None)?,
        ceil_mode: node.attributes.flag("ceil_mode", false)?,
        count_include_pad: node.attributes.flag("count_include_pad", false)?,
    })
}

/// The window attributes that convolutions and pools share; `kernel` stands in for a missing `kernel_shape`.
pub(super) fn window(node: &Lowered, kernel: Option<[usize; 2]>) -> Result<Window, Error> {
    let pair = |name, default: Option<[usize; 2]>| -> Result<[usize; 2], Error> {
        match (node.attributes.ints(name)?, default) {
            (Some(&[h, w]), _) => match (usize::try_from(h), usize::try_from(w)) {
                (Ok(h), Ok(w)) if h > 0 && w > 0 => Ok([h, w]),
                _ => Err(node.malformed(format!("{name} {h}x{w} is not positive"))),
            },
            (Some(other), _) => {
                Err(node.unsupported(format!("{name} with {} axes", other.len()), "two spatial axes"))
            }
            (None, Some(default)) => Ok(default),
            (None, None) => Err(node.unsupported(format!("{name} is not given"), "it as an attribute")),
        }
    };
    Ok(Window {
        kernel: pair("kernel_shape", kernel)?,
        strides: pair("strides", Some([1, 1]))?,
        dilations: pair("dilations", Some([1, 1]))?,
        pads: pads(node)?,
    })
}

fn pads(node: &Lowered) -> Result<Pads, Error> {
    let explicit = match node.attributes.ints("pads")? {
        None => [0; 4],
        Some(&[top, left, bottom, right]) => {
            let pads = [top, left, bottom, right].map(usize::try_from);
            let [Ok(t), Ok(l), Ok(b), Ok(r)] = pads else {
                return Err(node.unsupported("negative pads", "pads of zero and more"));
            };
            [t, l, b, r]
        }
        Some(other) => return Err(node.unsupported(format!("{} pads", other.len()), "two spatial axes")),
    };
    match node.attributes.string("auto_pad")? {
        None | Some("NOTSET") => Ok(Pads::Explicit(explicit)),
        Some("VALID") => Ok(Pads::Explicit([0; 4])),
        Some("SAME_UPPER") => Ok(Pads::SameUpper),
        Some("SAME_LOWER") => Ok(Pads::SameLower),
        Some(other) => Err(node.malformed(format!("auto_pad `{other}`"))),
    }
}
