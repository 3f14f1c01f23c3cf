//! Convolutions and pools that are not over two axes, transposed convolutions, and resizing.

use crate::error::Error;
use crate::graph::{
    AutoPad, ConvTranspose, Coordinates, FloatOp, GeneralOp, Interpolation, MoveOp, Nearest, Op, Policy,
    PoolKind, PoolNd, Resize, Target, ValueId, WindowNd,
};
use crate::import::lowering::Lowered;

use crate::tensor::DType;

/// The window attributes over any number of axes; `kernel` stands in for a missing `kernel_shape`.
pub(super) fn window(node: &Lowered, kernel: Option<&[usize]>) -> Result<WindowNd, Error> {
    let lengths = |name: &'static str| -> Result<Option<Vec<usize>>, Error> {
        let Some(ints) = node.attributes.ints(name)? else { return Ok(None) };
        let positive: Option<Vec<usize>> =
            ints.iter().map(|&n| usize::try_from(n).ok().filter(|&n| n > 0)).collect();
        positive.map(Some).ok_or_else(|| node.malformed(format!("{name} {ints:?} are not positive")))
    };
    let kernel = match (lengths("kernel_shape")?, kernel) {
        (Some(kernel), _) => kernel,
        (None, Some(kernel)) => kernel.to_vec(),
        (None, None) => return Err(node.unsupported("kernel_shape is not given", "it as an attribute")),
    };
    let n = kernel.len();
    if !(1..=3).contains(&n) {
        return Err(node.unsupported(format!("a window of {n} axes"), "one to three spatial axes"));
    }
    let (strides, dilations) = (lengths("strides")?, lengths("dilations")?);
    let pads = match node.attributes.ints("pads")? {
        None => vec![0; 2 * n],
        Some(pads) => {
            let pads: Result<Vec<usize>, _> = pads.iter().map(|&pad| usize::try_from(pad)).collect();
            pads.map_err(|_| node.unsupported("negative pads", "pads of zero and more"))?
        }
    };
    let (auto_pad, pads) = match node.attributes.string("auto_pad")? {
        None | Some("NOTSET") => (AutoPad::Explicit, pads),
        Some("VALID") => (AutoPad::Explicit, vec![0; 2 * n]),
        Some("SAME_UPPER") => (AutoPad::SameUpper, pads),
        Some("SAME_LOWER") => (AutoPad::SameLower, pads),
        Some(other) => return Err(node.malformed(format!("auto_pad `{other}`"))),
    };
    let strides = strides.unwrap_or_else(|| vec![1; n]);
    let dilations = dilations.unwrap_or_else(|| vec![1; n]);
    if strides.len() != n || dilations.len() != n || pads.len() != 2 * n {
        return Err(node.malformed(format!("strides, dilations or pads do not fit a window of {n} axes")));
    }
    Ok(WindowNd { kernel, strides, dilations, pads, auto_pad })
}

/// The number of spatial axes, from the kernel's attribute or the weights' shape, if it is not two.
pub(super) fn other_than_two(node: &Lowered, weights: Option<usize>) -> Result<bool, Error> {
    let axes = match node.attributes.ints("kernel_shape")? {
        Some(kernel) => Some(kernel.len()),
        None => weights.and_then(|rank| rank.checked_sub(2)),
    };
    Ok(axes.is_some_and(|axes| axes != 2))
}

pub(super) fn groups(node: &Lowered) -> Result<usize, Error> {
    usize::try_from(node.attributes.int("group", 1)?).map_err(|_| node.malformed("negative group"))
}

/// A convolution over one or three axes.
pub(super) fn conv(node: &mut Lowered, inputs: Vec<ValueId>) -> Result<(), Error> {
    let kernel = node.constant_shape(inputs[1]).and_then(|shape| shape.get(2..)).map(<[usize]>::to_vec);
    let window = window(node, kernel.as_deref())?;
    let groups = groups(node)?;
    node.emit_float(FloatOp::ConvNd { window, groups }, inputs)
}

