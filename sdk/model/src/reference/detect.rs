//! Operations of detectors: regions aligned to pixels, boxes that suppress others.

use crate::error::Error;
use crate::graph::{GeneralOp, RoiAlign};
use crate::numerics::narrow::number;
use crate::tensor::Tensor;

/// Samples on a regular grid in each bin of each region; their mean, or the largest weighted corner.
pub(super) fn roi_align(op: &RoiAlign, operands: &[&Tensor]) -> Result<Vec<f32>, Error> {
    let (x, regions, batches) = (operands[0], operands[1].as_f32()?, operands[2]);
    let &[images, channels, height, width] = x.shape() else {
        return Err(Error::invalid_graph("RoiAlign", "has an input that inference would have refused"));
    };
    let xs = x.as_f32()?;
    let mut y = Vec::new();
    for (r, region) in regions.as_chunks::<4>().0.iter().enumerate() {
        let image = number(batches.data(), r).int();
        let image = usize::try_from(image).ok().filter(|&i| i < images).ok_or_else(|| Error::Shape {
            node: "RoiAlign".into(),
            op: "RoiAlign".into(),
            reason: format!("region {r} lies in image {image} of {images}"),
        })?;
        let bins = Bins::new(op, region, [height, width]);
        for c in 0..channels {
            let plane = &xs[(image * channels + c) * height * width..][..height * width];
            for row in 0..op.output[0] {
                for column in 0..op.output[1] {
                    y.push(bins.pooled(op.max, plane, [height, width], [row, column]));
                }
            }
        }
    }
    Ok(y)
}

/// A region's grid of bins.
struct Bins {
    start: [f32; 2],
    bin: [f32; 2],
    samples: [usize; 2],
}

impl Bins {
    fn new(op: &RoiAlign, &[x0, y0, x1, y1]: &[f32; 4], image: [usize; 2]) -> Self {
        let offset = if op.half_pixel { 0.5 } else { 0.0 };
        let ends = [[y0, y1], [x0, x1]].map(|pair| pair.map(|end| end * op.scale - offset));
        let size = ends.map(|[start, end]| if op.half_pixel { end - start } else { (end - start).max(1.0) });
        let bin = [size[0] / op.output[0] as f32, size[1] / op.output[1] as f32];
        // A region larger than the image is sampled no finer than the image's own pixels.
        let samples = std::array::from_fn(|i| match op.sampling {
            0 => samples(bin[i]).min(image[i]).max(1),
            given => given,
        });
        Self { start: ends.map(|[start, _]| start), bin, samples }
    }

