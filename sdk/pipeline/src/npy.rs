//! numpy's `.npy` files: one array each, the way raw tensors come in and go out.
//!
//! An own reader, because the format's crates parse the header with a recursive parser of Python literals, which
//! nested parentheses can overflow. The header that numpy writes is one flat dictionary with three keys, and
//! nothing else is accepted here. `docs/pipeline.md` lists what is read and written.

use half::f16;
use tilemark_model::{DType, Data, Tensor};

use crate::error::{Error, Result};
use crate::limits::{MAX_NPY_BYTES, MAX_NPY_HEADER_BYTES, MAX_NPY_RANK};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads an array of u8, i8, i32, i64, f32, or f16 (widened to f32); either byte order; C or Fortran order.
///
/// # Errors
/// [`Error::Npy`] for a malformed header, [`Error::NpyType`] for another element type, [`Error::NpyLength`] if
/// header and length disagree or exceed the limit.
pub fn read(bytes: &[u8]) -> Result<Tensor> {
    let (header, body) = split(bytes)?;
    let header = Header::parse(header)?;
    let found = body.len();
    let expected = header.shape.iter().try_fold(header.element.size(), |n, &axis| n.checked_mul(axis));
    if expected != Some(found) || found > MAX_NPY_BYTES {
        let expected = expected.unwrap_or(usize::MAX);
        return Err(Error::NpyLength { shape: header.shape, expected, found, limit: MAX_NPY_BYTES });
    }
    let data = header.element.decode(body, header.big_endian);
    let data = if header.fortran { row_major(data, &header.shape) } else { data };
    Ok(Tensor::new(header.shape, data)?)
}

/// Writes an array the way `numpy.save` does: version 1.0, little-endian, C order, data at a multiple of 64.
pub fn write(tensor: &Tensor) -> Vec<u8> {
    let descr = match tensor.data() {
        Data::U8(_) => "|u1",
        Data::I8(_) => "|i1",
        Data::I32(_) => "<i4",
        Data::I64(_) => "<i8",
        Data::F32(_) => "<f4",
        Data::Coded(coded) => match coded.dtype() {
            DType::Bool => "|b1",
            DType::I16 => "<i2",
            DType::U16 => "<u2",
            DType::U32 => "<u4",
            DType::U64 => "<u8",
            DType::F16 => "<f2",
            DType::F64 => "<f8",
            // numpy has no such types: the codes, as it holds them behind ml_dtypes.
            DType::Bf16 => "<V2",
            _ => "|V1",
        },
    };
    let axes: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
    let comma = if axes.len() == 1 { "," } else { "" }; // a tuple of one
    let shape = format!("({}{comma})", axes.join(", "));
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    const PREFIX: usize = MAGIC.len() + 4;
    let padded = (PREFIX + header.len() + 1).next_multiple_of(64) - PREFIX - 1;
    header.push_str(&" ".repeat(padded - header.len()));
    header.push('\n');
    let mut file = MAGIC.to_vec();
    file.extend([1, 0]);
    // Shapes are bounded (`element_count`), but the number of axes is the caller's: 2^16 bytes are some 5,000.
    file.extend(u16::try_from(header.len()).unwrap_or(u16::MAX).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(tensor.to_bytes());
    file
}

/// The header's text and the elements' bytes.
fn split(bytes: &[u8]) -> Result<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| wrong("it does not start with \\x93NUMPY"))?;
    let cut_short = || wrong("it ends inside the header");
    let ([major, _minor], rest) = rest.split_first_chunk::<2>().ok_or_else(cut_short)?;
    let (length, rest) = match major {
        1 => {
            let (length, rest) = rest.split_first_chunk().ok_or_else(cut_short)?;
            (u32::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk().ok_or_else(cut_short)?;
            (u32::from_le_bytes(*length), rest)
        }
        other => return Err(wrong(format!("version {other} found, 1 to 3 expected"))),
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_NPY_HEADER_BYTES {
        return Err(wrong(format!("a header of {length} bytes, at most {MAX_NPY_HEADER_BYTES} expected")));
    }
    let (header, body) = rest.split_at_checked(length).ok_or_else(cut_short)?;
    let header = std::str::from_utf8(header).map_err(|_| wrong("the header is not text"))?;
    Ok((header, body))
}

fn wrong(message: impl Into<String>) -> Error {
    Error::Npy { message: message.into() }
}

struct Header {
    element: Element,
    big_endian: bool,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    /// A flat dictionary with the keys `descr`, `fortran_order` and `shape`, each once, in any order.
    fn parse(text: &str) -> Result<Self> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        let mut scanner = Scanner { rest: text };
        scanner.expect('{')?;
        while !scanner.accept('}') {
            let key = scanner.string()?;
            scanner.expect(':')?;
            let repeated = match key {
                "descr" => descr.replace(scanner.string()?).is_some(),
                "fortran_order" => fortran.replace(scanner.boolean()?).is_some(),
                "shape" => shape.replace(scanner.tuple()?).is_some(),
                other => return Err(wrong(format!("unknown key {:?} in the header", shortened(other)))),
            };
            if repeated {
                return Err(wrong(format!("key {key:?} appears twice in the header")));
            }
            if !scanner.accept(',') {
                scanner.expect('}')?;
                break;
            }
        }
        if !scanner.rest.trim().is_empty() {
            return Err(wrong("text after the header's dictionary"));
        }
        let missing = |key: &str| wrong(format!("key {key:?} is missing in the header"));
        let descr = descr.ok_or_else(|| missing("descr"))?;
        let (element, big_endian) =
            Element::parse(descr).ok_or_else(|| Error::NpyType { found: shortened(descr) })?;
        let fortran = fortran.ok_or_else(|| missing("fortran_order"))?;
        Ok(Self { element, big_endian, fortran, shape: shape.ok_or_else(|| missing("shape"))? })
    }
}

