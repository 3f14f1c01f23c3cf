//! BMP as Windows writes it: palettes of 1 to 8 bits, their runs, 16 to 32 bits with masks. After Microsoft's description of
//! `BITMAPINFOHEADER` and its later versions; no library that reads it without colour management reads all depths right.

use super::{check_size, refused};
use crate::error::{Error, Result};
use crate::image::Image;

const CORE_HEADER: u32 = 12;
const HEADERS: [u32; 5] = [40, 52, 56, 108, 124];
const PLAIN: u32 = 0;
const RUNS_OF_8: u32 = 1;
const RUNS_OF_4: u32 = 2;
const MASKS: u32 = 3;

/// What comes before the pixels.
struct Header {
    width: usize,
    height: usize,
    from_top: bool,
    depth: usize,
    compression: u32,
    /// Red, green and blue of each index; black where the file has none.
    palette: [[u8; 3]; 256],
    /// The bits of red, green and blue in a pixel.
    masks: [u32; 3],
    /// Where the pixels begin.
    first: usize,
}

pub(super) fn decode(file: &[u8]) -> Result<Image> {
    let header = Header::read(file)?;
    let pixels = file.get(header.first..).ok_or_else(cut_short)?;
    let (row_bytes, indices);
    let (rows, depth) = match (header.compression, header.depth) {
        (RUNS_OF_8, 8) | (RUNS_OF_4, 4) => {
            indices = header.runs(pixels)?;
            row_bytes = header.width;
            (&indices[..], 8)
        }
        (PLAIN, 1 | 2 | 4 | 8 | 16 | 24 | 32) | (MASKS, 16 | 32) => {
            row_bytes = (header.width * header.depth).div_ceil(32) * 4;
            (pixels.get(..row_bytes * header.height).ok_or_else(cut_short)?, header.depth)
        }
        (compression, depth) => {
            let what = format!("{depth} bits a pixel with compression {compression} are not read");
            return Err(wrong(&what));
        }
    };
    let mut rgb = Vec::with_capacity(header.width * header.height * 3);
    for y in 0..header.height {
        let stored = if header.from_top { y } else { header.height - 1 - y };
        let row = &rows[stored * row_bytes..][..row_bytes];
        (0..header.width).for_each(|x| rgb.extend(header.pixel(row, depth, x)));
    }
    Image::from_rgb(header.width as u32, header.height as u32, rgb) // at most MAX_IMAGE_SIDE
}

impl Header {
    fn read(file: &[u8]) -> Result<Self> {
        let (first, size) = (word(file, 10)? as usize, word(file, 14)?);
        let is_core = size == CORE_HEADER;
        if !is_core && !HEADERS.contains(&size) {
            return Err(wrong(&format!("a header of {size} bytes is not read")));
        }
        let (width, height, depth, compression, used) = if is_core {
            (half(file, 18)?.into(), half(file, 20)?.into(), half(file, 24)?, PLAIN, 0)
        } else {
            (
                word(file, 18)?,
                word(file, 22)?.cast_signed(),
                half(file, 28)?,
                word(file, 30)?,
                word(file, 46)?,
            )
        };
        check_size("the picture", width.into(), height.unsigned_abs().into())?;
        let mut header = Self {
            width: width as usize,
            height: height.unsigned_abs() as usize,
            from_top: height < 0,
            depth: depth.into(),
            compression,
            palette: [[0; 3]; 256],
            masks: if depth == 16 { [0x7c00, 0x03e0, 0x001f] } else { [0xff_0000, 0xff00, 0xff] },
            first,
        };
        let behind = 14 + size as usize;
        if compression == MASKS {
            for (i, mask) in header.masks.iter_mut().enumerate() {
                *mask = word(file, 54 + 4 * i)?; // the later headers have them where they follow the first one
            }
        }
        if depth <= 8 {
            header.read_palette(file.get(behind..).unwrap_or_default(), if is_core { 3 } else { 4 }, used)?;
        }
        Ok(header)
    }

