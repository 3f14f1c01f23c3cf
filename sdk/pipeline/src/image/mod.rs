//! Pictures in memory, and the geometry of the stages that change them.

mod decode;
mod fit;
mod orient;
mod ppm;
mod rectify;
mod resize;

pub(crate) use fit::{Frame, centre_crop, fit, fraction};
pub(crate) use rectify::Rectifier;

use crate::error::{Error, Result};
use crate::limits::{MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE};
use crate::spec::Mode;

/// A decoded picture: 8-bit red, green and blue, rows from top to bottom, no gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct Image(Raster);

impl Image {
    /// A picture from raw pixels: three bytes (red, green, blue) each, rows from top to bottom.
    ///
    /// # Errors
    /// [`Error::PixelCount`] if a side is 0 or `pixels` has not `width * height * 3` bytes;
    /// [`Error::ImageTooLarge`] beyond the limits.
    pub fn from_rgb(width: u32, height: u32, pixels: Vec<u8>) -> Result<Self> {
        check_size("the picture", u64::from(width), u64::from(height))?;
        let expected = u64::from(width) * u64::from(height) * 3;
        if expected == 0 || u64::try_from(pixels.len()) != Ok(expected) {
            return Err(Error::PixelCount { width, height, expected, found: pixels.len() });
        }
        Ok(Self(Raster { width: width as usize, height: height as usize, channels: 3, samples: pixels }))
    }

    /// Decodes a JPEG, PNG, BMP or WebP file; which one is told by its first bytes.
    ///
    /// Gray becomes equal red, green and blue; alpha is dropped; 16 bits are rounded to 8; of an animation, the
    /// first frame is read; the picture is turned the way up that its EXIF data declares; colour profiles are not applied.
    /// See `docs/pipeline.md`.
    ///
    /// # Errors
    /// [`Error::NotAnImage`], [`Error::EncodedTooLarge`], [`Error::ImageTooLarge`] (before any pixel is
    /// allocated), [`Error::Decode`].
    pub fn decode(encoded: &[u8]) -> Result<Self> {
        decode::decode(encoded)
    }

    /// The next picture of a stream of binary PPM pictures (`P6`, 8 bits), as `ffmpeg -f image2pipe -c:v ppm -` writes them; `None`
    /// at its end.
    ///
    /// # Errors
    /// [`Error::Decode`] if the stream cannot be read or holds something else, [`Error::ImageTooLarge`].
    pub fn next_ppm(stream: &mut impl std::io::BufRead) -> Result<Option<Self>> {
        ppm::next(stream)
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        self.0.width as u32 // at most MAX_IMAGE_SIDE
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        self.0.height as u32 // at most MAX_IMAGE_SIDE
    }

    /// The samples: red, green, blue of the top left pixel first.
    pub fn pixels(&self) -> &[u8] {
        &self.0.samples
    }

    /// The picture stretched to `width` x `height` pixels.
    ///
    /// # Errors
    /// [`Error::PixelCount`] if a side is 0, [`Error::ImageTooLarge`] beyond the limits.
    pub fn resized(&self, width: u32, height: u32, mode: Mode) -> Result<Self> {
        check_size("the resized picture", u64::from(width), u64::from(height))?;
        if width == 0 || height == 0 {
            return Err(Error::PixelCount { width, height, expected: 0, found: 0 });
        }
        Ok(Self(self.0.resized(width as usize, height as usize, mode)))
    }

    pub(crate) fn raster(&self) -> &Raster {
        &self.0
    }
}

/// Refuses a size beyond the limits; `what` names the picture or the stage.
pub(crate) fn check_size(what: &str, width: u64, height: u64) -> Result<()> {
    let side = u64::from(MAX_IMAGE_SIDE);
    if width > side || height > side || width * height > MAX_IMAGE_PIXELS {
        return Err(Error::ImageTooLarge {
            what: what.to_owned(),
            width,
            height,
            max_side: MAX_IMAGE_SIDE,
            max_pixels: MAX_IMAGE_PIXELS,
        });
    }
    Ok(())
}

