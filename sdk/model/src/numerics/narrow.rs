//! Numbers of every element type, one at a time: what casts and comparisons of the types that nothing else computes in
//! need. 8-bit floats are defined by the list of their values; rounding is to the nearest, halves to the even code.

use half::{bf16, f16};

use crate::error::Error;
use crate::tensor::{Coded, DType, Data};

/// An element's value, exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer or truth value.
    Int(i128),
    /// A float.
    Real(f64),
}

impl Number {
    /// As a float; integers beyond 2^53 round.
    pub fn real(self) -> f64 {
        match self {
            Number::Int(n) => n as f64,
            Number::Real(x) => x,
        }
    }

    /// As an integer: floats are cut off at the point and saturate, NaN is 0.
    pub fn int(self) -> i128 {
        match self {
            Number::Int(n) => n,
            Number::Real(x) => x as i128,
        }
    }
}

/// Element `i` of `data`.
///
/// # Panics
/// If there are fewer elements: a caller's bug.
pub fn number(data: &Data, i: usize) -> Number {
    match data {
        Data::U8(v) => Number::Int(v[i].into()),
        Data::I8(v) => Number::Int(v[i].into()),
        Data::I32(v) => Number::Int(v[i].into()),
        Data::I64(v) => Number::Int(v[i].into()),
        Data::F32(v) => Number::Real(v[i].into()),
        Data::Coded(coded) => coded_number(coded, i),
    }
}

fn coded_number(coded: &Coded, i: usize) -> Number {
    fn word<const N: usize>(bytes: &[u8], i: usize) -> [u8; N] {
        bytes.as_chunks().0[i]
    }
    let bytes = coded.bytes();
    match coded.dtype() {
        DType::I16 => Number::Int(i16::from_le_bytes(word(bytes, i)).into()),
        DType::U16 => Number::Int(u16::from_le_bytes(word(bytes, i)).into()),
        DType::U32 => Number::Int(u32::from_le_bytes(word(bytes, i)).into()),
        DType::U64 => Number::Int(u64::from_le_bytes(word(bytes, i)).into()),
        DType::F16 => Number::Real(f16::from_le_bytes(word(bytes, i)).to_f64()),
        DType::Bf16 => Number::Real(bf16::from_le_bytes(word(bytes, i)).to_f64()),
        DType::F64 => Number::Real(f64::from_le_bytes(word(bytes, i))),
        DType::I4 => Number::Int((i128::from(bytes[i]) ^ 8) - 8),
        _ => match Minifloat::of(coded.dtype()) {
            Some(float) => Number::Real(float.value(bytes[i])),
            None => Number::Int(bytes[i].into()),
        },
    }
}

/// `len` elements of `dtype`, each cast from what `element` gives (by reference: a copy of this for every caller took most of
/// what compiling the crate took): floats become integers cut off at the point and
/// saturate, integers wrap around, anything but zero is true. 8-bit floats beyond the largest value become it with
/// `saturate`, else infinity, or NaN in a type that has none.
///
/// # Errors
/// None for these types; the signature is that of [`Coded::new`].
#[allow(clippy::cast_possible_truncation, reason = "wrapping is what a cast of integers means")]
pub fn collect(
    dtype: DType,
    len: usize,
    saturate: bool,
    element: &dyn Fn(usize) -> Number,
) -> Result<Data, Error> {
    macro_rules! ints {
        ($type:ty) => {
            (0..len).map(|i| match element(i) {
                Number::Int(n) => n as $type,
                Number::Real(x) => x as $type,
            })
        };
    }
    macro_rules! bytes {
        ($values:expr) => {
            $values.flat_map(|x| x.to_le_bytes()).collect()
        };
    }
    let reals = || (0..len).map(|i| element(i).real());
    let bytes: Vec<u8> = match dtype {
        DType::U8 => return Ok(Data::U8(ints!(u8).collect())),
        DType::I8 => return Ok(Data::I8(ints!(i8).collect())),
        DType::I32 => return Ok(Data::I32(ints!(i32).collect())),
        DType::I64 => return Ok(Data::I64(ints!(i64).collect())),
        DType::F32 => return Ok(Data::F32((0..len).map(|i| single(element(i))).collect())),
        DType::Bool => (0..len).map(|i| u8::from(element(i).real() != 0.0)).collect(),
        DType::I16 => bytes!(ints!(i16)),
        DType::U16 => bytes!(ints!(u16)),
        DType::U32 => bytes!(ints!(u32)),
        DType::U64 => bytes!(ints!(u64)),
        DType::F16 => bytes!(reals().map(f16::from_f64)),
        DType::Bf16 => bytes!(reals().map(bf16::from_f64)),
        DType::F64 => bytes!(reals()),
        DType::U4 => (0..len).map(|i| nibble(element(i), 0, 15)).collect(),
        DType::I4 => (0..len).map(|i| nibble(element(i), -8, 7)).collect(),
        DType::F8E4M3 | DType::F8E4M3Fnuz | DType::F8E5M2 | DType::F8E5M2Fnuz => match Minifloat::of(dtype) {
            Some(float) => reals().map(|x| float.code(x, saturate)).collect(),
            None => Vec::new(),
        },
    };
    Ok(Data::Coded(Coded::new(dtype, bytes)?))
}

/// Rounded once, also from integers beyond 2^53.
fn single(number: Number) -> f32 {
    match number {
        Number::Int(n) => n as f32,
        Number::Real(x) => x as f32,
    }
}

/// A 4-bit integer's code: floats saturate, integers wrap around, as for the wider types.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low four bits are the code")]
fn nibble(number: Number, lo: i128, hi: i128) -> u8 {
    let n = match number {
        Number::Int(n) => n,
        real => real.int().clamp(lo, hi),
    };
    n as u8 & 15
}

