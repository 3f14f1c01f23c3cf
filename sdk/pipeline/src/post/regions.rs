//! Regions of text from a map of probabilities: the post-processing of "Real-time Scene Text Detection with Differentiable
//! Binarization" (Liao et al., 2020), as PaddleOCR and RapidOCR use it.
//!
//! Pixels above the threshold are joined with their eight neighbours; around each group lies the rectangle of the least area;
//! its score is the mean probability inside; it grows by `area * unclip / circumference` on each side, and goes to the user's
//! picture. `docs/pipeline.md` says where this differs from RapidOCR.

use super::outputs::Reads;
use super::{Checks, Stage, State, known};
use crate::error::Result;
use crate::interface::Interface;
use crate::place::Place;
use crate::rectangle::Rectangle;
use crate::spec;
use crate::value::{FoundRegion, Made, Quad};

/// Rectangles of groups of pixels narrower than this, from middle to middle, are noise.
const MIN_SIDE: f64 = 3.0;
/// Regions of the user's picture at most this wide or high, in whole pixels, hold no text.
const MIN_PIXELS: f64 = 4.0;
/// Regions whose tops are nearer than this, in pixels, are on one line and read from left to right.
const SAME_LINE: f32 = 10.0;

#[derive(Debug)]
pub(super) struct Regions {
    reads: Reads,
    threshold: f32,
    min_score: f32,
    unclip: f64,
    dilate: bool,
    most: usize,
}

impl Regions {
    pub(super) fn new(stage: &spec::Regions, checks: &Checks) -> Result<Self> {
        let regions = Self {
            reads: Reads::new(checks, None)?,
            threshold: checks.within("threshold", stage.threshold, [0.0, 1.0])?,
            min_score: checks.within("min_score", stage.min_score, [0.0, 1.0])?,
            unclip: f64::from(checks.within("unclip", stage.unclip, [0.0, 10.0])?),
            dilate: stage.dilate,
            most: checks.most(stage.most)?,
        };
        let info = regions.reads.info(checks.interface)?;
        match info.shape.as_slice() {
            [None | Some(1), Some(1), _, _] | [None | Some(1), _, _] => Ok(regions),
            _ => Err(regions.reads.shape(checks.interface, info.shape_text(), "[1, 1, rows, columns]")),
        }
    }

    /// A group's region on the map's pixels; `None` if it is no text.
    fn region(&self, map: &Map, group: &[[usize; 3]]) -> Option<(Rectangle, f32)> {
        let rectangle = Rectangle::around(group)?;
        if rectangle.shorter() < MIN_SIDE {
            return None;
        }
        let score = map.mean(&rectangle);
        if score < self.min_score {
            return None;
        }
        let [a, b] = rectangle.sides();
        let grown = rectangle.grown(a * b * self.unclip / (2.0 * (a + b)));
        (grown.shorter() >= MIN_SIDE + 2.0).then_some((grown, score))
    }
}

impl Stage for Regions {
    fn run(&self, state: &mut State, interface: &Interface, place: Option<&Place>) -> Result<()> {
        let place = known(place)?;
        let (shape, values) = self.reads.real(interface, &state.outputs)?;
        let (&[1, 1, height, width] | &[1, height, width]) = shape else {
            return Err(self.reads.shape(interface, format!("{shape:?}"), "[1, 1, rows, columns]"));
        };
        let map = Map { width, height, values: &values };
        let mut set = map.above(self.threshold);
        if self.dilate {
            set = dilated(&set, width);
        }
        let per_pixel = [place.frame[0] as f64 / width as f64, place.frame[1] as f64 / height as f64];
        let on_picture = |[x, y]: [f64; 2]| {
            // A pixel's middle is half a pixel from its corner.
            place.on_picture([(x + 0.5) * per_pixel[0], (y + 0.5) * per_pixel[1]])
        };
        let mut regions = Vec::new();
        each_group(&mut set, width, |group| {
            if let Some((rectangle, score)) = self.region(&map, group) {
                let quad = rectangle.corners().map(on_picture);
                if is_large(&quad) {
                    regions.push(FoundRegion { score, quad });
                }
            }
            regions.len() < self.most
        });
        in_reading_order(&mut regions);
        state.made = Some(Made::Regions(regions));
        Ok(())
    }
}

struct Map<'a> {
    width: usize,
    height: usize,
    values: &'a [f32],
}

impl Map<'_> {
    /// What is no number is above nothing.
    fn above(&self, threshold: f32) -> Vec<bool> {
        self.values.iter().map(|&p| p > threshold).collect()
    }

    /// The mean of the pixels whose middles lie in a rectangle or on its edge: a sum in f64, row by row.
    fn mean(&self, rectangle: &Rectangle) -> f32 {
        let ([left, top], [right, bottom]) = rectangle.bounds();
        let range = |from: f64, to: f64, end: usize| {
            (from.max(0.0).floor() as usize)..((to.max(0.0).ceil() as usize) + 1).min(end)
        };
        let (mut sum, mut count) = (0.0, 0u32);
        for y in range(top, bottom, self.height) {
            for x in range(left, right, self.width) {
                if rectangle.holds([x as f64, y as f64]) {
                    sum += f64::from(self.values[y * self.width + x]);
                    count += 1;
                }
            }
        }
        if count == 0 { 0.0 } else { (sum / f64::from(count)) as f32 }
    }
}