/// Interleaved 8-bit samples of one or three channels. Sides are at least 1 and within the limits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raster {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    pub(crate) samples: Vec<u8>,
}

impl Raster {
    /// One channel of luma from three: ITU-R 601 weights in 16 bits, rounded.
    pub(crate) fn to_gray(&self) -> Self {
        let samples = self.samples.chunks_exact(3).map(|p| luma([p[0], p[1], p[2]])).collect();
        Self { channels: 1, samples, ..*self }
    }

    /// Stretched to `width` x `height`, both at least 1.
    pub(crate) fn resized(&self, width: usize, height: usize, mode: Mode) -> Self {
        resize::resize(self, width, height, mode)
    }

    /// The part inside `frame`, which lies inside the picture.
    pub(crate) fn cropped(&self, frame: Frame) -> Self {
        let row = self.width * self.channels;
        let samples = (frame.y..frame.y + frame.height)
            .flat_map(|y| {
                let start = y * row + frame.x * self.channels;
                &self.samples[start..start + frame.width * self.channels]
            })
            .copied()
            .collect();
        Self { width: frame.width, height: frame.height, channels: self.channels, samples }
    }

    /// A picture of `width` x `height` in colour `pad`, with this one at the corner (`x`, `y`), inside it.
    pub(crate) fn padded(&self, width: usize, height: usize, x: usize, y: usize, pad: [u8; 3]) -> Self {
        let colour = if self.channels == 1 { vec![luma(pad)] } else { pad.to_vec() };
        let mut samples = colour.repeat(width * height);
        let (to, from) = (width * self.channels, self.width * self.channels);
        let rows = samples.chunks_exact_mut(to).skip(y).zip(self.samples.chunks_exact(from));
        for (target, source) in rows {
            target[x * self.channels..][..from].copy_from_slice(source);
        }
        Self { width, height, channels: self.channels, samples }
    }
}

/// `(19595 r + 38470 g + 7471 b + 32768) >> 16`; the weights sum to 65536, so gray stays what it is.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = 19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b) + 32_768;
    (sum >> 16) as u8 // at most 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_and_size_must_agree() {
        for (width, height, bytes) in [(2, 2, 11), (2, 2, 13), (0, 2, 0), (2, 0, 0)] {
            let error = Image::from_rgb(width, height, vec![0; bytes]).unwrap_err();
            assert!(matches!(error, Error::PixelCount { found, .. } if found == bytes), "{error}");
        }
        let error = Image::from_rgb(u32::MAX, u32::MAX, vec![]).unwrap_err();
        assert!(matches!(error, Error::ImageTooLarge { .. }), "{error}");
        let image = Image::from_rgb(1, 1, vec![1, 2, 3]).unwrap();
        assert!(matches!(image.resized(0, 5, Mode::Area), Err(Error::PixelCount { .. })));
        assert!(matches!(image.resized(5, MAX_IMAGE_SIDE + 1, Mode::Area), Err(Error::ImageTooLarge { .. })));
    }

    #[test]
    fn luma_keeps_gray_and_weighs_colours() {
        assert!((0..=255).all(|v| luma([v, v, v]) == v));
        assert_eq!([luma([255, 0, 0]), luma([0, 255, 0]), luma([0, 0, 255])], [76, 150, 29]);
    }

    #[test]
    fn padding_puts_the_picture_where_it_was_asked() {
        let raster = Raster { width: 2, height: 1, channels: 3, samples: vec![1, 2, 3, 4, 5, 6] };
        let padded = raster.padded(3, 2, 1, 1, [7, 8, 9]);
        assert_eq!(padded.samples, [7, 8, 9, 7, 8, 9, 7, 8, 9, 7, 8, 9, 1, 2, 3, 4, 5, 6]);
        assert_eq!(padded.cropped(Frame { x: 1, y: 1, width: 2, height: 1 }), raster);
    }
}
