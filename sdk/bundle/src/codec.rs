//! The binary layout of graphs, indexes and tuning records: the only place that knows `bincode`.
//!
//! Only for bytes whose signature was checked, or that this machine wrote. Types are flat (no recursion), have a fixed order
//! (`BTreeMap`, never `HashMap`) and begin with a `u16` schema number of their own. The layout is written out in
//! `docs/bundle-format.md`; `docs/adr/0002-bincode.md` tells why it is this one.

use bincode::config::{self, Config};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::MAX_CODEC_BYTES;
use crate::{Error, Result};

/// The bytes of `value`.
///
/// # Errors
/// [`Error::Codec`] for a value that the layout cannot hold, [`Error::TooLarge`] beyond [`MAX_CODEC_BYTES`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let bytes = bincode::serde::encode_to_vec(value, layout())
        .map_err(|error| Error::Codec { reason: error.to_string() })?;
    check_size(bytes.len())?;
    Ok(bytes)
}

/// The value in `bytes`, all of them.
///
/// # Errors
/// [`Error::Codec`] for bytes that are no such value or go on after it, [`Error::TooLarge`] beyond [`MAX_CODEC_BYTES`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    check_size(bytes.len())?;
    let (value, used) = bincode::serde::decode_from_slice(bytes, layout())
        .map_err(|error| Error::Codec { reason: error.to_string() })?;
    if used != bytes.len() {
        return Err(Error::Codec { reason: format!("the value ends at byte {used} of {}", bytes.len()) });
    }
    Ok(value)
}

/// Little-endian, fixed-width integers, lengths as u64; a hostile length is refused before anything is allocated for it.
fn layout() -> impl Config {
    config::legacy().with_limit::<MAX_CODEC_BYTES>()
}

fn check_size(bytes: usize) -> Result<()> {
    if bytes > MAX_CODEC_BYTES {
        return Err(Error::TooLarge { what: "record", found: bytes as u64, max: MAX_CODEC_BYTES as u64 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize, wincode::SchemaRead, wincode::SchemaWrite)]
    enum Shape {
        Scalar,
        Vector(u32),
        Image { height: u16, width: u16 },
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize, wincode::SchemaRead, wincode::SchemaWrite)]
    struct Record {
        schema: u16,
        name: String,
        shapes: Vec<Shape>,
        scale: f32,
        zero: Option<i8>,
        index: BTreeMap<String, u64>,
        exact: bool,
    }

    fn record() -> Record {
        Record {
            schema: 1,
            name: "né".into(),
            shapes: vec![Shape::Scalar, Shape::Vector(7), Shape::Image { height: 2, width: 0x0304 }],
            scale: 0.5,
            zero: Some(-128),
            index: BTreeMap::from([("a".into(), 1), ("b".into(), u64::MAX)]),
            exact: true,
        }
    }

    #[rustfmt::skip]
    const GOLDEN: &[u8] = &[
        1, 0,                                           // schema
        3, 0, 0, 0, 0, 0, 0, 0, b'n', 0xc3, 0xa9,       // name: length in bytes, UTF-8
        3, 0, 0, 0, 0, 0, 0, 0,                         // shapes: count
        0, 0, 0, 0,                                     // Scalar: variant as u32
        1, 0, 0, 0, 7, 0, 0, 0,                         // Vector(7)
        2, 0, 0, 0, 2, 0, 4, 3,                         // Image
        0, 0, 0, 0x3f,                                  // scale
        1, 0x80,                                        // Some(-128)
        2, 0, 0, 0, 0, 0, 0, 0,                         // index: count, then key and value in ascending order
        1, 0, 0, 0, 0, 0, 0, 0, b'a', 1, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 0, 0, 0, 0, b'b', 255, 255, 255, 255, 255, 255, 255, 255,
        1,                                              // true
    ];

    #[test]
    fn golden_bytes() {
        assert_eq!(encode(&record()).unwrap(), GOLDEN);
        assert_eq!(decode::<Record>(GOLDEN).unwrap(), record());
    }

    #[test]
    fn wincode_reads_and_writes_the_same_bytes() {
        assert_eq!(wincode::serialize(&record()).unwrap(), GOLDEN);
        assert_eq!(wincode::deserialize::<Record>(GOLDEN).unwrap(), record());
    }

    #[test]
    fn cut_or_longer_bytes_are_refused() {
        for length in 0..GOLDEN.len() {
            assert!(matches!(decode::<Record>(&GOLDEN[..length]), Err(Error::Codec { .. })), "{length}");
        }
        let longer = [GOLDEN, &[0]].concat();
        let error = decode::<Record>(&longer).unwrap_err();
        assert!(error.to_string().contains("ends at byte"), "{error}");
    }

    #[test]
    fn a_huge_length_is_refused_without_allocating() {
        for length in [u64::MAX, 1 << 40, 1 << 32] {
            assert!(matches!(decode::<Vec<u64>>(&length.to_le_bytes()), Err(Error::Codec { .. })));
            assert!(matches!(decode::<String>(&length.to_le_bytes()), Err(Error::Codec { .. })));
        }
    }

    #[test]
    fn wrong_tags_are_refused() {
        assert!(decode::<bool>(&[2]).is_err());
        assert!(decode::<Option<u8>>(&[2, 0]).is_err());
        assert!(decode::<Shape>(&[3, 0, 0, 0]).is_err());
        assert!(decode::<String>(&[1, 0, 0, 0, 0, 0, 0, 0, 0xff]).is_err());
    }

    #[test]
    fn size_is_bounded_both_ways() {
        let large = vec![0u8; MAX_CODEC_BYTES + 1];
        assert!(matches!(decode::<Vec<u8>>(&large), Err(Error::TooLarge { .. })));
        assert!(encode(&large).is_err());
    }
}
