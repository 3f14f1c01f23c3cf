//! Resizing. Coordinates are f32 in the order written in [`crate::shape`]; weights are f32 too.

use super::strides;
use crate::error::Error;
use crate::graph::{Coordinates, FloatOp, Interpolation, Nearest, Node, Op, Resize};
use crate::shape::{NodeShapes, ResizedAxis, Shapes, coordinate};
use crate::tensor::Tensor;

/// For each axis the input place of every output place.
pub(super) fn nearest_places(op: &Resize, axes: &[ResizedAxis]) -> Vec<Vec<usize>> {
    let rounding = match op.interpolation {
        Interpolation::Nearest(rounding) => rounding,
        Interpolation::Linear | Interpolation::Cubic { .. } => Nearest::RoundPreferFloor,
    };
    axes.iter()
        .map(|axis| {
            (0..axis.output).map(|i| nearest(rounding, coordinate(op.coordinates, axis, i), axis)).collect()
        })
        .collect()
}

/// The element that is taken for coordinate `x`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the axis")]
fn nearest(rounding: Nearest, x: f32, axis: &ResizedAxis) -> usize {
    let rounded = match rounding {
        Nearest::RoundPreferFloor => (x - 0.5).ceil(),
        Nearest::RoundPreferCeil => (x + 0.5).floor(),
        Nearest::Floor => x.floor(),
        Nearest::Ceil => x.ceil(),
    };
    (rounded.max(0.0) as usize).min(axis.input.saturating_sub(1))
}

/// For every output along an axis the inputs that it is made of, ascending, and their weights.
pub type Taps = Vec<Vec<(usize, f32)>>;

/// What a node in f32 makes each axis of, the first one first; `None` for an axis that stays as it is. Nothing for a node
/// that does not resize, or that has values outside its input.
///
/// # Errors
/// Those of shape inference, had it not refused the node.
pub fn resize_taps(node: &Node, shapes: &Shapes) -> Result<Option<Vec<Option<Taps>>>, Error> {
    let Op::Float(FloatOp::Resize(op)) = &node.op else { return Ok(None) };
    if op.coordinates == Coordinates::Crop {
        return Ok(None);
    }
    let axes = NodeShapes { node, shapes }.resized(op)?;
    Ok(Some(axes.iter().map(|axis| changes(op, axis).then(|| taps(op, axis))).collect()))
}

fn taps(op: &Resize, axis: &ResizedAxis) -> Taps {
    (0..axis.output).map(|i| weights(op, axis, i)).collect()
}

fn changes(op: &Resize, axis: &ResizedAxis) -> bool {
    let crop = op.coordinates == Coordinates::Crop && axis.region != [0.0, 1.0];
    axis.input != axis.output || axis.scale != 1.0 || crop
}

/// Resizes one axis after the other, the first one first; axes that stay as they are are skipped.
pub(super) fn resize(op: &Resize, axes: &[ResizedAxis], x: &Tensor) -> Result<Tensor, Error> {
    let mut shape = x.shape().to_vec();
    let mut values = x.as_f32()?.to_vec();
    for (i, axis) in axes.iter().enumerate() {
        if !changes(op, axis) {
            continue;
        }
        values = along(op, axis, &values, &shape, i);
        shape[i] = axis.output;
    }
    if op.coordinates == Coordinates::Crop {
        mark_outside(op, axes, &shape, &mut values);
    }
    Tensor::f32(shape, values)
}

/// One axis: every output is a sum of weighted inputs, in ascending order.
fn along(op: &Resize, axis: &ResizedAxis, values: &[f32], shape: &[usize], at: usize) -> Vec<f32> {
    let inner: usize = shape[at + 1..].iter().product();
    let outer: usize = shape[..at].iter().product();
    let weighted = taps(op, axis);
    let mut out = Vec::with_capacity(outer * axis.output * inner);
    for o in 0..outer {
        let plane = &values[o * axis.input * inner..][..axis.input * inner];
        for taps in &weighted {
            for k in 0..inner {
                let mut taps = taps.iter().map(|&(place, weight)| plane[place * inner + k] * weight);
                let first = taps.next().unwrap_or(0.0);
                out.push(taps.fold(first, |sum, product| sum + product));
            }
        }
    }
    out
}