/// Untrusted text, short enough for a message.
fn shortened(text: &str) -> String {
    text.chars().take(32).collect()
}

/// Reads the few Python literals that a header is made of, none of which nests.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn accept(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        let stripped = self.rest.strip_prefix(token);
        self.rest = stripped.unwrap_or(self.rest);
        stripped.is_some()
    }

    fn expect(&mut self, token: char) -> Result<()> {
        if self.accept(token) { Ok(()) } else { Err(self.unexpected(&format!("{token:?}"))) }
    }

    fn unexpected(&self, expected: &str) -> Error {
        wrong(format!("found {:?} in the header, expected {expected}", shortened(self.rest)))
    }

    /// `'text'` or `"text"`, without escapes.
    fn string(&mut self) -> Result<&'a str> {
        let quote = if self.accept('\'') {
            '\''
        } else if self.accept('"') {
            '"'
        } else {
            return Err(self.unexpected("a quoted string"));
        };
        let (text, rest) = self.rest.split_once(quote).ok_or_else(|| self.unexpected("a closing quote"))?;
        self.rest = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool> {
        self.rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(self.unexpected("True or False"))
    }

    /// `()`, `(3,)`, `(3, 4)`.
    fn tuple(&mut self) -> Result<Vec<usize>> {
        self.expect('(')?;
        let mut numbers = Vec::new();
        while !self.accept(')') {
            if numbers.len() == MAX_NPY_RANK {
                return Err(wrong(format!("more than {MAX_NPY_RANK} axes in the header's shape")));
            }
            self.rest = self.rest.trim_start();
            let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
            let (digits, rest) = self.rest.split_at(end);
            numbers.push(digits.parse().map_err(|_| self.unexpected("the size of an axis"))?);
            self.rest = rest;
            if !self.accept(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(numbers)
    }
}

#[derive(Clone, Copy)]
enum Element {
    U8,
    I8,
    I32,
    I64,
    F16,
    F32,
}

impl Element {
    /// The type, and whether its bytes come most significant first.
    fn parse(descr: &str) -> Option<(Self, bool)> {
        let mut chars = descr.chars();
        let big_endian = match chars.next()? {
            '<' | '|' => false,
            '>' => true,
            _ => return None,
        };
        let element = match chars.as_str() {
            "u1" => Self::U8,
            "i1" => Self::I8,
            "i4" => Self::I32,
            "i8" => Self::I64,
            "f2" => Self::F16,
            "f4" => Self::F32,
            _ => return None,
        };
        // '|' says that there is no order, which holds for single bytes only.
        (element.size() == 1 || !descr.starts_with('|')).then_some((element, big_endian))
    }

    fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::F16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 => 8,
        }
    }

    fn decode(self, body: &[u8], big_endian: bool) -> Data {
        match self {
            Self::U8 => Data::U8(body.to_vec()),
            Self::I8 => Data::I8(body.iter().map(|&b| i8::from_le_bytes([b])).collect()),
            Self::I32 => Data::I32(elements(body, big_endian, i32::from_le_bytes)),
            Self::I64 => Data::I64(elements(body, big_endian, i64::from_le_bytes)),
            Self::F16 => Data::F32(elements(body, big_endian, |b| f16::from_le_bytes(b).to_f32())),
            Self::F32 => Data::F32(elements(body, big_endian, f32::from_le_bytes)),
        }
    }
}

fn elements<T, const N: usize>(body: &[u8], big_endian: bool, decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    let decode = |mut bytes: [u8; N]| {
        if big_endian {
            bytes.reverse();
        }
        decode(bytes)
    };
    body.as_chunks::<N>().0.iter().copied().map(decode).collect()
}

fn row_major(data: Data, shape: &[usize]) -> Data {
    match data {
        Data::U8(v) => Data::U8(transposed(&v, shape)),
        Data::I8(v) => Data::I8(transposed(&v, shape)),
        Data::I32(v) => Data::I32(transposed(&v, shape)),
        Data::I64(v) => Data::I64(transposed(&v, shape)),
        Data::F32(v) => Data::F32(transposed(&v, shape)),
        Data::Coded(_) => data, // no header is decoded into one
    }
}

/// Elements stored with the first axis fastest, put in order with the last axis fastest.
fn transposed<T: Copy>(elements: &[T], shape: &[usize]) -> Vec<T> {
    let mut index = vec![0; shape.len()];
    let mut result = Vec::with_capacity(elements.len());
    for _ in 0..elements.len() {
        let offset = index.iter().zip(shape).rev().fold(0, |offset, (i, size)| offset * size + i);
        result.push(elements[offset]);
        for (i, size) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *size {
                break;
            }
            *i = 0;
        }
    }
    result
}
