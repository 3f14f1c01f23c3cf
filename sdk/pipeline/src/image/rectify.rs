//! Regions cut out of a picture and pulled straight.
//!
//! The map from a rectangle to four corners is the projective one of Heckbert, "Fundamentals of Texture Mapping and Image
//! Warping" (1989), in f64 by additions, multiplications and divisions alone; samples are blended in integers.

use super::Raster;
use crate::limits::MAX_CROP_SIDE;
use crate::value::Quad;

/// The way from a crop back to the picture that it was cut out of.
#[derive(Clone, Debug)]
pub(crate) struct Rectifier {
    /// Width and height of the crop in pixels.
    size: [usize; 2],
    /// `x = (a u + b v + c) / (g u + h v + 1)` and the same for y, for u and v from 0 to 1 on the crop.
    x: [f64; 3],
    y: [f64; 3],
    bottom: [f64; 2],
}

impl Rectifier {
    /// For a region: as many pixels as its longer sides, at least 1 and at most [`MAX_CROP_SIDE`].
    pub(crate) fn new(quad: &Quad) -> Self {
        let [p0, p1, p2, p3] = quad.map(|corner| corner.map(f64::from));
        let side = |a: [f64; 2], b: [f64; 2]| {
            let (dx, dy) = (a[0] - b[0], a[1] - b[1]);
            (dx * dx + dy * dy).sqrt()
        };
        // A conversion cuts off and saturates; what is no number becomes 0.
        let pixels = |a: f64, b: f64| ((a.max(b) + 0.5) as usize).clamp(1, MAX_CROP_SIDE);
        let size = [pixels(side(p0, p1), side(p3, p2)), pixels(side(p0, p3), side(p1, p2))];
        let sum = [0, 1].map(|axis| p0[axis] - p1[axis] + p2[axis] - p3[axis]);
        let (d1, d2) = ([p1[0] - p2[0], p1[1] - p2[1]], [p3[0] - p2[0], p3[1] - p2[1]]);
        let determinant = d1[0] * d2[1] - d2[0] * d1[1];
        let parallelogram = sum == [0.0; 2] || determinant == 0.0;
        let bottom = if parallelogram {
            [0.0; 2]
        } else {
            [(sum[0] * d2[1] - d2[0] * sum[1]) / determinant, (d1[0] * sum[1] - sum[0] * d1[1]) / determinant]
        };
        let row = |axis: usize| {
            let (o, a, b) = (p0[axis], p1[axis], p3[axis]);
            [a - o + bottom[0] * a, b - o + bottom[1] * b, o]
        };
        Self { size, x: row(0), y: row(1), bottom }
    }

    /// Where a position on the crop, in pixels, lies on the picture.
    pub(crate) fn to_source(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let (u, v) = (x / self.size[0] as f64, y / self.size[1] as f64);
        let below = self.bottom[0] * u + self.bottom[1] * v + 1.0;
        let along = |[a, b, c]: [f64; 3]| (a * u + b * v + c) / below;
        [along(self.x), along(self.y)]
    }

    /// The crop: each pixel is blended of the four around where its middle lies; beyond the picture its edge goes on.
    pub(crate) fn cut(&self, picture: &Raster) -> Raster {
        let ([width, height], channels) = (self.size, picture.channels);
        let mut samples = Vec::with_capacity(width * height * channels);
        for j in 0..height {
            for i in 0..width {
                let [x, y] = self.to_source([i as f64 + 0.5, j as f64 + 0.5]);
                let (left, right, across) = neighbours(x, picture.width);
                let (above, below, down) = neighbours(y, picture.height);
                let at = |x: usize, y: usize| (y * picture.width + x) * channels;
                let four = [at(left, above), at(right, above), at(left, below), at(right, below)];
                for c in 0..channels {
                    let [a, b, e, f] = four.map(|start| i64::from(picture.samples[start + c]));
                    let top = a * (ONE - across) + b * across;
                    let low = e * (ONE - across) + f * across;
                    let sum = top * (ONE - down) + low * down;
                    samples.push(((sum + (ONE * ONE) / 2) / (ONE * ONE)) as u8); // a mean of bytes
                }
            }
        }
        Raster { width, height, channels, samples }
    }
}

/// 1 with sixteen bits of fraction.
const ONE: i64 = 1 << 16;

/// The pixels before and after a position, inside `0..length`, and how much of the second counts, of [`ONE`].
fn neighbours(position: f64, length: usize) -> (usize, usize, i64) {
    let last = length as i64 - 1;
    let fixed = ((position - 0.5) * ONE as f64).round().clamp(0.0, (last * ONE) as f64) as i64;
    let first = fixed / ONE;
    (first as usize, (first + 1).min(last) as usize, fixed % ONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::corners;

    fn ramp(width: usize, height: usize) -> Raster {
        let samples = (0..height).flat_map(|y| (0..width).map(move |x| (x * 3 + y * 10) as u8)).collect();
        Raster { width, height, channels: 1, samples }
    }

    #[test]
    fn an_upright_box_on_pixel_edges_is_a_plain_crop() {
        let source = ramp(20, 12);
        let crop = Rectifier::new(&corners([3.0, 2.0, 10.0, 7.0])).cut(&source);
        assert_eq!(crop, source.cropped(super::super::Frame { x: 3, y: 2, width: 7, height: 5 }));
    }

    #[test]
    fn corners_in_another_order_turn_the_crop() {
        let source = ramp(9, 7);
        let [a, b, c, d] = corners([1.0, 1.0, 6.0, 4.0]);
        let straight = Rectifier::new(&[a, b, c, d]).cut(&source);
        let upside_down = Rectifier::new(&[c, d, a, b]).cut(&source);
        assert!(straight.samples.iter().eq(upside_down.samples.iter().rev()));
        let turned = Rectifier::new(&[b, c, d, a]).cut(&source);
        assert_eq!((turned.width, turned.height), (3, 5));
        assert_eq!(turned.samples[0], straight.samples[4], "its first pixel is the top right one");
    }

    #[test]
    fn corners_go_to_corners_also_in_perspective() {
        let quad: Quad = [[10.0, 5.0], [50.0, 9.0], [44.0, 30.0], [8.0, 22.0]];
        let rectifier = Rectifier::new(&quad);
        let [w, h] = rectifier.size.map(|side| side as f64);
        for (corner, at) in quad.iter().zip([[0.0, 0.0], [w, 0.0], [w, h], [0.0, h]]) {
            let found = rectifier.to_source(at);
            assert!((0..2).all(|i| (found[i] - f64::from(corner[i])).abs() < 1e-9), "{found:?} {corner:?}");
        }
    }

    #[test]
    fn degenerate_regions_are_one_pixel_or_the_edge() {
        let source = ramp(9, 7);
        for quad in [
            [[3.0, 3.0]; 4],
            [[1e30, 1e30], [2e30, 1e30], [2e30, 2e30], [1e30, 2e30]],
            [[f32::NAN; 2]; 4],
            [[0.0, 0.0], [5.0, 5.0], [0.0, 0.0], [5.0, 5.0]],
        ] {
            let crop = Rectifier::new(&quad).cut(&source);
            assert!(crop.width >= 1 && crop.width <= MAX_CROP_SIDE && crop.height <= MAX_CROP_SIDE);
            assert_eq!(crop.samples.len(), crop.width * crop.height);
        }
    }
}
