//! What a driver loads, and a bundle ships: a bitstream with what must be known before it is loaded.
//!
//! Little-endian, 128 bytes of header and the artifact behind it:
//!
//! | offset | |
//! |---|---|
//! | 0 | `TMFPGA`, 0, format 1 |
//! | 8 | version of the engine's interface, as its register says |
//! | 12 | the engine's registers 0x08, 0x0c, 0x10 and 0x14: its configuration |
//! | 28 | kilohertz of the clock |
//! | 32 | part: what a device's name must have in it; 32 bytes, zeros after it |
//! | 64 | platform: what a platform's name must have in it; the same |
//! | 96 | bytes of the artifact |
//! | 100 | form: 0, a driver takes the container; 1, a driver takes the artifact, whose kernels are joined by channels |
//! | 104 | zeros |
//! | 124 | CRC-32 of all other bytes, header first |

use thiserror::Error;

use crate::config::Config;

/// Bytes before the artifact.
pub const HEADER_BYTES: usize = 128;
/// The largest artifact; bitstreams of large FPGAs have some tens of megabytes.
pub const MAX_ARTIFACT_BYTES: usize = 256 << 20;

const MAGIC: &[u8; 8] = b"TMFPGA\0\x01";
const NAME: usize = 32;
const CHECKSUM: usize = 124;

/// What a driver takes, and what it then offers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Form {
    /// The container. One kernel runs a list: `tilemark_run(memory, list, tiles)`.
    #[default]
    Engine,
    /// The artifact. Three kernels of these arguments run it together, each on a queue of its own: `tilemark_feed`,
    /// `tilemark_multiply` and, the last one to end, `tilemark_drain`.
    Channels,
}

/// What is known of a bitstream before it is loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Version of the engine's interface: major in the upper half.
    pub abi: u32,
    /// What the engine was built with.
    pub config: Config,
    /// The clock: for a bitstream that never ran, the routed estimate. 0 where there is none, as in an emulation.
    pub kilohertz: u32,
    /// What a device's name must have in it.
    pub part: String,
    /// What a platform's name must have in it.
    pub platform: String,
    /// What a driver takes.
    pub form: Form,
    /// CRC-32 of the whole container.
    pub checksum: u32,
}

/// A bitstream with its header.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// What is known before.
    pub header: Header,
    /// What the FPGA is configured with.
    pub artifact: Vec<u8>,
}

/// Bytes that are no container.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ContainerError {
    /// Cut short, or something else.
    #[error("{found} bytes, expected {expected}")]
    Length {
        /// Bytes there are.
        found: usize,
        /// Bytes there should be.
        expected: usize,
    },
    /// Another kind of file.
    #[error("it does not begin with TMFPGA, format 1")]
    Magic,
    /// A changed byte.
    #[error("its checksum is {found:#010x}, its bytes have {expected:#010x}")]
    Checksum {
        /// What it says.
        found: u32,
        /// What its bytes give.
        expected: u32,
    },
    /// A name that is no text, or none.
    #[error("its {0} is no name")]
    Name(&'static str),
    /// A form that is not known here.
    #[error("its form is {0}, 0 and 1 are known")]
    Form(u32),
    /// A configuration that no engine has.
    #[error("its configuration is that of no engine: {0}")]
    Config(String),
}

impl Container {
    /// Reads a container.
    ///
    /// # Errors
    /// [`ContainerError`]; no byte of it is used before its checksum holds.
    pub fn parse(bytes: &[u8]) -> Result<Self, ContainerError> {
        let Some((head, artifact)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Err(ContainerError::Length { found: bytes.len(), expected: HEADER_BYTES });
        };
        if !head.starts_with(MAGIC) {
            return Err(ContainerError::Magic);
        }
        let word =
            |at: usize| head[at..at + 4].iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
        let (length, found) = (word(96) as usize, word(CHECKSUM));
        if length != artifact.len() || length > MAX_ARTIFACT_BYTES {
            let expected = HEADER_BYTES + length.min(MAX_ARTIFACT_BYTES);
            return Err(ContainerError::Length { found: bytes.len(), expected });
        }
        let expected = checksum(head, artifact);
        if found != expected {
            return Err(ContainerError::Checksum { found, expected });
        }
        let name = |what, at: usize| {
            let bytes = head[at..at + NAME].split(|&byte| byte == 0).next().unwrap_or_default();
            let text = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty());
            text.filter(|text| !text.chars().any(char::is_control)).ok_or(ContainerError::Name(what))
        };
        let form = match word(100) {
            0 => Form::Engine,
            1 => Form::Channels,
            other => return Err(ContainerError::Form(other)),
        };
        let header = Header {
            abi: word(8),
            config: config(|register| word(12 + 4 * register))?,
            kilohertz: word(28),
            part: name("part", 32)?.to_owned(),
            platform: name("platform", 64)?.to_owned(),
            form,
            checksum: found,
        };
        Ok(Self { header, artifact: artifact.to_vec() })
    }

    /// The bytes of a container; `header.checksum` is not looked at.
    ///
    /// # Errors
    /// [`ContainerError::Name`] or [`ContainerError::Length`] for what does not fit.
    pub fn encode(header: &Header, artifact: &[u8]) -> Result<Vec<u8>, ContainerError> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        let registers = registers(&header.config);
        let length = u32::try_from(artifact.len()).ok().filter(|&n| n as usize <= MAX_ARTIFACT_BYTES);
        let too_long = ContainerError::Length { found: artifact.len(), expected: MAX_ARTIFACT_BYTES };
        let words = [header.abi, registers[0], registers[1], registers[2], registers[3], header.kilohertz];
        for (to, word) in bytes[8..32].chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        for (what, at, name) in [("part", 32, &header.part), ("platform", 64, &header.platform)] {
            if name.is_empty() || name.len() > NAME || name.chars().any(char::is_control) {
                return Err(ContainerError::Name(what));
            }
            bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        }
        bytes[96..100].copy_from_slice(&length.ok_or(too_long)?.to_le_bytes());
        bytes[100] = u8::from(header.form == Form::Channels);
        let sum = checksum(&bytes, artifact);
        bytes[CHECKSUM..].copy_from_slice(&sum.to_le_bytes());
        bytes.extend_from_slice(artifact);
        Ok(bytes)
    }
}

