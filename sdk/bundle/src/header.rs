//! The fixed first bytes of a bundle. Little-endian; `docs/bundle-format.md` has the table.

use crate::limits::{MAX_BUNDLE_BYTES, MAX_ENVELOPE_BYTES};
use crate::{Digest, Error, Result};

pub(crate) const MAGIC: [u8; 8] = *b"TILEMARK";
pub(crate) const FORMAT_VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 64;

/// What the header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    /// Length of the envelope's JSON, which begins right after the header.
    pub(crate) envelope_bytes: u64,
    /// Length of the whole file.
    pub(crate) file_bytes: u64,
    /// SHA-256 of the envelope's JSON: tells damage from forgery, and covers what no known key signed.
    pub(crate) envelope_sha256: Digest,
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        // 12..16 are reserved and zero.
        out[16..24].copy_from_slice(&self.envelope_bytes.to_le_bytes());
        out[24..32].copy_from_slice(&self.file_bytes.to_le_bytes());
        out[32..].copy_from_slice(self.envelope_sha256.as_bytes());
        out
    }

    /// Reads the header of a file of `found_bytes`. After this, both lengths are within their limits and fit the file.
    pub(crate) fn parse(start: &[u8], found_bytes: u64) -> Result<Self> {
        let Some((magic, rest)) = start.split_first_chunk::<8>() else { return Err(not_a_bundle(start)) };
        if *magic != MAGIC {
            return Err(not_a_bundle(start));
        }
        let Some(fields) = rest.first_chunk::<{ HEADER_BYTES - 8 }>() else {
            return Err(Error::Truncated { declared: HEADER_BYTES as u64, found: found_bytes });
        };
        let (version, reserved, envelope_bytes, file_bytes, sha256) = split(fields);
        if version != FORMAT_VERSION {
            return Err(Error::UnsupportedFormat { found: version, supported: FORMAT_VERSION });
        }
        if reserved != 0 {
            return Err(header_error("reserved field", reserved.into(), "0".into()));
        }
        if envelope_bytes > MAX_ENVELOPE_BYTES {
            return Err(Error::TooLarge { what: "envelope", found: envelope_bytes, max: MAX_ENVELOPE_BYTES });
        }
        if file_bytes > MAX_BUNDLE_BYTES {
            return Err(Error::TooLarge { what: "bundle", found: file_bytes, max: MAX_BUNDLE_BYTES });
        }
        if found_bytes < file_bytes {
            return Err(Error::Truncated { declared: file_bytes, found: found_bytes });
        }
        if found_bytes > file_bytes {
            return Err(Error::TrailingBytes { declared: file_bytes, found: found_bytes });
        }
        let end = envelope_bytes + HEADER_BYTES as u64;
        if envelope_bytes == 0 || end > file_bytes {
            let expected = format!("between 1 and {}", file_bytes.saturating_sub(HEADER_BYTES as u64));
            return Err(header_error("envelope length", envelope_bytes, expected));
        }
        Ok(Self { envelope_bytes, file_bytes, envelope_sha256: Digest::from_bytes(sha256) })
    }

    pub(crate) fn envelope_range(&self) -> std::ops::Range<usize> {
        // Within MAX_ENVELOPE_BYTES, so it fits.
        let length = usize::try_from(self.envelope_bytes).unwrap_or(usize::MAX - HEADER_BYTES);
        HEADER_BYTES..HEADER_BYTES + length
    }
}

fn split(fields: &[u8; HEADER_BYTES - 8]) -> (u32, u32, u64, u64, [u8; 32]) {
    // The indices are constants within a fixed array: they cannot be out of range.
    let u32_at = |at: usize| u32::from_le_bytes([fields[at], fields[at + 1], fields[at + 2], fields[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(&fields[24..]);
    (u32_at(0), u32_at(4), u64_at(8), u64_at(16), sha256)
}

fn not_a_bundle(start: &[u8]) -> Error {
    let found = match start.first_chunk::<8>().map_or(start, |chunk| &chunk[..]) {
        [] => "an empty file".into(),
        bytes => format!("\"{}\"", bytes.escape_ascii()),
    };
    Error::NotABundle { found }
}

fn header_error(field: &'static str, found: u64, expected: String) -> Error {
    Error::Header { field, found: found.to_string(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sha256;

    fn header(envelope_bytes: u64, file_bytes: u64) -> [u8; HEADER_BYTES] {
        Header { envelope_bytes, file_bytes, envelope_sha256: sha256(b"envelope") }.to_bytes()
    }

    #[test]
    fn round_trip() {
        let bytes = header(100, 164);
        assert_eq!(Header::parse(&bytes, 164).unwrap().to_bytes(), bytes);
    }

    #[test]
    fn no_bundle_at_all() {
        for start in [&b""[..], b"TILE", b"TILEMARC", b"\x89PNG\r\n\x1a\n rest of a picture"] {
            assert!(matches!(Header::parse(start, 9999), Err(Error::NotABundle { .. })));
        }
    }

    #[test]
    fn every_length_of_a_cut_header() {
        for length in 8..HEADER_BYTES {
            let error = Header::parse(&header(100, 164)[..length], length as u64).unwrap_err();
            assert!(matches!(error, Error::Truncated { declared: 64, .. }), "{error}");
        }
    }

    #[test]
    fn impossible_fields() {
        let with = |at: usize, value: u8| {
            let mut bytes = header(100, 164);
            bytes[at] = value;
            Header::parse(&bytes, 164).unwrap_err()
        };
        assert!(matches!(with(8, 2), Error::UnsupportedFormat { found: 2, supported: 1 }));
        assert!(matches!(with(15, 1), Error::Header { field: "reserved field", .. }));
        let parse = |envelope, file, found| Header::parse(&header(envelope, file), found).unwrap_err();
        assert!(matches!(
            parse(u64::MAX, 164, 164),
            Error::TooLarge { what: "envelope", found: u64::MAX, .. }
        ));
        assert!(matches!(parse(100, u64::MAX, 164), Error::TooLarge { what: "bundle", found: u64::MAX, .. }));
        assert!(matches!(parse(0, 164, 164), Error::Header { field: "envelope length", .. }));
        assert!(matches!(parse(101, 164, 164), Error::Header { field: "envelope length", .. }));
        assert!(matches!(parse(100, 164, 163), Error::Truncated { declared: 164, found: 163 }));
        assert!(matches!(parse(100, 164, 165), Error::TrailingBytes { declared: 164, found: 165 }));
    }
}
