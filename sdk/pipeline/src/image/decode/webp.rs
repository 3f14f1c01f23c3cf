//! WebP, lossy and lossless: of an animated one the first picture.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::{buffer, check_size, opaque, refused, upright};
use crate::error::Result;
use crate::image::Image;
use crate::limits::MAX_DECODE_BYTES;

const NAME: &str = "WebP";

pub(super) fn decode(encoded: &[u8]) -> Result<Image> {
    let mut decoder = WebPDecoder::new(Cursor::new(encoded)).map_err(|e| refused(NAME, e))?;
    decoder.set_memory_limit(usize::try_from(MAX_DECODE_BYTES).unwrap_or(usize::MAX));
    let (width, height) = decoder.dimensions();
    check_size("the picture", width.into(), height.into())?;
    let exif = decoder.exif_metadata().ok().flatten();
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let mut samples = buffer(NAME, decoder.output_buffer_size())?;
    decoder.read_image(&mut samples).map_err(|e| refused(NAME, e))?;
    Ok(upright(Image::from_rgb(width, height, opaque(samples, channels))?, exif.as_deref()))
}
