//! The resize against Pillow's, byte for byte. The expected values are committed; `sdk/testkit/python/` makes them.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::collections::BTreeMap;
use std::path::Path;

use tilemark_pipeline::{Image, Mode};

const EXPECTED: &str = include_str!("data/resize.txt");

/// Resizes of the list whose bytes differ from Pillow's when it does both directions in one call. There it runs the
/// vertical pass first for some sizes, and the 8 bits between the passes are rounded elsewhere. Ours is always
/// horizontal first; done in that order by Pillow too, no byte differs. `docs/pipeline.md` gives these counts.
const OTHER_ORDER: [(&str, usize); 2] = [("area", 12), ("bilinear", 76)];

/// Resizes of mode `nearest` that differ: ours is exact in integers, Pillow adds a rounding error up from pixel to
/// pixel, which shows where a centre falls on the edge of two source pixels.
const NEAREST: usize = 104;

#[test]
fn every_resize_has_pillows_bytes() {
    let mut pictures: BTreeMap<String, Image> = BTreeMap::new();
    let (mut compared, mut nearest, mut other_order) = (0, 0, BTreeMap::<&str, usize>::new());
    for line in EXPECTED.lines() {
        let [name, width, height, mode, to_width, to_height, passes, call] =
            line.split(' ').collect::<Vec<_>>()[..]
        else {
            panic!("malformed line {line:?}")
        };
        let number = |text: &str| text.parse::<u32>().unwrap();
        let (width, height) = (number(width), number(height));
        let source = pictures
            .entry(format!("{name} {width} {height}"))
            .or_insert_with(|| picture(name, width, height));
        assert_eq!((source.width(), source.height()), (width, height), "{name}");
        let filter = match mode {
            "bilinear" => Mode::Bilinear,
            "area" => Mode::Area,
            "nearest" => Mode::Nearest,
            other => panic!("unknown mode {other}"),
        };
        let resized = source.resized(number(to_width), number(to_height), filter).unwrap();
        let crc = format!("{:08x}", crc32(resized.pixels()));
        compared += 1;
        match filter {
            Mode::Nearest => nearest += usize::from(crc != call),
            Mode::Bilinear | Mode::Area => {
                assert_eq!(crc, passes, "{line}");
                *other_order.entry(mode).or_default() += usize::from(crc != call);
            }
        }
    }
    assert!(compared > 800, "{compared} resizes compared");
    assert_eq!((nearest, other_order), (NEAREST, BTreeMap::from(OTHER_ORDER)));
}

fn picture(name: &str, width: u32, height: u32) -> Image {
    if name == "noise" {
        return noise(width, height);
    }
    let (file, crop) = name.strip_prefix("crop:").map_or((name, false), |file| (file, true));
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/photos");
    let image = Image::decode(&std::fs::read(samples.join(file)).unwrap()).unwrap();
    if !crop {
        return image;
    }
    // The centre square, cut out here by hand.
    let (x, y) = ((image.width() - width) as usize / 2, (image.height() - height) as usize / 2);
    let row = image.width() as usize * 3;
    let rows = image.pixels().chunks_exact(row).skip(y).take(height as usize);
    let pixels = rows.flat_map(|row| &row[x * 3..(x + width as usize) * 3]).copied().collect();
    Image::from_rgb(width, height, pixels).unwrap()
}

/// The same bytes as `noise` in the script.
fn noise(width: u32, height: u32) -> Image {
    let mut state = width * 65_536 + height;
    let pixels = (0..width * height * 3).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    Image::from_rgb(width, height, pixels.collect()).unwrap()
}

/// The CRC-32 of zlib.
fn crc32(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256)
        .map(|i| (0..8).fold(i, |c: u32, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 }))
        .collect();
    !bytes.iter().fold(!0, |crc: u32, &b| table[usize::from(crc as u8 ^ b)] ^ (crc >> 8))
}

#[test]
fn the_checksum_is_zlibs() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}