/// An 8-bit float format.
struct Minifloat {
    mantissa_bits: u32,
    bias: i32,
    /// Codes below this one (without the sign) are finite.
    finite: u8,
    /// Whether the code `finite` is infinity.
    infinity: bool,
    /// Whether 0x80 is the only NaN and there is no negative zero.
    unsigned_zero: bool,
}

impl Minifloat {
    fn of(dtype: DType) -> Option<Self> {
        let (mantissa_bits, bias, finite) = match dtype {
            DType::F8E4M3 => (3, 7, 0x7f),
            DType::F8E4M3Fnuz => (3, 8, 0x80),
            DType::F8E5M2 => (2, 15, 0x7c),
            DType::F8E5M2Fnuz => (2, 16, 0x80),
            _ => return None,
        };
        let unsigned_zero = finite == 0x80;
        Some(Self { mantissa_bits, bias, finite, infinity: finite == 0x7c, unsigned_zero })
    }

    fn value(&self, code: u8) -> f64 {
        let (negative, magnitude) = (code & 0x80 != 0, code & 0x7f);
        if self.unsigned_zero && code == 0x80 {
            return f64::NAN;
        }
        let x = if magnitude < self.finite {
            self.magnitude(magnitude)
        } else if self.infinity && magnitude == self.finite {
            f64::INFINITY
        } else {
            f64::NAN
        };
        if negative { -x } else { x }
    }

    /// The value of a finite code without sign; also of the first code after them, as if it were finite.
    fn magnitude(&self, code: u8) -> f64 {
        let exponent = i32::from(code >> self.mantissa_bits);
        let fraction = f64::from(code & ((1 << self.mantissa_bits) - 1)) / f64::from(1 << self.mantissa_bits);
        match exponent {
            0 => fraction * 2f64.powi(1 - self.bias),
            _ => (1.0 + fraction) * 2f64.powi(exponent - self.bias),
        }
    }

    fn code(&self, x: f64, saturate: bool) -> u8 {
        let sign = if x.is_sign_negative() { 0x80 } else { 0 };
        if x.is_nan() {
            return if self.unsigned_zero { 0x80 } else { sign | 0x7f };
        }
        let x = x.abs();
        // The nearest of all codes, the one beyond the finite ones included; of two equally near the even one.
        let above = (0..=self.finite).find(|&code| self.magnitude(code) >= x).unwrap_or(self.finite);
        let code = match above.checked_sub(1).map(|below| (below, self.magnitude(below))) {
            Some((below, low)) => {
                let (down, up) = (x - low, self.magnitude(above) - x);
                let even = if below % 2 == 0 { below } else { above };
                if down == up { even } else { if down < up { below } else { above } }
            }
            None => above,
        };
        let overflows = code >= self.finite || x.is_infinite();
        match (overflows, saturate) {
            (false, _) if code == 0 && self.unsigned_zero => 0,
            (false, _) => sign | code,
            (true, true) => sign | (self.finite - 1),
            (true, false) if self.infinity => sign | self.finite,
            (true, false) if self.unsigned_zero => 0x80,
            (true, false) => sign | 0x7f,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOATS: [DType; 4] = [DType::F8E4M3, DType::F8E4M3Fnuz, DType::F8E5M2, DType::F8E5M2Fnuz];

    #[test]
    fn every_code_is_its_own_nearest_value() {
        for dtype in FLOATS {
            let float = Minifloat::of(dtype).unwrap();
            for code in 0..=255 {
                let value = float.value(code);
                if value.is_finite() {
                    assert_eq!(float.code(value, true), code, "{dtype} {value}");
                }
            }
        }
    }

    #[test]
    fn the_largest_values_are_those_of_the_formats() {
        let largest = |dtype| {
            let float = Minifloat::of(dtype).unwrap();
            (float.value(float.code(1e9, true)), float.value(float.code(1e9, false)))
        };
        assert_eq!(largest(FLOATS[0]).0, 448.0);
        assert_eq!(largest(FLOATS[1]).0, 240.0);
        assert_eq!(largest(FLOATS[2]), (57344.0, f64::INFINITY));
        assert_eq!(largest(FLOATS[3]).0, 57344.0);
        assert!(largest(FLOATS[0]).1.is_nan() && largest(FLOATS[1]).1.is_nan());
    }

    #[test]
    fn halves_round_to_the_even_code() {
        let float = Minifloat::of(DType::F8E4M3).unwrap();
        // 1.0 is 0x38, 1.125 is 0x39, 1.25 is 0x3a.
        assert_eq!(float.code(1.0625, true), 0x38);
        assert_eq!(float.code(1.1875, true), 0x3a);
        assert_eq!(float.code(-0.0, true), 0x80);
    }

    #[test]
    fn integers_wrap_and_floats_saturate() {
        let cast = |to, from: Number| number(&collect(to, 1, true, &|_| from).unwrap(), 0);
        assert_eq!(cast(DType::U8, Number::Int(-1)), Number::Int(255));
        assert_eq!(cast(DType::U8, Number::Real(-1.5)), Number::Int(0));
        assert_eq!(cast(DType::I4, Number::Real(99.0)), Number::Int(7));
        assert_eq!(cast(DType::I4, Number::Int(9)), Number::Int(-7));
        assert_eq!(cast(DType::I16, Number::Real(-2.9)), Number::Int(-2));
        assert_eq!(cast(DType::Bool, Number::Real(f64::NAN)), Number::Int(1));
        assert_eq!(cast(DType::U64, Number::Int(-1)), Number::Int(u64::MAX.into()));
    }
}
