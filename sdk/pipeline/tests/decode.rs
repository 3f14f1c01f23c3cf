//! Pictures of every format against Pillow's pixels, and hostile ones against nothing but an error.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::path::{Path, PathBuf};

use tilemark_pipeline::limits::{MAX_ENCODED_BYTES, MAX_IMAGE_SIDE};
use tilemark_pipeline::{Error, Image};

fn data(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pictures")
}

fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.ends_with(".expected.png"));
    names.sort();
    names
}

/// JPEG leaves the decoder some freedom; so much (in levels of 255) ours may be away from Pillow's libjpeg-turbo.
fn tolerance(name: &str) -> u8 {
    if name.ends_with(".jpg") { 3 } else { 0 }
}

#[test]
fn every_format_has_pillows_pixels() {
    let names = names();
    assert_eq!(names.len(), 21);
    for name in names {
        let image = Image::decode(&data(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let expected = Image::decode(&data(&format!("{name}.expected.png"))).unwrap();
        assert_eq!((image.width(), image.height()), (45, 30), "{name}");
        let away = image.pixels().iter().zip(expected.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(away <= tolerance(&name), "{name}: {away} levels away from Pillow");
    }
}

#[test]
fn a_picture_cut_short_is_an_error() {
    for name in names() {
        let bytes = data(&name);
        let needed = match name.as_str() {
            "animated.png" | "animated.webp" => 1000, // the first frame, which is all that is read
            _ if name.ends_with(".png") => bytes.len() - 16, // the end chunk and a checksum
            _ if name.ends_with(".webp") => bytes.len() - 1, // padding
            _ => bytes.len(),
        };
        for length in 0..needed {
            let result = Image::decode(&bytes[..length]);
            let error =
                result.err().unwrap_or_else(|| panic!("{name} cut to {length} of {} bytes", bytes.len()));
            assert!(
                matches!(error, Error::Decode { .. } | Error::NotAnImage { .. }),
                "{name} {length}: {error}"
            );
        }
    }
}

#[test]
fn damaged_pictures_never_panic() {
    let mut state = 1u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    let (mut decoded, mut refused) = (0, 0);
    for name in names() {
        let original = data(&name);
        for _ in 0..2000 {
            let mut bytes = original.clone();
            for _ in 0..1 + random() % 4 {
                let at = random() % bytes.len();
                bytes[at] ^= 1 << (random() % 8);
            }
            match Image::decode(&bytes) {
                Ok(image) => {
                    assert!(image.width() <= MAX_IMAGE_SIDE && image.height() <= MAX_IMAGE_SIDE);
                    decoded += 1;
                }
                Err(error) => {
                    assert!(error.is_input(), "{name}: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(decoded > 1000 && refused > 1000, "{decoded} decoded, {refused} refused");
}

#[test]
fn what_is_no_picture_is_refused_by_its_first_bytes() {
    for bytes in [&b""[..], b"\xff", b"GIF89a......", b"%PDF-1.7", b"RIFF....AVI ", &[0; 4096]] {
        assert!(matches!(Image::decode(bytes), Err(Error::NotAnImage { .. })));
    }
    let Err(error) = Image::decode(b"GIF89a......") else { panic!() };
    assert_eq!(error.code(), "TM0301");
    assert!(error.to_string().contains("47 49 46 38 39 61"), "{error}");
}

#[test]
fn too_many_bytes_are_refused_unread() {
    let error = Image::decode(&vec![0xff; MAX_ENCODED_BYTES + 1]).unwrap_err();
    assert!(matches!(error, Error::EncodedTooLarge { .. }), "{error}");
}

/// A PNG whose header claims `width` x `height` 16-bit RGBA pixels, and which then ends in nothing.
fn png_claiming(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([16, 6, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for chunk in [chunk, b"IDAT".to_vec()] {
        png.extend((chunk.len() as u32 - 4).to_be_bytes());
        png.extend(&chunk);
        png.extend(crc32(&chunk).to_be_bytes());
    }
    png
}

/// The CRC-32 of PNG, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc: u32, &b| (0..8).fold(crc ^ u32::from(b), step))
}

/// A 24-bit bitmap's header alone.
fn bmp_claiming(width: i32, height: i32) -> Vec<u8> {
    let mut bmp = b"BM".to_vec();
    bmp.extend([0; 8]);
    bmp.extend(54u32.to_le_bytes());
    bmp.extend(40u32.to_le_bytes());
    bmp.extend(width.to_le_bytes());
    bmp.extend(height.to_le_bytes());
    bmp.extend(1u16.to_le_bytes());
    bmp.extend(24u16.to_le_bytes());
    bmp.extend([0; 24]);
    bmp
}

#[test]
fn a_huge_claim_is_refused_before_it_is_allocated() {
    let mut jpeg = data("baseline.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
    let mut progressive = data("progressive.jpg");
    let frame = progressive.windows(2).position(|pair| pair == [0xff, 0xc2]).unwrap();
    progressive[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    for (name, bytes) in [
        ("30,000 x 30,000 PNG", png_claiming(30_000, 30_000)),
        ("just too many pixels", png_claiming(MAX_IMAGE_SIDE, 4097)),
        ("just too wide", png_claiming(MAX_IMAGE_SIDE + 1, 1)),
        ("30,000 x 30,000 BMP", bmp_claiming(30_000, 30_000)),
        ("60,000 x 60,000 JPEG", jpeg),
        ("65,535 x 65,535 JPEG", progressive),
    ] {
        let error = Image::decode(&bytes).unwrap_err();
        assert!(matches!(error, Error::ImageTooLarge { .. }), "{name}: {error}");
        assert_eq!(error.code(), "TM0303");
    }
    // Within the limits, the same header is merely cut short.
    assert!(matches!(Image::decode(&png_claiming(40, 40)), Err(Error::Decode { format: "PNG", .. })));
    assert!(matches!(Image::decode(&bmp_claiming(40, 40)), Err(Error::Decode { format: "BMP", .. })));
}

#[test]
fn jpeg_variants_that_are_not_read_say_so() {
    let original = data("baseline.jpg");
    let frame = original.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    // Lossless, differential, arithmetic; and 12 bits a sample.
    for (at, value) in [(1, 0xc3), (1, 0xc5), (1, 0xc9), (1, 0xca), (4, 12)] {
        let mut jpeg = original.clone();
        jpeg[frame + at] = value;
        let error = Image::decode(&jpeg).unwrap_err();
        assert!(matches!(error, Error::Decode { format: "JPEG", .. }), "{at} {value}: {error}");
    }
}
