//! BMP.

use zune_bmp::BmpDecoder;
use zune_core::bytestream::ZCursor;
use zune_core::options::DecoderOptions;

use super::{buffer, check_size, opaque, refused};
use crate::error::Result;
use crate::image::Image;

const NAME: &str = "BMP";

/// Strict: a file cut short is an error. The decoder takes what is missing for zeros, so that the end is looked for here.
pub(super) fn decode(encoded: &[u8]) -> Result<Image> {
    /// The decoder reads masks behind every header, where the smallest files have already ended.
    const HEADER_AND_MASKS: usize = 14 + 40 + 12;
    let mut longer = Vec::new();
    if encoded.len() < HEADER_AND_MASKS {
        longer.extend_from_slice(encoded);
        longer.resize(HEADER_AND_MASKS, 0);
    }
    let image = pixels(if longer.is_empty() { encoded } else { &longer })?;
    if has_its_end(encoded, image.width(), image.height()) {
        Ok(image)
    } else {
        Err(refused(NAME, "it is cut short"))
    }
}

/// Whether the last row is there: rows are whole words of 32 bits, and rows of runs end with a mark, zero and one.
fn has_its_end(file: &[u8], width: u32, height: u32) -> bool {
    const CORE_HEADER: u32 = 12;
    const RUNS: [u32; 2] = [1, 2]; // of 8 bits, of 4
    let word = |at: usize| file.get(at..)?.first_chunk().map(|&bytes| u32::from_le_bytes(bytes));
    let (Some(first), Some(header)) = (word(10), word(14)) else { return false };
    let (depth, compression) = match header {
        CORE_HEADER => (file.get(24), 0),
        _ => (file.get(28), word(30).unwrap_or(0)),
    };
    if RUNS.contains(&compression) {
        let filler = file.iter().rev().take_while(|&&byte| byte == 0).count();
        return file[..file.len() - filler].ends_with(&[0, 1]);
    }
    let row = (u64::from(width) * u64::from(*depth.unwrap_or(&u8::MAX))).div_ceil(32) * 4;
    u64::from(first) + row * u64::from(height) <= file.len() as u64
}

fn pixels(file: &[u8]) -> Result<Image> {
    let largest = i32::MAX as usize; // what the format allows; `check_size` has the say
    let options =
        DecoderOptions::default().set_strict_mode(true).set_max_width(largest).set_max_height(largest);
    let mut decoder = BmpDecoder::new_with_options(ZCursor::new(file), options);
    decoder.decode_headers().map_err(|e| refused(NAME, format!("{e:?}").trim_end()))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    check_size("the picture", width as u64, height as u64)?;
    let channels = decoder.colorspace().map_or(0, |space| space.num_components());
    let mut samples = buffer(NAME, decoder.output_buf_size())?;
    decoder.decode_into(&mut samples).map_err(|e| refused(NAME, format!("{e:?}").trim_end()))?;
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(0);
    Image::from_rgb(side(width), side(height), opaque(samples, channels))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of 40 bytes, and what follows it.
    fn file([width, height]: [u8; 2], [depth, compression]: [u8; 2], first: u8, rest: &[u8]) -> Vec<u8> {
        let mut file = b"BM\0\0\0\0\0\0\0\0".to_vec();
        file.extend([
            first,
            0,
            0,
            0,
            40,
            0,
            0,
            0,
            width,
            0,
            0,
            0,
            height,
            0,
            0,
            0,
            1,
            0,
            depth,
            0,
            compression,
        ]);
        file.resize(54, 0);
        file.extend(rest);
        file
    }

    #[test]
    fn one_pixel_is_a_picture_and_less_is_not() {
        let file = file([1, 1], [24, 0], 54, &[3, 2, 1, 0]); // blue, green, red, and a row's filler
        assert_eq!(decode(&file).unwrap().pixels(), [1, 2, 3]);
        for length in 2..57 {
            assert!(decode(&file[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn runs_have_their_end() {
        let colours = [[1, 2, 3, 0], [9, 9, 9, 0]].concat();
        let mut used = file([4, 2], [8, 1], 62, &[&colours[..], &[4, 0, 0, 0, 4, 1, 0, 1]].concat());
        used[46] = 2; // colours
        assert_eq!(decode(&used).unwrap().pixels(), [[9; 12], [3, 2, 1, 3, 2, 1, 3, 2, 1, 3, 2, 1]].concat());
        for length in 2..used.len() {
            assert!(decode(&used[..length]).is_err(), "{length}");
        }
    }
}
