//! A picture of which pixels show what: those above a threshold, or the best class of each.
//!
//! The model's map is cut to the part that shows the user's picture and stretched to its size: classes by the nearest pixel;
//! scores as bytes, how far each is above the threshold `t`, `127 + ceil((p - t) * (127 / max(t, 1 - t)))`, by the bilinear
//! filter of `resize`, and bytes of 128 and more are set. Without a change of size that is `p > t`.

use super::outputs::Reads;
use super::scores::best_first;
use super::{Checks, Stage, State, known};
use crate::error::Result;
use crate::image::{Frame, Raster};
use crate::interface::Interface;
use crate::place::Place;
use crate::spec::{self, Mode};
use crate::value::{Made, Picture};

/// Most classes of a mask, which has a byte a pixel.
const MAX_CLASSES: usize = 256;

#[derive(Debug)]
pub(super) struct Mask {
    reads: Reads,
    threshold: Option<f32>,
    /// Whether the model has its channels before rows and columns.
    channels_first: bool,
}

impl Mask {
    pub(super) fn new(stage: &spec::Mask, checks: &Checks) -> Result<Self> {
        let reads = Reads::new(checks, stage.output.as_deref())?;
        let threshold = stage.threshold.map(|at| checks.within("threshold", at, [0.0, 1.0])).transpose()?;
        let input = checks.interface.inputs.first();
        let channels_first = input.is_some_and(|input| matches!(input.shape.get(1), Some(Some(1 | 3))));
        let mask = Self { reads, threshold, channels_first };
        let info = mask.reads.info(checks.interface)?;
        if let Some(shape) = info.shape.iter().skip(1).copied().collect::<Option<Vec<usize>>>() {
            let shape = [vec![1], shape].concat();
            mask.sizes(&shape)
                .ok_or_else(|| mask.reads.shape(checks.interface, info.shape_text(), mask.expected()))?;
        }
        Ok(mask)
    }

    fn expected(&self) -> &'static str {
        match self.threshold {
            Some(_) => "one score for each row and column",
            None => "2 to 256 scores for each row and column",
        }
    }

    /// Classes, rows and columns of an output.
    fn sizes(&self, shape: &[usize]) -> Option<[usize; 3]> {
        if self.threshold.is_some() {
            let long: Vec<usize> = match shape {
                [1, 1, h, w] | [1, h, w, 1] | [1, h, w] | [h, w] => vec![*h, *w],
                _ => return None,
            };
            return (long[0] > 0 && long[1] > 0).then_some([1, long[0], long[1]]);
        }
        let sizes = match (shape, self.channels_first) {
            (&[1, c, h, w], true) | (&[1, h, w, c], false) => [c, h, w],
            _ => return None,
        };
        ((2..=MAX_CLASSES).contains(&sizes[0]) && sizes[1] > 0 && sizes[2] > 0).then_some(sizes)
    }

    /// The model's map as bytes: how far a score is above the threshold, or the number of the best class.
    fn map(&self, values: &[f32], [classes, height, width]: [usize; 3]) -> Raster {
        let plane = height * width;
        let class = |pixel: usize, c: usize| match self.channels_first {
            true => values[c * plane + pixel],
            false => values[pixel * classes + c],
        };
        let best = |pixel: usize| {
            let order = |a: &usize, b: &usize| best_first(class(pixel, *a), class(pixel, *b)).then(a.cmp(b));
            (0..classes).min_by(order).unwrap_or(0) as u8 // at most MAX_CLASSES - 1
        };
        // A conversion saturates, and what is no number becomes 0.
        let samples = match self.threshold {
            Some(t) => {
                let steps = 127.0 / t.max(1.0 - t);
                values.iter().map(|&p| (127.0 + ((p - t) * steps).ceil()) as u8).collect()
            }
            None => (0..plane).map(best).collect(),
        };
        Raster { width, height, channels: 1, samples }
    }
}

impl Stage for Mask {
    fn run(&self, state: &mut State, interface: &Interface, place: Option<&Place>) -> Result<()> {
        let place = known(place)?;
        let (shape, values) = self.reads.real(interface, &state.outputs)?;
        let sizes = self
            .sizes(shape)
            .ok_or_else(|| self.reads.shape(interface, format!("{shape:?}"), self.expected()))?;
        let map = self.map(&values, sizes);
        let mode = if self.threshold.is_some() { Mode::Bilinear } else { Mode::Nearest };
        let mut mask = onto_source(&map, place, mode);
        let pixels = mask.samples.len() as f64;
        let shares = match self.threshold {
            Some(_) => {
                mask.samples.iter_mut().for_each(|s| *s = if *s > 127 { 255 } else { 0 });
                vec![mask.samples.iter().filter(|&&s| s == 255).count() as f64 / pixels]
            }
            None => {
                let mut counts = vec![0u64; sizes[0]];
                mask.samples.iter().for_each(|&class| counts[usize::from(class)] += 1);
                counts.iter().map(|&count| count as f64 / pixels).collect()
            }
        };
        let (width, height) = (mask.width as u32, mask.height as u32); // those of a picture
        let picture = Picture { width, height, channels: 1, samples: mask.samples };
        state.made = Some(Made::Mask(picture, shares));
        Ok(())
    }
}

