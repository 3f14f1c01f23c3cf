//! The way up that a picture's EXIF data declares: what a camera was held like.

use super::Raster;

/// The picture as it is meant to be seen, by one of EXIF's eight orientations; of other numbers as it is. Those from 5 on turn rows into
/// columns.
pub(super) fn upright(picture: Raster, orientation: u16) -> Raster {
    let (width, height) = (picture.width, picture.height);
    let (right, bottom) = (width - 1, height - 1); // sides are at least 1
    // Where the pixel at column x and row y of the upright picture lies on the stored one.
    let stored: fn([usize; 2], [usize; 2]) -> [usize; 2] = match orientation {
        2 => |[x, y], [right, _]| [right - x, y],
        3 => |[x, y], [right, bottom]| [right - x, bottom - y],
        4 => |[x, y], [_, bottom]| [x, bottom - y],
        5 => |[x, y], _| [y, x],
        6 => |[x, y], [_, bottom]| [y, bottom - x],
        7 => |[x, y], [right, bottom]| [right - y, bottom - x],
        8 => |[x, y], [right, _]| [right - y, x],
        _ => return picture,
    };
    let (across, down) = if orientation >= 5 { (height, width) } else { (width, height) };
    let channels = picture.channels;
    let mut samples = Vec::with_capacity(picture.samples.len());
    for (x, y) in (0..down).flat_map(|y| (0..across).map(move |x| (x, y))) {
        let [column, row] = stored([x, y], [right, bottom]);
        samples.extend_from_slice(&picture.samples[(row * width + column) * channels..][..channels]);
    }
    Raster { width: across, height: down, channels, samples }
}

/// The orientation that EXIF data have in their first directory, if they can be read so far. They begin as a TIFF file does
/// (TIFF 6.0, section 2; the tag is EXIF 2.32's 0x0112).
pub(super) fn declared(exif: &[u8]) -> Option<u16> {
    const TAG: u16 = 0x0112;
    const SHORT: u16 = 3;
    let little = match exif.first_chunk()? {
        [b'I', b'I', 42, 0] => true,
        [b'M', b'M', 0, 42] => false,
        _ => return None,
    };
    let short = |at: &[u8]| {
        at.first_chunk().map(|&b| if little { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) })
    };
    let long = |at: &[u8]| {
        at.first_chunk().map(|&b| if little { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) })
    };
    let directory = exif.get(usize::try_from(long(&exif[4..])?).ok()?..)?;
    let entries = directory.get(2..)?.chunks_exact(12).take(short(directory)?.into());
    let mut ours = entries.filter(|entry| short(entry) == Some(TAG));
    let entry = ours.find(|entry| short(&entry[2..]) == Some(SHORT) && long(&entry[4..]) == Some(1))?;
    short(&entry[8..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_are_read_and_nothing_else() {
        let little =
            b"II\x2a\0\x08\0\0\0\x02\0\x0f\x01\x02\0\x01\0\0\0AAAA\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0";
        assert_eq!((declared(little), declared(big)), (Some(6), Some(8)));
        for length in 0..little.len() {
            assert_eq!(declared(&little[..length]), None, "{length}");
        }
        let mut far = little.to_vec();
        far[4..8].fill(0xff);
        assert_eq!((declared(&far), declared(b"PK\x03\x04....")), (None, None));
    }
}