    /// As many colours as are said to be there, all that the depth has where nothing is said; blue comes first.
    fn read_palette(&mut self, bytes: &[u8], each: usize, used: u32) -> Result<()> {
        let all = 1 << self.depth;
        let count = if used == 0 { all } else { used as usize };
        if count > all {
            return Err(wrong(&format!("{count} colours are more than {} bits tell apart", self.depth)));
        }
        let colours = bytes.get(..count * each).ok_or_else(cut_short)?.chunks_exact(each);
        for (entry, colour) in self.palette.iter_mut().zip(colours) {
            *entry = [colour[2], colour[1], colour[0]];
        }
        Ok(())
    }

    /// Red, green and blue of a pixel in a row that has one of the depths.
    fn pixel(&self, row: &[u8], depth: usize, x: usize) -> [u8; 3] {
        let masked = |bits: u32| self.masks.map(|mask| eight_bits(bits, mask));
        match depth {
            16 => masked(u16::from_le_bytes([row[2 * x], row[2 * x + 1]]).into()),
            24 => [row[3 * x + 2], row[3 * x + 1], row[3 * x]],
            32 => masked(u32::from_le_bytes([row[4 * x], row[4 * x + 1], row[4 * x + 2], row[4 * x + 3]])),
            depth => self.palette[usize::from(index(row, depth, x))],
        }
    }

    /// The index of every pixel, rows as they are stored, of rows that are runs. What they leave out is index 0.
    fn runs(&self, mut bytes: &[u8]) -> Result<Vec<u8>> {
        let mut indices = vec![0; self.width * self.height];
        let (mut x, mut y) = (0, 0);
        loop {
            let &[count, value] = take(&mut bytes, 2)? else { return Err(cut_short()) };
            match (count, value) {
                (0, 0) => (x, y) = (0, y + 1),
                (0, 1) => return Ok(indices),
                (0, 2) => {
                    let &[right, up] = take(&mut bytes, 2)? else { return Err(cut_short()) };
                    (x, y) = (x + usize::from(right), y + usize::from(up));
                }
                (0, count) => {
                    let literal = take(&mut bytes, (usize::from(count) * self.depth).div_ceil(16) * 2)?;
                    x = self.put(&mut indices, [x, y], count, |i| index(literal, self.depth, i))?;
                }
                (count, value) => {
                    let repeated = |i| index(&[value], self.depth, i % (8 / self.depth));
                    x = self.put(&mut indices, [x, y], count, repeated)?;
                }
            }
        }
    }

    /// Puts indices where they lie in the picture; the column after them.
    fn put(
        &self,
        indices: &mut [u8],
        [x, y]: [usize; 2],
        count: u8,
        index: impl Fn(usize) -> u8,
    ) -> Result<usize> {
        let end = x + usize::from(count);
        if y >= self.height || end > self.width {
            return Err(wrong("a run goes beyond the picture"));
        }
        (x..end).for_each(|at| indices[y * self.width + at] = index(at - x));
        Ok(end)
    }
}

/// A pixel's index among those of 1, 2, 4 or 8 bits; the first is in the upper bits.
fn index(row: &[u8], depth: usize, x: usize) -> u8 {
    (row[x * depth / 8] >> (8 - depth - x * depth % 8)) & (0xff >> (8 - depth))
}