/// The part of a map that shows the source, stretched to it; 0 where the map shows nothing.
fn onto_source(map: &Raster, place: &Place, mode: Mode) -> Raster {
    let sizes = [map.width, map.height];
    // Along one axis: first pixel and number of pixels, on the map and on the source.
    let axis = |axis: usize| {
        let (on_map, on_source) = (sizes[axis], place.source[axis]);
        let per_pixel = place.scale[axis] * place.frame[axis] as f64 / on_map as f64;
        let shift = place.shift[axis];
        let first = ((0.0 - shift) / per_pixel).clamp(0.0, (on_map - 1) as f64).round();
        let end = ((on_source as f64 - shift) / per_pixel).round().clamp(first + 1.0, on_map as f64);
        let left = (first * per_pixel + shift).round().clamp(0.0, (on_source - 1) as f64);
        let right = (end * per_pixel + shift).round().clamp(left + 1.0, on_source as f64);
        [first, end - first, left, right - left].map(|x| x as usize)
    };
    let ([x, w, left, width], [y, h, top, height]) = (axis(0), axis(1));
    let stretched = map.cropped(Frame { x, y, width: w, height: h }).resized(width, height, mode);
    let [source_width, source_height] = place.source;
    if (width, height) == (source_width, source_height) {
        return stretched;
    }
    stretched.padded(source_width, source_height, left, top, [0; 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(width: usize, height: usize, of: impl Fn(usize, usize) -> u8) -> Raster {
        let of = &of;
        let samples = (0..height).flat_map(|y| (0..width).map(move |x| of(x, y))).collect();
        Raster { width, height, channels: 1, samples }
    }

    #[test]
    fn a_letterboxed_map_is_cut_to_the_picture() {
        // A picture of 8 x 4, as 4 x 2 in the middle of 4 x 4; the map has the model's size.
        let place = Place::whole([8, 4]).then([0, 0], [8, 4], [4, 2], [0, 1], [4, 4]);
        let mask = onto_source(&map(4, 4, |x, y| if y == 1 { x as u8 } else { 9 }), &place, Mode::Nearest);
        assert_eq!((mask.width, mask.height), (8, 4));
        assert_eq!(mask.samples[..8], [0, 0, 1, 1, 2, 2, 3, 3]);
        assert_eq!(mask.samples[24..], [9; 8]);
    }

    #[test]
    fn scores_at_the_threshold_are_not_above_it() {
        for t in [0.0f32, 0.1, 0.3, 0.5, 0.9, 1.0] {
            let mask = mask_at(t);
            let scores = [t, t.next_up(), t.next_down(), 0.0, 1.0, f32::NAN, -7.0, 7.0];
            let set = mask.map(&scores, [1, 2, 4]).samples.iter().map(|&s| s > 127).collect::<Vec<_>>();
            assert_eq!(set, scores.map(|p| p > t), "{t}");
        }
    }

    fn mask_at(threshold: f32) -> Mask {
        let port = |name: &str, shape: [usize; 4]| crate::interface::TensorInfo {
            name: name.into(),
            shape: shape.map(Some).into(),
            dtype: tilemark_model::DType::F32,
            quant: None,
        };
        let interface =
            Interface { inputs: vec![port("x", [1, 2, 4, 3])], outputs: vec![port("y", [1, 2, 4, 1])] };
        let resources = crate::pipeline::Resources::new();
        let settings = crate::parameters::Settings::none();
        let checks = Checks {
            at: "post[0].mask".into(),
            interface: &interface,
            settings: &settings,
            resources: &resources,
        };
        Mask::new(&spec::Mask { output: None, threshold: Some(threshold) }, &checks).unwrap()
    }

    #[test]
    fn what_a_crop_left_out_is_nothing() {
        let place = Place::whole([8, 4]).then([2, 0], [4, 4], [4, 4], [0, 0], [4, 4]);
        let mask = onto_source(&map(2, 2, |_, _| 7), &place, Mode::Nearest);
        assert_eq!(mask.samples[..8], [0, 0, 7, 7, 7, 7, 0, 0]);
    }
}
