//! The rectangle of the least area around pixels, at any angle.

/// A rectangle on a grid of pixels, whose middles are at whole numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rectangle {
    middle: [f64; 2],
    /// Unit vectors along its two sides.
    axes: [[f64; 2]; 2],
    /// Half of the lengths along them.
    half: [f64; 2],
}

impl Rectangle {
    /// Around rows of pixels, given as `[row, first column, last column]` from top to bottom. One of its sides lies on a side
    /// of their convex hull, as one of every such rectangle does (Freeman and Shapira, 1975). Areas are compared in f64, from
    /// whole numbers; of equal ones the first side of the hull has it. `None` for a single pixel.
    pub(crate) fn around(rows: &[[usize; 3]]) -> Option<Self> {
        let hull = hull(rows);
        let mut best: Option<(f64, Self)> = None;
        for (i, &from) in hull.iter().enumerate() {
            let to = hull[(i + 1) % hull.len()];
            let side = [to[0] - from[0], to[1] - from[1]];
            if side == [0, 0] {
                continue;
            }
            let across = [-side[1], side[0]];
            let span = |axis: [i64; 2]| {
                let along = hull.iter().map(|p| p[0] * axis[0] + p[1] * axis[1]);
                along.fold((i64::MAX, i64::MIN), |(least, most), x| (least.min(x), most.max(x)))
            };
            let (u, v) = (span(side), span(across));
            // Lengths are these numbers divided by the side's length.
            let square = (side[0] * side[0] + side[1] * side[1]) as f64;
            let area = (u.1 - u.0) as f64 * (v.1 - v.0) as f64 / square;
            if best.is_none_or(|(least, _)| area < least) {
                best = Some((area, Self::of(side, u, v, square.sqrt())));
            }
        }
        best.map(|(_, rectangle)| rectangle)
    }

    fn of(side: [i64; 2], u: (i64, i64), v: (i64, i64), length: f64) -> Self {
        let along = [side[0] as f64 / length, side[1] as f64 / length];
        let axes = [along, [-along[1], along[0]]];
        let middle_of = |(least, most): (i64, i64)| (least + most) as f64 / 2.0 / length;
        let half_of = |(least, most): (i64, i64)| (most - least) as f64 / 2.0 / length;
        let (mu, mv) = (middle_of(u), middle_of(v));
        let middle = [0, 1].map(|i| axes[0][i] * mu + axes[1][i] * mv);
        Self { middle, axes, half: [half_of(u), half_of(v)] }
    }

    /// The lengths of its sides.
    pub(crate) fn sides(&self) -> [f64; 2] {
        self.half.map(|half| 2.0 * half)
    }

    /// The length of its shorter sides.
    pub(crate) fn shorter(&self) -> f64 {
        let [a, b] = self.sides();
        a.min(b)
    }

    /// Larger by `distance` on each side.
    pub(crate) fn grown(&self, distance: f64) -> Self {
        Self { half: self.half.map(|half| half + distance), ..*self }
    }

    /// Whether a point lies in it, or on its edge but for rounding.
    pub(crate) fn holds(&self, point: [f64; 2]) -> bool {
        let offset = [point[0] - self.middle[0], point[1] - self.middle[1]];
        let within = |i: usize| {
            let along = offset[0] * self.axes[i][0] + offset[1] * self.axes[i][1];
            along.abs() <= self.half[i] + 1e-6
        };
        within(0) && within(1)
    }

    /// The upper left and the lower right corner of the upright box around it.
    pub(crate) fn bounds(&self) -> ([f64; 2], [f64; 2]) {
        let reach =
            |axis: usize| self.half[0] * self.axes[0][axis].abs() + self.half[1] * self.axes[1][axis].abs();
        let (x, y) = (reach(0), reach(1));
        ([self.middle[0] - x, self.middle[1] - y], [self.middle[0] + x, self.middle[1] + y])
    }

    /// Its corners: top left, top right, bottom right, bottom left, where the two leftmost are the left ones.
    pub(crate) fn corners(&self) -> [[f64; 2]; 4] {
        let corner = |a: f64, b: f64| {
            [0, 1].map(|i| {
                self.middle[i] + a * self.half[0] * self.axes[0][i] + b * self.half[1] * self.axes[1][i]
            })
        };
        let mut all = [corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)];
        all.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let upper_first = |a: [f64; 2], b: [f64; 2]| if b[1] > a[1] { (a, b) } else { (b, a) };
        let ((top_left, bottom_left), (top_right, bottom_right)) =
            (upper_first(all[0], all[1]), upper_first(all[2], all[3]));
        [top_left, top_right, bottom_right, bottom_left]
    }
}

/// The convex hull of rows of pixels, by Andrew's monotone chain (1979), in whole numbers.
fn hull(rows: &[[usize; 3]]) -> Vec<[i64; 2]> {
    let ends = rows.iter().flat_map(|&[y, first, last]| {
        let left = [first as i64, y as i64];
        [Some(left), (last != first).then_some([last as i64, y as i64])]
    });
    let points: Vec<[i64; 2]> = ends.flatten().collect();
    let turns = |a: [i64; 2], b: [i64; 2], c: [i64; 2]| {
        (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) > 0
    };
    let chain = |points: &mut dyn Iterator<Item = &[i64; 2]>| {
        let mut chain: Vec<[i64; 2]> = Vec::new();
        for &point in points {
            while let [.., a, b] = chain.as_slice() {
                if turns(*a, *b, point) {
                    break;
                }
                chain.pop();
            }
            chain.push(point);
        }
        chain.pop(); // the first of the other chain
        chain
    };
    let mut hull = chain(&mut points.iter());
    hull.extend(chain(&mut points.iter().rev()));
    if hull.is_empty() { points } else { hull }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn around_an_upright_block_lies_the_block() {
        let rows: Vec<[usize; 3]> = (3..9).map(|y| [y, 10, 30]).collect();
        let rectangle = Rectangle::around(&rows).unwrap();
        let mut sides = rectangle.sides();
        sides.sort_by(f64::total_cmp);
        assert_eq!(sides, [5.0, 20.0]);
        assert_eq!(rectangle.corners(), [[10.0, 3.0], [30.0, 3.0], [30.0, 8.0], [10.0, 8.0]]);
        assert_eq!(rectangle.bounds(), ([10.0, 3.0], [30.0, 8.0]));
        assert!(rectangle.holds([10.0, 8.0]) && !rectangle.holds([10.0, 8.1]));
        assert_eq!(rectangle.grown(2.0).corners()[0], [8.0, 1.0]);
    }

    #[test]
    fn a_diamond_has_a_turned_rectangle() {
        // Rows of a square standing on its corner, half diagonal 6.
        let rows: Vec<[usize; 3]> = (0..13usize).map(|y| [y, y.abs_diff(6), 12 - y.abs_diff(6)]).collect();
        let rectangle = Rectangle::around(&rows).unwrap();
        let side = 72f64.sqrt();
        assert!(rectangle.sides().iter().all(|s| (s - side).abs() < 1e-9), "{rectangle:?}");
    }

    #[test]
    fn lines_and_points_have_no_area() {
        assert!(Rectangle::around(&[[4, 4, 4]]).is_none());
        assert_eq!(Rectangle::around(&[[4, 2, 9]]).unwrap().shorter(), 0.0);
        let diagonal: Vec<[usize; 3]> = (0..5).map(|i| [i, i, i]).collect();
        assert_eq!(Rectangle::around(&diagonal).unwrap().shorter(), 0.0);
        assert!(Rectangle::around(&[]).is_none());
    }
}