fn checksum(head: &[u8], artifact: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..CHECKSUM]);
    hasher.update(artifact);
    hasher.finalize()
}

/// The registers 0x08, 0x0c, 0x10 and 0x14.
fn registers(config: &Config) -> [u32; 4] {
    let [down, across] = config.banks.map(usize::ilog2);
    let flags = u32::from(config.adds) << 24 | u32::from(config.quads) << 25;
    let built = config.lanes as u32 | (config.results as u32) << 8 | down << 16 | across << 20 | flags;
    [built, config.activations as u32, config.weights as u32, config.sums as u32]
}

/// A configuration that the compiler's arithmetic is good for.
fn config(register: impl Fn(usize) -> u32) -> Result<Config, ContainerError> {
    let read = Config::read(|offset| match offset {
        0x00 => crate::config::ID,
        0x04 => crate::config::ABI,
        0x08 => register(0),
        0x0c => register(1),
        0x10 => register(2),
        _ => register(3),
    });
    let config = read.map_err(|error| ContainerError::Config(error.to_string()))?;
    let wrong = |what: &str, found: usize| Err(ContainerError::Config(format!("{what} {found}")));
    match config {
        _ if ![4, 8, 16].contains(&config.lanes) => wrong("lanes", config.lanes),
        _ if config.banks[0] * config.banks[1] > config.lanes => {
            wrong("banks", config.banks[0] * config.banks[1])
        }
        _ if !(64..=1 << 20).contains(&config.activations) => {
            wrong("words of activations", config.activations)
        }
        _ if !(16..=1 << 16).contains(&config.weights) => wrong("words of weights", config.weights),
        _ if !(1..=1 << 16).contains(&config.sums) => wrong("pixels of sums", config.sums),
        _ => Ok(config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            abi: crate::config::ABI,
            config: Config::LANES_16,
            kilohertz: 75_000,
            part: "LFE5U-85F".into(),
            platform: "Tilemark".into(),
            form: Form::Engine,
            checksum: 0,
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let bytes = Container::encode(&header(), b"bits").unwrap();
        let container = Container::parse(&bytes).unwrap();
        assert_eq!(container.artifact, b"bits");
        assert_eq!(Header { checksum: 0, ..container.header }, header());
    }

    #[test]
    fn a_form_that_is_not_known_is_refused() {
        let mut bytes = Container::encode(&Header { form: Form::Channels, ..header() }, b"bits").unwrap();
        assert_eq!(Container::parse(&bytes).unwrap().header.form, Form::Channels);
        bytes[100] = 2;
        let sum = checksum(&bytes[..HEADER_BYTES], b"bits");
        bytes[CHECKSUM..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(Container::parse(&bytes), Err(ContainerError::Form(2)));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let bytes = Container::encode(&header(), b"bits").unwrap();
        for bit in 0..8 * bytes.len() {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Container::parse(&changed).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Container::parse(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(Container::parse(&[&bytes[..], b"\0"].concat()).is_err());
    }

    #[test]
    fn a_configuration_that_no_engine_has_is_refused() {
        for config in [
            Config { lanes: 5, ..Config::LANES_16 },
            Config { lanes: 0, ..Config::LANES_16 },
            Config { activations: 0, ..Config::LANES_16 },
            Config { weights: 0, ..Config::LANES_16 },
            Config { sums: 0, ..Config::LANES_16 },
        ] {
            let bytes = Container::encode(&Header { config, ..header() }, b"").unwrap();
            assert!(matches!(Container::parse(&bytes), Err(ContainerError::Config(_))), "{config:?}");
        }
    }
}