/// A pixel's bits under a mask, as one of 256 levels: to the nearest of up to 8 bits, the upper 8 of more.
fn eight_bits(pixel: u32, mask: u32) -> u8 {
    let shift = mask.trailing_zeros().min(31);
    let (value, most) = ((pixel & mask) >> shift, mask >> shift);
    match most {
        0 => 0,
        1..=0xff => ((value * 255 + most / 2) / most) as u8, // at most 255
        most => (value >> (24 - most.leading_zeros())) as u8, // 8 bits are left
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or_else(cut_short)?;
    *bytes = rest;
    Ok(taken)
}

fn word(file: &[u8], at: usize) -> Result<u32> {
    file.get(at..).and_then(<[u8]>::first_chunk).map(|&bytes| u32::from_le_bytes(bytes)).ok_or_else(cut_short)
}

fn half(file: &[u8], at: usize) -> Result<u16> {
    file.get(at..).and_then(<[u8]>::first_chunk).map(|&bytes| u16::from_le_bytes(bytes)).ok_or_else(cut_short)
}

fn cut_short() -> Error {
    wrong("it is cut short")
}

fn wrong(message: &str) -> Error {
    refused("BMP", message)
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

    fn refused_at_every_length(file: &[u8]) {
        for length in 2..file.len() {
            assert!(decode(&file[..length]).is_err(), "{length} of {}", file.len());
        }
    }

    #[test]
    fn one_pixel_is_a_picture_and_less_is_not() {
        let file = file([1, 1], [24, 0], 54, &[3, 2, 1, 0]); // blue, green, red, and a row's filler
        assert_eq!(decode(&file).unwrap().pixels(), [1, 2, 3]);
        refused_at_every_length(&file);
    }

    #[test]
    fn runs_have_their_end() {
        let colours = [[1, 2, 3, 0], [9, 9, 9, 0]].concat();
        let mut file = file([4, 2], [8, 1], 62, &[&colours[..], &[4, 0, 0, 0, 4, 1, 0, 1]].concat());
        file[46] = 2; // colours
        assert_eq!(decode(&file).unwrap().pixels(), [[9; 12], [3, 2, 1, 3, 2, 1, 3, 2, 1, 3, 2, 1]].concat());
        refused_at_every_length(&file);
        file[62] = 5;
        assert!(decode(&file).unwrap_err().to_string().contains("beyond the picture"));
    }

    #[test]
    fn rows_of_every_depth_begin_at_words() {
        for (depth, width) in [1, 2, 4, 8, 16, 24, 32].into_iter().flat_map(|d| (1..=9).map(move |w| (d, w)))
        {
            let colours: Vec<u8> = if depth > 8 {
                vec![]
            } else {
                (0..1u16 << depth).flat_map(|i| [i as u8, 0, 0, 0]).collect()
            };
            let row = (usize::from(width) * usize::from(depth)).div_ceil(32) * 4;
            // The lower row is all ones, the upper one all zeros.
            let rest = [colours.clone(), vec![0xff; row], vec![0; row]].concat();
            let mut file = file([width, 2], [depth, 0], 54, &rest);
            file[10..12].copy_from_slice(&(54 + colours.len() as u16).to_le_bytes());
            let image = decode(&file).unwrap();
            let ones = if depth > 8 { [0xff; 3] } else { [0, 0, (1u16 << depth).wrapping_sub(1) as u8] };
            let expected = [vec![[0; 3]; width.into()], vec![ones; width.into()]].concat().concat();
            assert_eq!(image.pixels(), expected, "{depth} bits, {width} pixels");
            refused_at_every_length(&file);
        }
    }

    #[test]
    fn what_is_not_read_says_so() {
        for (depth, compression) in [(32, 1), (24, 2), (8, 4), (3, 0), (0, 0), (64, 0)] {
            let error = decode(&file([1, 1], [depth, compression], 54, &[0; 2000])).unwrap_err();
            assert!(error.to_string().contains(&format!("{depth} bits a pixel with compression")), "{error}");
        }
    }

    #[test]
    fn masks_of_any_width_fill_eight_bits() {
        assert_eq!([0x00, 0x0a, 0x1f].map(|v| eight_bits(v << 5, 0x03e0)), [0, 82, 255]);
        assert_eq!([eight_bits(0xffff_ffff, 0xffc0_0000), eight_bits(0x8000_0000, 0xffc0_0000)], [255, 128]);
        assert_eq!([eight_bits(!0, 0), eight_bits(!0, 1), eight_bits(!0, !0)], [0, 255, 255]);
    }
}