    fn pooled(&self, max: bool, plane: &[f32], image: [usize; 2], at: [usize; 2]) -> f32 {
        let place = |axis: usize, i: usize| {
            let step = self.bin[axis] / self.samples[axis] as f32;
            self.start[axis] + at[axis] as f32 * self.bin[axis] + (i as f32 + 0.5) * step
        };
        let (mut sum, mut largest) = (0.0, f32::NEG_INFINITY);
        for i in 0..self.samples[0] {
            for j in 0..self.samples[1] {
                let corners = corners([place(0, i), place(1, j)], image);
                let products = corners.map(|(at, weight)| plane[at] * weight);
                sum += ((products[0] + products[1]) + products[2]) + products[3];
                largest = products.into_iter().fold(largest, f32::max);
            }
        }
        if max { largest } else { sum / (self.samples[0] * self.samples[1]) as f32 }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and NaN is 0")]
fn samples(bin: f32) -> usize {
    bin.ceil() as usize
}

/// The four pixels around a place and their weights; all zero more than a pixel outside.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the image")]
fn corners(place: [f32; 2], image: [usize; 2]) -> [(usize, f32); 4] {
    let inside = (0..2).all(|i| (-1.0..=image[i] as f32).contains(&place[i]));
    if !inside {
        return [(0, 0.0); 4];
    }
    let axis = |i: usize| {
        let x = place[i].max(0.0);
        let low = x as usize;
        if low >= image[i] - 1 {
            return ([image[i] - 1; 2], [1.0, 0.0]);
        }
        let above = x - low as f32;
        ([low, low + 1], [1.0 - above, above])
    };
    let ((rows, down), (columns, right)) = (axis(0), axis(1));
    std::array::from_fn(|i| (rows[i / 2] * image[1] + columns[i % 2], down[i / 2] * right[i % 2]))
}

/// A box kept by non-maximum suppression: image, class, box.
pub(crate) type Kept = [i64; 3];

/// Non-maximum suppression: for each image and class the boxes in descending order of score (of equal ones the first),
/// each unless it overlaps a kept one too much.
///
/// # Errors
/// [`Error::DTypeMismatch`] for tensors other than f32.
pub(crate) fn suppress(op: &GeneralOp, boxes: &Tensor, scores: &Tensor) -> Result<Vec<Kept>, Error> {
    let &GeneralOp::NonMaxSuppression { center, most, iou, score } = op else {
        return Err(Error::invalid_graph(op.name(), "is no suppression"));
    };
    let corners: Vec<[f32; 4]> =
        boxes.as_f32()?.as_chunks::<4>().0.iter().map(|b| sides(*b, center)).collect();
    let scores_of = scores.as_f32()?;
    let &[images, classes, n] = scores.shape() else {
        return Err(Error::invalid_graph(op.name(), "has scores that inference would have refused"));
    };
    let mut kept = Vec::new();
    for image in 0..images {
        for class in 0..classes {
            let scores = &scores_of[(image * classes + class) * n..][..n];
            let corners = &corners[image * n..][..n];
            let mut order: Vec<usize> =
                (0..n).filter(|&i| score.is_none_or(|least| scores[i] > least)).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            let mut chosen: Vec<usize> = Vec::new();
            for i in order {
                if chosen.len() >= most {
                    break;
                }
                if chosen.iter().all(|&other| overlap(corners[i], corners[other]) <= iou) {
                    chosen.push(i);
                }
            }
            kept.extend(chosen.into_iter().map(|i| [image as i64, class as i64, i as i64]));
        }
    }
    Ok(kept)
}

/// Lower and upper end of both axes.
fn sides([a, b, c, d]: [f32; 4], center: bool) -> [f32; 4] {
    if center {
        let (half_width, half_height) = (c / 2.0, d / 2.0);
        return [b - half_height, a - half_width, b + half_height, a + half_width];
    }
    [a.min(c), b.min(d), a.max(c), b.max(d)]
}

/// Intersection over union; 0 for boxes without area.
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |[y0, x0, y1, x1]: [f32; 4]| (y1 - y0) * (x1 - x0);
    let height = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let width = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let common = height * width;
    let union = area(a) + area(b) - common;
    if common > 0.0 && union > 0.0 { common / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_of_whole_pixels_is_their_mean() {
        let x = Tensor::f32([1, 1, 4, 4], (0..16).map(|i| i as f32).collect()).unwrap();
        let regions = Tensor::f32([1, 4], vec![0.0, 0.0, 4.0, 4.0]).unwrap();
        let batches = Tensor::new([1], crate::Data::I64(vec![0])).unwrap();
        let op = RoiAlign { output: [2, 2], sampling: 2, scale: 1.0, half_pixel: true, max: false };
        let y = roi_align(&op, &[&x, &regions, &batches]).unwrap();
        assert_eq!(y, [2.5, 4.5, 10.5, 12.5]);
        let outside = Tensor::new([1], crate::Data::I64(vec![1])).unwrap();
        assert!(roi_align(&op, &[&x, &regions, &outside]).is_err());
    }

    #[test]
    fn the_better_of_two_boxes_that_overlap_stays() {
        let boxes = vec![0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 2.0, 1.9, 5.0, 5.0, 4.0, 4.0];
        let boxes = Tensor::f32([1, 3, 4], boxes).unwrap();
        let scores = Tensor::f32([1, 1, 3], vec![0.5, 0.9, 0.4]).unwrap();
        let op = |score| GeneralOp::NonMaxSuppression { center: false, most: 9, iou: 0.5, score };
        assert_eq!(suppress(&op(None), &boxes, &scores).unwrap(), [[0, 0, 1], [0, 0, 2]]);
        assert_eq!(suppress(&op(Some(0.4)), &boxes, &scores).unwrap(), [[0, 0, 1]]);
    }
}
