//! WAV: a RIFF file of chunks, of which `fmt ` and `data` are read.

use super::{Sound, check_length};
use crate::error::{Error, Result};
use crate::limits::MAX_ENCODED_BYTES;

/// Most channels mixed.
const MAX_CHANNELS: u16 = 64;

/// How samples are written.
#[derive(Clone, Copy)]
enum Coding {
    /// Unsigned, 128 is silence.
    U8,
    I16,
    I24,
    I32,
    F32,
    F64,
}

struct Format {
    coding: Coding,
    channels: usize,
    rate: u32,
}

pub(super) fn decode(encoded: &[u8]) -> Result<Sound> {
    if encoded.len() > MAX_ENCODED_BYTES {
        return Err(Error::EncodedTooLarge { bytes: encoded.len(), limit: MAX_ENCODED_BYTES });
    }
    let [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', chunks @ ..] = encoded else {
        let found = encoded.iter().take(12).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
        return Err(Error::NotASound { found: if found.is_empty() { "(none)".into() } else { found } });
    };
    let (format, data) = find(chunks)?;
    let frame = format.coding.bytes() * format.channels;
    if data.len() % frame != 0 {
        return Err(wrong(format!("{} bytes of sound do not divide into frames of {frame}", data.len())));
    }
    check_length((data.len() / frame) as u64, format.rate.max(1))?;
    let channels = format.channels as f32;
    let mixed = data.chunks_exact(frame).map(|frame| {
        let samples = frame.chunks_exact(format.coding.bytes()).map(|bytes| format.coding.sample(bytes));
        samples.fold(0.0, |sum, sample| sum + sample) / channels
    });
    Sound::from_samples(format.rate, mixed.collect())
}

/// The format and the samples' bytes.
fn find(mut rest: &[u8]) -> Result<(Format, &[u8])> {
    let mut format = None;
    while let Some((header, body)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, size @ ..] = *header;
        let size = u32::from_le_bytes(size) as usize;
        let Some(chunk) = body.get(..size) else {
            let name = String::from_utf8_lossy(&[a, b, c, d]).escape_default().to_string();
            return Err(wrong(format!("its chunk {name:?} declares {size} bytes, {} follow", body.len())));
        };
        match (&[a, b, c, d], format.take()) {
            (b"fmt ", _) => format = Some(Format::parse(chunk)?),
            (b"data", Some(format)) => return Ok((format, chunk)),
            (b"data", None) => return Err(wrong("its sound comes before its format".to_owned())),
            (_, known) => format = known,
        }
        rest = body.get(size + size % 2..).unwrap_or_default(); // chunks begin at even positions
    }
    Err(wrong("it has no chunk of samples".to_owned()))
}

fn wrong(message: String) -> Error {
    Error::Wav { message }
}

impl Format {
    fn parse(chunk: &[u8]) -> Result<Self> {
        let Some((head, more)) = chunk.split_first_chunk::<16>() else {
            return Err(wrong(format!("its format has {} bytes, 16 or more expected", chunk.len())));
        };
        let short = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        const EXTENSIBLE: u16 = 0xfffe;
        let kind = match (short(0), more) {
            (EXTENSIBLE, [_, _, _, _, _, _, _, _, low, high, ..]) => u16::from_le_bytes([*low, *high]),
            (kind, _) => kind,
        };
        let (channels, bits) = (short(2), short(14));
        let coding = match (kind, bits) {
            (1, 8) => Coding::U8,
            (1, 16) => Coding::I16,
            (1, 24) => Coding::I24,
            (1, 32) => Coding::I32,
            (3, 32) => Coding::F32,
            (3, 64) => Coding::F64,
            _ => {
                let expected = "integers (1) of 8, 16, 24 or 32 bits or floats (3) of 32 or 64";
                return Err(wrong(format!("format {kind} with {bits} bits found, {expected} expected")));
            }
        };
        if channels == 0 || channels > MAX_CHANNELS {
            return Err(wrong(format!("{channels} channels found, 1 to {MAX_CHANNELS} expected")));
        }
        let rate = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        Ok(Self { coding, channels: channels.into(), rate })
    }
}

impl Coding {
    fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// A sample between -1 and 1: integers divided by half of their range.
    fn sample(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::U8, &[a]) => (f32::from(a) - 128.0) / 128.0,
            (Self::I16, &[a, b]) => f32::from(i16::from_le_bytes([a, b])) / 32_768.0,
            (Self::I24, &[a, b, c]) => (i32::from_le_bytes([0, a, b, c]) >> 8) as f32 / 8_388_608.0,
            (Self::I32, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]) as f32 / 2_147_483_648.0,
            (Self::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Self::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
            _ => 0.0, // `chunks_exact` gives as many as `bytes` says
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(kind: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        file.extend(kind.to_le_bytes());
        file.extend(channels.to_le_bytes());
        file.extend(rate.to_le_bytes());
        file.extend([0; 6]);
        file.extend(bits.to_le_bytes());
        file.extend(b"LIST\x03\0\0\0abc\0data");
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn every_coding_is_read_and_channels_are_mixed() {
        let samples = |kind, channels, bits, data: &[u8]| {
            decode(&wav(kind, channels, 16_000, bits, data)).unwrap().samples().to_vec()
        };
        assert_eq!(samples(1, 1, 8, &[0, 128, 192]), [-1.0, 0.0, 0.5]);
        assert_eq!(samples(1, 1, 16, &[0, 0x80, 0, 0x40]), [-1.0, 0.5]);
        assert_eq!(samples(1, 1, 24, &[0, 0, 0x80, 0, 0, 0x40]), [-1.0, 0.5]);
        assert_eq!(samples(1, 1, 32, &[0, 0, 0, 0x80, 0, 0, 0, 0x40]), [-1.0, 0.5]);
        assert_eq!(samples(3, 1, 32, &0.25f32.to_le_bytes()), [0.25]);
        assert_eq!(samples(3, 1, 64, &0.25f64.to_le_bytes()), [0.25]);
        assert_eq!(samples(1, 2, 16, &[0, 0x80, 0, 0x40]), [-0.25]);
        assert!(samples(1, 1, 16, &[]).is_empty());
    }

    #[test]
    fn what_is_damaged_or_unknown_is_refused() {
        let good = wav(1, 1, 16_000, 16, &[1, 2, 3, 4]);
        for length in 0..good.len() {
            assert!(decode(&good[..length]).is_err(), "cut at {length}");
        }
        for (kind, channels, rate, bits, code) in [
            (2, 1, 16_000, 16, "TM0316"),
            (1, 0, 16_000, 16, "TM0316"),
            (1, 65, 16_000, 16, "TM0316"),
            (1, 1, 16_000, 12, "TM0316"),
            (1, 3, 16_000, 16, "TM0316"),
            (1, 1, 0, 16, "TM0318"),
            (1, 1, u32::MAX, 16, "TM0318"),
        ] {
            let error = decode(&wav(kind, channels, rate, bits, &[1, 2, 3, 4])).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.is_input());
        }
        assert!(matches!(decode(b"RIFF....WEBP"), Err(Error::NotASound { .. })));
    }

    #[test]
    fn three_hours_are_too_long() {
        let hours = 3 * 3600 * 8_000u32;
        let file = wav(1, 1, 8_000, 8, &vec![128; hours as usize]);
        let error = decode(&file).unwrap_err();
        assert!(matches!(error, Error::SoundTooLong { seconds: 10_800, .. }), "{error}");
    }
}
