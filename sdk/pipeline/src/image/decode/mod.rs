//! From an encoded file to RGB8: the format by content, the size checked before any pixel is allocated.

mod bmp;
mod jpeg;
mod png;
mod webp;

use super::{Image, check_size, orient};
use crate::error::{Error, Result};
use crate::limits::{MAX_DECODE_BYTES, MAX_ENCODED_BYTES};

pub(super) fn decode(encoded: &[u8]) -> Result<Image> {
    if encoded.len() > MAX_ENCODED_BYTES {
        return Err(Error::EncodedTooLarge { bytes: encoded.len(), limit: MAX_ENCODED_BYTES });
    }
    match encoded {
        [0xff, 0xd8, 0xff, ..] => jpeg::decode(encoded),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => png::decode(encoded),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp::decode(encoded),
        [b'B', b'M', ..] => bmp::decode(encoded),
        _ => {
            let found = encoded.iter().take(8).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
            Err(Error::NotAnImage { found: if found.is_empty() { "(none)".into() } else { found } })
        }
    }
}

/// What a decoder says against a file.
fn refused(format: &'static str, message: impl ToString) -> Error {
    Error::Decode { format, message: message.to_string() }
}

/// Zeros for a decoder to write `bytes` to, which its file's size asks for.
fn buffer(format: &'static str, bytes: Option<usize>) -> Result<Vec<u8>> {
    let within = |&bytes: &usize| bytes as u64 <= MAX_DECODE_BYTES;
    let bytes = bytes.filter(within).ok_or_else(|| refused(format, "its pixels take too much memory"))?;
    Ok(vec![0; bytes])
}

/// The picture the way up that its EXIF data declares; as it is where they declare nothing. Broken EXIF data is no reason to
/// refuse pixels that are not.
fn upright(image: Image, exif: Option<&[u8]>) -> Image {
    match exif.and_then(orient::declared) {
        Some(orientation) => Image(orient::upright(image.0, orientation)),
        None => image,
    }
}

/// Every pixel turned into red, green and blue.
fn rgb<T: Copy>(pixels: &[T], convert: impl Fn(T) -> [u8; 3]) -> Vec<u8> {
    pixels.iter().flat_map(|&pixel| convert(pixel)).collect()
}

/// Eight-bit samples of 1 (gray), 2 (gray, alpha), 3 or 4 (with alpha) channels as red, green and blue: alpha is dropped.
fn opaque(samples: Vec<u8>, channels: usize) -> Vec<u8> {
    match channels {
        1 => rgb(&samples, |v| [v; 3]),
        2 => rgb(samples.as_chunks::<2>().0, |[v, _]| [v; 3]),
        3 => samples,
        _ => rgb(samples.as_chunks::<4>().0, |[r, g, b, _]| [r, g, b]),
    }
}
