//! From an encoded file to RGB8: the format by content, the size checked before any pixel is allocated.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

use super::{Image, check_size, orient};
use crate::error::{Error, Result};
use crate::limits::{MAX_DECODE_BYTES, MAX_ENCODED_BYTES, MAX_JPEG_SCANS};

pub(super) fn decode(encoded: &[u8]) -> Result<Image> {
    if encoded.len() > MAX_ENCODED_BYTES {
        return Err(Error::EncodedTooLarge { bytes: encoded.len(), limit: MAX_ENCODED_BYTES });
    }
    match encoded {
        [0xff, 0xd8, 0xff, ..] => jpeg(encoded),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => other(encoded, ImageFormat::Png, "PNG"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
            other(encoded, ImageFormat::WebP, "WebP")
        }
        [b'B', b'M', ..] => other(encoded, ImageFormat::Bmp, "BMP"),
        _ => {
            let found = encoded.iter().take(8).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
            Err(Error::NotAnImage { found: if found.is_empty() { "(none)".into() } else { found } })
        }
    }
}

/// Baseline and progressive JPEG. Strict: a file cut short is an error, not a picture with a gray end.
fn jpeg(encoded: &[u8]) -> Result<Image> {
    let refused = |message: String| Error::Decode { format: "JPEG", message };
    if !ends_its_scan(encoded) {
        return Err(refused("it is cut short: no end-of-image marker after the last scan".into()));
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX)) // what the format allows; `check_size` has the say
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_max_scans(MAX_JPEG_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(encoded), options);
    decoder.decode_headers().map_err(|e| refused(e.to_string()))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| refused("it declares no size".into()))?;
    check_size("the picture", width as u64, height as u64)?;
    let (width, height) = (u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0));
    let pixels = decoder.decode().map_err(|e| refused(e.to_string()))?;
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    upright(Image::from_rgb(width, height, pixels)?, orientation)
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

/// PNG, BMP and WebP.
fn other(encoded: &[u8], format: ImageFormat, name: &'static str) -> Result<Image> {
    let refused = |error: ImageError| Error::Decode { format: name, message: error.to_string() };
    let mut limits = Limits::no_limits(); // none on the size: refusing that is ours, with our error
    limits.max_alloc = Some(MAX_DECODE_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(encoded), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(refused)?;
    // Broken EXIF data is no reason to refuse pixels that are not.
    let orientation = decoder.orientation().ok();
    let (width, height) = decoder.dimensions();
    check_size("the picture", u64::from(width), u64::from(height))?;
    let pixels = match DynamicImage::from_decoder(decoder).map_err(refused)? {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageRgba8(image) => rgb(image.as_raw().as_chunks::<4>().0, |[r, g, b, _]| [r, g, b]),
        DynamicImage::ImageLuma8(image) => rgb(image.as_raw().as_chunks::<1>().0, |[v]| [v; 3]),
        DynamicImage::ImageLumaA8(image) => rgb(image.as_raw().as_chunks::<2>().0, |[v, _]| [v; 3]),
        DynamicImage::ImageRgb16(image) => rgb(image.as_raw().as_chunks::<3>().0, |p| p.map(eight_bits)),
        DynamicImage::ImageRgba16(image) => {
            rgb(image.as_raw().as_chunks::<4>().0, |[r, g, b, _]| [r, g, b].map(eight_bits))
        }
        DynamicImage::ImageLuma16(image) => rgb(image.as_raw().as_chunks::<1>().0, |[v]| [eight_bits(v); 3]),
        DynamicImage::ImageLumaA16(image) => {
            rgb(image.as_raw().as_chunks::<2>().0, |[v, _]| [eight_bits(v); 3])
        }
        image => {
            let message = format!("pixels of type {:?} are not supported", image.color());
            return Err(Error::Decode { format: name, message });
        }
    };
    upright(Image::from_rgb(width, height, pixels)?, orientation)
}

/// The picture the way up that its EXIF data declares; as it is where they declare nothing.
fn upright(image: Image, orientation: Option<Orientation>) -> Result<Image> {
    let Some(orientation) = orientation else { return Ok(image) };
    Ok(Image(orient::upright(image.0, orientation)))
}

/// Every pixel turned into red, green and blue.
fn rgb<T: Copy>(pixels: &[T], convert: impl Fn(T) -> [u8; 3]) -> Vec<u8> {
    pixels.iter().flat_map(|&pixel| convert(pixel)).collect()
}

/// `round(v / 257)`: the nearest of 256 levels.
fn eight_bits(v: u16) -> u8 {
    ((u32::from(v) + 128) / 257) as u8 // at most 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_round_to_the_nearest_eight() {
        assert!((0..=255u16).all(|v| eight_bits(v * 257) == v as u8));
        assert_eq!([eight_bits(128), eight_bits(129), eight_bits(65_407)], [0, 1, 255]);
    }
}