/// Which inputs make output `i`, and with which weights.
#[allow(
    clippy::cast_possible_truncation,
    reason = "coordinates are bounded by the axis' length and the region"
)]
fn weights(op: &Resize, axis: &ResizedAxis, i: usize) -> Vec<(usize, f32)> {
    let x = coordinate(op.coordinates, axis, i);
    // Far outside, all weights are those of the edge.
    let x = x.clamp(-16.0 - axis.input as f32, 2.0 * axis.input as f32 + 16.0);
    let base = x.floor();
    let ratio = x - base;
    let widening = if op.antialias { axis.scale.min(1.0) } else { 1.0 };
    let (reach, weight): (f32, Box<dyn Fn(f32) -> f32>) = match op.interpolation {
        Interpolation::Nearest(rounding) => return vec![(nearest(rounding, x, axis), 1.0)],
        Interpolation::Linear => (1.0, Box::new(|d: f32| (1.0 - d.abs()).max(0.0))),
        Interpolation::Cubic { a } => (2.0, Box::new(move |d: f32| cubic(a, d.abs()))),
    };
    let first = (-reach / widening).floor() as i64 + 1;
    let last = if op.antialias { (reach / widening).ceil() as i64 } else { reach as i64 };
    let outside = |place: i64| place < 0 || place >= axis.input as i64;
    let mut taps: Vec<(usize, f32)> = Vec::new();
    for k in first..=last {
        let place = base as i64 + k;
        let value = weight((k as f32 - ratio) * widening);
        if op.exclude_outside && outside(place) {
            continue;
        }
        let clamped = usize::try_from(place.clamp(0, axis.input as i64 - 1)).unwrap_or(0);
        match taps.last_mut() {
            Some((last, sum)) if *last == clamped => *sum += value,
            _ => taps.push((clamped, value)),
        }
    }
    if op.antialias || op.exclude_outside {
        let total: f32 = taps.iter().map(|tap| tap.1).sum();
        taps.iter_mut().for_each(|tap| tap.1 /= total);
    }
    taps
}

/// The cubic convolution kernel at distance `d`.
fn cubic(a: f32, d: f32) -> f32 {
    if d <= 1.0 {
        ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
    } else if d < 2.0 {
        ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a
    } else {
        0.0
    }
}

/// Elements whose place lies outside the input take the given value.
fn mark_outside(op: &Resize, axes: &[ResizedAxis], shape: &[usize], values: &mut [f32]) {
    let own = strides(shape);
    for (axis, stride) in axes.iter().zip(&own) {
        let outside: Vec<bool> = (0..axis.output)
            .map(|i| !(0.0..=axis.input as f32 - 1.0).contains(&coordinate(op.coordinates, axis, i)))
            .collect();
        for (i, value) in values.iter_mut().enumerate() {
            if outside[i / stride % axis.output] {
                *value = op.outside;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Policy, Target};

    fn op(coordinates: Coordinates, interpolation: Interpolation) -> Resize {
        Resize {
            target: Target::Sizes(crate::graph::Ints::Given(vec![]), Policy::Stretch),
            axes: None,
            coordinates,
            interpolation,
            antialias: false,
            exclude_outside: false,
            region: Vec::new(),
            outside: 0.0,
        }
    }

    fn axis(input: usize, output: usize) -> ResizedAxis {
        ResizedAxis { input, output, scale: output as f32 / input as f32, region: [0.0, 1.0] }
    }

    #[test]
    fn nearest_takes_the_element_that_its_rounding_says() {
        let places = |coordinates, rounding, n, m| {
            nearest_places(&op(coordinates, Interpolation::Nearest(rounding)), &[axis(n, m)])[0].clone()
        };
        // Half-pixel coordinates of 4 outputs over 2 inputs: -0.25, 0.25, 0.75, 1.25.
        assert_eq!(places(Coordinates::HalfPixel, Nearest::RoundPreferFloor, 2, 4), [0, 0, 1, 1]);
        // Asymmetric: 0, 0.5, 1, 1.5.
        assert_eq!(places(Coordinates::Asymmetric, Nearest::RoundPreferFloor, 2, 4), [0, 0, 1, 1]);
        assert_eq!(places(Coordinates::Asymmetric, Nearest::RoundPreferCeil, 2, 4), [0, 1, 1, 1]);
        assert_eq!(places(Coordinates::Asymmetric, Nearest::Floor, 4, 2), [0, 2]);
        // Align corners: 0, 1/3, 2/3, 1.
        assert_eq!(places(Coordinates::AlignCorners, Nearest::Ceil, 2, 4), [0, 1, 1, 1]);
    }

    #[test]
    fn linear_weights_fall_with_distance() {
        let x = Tensor::f32([1, 2], vec![0.0, 4.0]).unwrap();
        let linear = op(Coordinates::HalfPixel, Interpolation::Linear);
        let y = resize(&linear, &[axis(1, 1), axis(2, 4)], &x).unwrap();
        assert_eq!(y.as_f32().unwrap(), [0.0, 1.0, 3.0, 4.0]);
        let corners = op(Coordinates::AlignCorners, Interpolation::Linear);
        let y = resize(&corners, &[axis(1, 1), axis(2, 5)], &x).unwrap();
        assert_eq!(y.as_f32().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn cubic_weights_sum_to_one_and_keep_a_line_straight() {
        let x = Tensor::f32([6], (0..6).map(|i| i as f32).collect()).unwrap();
        let cubic = op(Coordinates::AlignCorners, Interpolation::Cubic { a: -0.5 });
        let y = resize(&cubic, &[axis(6, 11)], &x).unwrap();
        assert_eq!(y.as_f32().unwrap()[3..8], [1.5, 2.0, 2.5, 3.0, 3.5]);
    }
}