pub(super) fn conv_transpose(node: &mut Lowered) -> Result<(), Error> {
    let mut inputs = vec![node.input(0)?, node.input(1)?];
    inputs.extend(node.optional(2)?);
    let kernel = node.constant_shape(inputs[1]).and_then(|shape| shape.get(2..)).map(<[usize]>::to_vec);
    let window = window(node, kernel.as_deref())?;
    let n = window.kernel.len();
    let lengths = |name: &'static str| -> Result<Option<Vec<usize>>, Error> {
        let Some(ints) = node.attributes.ints(name)? else { return Ok(None) };
        let lengths: Option<Vec<usize>> = ints.iter().map(|&n| usize::try_from(n).ok()).collect();
        let lengths = lengths.filter(|lengths| lengths.len() == n);
        lengths.map(Some).ok_or_else(|| node.malformed(format!("{name} {ints:?} for {n} axes")))
    };
    let output_padding = lengths("output_padding")?.unwrap_or_else(|| vec![0; n]);
    let output_size = lengths("output_shape")?;
    let conv = ConvTranspose { window, groups: groups(node)?, output_padding, output_size };
    node.emit_float(FloatOp::ConvTranspose(conv), inputs)
}

/// A pool over one or three axes.
pub(super) fn pool(node: &mut Lowered) -> Result<(), Error> {
    let kind = if node.node.op_type == "MaxPool" {
        PoolKind::Max
    } else {
        PoolKind::Average { count_include_pad: node.attributes.flag("count_include_pad", false)? }
    };
    let (pool, column_major) = pool_nd(node, kind)?;
    let x = node.input(0)?;
    if node.dtype(x) != DType::F32 {
        return Err(
            node.unsupported(format!("an input of type {}", node.dtype(x)), "f32, or two spatial axes")
        );
    }
    node.write(0, Op::Float(FloatOp::PoolNd(pool.clone())), vec![x], DType::F32, None)?;
    indices(node, pool, column_major)?;
    node.finish()
}

fn pool_nd(node: &Lowered, kind: PoolKind) -> Result<(PoolNd, bool), Error> {
    let column_major = kind == PoolKind::Max && node.attributes.flag("storage_order", false)?;
    Ok((
        PoolNd { kind, window: window(node, None)?, ceil_mode: node.attributes.flag("ceil_mode", false)? },
        column_major,
    ))
}

fn indices(node: &mut Lowered, pool: PoolNd, column_major: bool) -> Result<(), Error> {
    let x = node.input(0)?;
    let op = Op::General(GeneralOp::ArgMaxPool { pool, column_major });
    node.write(1, op, vec![x], DType::I64, None)
}

/// The second output of a MaxPool over two axes, if it is used.
pub(super) fn max_pool_indices(node: &mut Lowered) -> Result<(), Error> {
    if !node.wants(1) {
        return Ok(());
    }
    if node.dtype(node.input(0)?) != DType::F32 {
        return Err(node.unsupported("indices of another type than f32", "f32, or the first output alone"));
    }
    let (pool, column_major) = pool_nd(node, PoolKind::Max)?;
    indices(node, pool, column_major)
}

/// Resize, and Upsample, which it replaced.
pub(super) fn resize(node: &mut Lowered) -> Result<(), Error> {
    let mut inputs = vec![node.input(0)?];
    let old = node.opset() < 11 || node.node.op_type == "Upsample";
    let coordinates = if old { Coordinates::Asymmetric } else { coordinates(node)? };
    let interpolation = interpolation(node, old)?;
    let policy = match node.attributes.string("keep_aspect_ratio_policy")? {
        None | Some("stretch") => Policy::Stretch,
        Some("not_larger") => Policy::NotLarger,
        Some("not_smaller") => Policy::NotSmaller,
        Some(other) => return Err(node.malformed(format!("keep_aspect_ratio_policy `{other}`"))),
    };
    let target = target(node, old, policy, &mut inputs)?;
    let region = match coordinates {
        Coordinates::Crop => {
            let region = node.constant(1)?.as_f32();
            region.map_err(|_| node.unsupported("a region that is not f32", "f32"))?.to_vec()
        }
        _ => Vec::new(),
    };
    let resize = Resize {
        target,
        axes: node.attributes.ints("axes")?.map(<[i64]>::to_vec),
        coordinates,
        interpolation,
        antialias: node.attributes.flag("antialias", false)?,
        exclude_outside: node.attributes.flag("exclude_outside", false)?,
        region,
        outside: node.attributes.float("extrapolation_value", 0.0)?,
    };
    let nearest = matches!(interpolation, Interpolation::Nearest(_)) && coordinates != Coordinates::Crop;
    if nearest {
        return node.emit_moved(MoveOp::Resize(resize), inputs);
    }
    let dtype = node.dtype(inputs[0]);
    if dtype == DType::F32 {
        return node.emit(Op::Float(FloatOp::Resize(resize)), inputs, DType::F32, None);
    }
    if dtype.range().is_none() || matches!(interpolation, Interpolation::Cubic { .. }) {
        let supported = "f32, 8-bit integers between which lines are drawn, or nearest-neighbour resizing";
        return Err(node.unsupported(format!("an input has type {dtype}"), supported));
    }
    resize_integers(node, resize, inputs)
}

