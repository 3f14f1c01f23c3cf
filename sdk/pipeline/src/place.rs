//! Where the picture that a model sees lies on the picture that it was made of.

use crate::image::Rectifier;

/// How positions on a model's picture become positions on the user's. Made with a model's input, needed for its outputs.
#[derive(Clone, Debug)]
pub struct Place {
    /// Width and height of the model's picture.
    pub(crate) frame: [usize; 2],
    /// Width and height of the picture that it was made of: the user's, or a crop of it.
    pub(crate) source: [usize; 2],
    /// A position on the source is `position * scale + shift`.
    pub(crate) scale: [f64; 2],
    pub(crate) shift: [f64; 2],
    /// Where the source is a crop: the way back to the user's picture.
    pub(crate) crop: Option<Rectifier>,
    /// Where the source is a tile: its corner on the user's picture.
    pub(crate) corner: [f64; 2],
}

impl Place {
    /// A picture of `size` that is not changed.
    pub(crate) fn whole(size: [usize; 2]) -> Self {
        Self { frame: size, source: size, scale: [1.0; 2], shift: [0.0; 2], crop: None, corner: [0.0; 2] }
    }

    /// After the part of `from`'s picture at `corner`, of `part` pixels, was stretched to `size` and put at `at` of a picture
    /// of `canvas`. In f64, additions, multiplications and divisions alone.
    pub(crate) fn then(
        self,
        corner: [usize; 2],
        part: [usize; 2],
        size: [usize; 2],
        at: [usize; 2],
        canvas: [usize; 2],
    ) -> Self {
        let factor = |axis: usize| part[axis] as f64 / size[axis] as f64;
        let moved = |axis: usize| corner[axis] as f64 - at[axis] as f64 * factor(axis);
        Self {
            frame: canvas,
            scale: [0, 1].map(|axis| factor(axis) * self.scale[axis]),
            shift: [0, 1].map(|axis| moved(axis) * self.scale[axis] + self.shift[axis]),
            ..self
        }
    }

    /// A position on the source, unbounded.
    pub(crate) fn on_source(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [x * self.scale[0] + self.shift[0], y * self.scale[1] + self.shift[1]]
    }

    /// An upright box with this middle and size, in pixels of the model's picture, on the user's: left, top, right, bottom. `None`
    /// if it is not finite there or has no inside.
    pub(crate) fn frame_on_picture(&self, middle: [f32; 2], size: [f32; 2]) -> Option<[f32; 4]> {
        let corner = |sign: f32| {
            let at = [0, 1].map(|axis| f64::from(middle[axis] + sign * (size[axis] / 2.0)));
            (at[0].is_finite() && at[1].is_finite()).then(|| self.on_picture(at))
        };
        let ([left, top], [right, bottom]) = (corner(-1.0)?, corner(1.0)?);
        (right > left && bottom > top).then_some([left, top, right, bottom])
    }

    /// A position on the user's picture, in f32, inside the source.
    pub(crate) fn on_picture(&self, position: [f64; 2]) -> [f32; 2] {
        let [x, y] = self.on_source(position);
        let inside = [x.clamp(0.0, self.source[0] as f64), y.clamp(0.0, self.source[1] as f64)];
        let [x, y] = self.crop.as_ref().map_or(inside, |crop| crop.to_source(inside));
        [(x + self.corner[0]) as f32, (y + self.corner[1]) as f32]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_on_a_letterboxed_picture_go_back_to_where_they_came_from() {
        // 400 x 200 to 100 x 50, in the middle of 100 x 100.
        let place = Place::whole([400, 200]).then([0, 0], [400, 200], [100, 50], [0, 25], [100, 100]);
        assert_eq!(place.on_picture([0.0, 25.0]), [0.0, 0.0]);
        assert_eq!(place.on_picture([50.0, 50.0]), [200.0, 100.0]);
        assert_eq!(place.on_picture([100.0, 90.0]), [400.0, 200.0]);
        // Then the middle 50 x 50 alone.
        let place = place.then([25, 25], [50, 50], [50, 50], [0, 0], [50, 50]);
        assert_eq!((place.frame, place.on_picture([25.0, 25.0])), ([50, 50], [200.0, 100.0]));
    }
}
