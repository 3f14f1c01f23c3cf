//! Pictures one after the other in one stream: binary PPM (`P6`), which says where each ends.

use std::io::{BufRead, Read};

use super::{Image, check_size};
use crate::error::{Error, Result};

/// Most bytes of a header, comments and all.
const MAX_HEADER_BYTES: usize = 1024;

/// The next picture of a stream; `None` at its end.
pub(super) fn next(stream: &mut impl BufRead) -> Result<Option<Image>> {
    if stream.fill_buf().map_err(failed)?.is_empty() {
        return Ok(None);
    }
    let mut header = Header { stream, read: 0 };
    let magic = header.word()?;
    if magic != "P6" {
        return Err(damaged(format!("it starts with {magic:?}, P6 was expected")));
    }
    let [width, height, most] = [header.number()?, header.number()?, header.number()?];
    if most != 255 {
        return Err(damaged(format!("its samples go up to {most}, 255 was expected")));
    }
    check_size("the picture", width.into(), height.into())?;
    let expected = width as usize * height as usize * 3; // at most MAX_IMAGE_PIXELS
    let mut pixels = Vec::new();
    stream.take(expected as u64).read_to_end(&mut pixels).map_err(failed)?;
    if pixels.len() < expected {
        return Err(damaged(format!("{} of {expected} bytes of pixels follow", pixels.len())));
    }
    Image::from_rgb(width, height, pixels).map(Some)
}

struct Header<'a, R> {
    stream: &'a mut R,
    read: usize,
}

impl<R: BufRead> Header<'_, R> {
    /// What stands before the next white space, which is read too. A comment goes from `#` to the end of its line.
    fn word(&mut self) -> Result<String> {
        let mut word = String::new();
        loop {
            match self.byte()? {
                b'#' if word.is_empty() => while self.byte()? != b'\n' {},
                space if space.is_ascii_whitespace() => {
                    if !word.is_empty() {
                        return Ok(word);
                    }
                }
                byte => word.push(char::from(byte)),
            }
        }
    }

    fn number(&mut self) -> Result<u32> {
        let word = self.word()?;
        word.parse().map_err(|_| damaged(format!("its header has {word:?}, a number was expected")))
    }

    fn byte(&mut self) -> Result<u8> {
        self.read += 1;
        if self.read > MAX_HEADER_BYTES {
            return Err(damaged(format!("its header is longer than {MAX_HEADER_BYTES} bytes")));
        }
        let mut byte = [0];
        self.stream.read_exact(&mut byte).map_err(failed)?;
        Ok(byte[0])
    }
}

fn damaged(message: String) -> Error {
    Error::Decode { format: "PPM", message }
}

fn failed(error: std::io::Error) -> Error {
    damaged(match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it is cut short".to_owned(),
        _ => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_follow_each_other() {
        let mut stream: &[u8] = b"P6\n# by hand\n2 1\n255\nabcdefP6 1 1 255\nxyz";
        let first = next(&mut stream).unwrap().unwrap();
        assert_eq!((first.width(), first.height(), first.pixels()), (2, 1, &b"abcdef"[..]));
        assert_eq!(next(&mut stream).unwrap().unwrap().pixels(), b"xyz");
        assert_eq!(next(&mut stream).unwrap(), None);
    }

    #[test]
    fn what_is_no_picture_is_refused_before_pixels_are_allocated() {
        let mut long = b"P6 ".to_vec();
        long.extend([b' '; 2000]);
        for (bytes, code) in [
            (&b"P5 1 1 255\nx"[..], "TM0304"),
            (b"P6 1 1 65535\nxxxxxx", "TM0304"),
            (b"P6 1 -1 255\nxxx", "TM0304"),
            (b"P6 2 2 255\nxxx", "TM0304"),
            (b"P6 2", "TM0304"),
            (b"P6 99999 99999 255\n", "TM0303"),
            (b"P6 0 5 255\n", "TM0305"),
            (&long, "TM0304"),
        ] {
            let error = next(&mut &*bytes).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.is_input());
        }
    }
}
