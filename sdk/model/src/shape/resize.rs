//! Sizes and coordinates of resizing.

use crate::graph::{Coordinates, Policy, Resize, Target};

use super::normalize_axis;

/// One axis of a resized tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ResizedAxis {
    /// Elements before.
    pub(crate) input: usize,
    /// Elements after.
    pub(crate) output: usize,
    /// The factor that coordinates are divided by.
    pub(crate) scale: f32,
    /// With [`Coordinates::Crop`]: start and end of the region.
    pub(crate) region: [f32; 2],
}

/// Every axis of `shape`, resized to `scales`, or else to `sizes` (each one entry for each of the operation's axes).
/// `None` if they do not fit.
pub(crate) fn resized(
    resize: &Resize,
    shape: &[usize],
    scales: Option<&[f32]>,
    sizes: Option<&[i64]>,
) -> Option<Vec<ResizedAxis>> {
    let same = |&n: &usize| ResizedAxis { input: n, output: n, scale: 1.0, region: [0.0, 1.0] };
    let mut axes: Vec<ResizedAxis> = shape.iter().map(same).collect();
    let named: Vec<usize> = match &resize.axes {
        None => (0..shape.len()).collect(),
        Some(axes) => axes.iter().map(|&axis| normalize_axis(axis, shape.len())).collect::<Option<_>>()?,
    };
    let entries = scales.map_or_else(|| sizes.map_or(0, <[i64]>::len), <[f32]>::len);
    let regions = resize.coordinates != Coordinates::Crop || resize.region.len() == 2 * named.len();
    if entries != named.len() || !regions {
        return None;
    }
    for (i, &axis) in named.iter().enumerate() {
        let slot = &mut axes[axis];
        if let Some(scales) = scales {
            slot.scale = scales[i];
            slot.output = scaled(slot.input, scales[i])?;
        } else if let Some(sizes) = sizes {
            slot.output = usize::try_from(sizes[i]).ok()?;
            slot.scale = slot.output as f32 / slot.input as f32;
        }
        if resize.coordinates == Coordinates::Crop {
            slot.region = [resize.region[i], resize.region[i + named.len()]];
        }
    }
    if let (None, Target::Sizes(_, policy)) = (scales, &resize.target) {
        keep_aspect(&mut axes, &named, *policy)?;
    }
    axes.iter().all(|axis| axis.input == axis.output || (axis.input > 0 && axis.output > 0)).then_some(axes)
}

/// `floor(n * scale)` in f32.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded and positive: checked before"
)]
fn scaled(n: usize, scale: f32) -> Option<usize> {
    let length = (n as f32 * scale).floor();
    (scale > 0.0 && (0.0..1e9).contains(&length)).then_some(length as usize)
}

/// One scale for all named axes: the smallest or largest of them.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded and positive: checked before"
)]
fn keep_aspect(axes: &mut [ResizedAxis], named: &[usize], policy: Policy) -> Option<()> {
    let scales = named.iter().map(|&axis| axes[axis].scale);
    let scale = match policy {
        Policy::Stretch => return Some(()),
        Policy::NotLarger => scales.fold(f32::INFINITY, f32::min),
        Policy::NotSmaller => scales.fold(0.0, f32::max),
    };
    for &axis in named {
        let length = (axes[axis].input as f32 * scale + 0.5).floor();
        (0.0..1e9).contains(&length).then_some(())?;
        axes[axis].output = length as usize;
        axes[axis].scale = scale;
    }
    Some(())
}

/// Where output element `i` lies in the input.
pub(crate) fn coordinate(coordinates: Coordinates, axis: &ResizedAxis, i: usize) -> f32 {
    let (x, n, m) = (i as f32, axis.input as f32, axis.output as f32);
    match coordinates {
        Coordinates::HalfPixel => (x + 0.5) / axis.scale - 0.5,
        Coordinates::HalfPixelSymmetric => {
            let adjustment = m / (axis.scale * n);
            n / 2.0 * (1.0 - adjustment) + (x + 0.5) / axis.scale - 0.5
        }
        Coordinates::PytorchHalfPixel => {
            if axis.output > 1 {
                (x + 0.5) / axis.scale - 0.5
            } else {
                0.0
            }
        }
        Coordinates::AlignCorners => {
            if axis.output > 1 {
                x * (n - 1.0) / (m - 1.0)
            } else {
                0.0
            }
        }
        Coordinates::Asymmetric => x / axis.scale,
        Coordinates::Crop => {
            let [start, end] = axis.region;
            if axis.output > 1 {
                start * (n - 1.0) + x * (end - start) * (n - 1.0) / (m - 1.0)
            } else {
                0.5 * (start + end) * (n - 1.0)
            }
        }
    }
}
