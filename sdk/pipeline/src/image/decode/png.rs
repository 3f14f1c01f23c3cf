//! PNG: of an animated one the picture that programs without animation show.

use std::io::Cursor;

use png::{BitDepth, Decoder, Limits, Transformations};

use super::{buffer, check_size, opaque, refused, upright};
use crate::error::Result;
use crate::image::Image;
use crate::limits::MAX_DECODE_BYTES;

const NAME: &str = "PNG";

pub(super) fn decode(encoded: &[u8]) -> Result<Image> {
    let limit = usize::try_from(MAX_DECODE_BYTES).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new_with_limits(Cursor::new(encoded), Limits { bytes: limit });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND); // palettes, 1 to 4 bits, a transparent colour
    let (width, height) = decoder.read_header_info().map_err(|e| refused(NAME, e))?.size();
    check_size("the picture", width.into(), height.into())?;
    let mut reader = decoder.read_info().map_err(|e| refused(NAME, e))?;
    let mut samples = buffer(NAME, reader.output_buffer_size())?;
    reader.next_frame(&mut samples).map_err(|e| refused(NAME, e))?;
    let (colour, depth) = reader.output_color_type();
    if depth == BitDepth::Sixteen {
        let sixteen = samples.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair));
        samples = sixteen.map(eight_bits).collect();
    }
    let image = Image::from_rgb(width, height, opaque(samples, colour.samples()))?;
    Ok(upright(image, reader.info().exif_metadata.as_deref()))
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