/// Each pixel also sets the ones to its right, below it, and between them.
fn dilated(set: &[bool], width: usize) -> Vec<bool> {
    let at = |i: usize, back: usize, allowed: bool| allowed && set[i - back];
    (0..set.len())
        .map(|i| {
            let (left, above) = (i % width > 0, i >= width);
            set[i] || at(i, 1, left) || at(i, width, above) || at(i, width + 1, left && above)
        })
        .collect()
}

/// Finds the groups of set pixels that touch, also at corners, in the order of their first pixels, until `found` says no.
/// A group is given as `[row, first column, last column]` for each of its rows. Every pixel is visited once.
fn each_group(set: &mut [bool], width: usize, mut found: impl FnMut(&[[usize; 3]]) -> bool) {
    let height = set.len().checked_div(width).unwrap_or(0);
    let mut spans = vec![[usize::MAX, 0]; height];
    let mut stack = Vec::new();
    for start in 0..set.len() {
        if !std::mem::take(&mut set[start]) {
            continue;
        }
        stack.push(start);
        let (first_row, mut last_row) = (start / width, start / width);
        while let Some(i) = stack.pop() {
            let (x, y) = (i % width, i / width);
            spans[y] = [spans[y][0].min(x), spans[y][1].max(x)];
            last_row = last_row.max(y);
            for ny in y.saturating_sub(1)..(y + 2).min(height) {
                for nx in x.saturating_sub(1)..(x + 2).min(width) {
                    let neighbour = ny * width + nx;
                    if std::mem::take(&mut set[neighbour]) {
                        stack.push(neighbour);
                    }
                }
            }
        }
        let rows: Vec<[usize; 3]> = (first_row..=last_row).map(|y| [y, spans[y][0], spans[y][1]]).collect();
        spans[first_row..=last_row].fill([usize::MAX, 0]);
        if !found(&rows) {
            return;
        }
    }
}

/// Whether a region of the user's picture is large enough to hold text.
fn is_large(quad: &Quad) -> bool {
    let side = |a: [f32; 2], b: [f32; 2]| {
        let (dx, dy) = (f64::from(a[0] - b[0]), f64::from(a[1] - b[1]));
        (dx * dx + dy * dy).sqrt()
    };
    side(quad[0], quad[1]) >= MIN_PIXELS && side(quad[0], quad[3]) >= MIN_PIXELS
}

/// From top to bottom, and on one line from left to right.
fn in_reading_order(regions: &mut [FoundRegion]) {
    let corner = |region: &FoundRegion| region.quad[0];
    regions.sort_by(|a, b| {
        let ([ax, ay], [bx, by]) = (corner(a), corner(b));
        ay.total_cmp(&by).then(ax.total_cmp(&bx))
    });
    for i in 1..regions.len() {
        for j in (0..i).rev() {
            let (before, after) = (corner(&regions[j]), corner(&regions[j + 1]));
            if (after[1] - before[1]).abs() < SAME_LINE && after[0] < before[0] {
                regions.swap(j, j + 1);
            } else {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_that_touch_at_corners_are_one_group() {
        let mut set: Vec<bool> = "#..#.#..#".chars().map(|c| c == '#').collect();
        // # . .
        // # . #
        // . . #
        let mut groups = Vec::new();
        each_group(&mut set, 3, |rows| {
            groups.push(rows.to_vec());
            true
        });
        assert_eq!(groups, [vec![[0, 0, 0], [1, 0, 0]], vec![[1, 2, 2], [2, 2, 2]]]);
        let mut diagonal: Vec<bool> = "#...#...#".chars().map(|c| c == '#').collect();
        let mut count = 0;
        each_group(&mut diagonal, 3, |rows| {
            count += rows.len();
            true
        });
        assert_eq!(count, 3);
    }

    #[test]
    fn dilation_grows_to_the_right_and_down() {
        let set: Vec<bool> = "#....#...".chars().map(|c| c == '#').collect();
        let grown: String = dilated(&set, 3).iter().map(|&s| if s { '#' } else { '.' }).collect();
        assert_eq!(grown, "##.###..#");
    }

    #[test]
    fn regions_are_read_line_by_line() {
        let region =
            |x: f32, y: f32| FoundRegion { score: x, quad: crate::value::corners([x, y, x + 1.0, y + 1.0]) };
        let mut regions = vec![region(50.0, 4.0), region(5.0, 40.0), region(9.0, 0.0), region(1.0, 8.0)];
        in_reading_order(&mut regions);
        assert_eq!(regions.iter().map(|r| r.score).collect::<Vec<_>>(), [1.0, 9.0, 50.0, 5.0]);
    }
}