/// Interpolates between the integers themselves and cuts the fraction off, as ONNX's definition and ONNX Runtime do.
/// The result keeps the quantization of the input.
fn resize_integers(node: &mut Lowered, resize: Resize, mut inputs: Vec<ValueId>) -> Result<(), Error> {
    let cast = Op::General(GeneralOp::Cast { saturate: true });
    let (dtype, quant) = (node.dtype(inputs[0]), node.quant(inputs[0]));
    inputs[0] = node.step(cast.clone(), vec![inputs[0]], DType::F32);
    let between = node.step(Op::Float(FloatOp::Resize(resize)), inputs, DType::F32);
    node.emit(cast, vec![between], dtype, quant)
}

fn coordinates(node: &Lowered) -> Result<Coordinates, Error> {
    Ok(match node.attributes.string("coordinate_transformation_mode")?.unwrap_or("half_pixel") {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        "tf_crop_and_resize" => Coordinates::Crop,
        other => {
            let supported = "half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners, asymmetric, \
                             tf_crop_and_resize";
            return Err(node.unsupported(format!("coordinate_transformation_mode {other}"), supported));
        }
    })
}

fn interpolation(node: &Lowered, old: bool) -> Result<Interpolation, Error> {
    let nearest = match node.attributes.string("nearest_mode")? {
        None if old => Nearest::Floor,
        None | Some("round_prefer_floor") => Nearest::RoundPreferFloor,
        Some("round_prefer_ceil") => Nearest::RoundPreferCeil,
        Some("floor") => Nearest::Floor,
        Some("ceil") => Nearest::Ceil,
        Some(other) => return Err(node.malformed(format!("nearest_mode `{other}`"))),
    };
    let a = node.attributes.float("cubic_coeff_a", -0.75)?;
    match node.attributes.string("mode")?.unwrap_or("nearest") {
        "nearest" => Ok(Interpolation::Nearest(nearest)),
        "linear" | "bilinear" => Ok(Interpolation::Linear),
        "cubic" => Ok(Interpolation::Cubic { a }),
        other => Err(node.malformed(format!("mode `{other}`"))),
    }
}

/// Scales are an attribute of Upsample before opset 9, the second input before opset 11, and the third since; sizes are
/// the fourth.
fn target(node: &Lowered, old: bool, policy: Policy, inputs: &mut Vec<ValueId>) -> Result<Target, Error> {
    if node.node.op_type == "Upsample" && node.opset() < 9 {
        let scales = node.attributes.floats("scales")?;
        return scales
            .map(|s| Target::Scales(s.to_vec()))
            .ok_or_else(|| node.malformed("scales are missing"));
    }
    let at = if old { 1 } else { 2 };
    let given = node.optional(at)?.filter(|&id| !node.is_empty(id));
    let Some(scales) = given else {
        let sizes = node.ints_operand(3, inputs)?;
        return sizes
            .map(|sizes| Target::Sizes(sizes, policy))
            .ok_or_else(|| node.malformed("neither scales nor sizes are given"));
    };
    if node.dtype(scales) != DType::F32 {
        return Err(node.malformed(format!("scales of type {}", node.dtype(scales))));
    }
    match node.constant_at(scales) {
        Some(tensor) => Ok(Target::Scales(tensor.as_f32()?.to_vec())),
        None => {
            inputs.push(scales);
            Ok(Target::ScalesInput)
        }
    }
}
