//! A picture from a model whose output is one: `p = (v * std + mean) * divide`, three f32 operations, each rounded; then half to
//! even, and within 0 to 255. What is no number is 0. The part that shows the user's picture is kept, at the size that the model gives it.

use super::outputs::Reads;
use super::{Checks, Stage, State, known};
use crate::error::{Error, Result};
use crate::image::{Frame, Raster, check_size};
use crate::interface::Interface;
use crate::place::Place;
use crate::spec::{self, Channels, Normalize};
use crate::value::{Made, Picture};

#[derive(Debug)]
pub(super) struct ImageOutput {
    reads: Reads,
    channels: Channels,
    normalize: Normalize,
    /// Whether the model has its channels before rows and columns.
    channels_first: bool,
}

impl ImageOutput {
    pub(super) fn new(stage: &spec::ImageOutput, checks: &Checks) -> Result<Self> {
        let spec::ImageOutput { output, channels, mean, std, divide } = stage;
        let reads = Reads::new(checks, output.as_deref())?;
        for (field, values) in [("mean", mean), ("std", std)] {
            if values.len() != 1 && values.len() != channels.count() {
                let expected = format!("1 or {}, one per channel", channels.count());
                return Err(checks.wrong(field, format!("{} numbers", values.len()), expected));
            }
            values.iter().try_for_each(|&v| checks.within(field, v, [f32::MIN, f32::MAX]).map(drop))?;
        }
        let normalize = Normalize {
            mean: mean.clone(),
            std: std.clone(),
            divide: checks.within("divide", *divide, [f32::MIN, f32::MAX])?,
        };
        let info = reads.info(checks.interface)?;
        let told = |axis: usize| info.shape.get(axis).copied().flatten() == Some(channels.count());
        let picture = Self { channels_first: told(1), channels: *channels, normalize, reads };
        let info = picture.reads.info(checks.interface)?;
        let fits = match info.shape.iter().copied().collect::<Option<Vec<usize>>>() {
            Some(shape) => picture.sizes(&shape).is_some(),
            None => info.shape.len() == 4 && (told(1) || told(3)),
        };
        if fits { Ok(picture) } else { Err(picture.wrong(checks.interface, info.shape_text())) }
    }

    /// Rows and columns.
    fn sizes(&self, shape: &[usize]) -> Option<[usize; 2]> {
        let [c, h, w] = match (shape, self.channels_first) {
            (&[1, c, h, w], true) | (&[1, h, w, c], false) => [c, h, w],
            _ => return None,
        };
        (c == self.channels.count() && h > 0 && w > 0).then_some([h, w])
    }

    fn wrong(&self, interface: &Interface, shape: String) -> Error {
        let expected = format!("{} channel(s) of rows and columns", self.channels.count());
        self.reads.shape(interface, shape, expected)
    }

    fn raster(&self, values: &[f32], [height, width]: [usize; 2]) -> Raster {
        let channels = self.channels.count();
        let plane = height * width;
        let sample = |i: usize| {
            let (pixel, place) = (i / channels, i % channels);
            let c = if self.channels == Channels::Bgr { channels - 1 - place } else { place };
            let value =
                if self.channels_first { values[c * plane + pixel] } else { values[pixel * channels + c] };
            self.byte(c, value)
        };
        Raster { width, height, channels, samples: (0..plane * channels).map(sample).collect() }
    }

    /// A conversion saturates, and what is no number becomes 0.
    fn byte(&self, channel: usize, value: f32) -> u8 {
        let of = |values: &[f32]| values[if values.len() == 1 { 0 } else { channel }];
        ((value * of(&self.normalize.std) + of(&self.normalize.mean)) * self.normalize.divide)
            .round_ties_even() as u8
    }
}

impl Stage for ImageOutput {
    fn run(&self, state: &mut State, interface: &Interface, place: Option<&Place>) -> Result<()> {
        let place = known(place)?;
        let (shape, values) = self.reads.real(interface, &state.outputs)?;
        let sizes = self.sizes(shape).ok_or_else(|| self.wrong(interface, format!("{shape:?}")))?;
        check_size(&self.reads.at, sizes[1] as u64, sizes[0] as u64)?;
        let raster = self.raster(&values, sizes);
        let Raster { width, height, channels, samples } = raster.cropped(shown(place, [sizes[1], sizes[0]]));
        let side = |n: usize| n as u32; // at most MAX_IMAGE_SIDE
        let picture = Picture { width: side(width), height: side(height), channels: side(channels), samples };
        state.made = Some(Made::Picture(picture));
        Ok(())
    }
}

/// The part of an output that shows the source, without what was put around it.
fn shown(place: &Place, size: [usize; 2]) -> Frame {
    let axis = |axis: usize| {
        let per_pixel = size[axis] as f64 / place.frame[axis] as f64;
        let on_output = |source: f64| (source - place.shift[axis]) / place.scale[axis] * per_pixel;
        let first = on_output(0.0).round().clamp(0.0, (size[axis] - 1) as f64);
        let end = on_output(place.source[axis] as f64).round().clamp(first + 1.0, size[axis] as f64);
        [first as usize, (end - first) as usize]
    };
    let ([x, width], [y, height]) = (axis(0), axis(1));
    Frame { x, y, width, height }
}
