//! Baseline and progressive JPEG. Strict: a file cut short is an error, not a picture with a gray end.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

use super::{check_size, refused, upright};
use crate::error::Result;
use crate::image::Image;
use crate::limits::MAX_JPEG_SCANS;

const NAME: &str = "JPEG";

pub(super) fn decode(encoded: &[u8]) -> Result<Image> {
    if !ends_its_scan(encoded) {
        return Err(refused(NAME, "it is cut short: no end-of-image marker after the last scan"));
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX)) // what the format allows; `check_size` has the say
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_max_scans(MAX_JPEG_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(encoded), options);
    decoder.decode_headers().map_err(|e| refused(NAME, e))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| refused(NAME, "it declares no size"))?;
    check_size("the picture", width as u64, height as u64)?;
    let (width, height) = (u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0));
    let pixels = decoder.decode().map_err(|e| refused(NAME, e))?;
    Ok(upright(Image::from_rgb(width, height, pixels)?, decoder.exif().map(Vec::as_slice)))
}

/// Whether an end marker follows the last scan. The decoder sees a missing end only at the next row of blocks, so
/// that one inside the last row would pass. Neither marker can occur inside a scan's data, where 0xff is escaped;
/// an embedded thumbnail has both, before the picture's own.
fn ends_its_scan(encoded: &[u8]) -> bool {
    let last = |marker: u8| encoded.windows(2).rposition(|pair| pair == [0xff, marker]);
    const START_OF_SCAN: u8 = 0xda;
    const END_OF_IMAGE: u8 = 0xd9;
    last(END_OF_IMAGE) > last(START_OF_SCAN)
}
