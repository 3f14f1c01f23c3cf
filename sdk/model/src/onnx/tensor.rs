//! Constants of an ONNX file.

use super::TensorProto;
use crate::error::Error;
use crate::graph::data_from_le;
use crate::limits::MAX_RANK;
use crate::tensor::{Coded, DType, Data, Tensor, element_count};

/// Values of [`TensorProto::data_type`].
pub mod data_type {
    /// 32-bit float.
    pub const FLOAT: i32 = 1;
    /// Unsigned byte.
    pub const UINT8: i32 = 2;
    /// Signed byte.
    pub const INT8: i32 = 3;
    /// 32-bit integer.
    pub const INT32: i32 = 6;
    /// 64-bit integer.
    pub const INT64: i32 = 7;
    /// Unsigned 16-bit integer.
    pub const UINT16: i32 = 4;
    /// Signed 16-bit integer.
    pub const INT16: i32 = 5;
    /// Truth values.
    pub const BOOL: i32 = 9;
    /// 16-bit float.
    pub const FLOAT16: i32 = 10;
    /// 64-bit float.
    pub const DOUBLE: i32 = 11;
    /// Unsigned 32-bit integer.
    pub const UINT32: i32 = 12;
    /// Unsigned 64-bit integer.
    pub const UINT64: i32 = 13;
    /// The upper half of an f32.
    pub const BFLOAT16: i32 = 16;
    /// 8-bit floats.
    pub const FLOAT8E4M3FN: i32 = 17;
    /// 8-bit floats.
    pub const FLOAT8E4M3FNUZ: i32 = 18;
    /// 8-bit floats.
    pub const FLOAT8E5M2: i32 = 19;
    /// 8-bit floats.
    pub const FLOAT8E5M2FNUZ: i32 = 20;
    /// Unsigned 4-bit integers, two in a byte.
    pub const UINT4: i32 = 21;
    /// Signed 4-bit integers, two in a byte.
    pub const INT4: i32 = 22;
}

/// Every element type with its code.
const CODES: &[(i32, DType)] = &[
    (data_type::FLOAT, DType::F32),
    (data_type::UINT8, DType::U8),
    (data_type::INT8, DType::I8),
    (data_type::UINT16, DType::U16),
    (data_type::INT16, DType::I16),
    (data_type::INT32, DType::I32),
    (data_type::INT64, DType::I64),
    (data_type::BOOL, DType::Bool),
    (data_type::FLOAT16, DType::F16),
    (data_type::DOUBLE, DType::F64),
    (data_type::UINT32, DType::U32),
    (data_type::UINT64, DType::U64),
    (data_type::BFLOAT16, DType::Bf16),
    (data_type::FLOAT8E4M3FN, DType::F8E4M3),
    (data_type::FLOAT8E4M3FNUZ, DType::F8E4M3Fnuz),
    (data_type::FLOAT8E5M2, DType::F8E5M2),
    (data_type::FLOAT8E5M2FNUZ, DType::F8E5M2Fnuz),
    (data_type::UINT4, DType::U4),
    (data_type::INT4, DType::I4),
];

/// The element type that `code` stands for, if import knows it as a tensor type.
pub fn dtype(code: i32) -> Option<DType> {
    CODES.iter().find(|entry| entry.0 == code).map(|entry| entry.1)
}

/// The code of an element type.
pub fn code(dtype: DType) -> i32 {
    CODES.iter().find(|entry| entry.1 == dtype).map_or(0, |entry| entry.0)
}

/// Reads a constant.
///
/// # Errors
/// [`Error::UnsupportedType`], or [`Error::MalformedTensor`] for a shape or length that cannot be.
pub fn to_tensor(proto: &TensorProto) -> Result<Tensor, Error> {
    let fail = |reason: String| Error::MalformedTensor { name: proto.name.clone(), reason };
    if proto.data_location != 0 {
        return Err(fail("its data lies in another file; save the model as one file".into()));
    }
    let unknown = || Error::UnsupportedType { name: proto.name.clone(), found: type_name(proto.data_type) };
    let dtype = dtype(proto.data_type).ok_or_else(unknown)?;
    let dims = proto.dims.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>();
    let shape = dims.map_err(|_| fail(format!("shape {:?} has a negative axis", proto.dims)))?;
    if shape.len() > MAX_RANK {
        return Err(fail(format!("rank {} is beyond {MAX_RANK}", shape.len())));
    }
    let expected = element_count(&shape)?;
    let data =
        if proto.raw_data.is_empty() { typed(proto, dtype, expected) } else { raw(proto, dtype, expected) };
    let data = data.map_err(fail)?;
    if data.len() != expected {
        return Err(fail(format!("shape {shape:?} needs {expected} elements, {} found", data.len())));
    }
    Tensor::new(shape, data)
}

/// Writes a tensor as a constant called `name`.
pub fn from_tensor(name: &str, tensor: &Tensor) -> TensorProto {
    let bytes = tensor.to_bytes();
    let raw_data = match tensor.dtype() {
        DType::U4 | DType::I4 => {
            bytes.chunks(2).map(|pair| pair[0] | pair.get(1).unwrap_or(&0) << 4).collect()
        }
        _ => bytes,
    };
    TensorProto {
        name: name.to_owned(),
        data_type: code(tensor.dtype()),
        dims: tensor.shape().iter().filter_map(|&d| i64::try_from(d).ok()).collect(),
        raw_data,
        ..TensorProto::default()
    }
}

fn raw(proto: &TensorProto, dtype: DType, expected: usize) -> Result<Data, String> {
    let packed = matches!(dtype, DType::U4 | DType::I4);
    let size = if packed { expected.div_ceil(2) } else { expected.saturating_mul(dtype.size()) };
    if proto.raw_data.len() != size {
        return Err(format!("{} bytes for {expected} elements of {dtype}", proto.raw_data.len()));
    }
    if packed {
        return coded(dtype, halves(proto.raw_data.iter().copied(), expected));
    }
    data_from_le(dtype, &proto.raw_data).map_err(|error| error.to_string())
}

/// The first `count` 4-bit elements of bytes that hold two each, the low half first.
fn halves(bytes: impl Iterator<Item = u8>, count: usize) -> Vec<u8> {
    bytes.flat_map(|byte| [byte & 15, byte >> 4]).take(count).collect()
}

fn coded(dtype: DType, bytes: Vec<u8>) -> Result<Data, String> {
    Coded::new(dtype, bytes).map(Data::Coded).map_err(|error| error.to_string())
}

fn typed(proto: &TensorProto, dtype: DType, expected: usize) -> Result<Data, String> {
    fn narrow<T: TryFrom<U>, U: Copy + std::fmt::Display>(ints: &[U]) -> Result<Vec<T>, String> {
        let each = |&i: &U| T::try_from(i).map_err(|_| format!("element {i} is outside its type"));
        ints.iter().map(each).collect()
    }
    let ints = &proto.int32_data;
    let bytes = match dtype {
        DType::F32 => return Ok(Data::F32(proto.float_data.clone())),
        DType::U8 => return Ok(Data::U8(narrow(ints)?)),
        DType::I8 => return Ok(Data::I8(narrow(ints)?)),
        DType::I32 => return Ok(Data::I32(ints.clone())),
        DType::I64 => return Ok(Data::I64(proto.int64_data.clone())),
        DType::I16 => narrow::<i16, _>(ints)?.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DType::U16 | DType::F16 | DType::Bf16 => {
            narrow::<u16, _>(ints)?.iter().flat_map(|x| x.to_le_bytes()).collect()
        }
        DType::U32 => narrow::<u32, _>(&proto.uint64_data)?.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DType::U64 => proto.uint64_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DType::F64 => proto.double_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        // Two elements in each byte, which some writers take for signed.
        DType::U4 | DType::I4 => halves(ints.iter().map(|&pair| pair.to_le_bytes()[0]), expected),
        DType::Bool | DType::F8E4M3 | DType::F8E4M3Fnuz | DType::F8E5M2 | DType::F8E5M2Fnuz => narrow(ints)?,
    };
    coded(dtype, bytes)
}

/// The name of an element type in messages.
pub(crate) fn type_name(code: i32) -> String {
    const NAMES: &[&str] = &[
        "no element type",
        "f32",
        "u8",
        "i8",
        "u16",
        "i16",
        "i32",
        "i64",
        "text",
        "bool",
        "f16",
        "f64",
        "u32",
        "u64",
        "complex64",
        "complex128",
        "bf16",
        "f8e4m3fn",
        "f8e4m3fnuz",
        "f8e5m2",
        "f8e5m2fnuz",
        "u4",
        "i4",
    ];
    let name = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
    name.map_or_else(|| format!("element type {code}"), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_types_are_checked() {
        let good = from_tensor("w", &Tensor::new([2], Data::I32(vec![1, -1])).unwrap());
        assert_eq!(to_tensor(&good).unwrap().data(), &Data::I32(vec![1, -1]));
        let reason = |proto: TensorProto| match to_tensor(&proto).unwrap_err() {
            Error::MalformedTensor { reason, .. } => reason,
            other => panic!("{other}"),
        };
        assert!(reason(TensorProto { dims: vec![3], ..good.clone() }).contains("8 bytes for 3 elements"));
        assert!(reason(TensorProto { dims: vec![-2], ..good.clone() }).contains("negative axis"));
        let text = to_tensor(&TensorProto { data_type: 8, ..good.clone() });
        assert!(matches!(text, Err(Error::UnsupportedType { found, .. }) if found == "text"));
        assert!(reason(TensorProto { data_location: 1, ..good.clone() }).contains("another file"));
        assert!(reason(TensorProto { dims: vec![1; 9], ..good }).contains("rank 9"));
    }

    #[test]
    fn narrow_types_are_kept_as_codes_and_bytes_must_fit() {
        let half = TensorProto {
            dims: vec![1],
            data_type: data_type::FLOAT16,
            raw_data: vec![0x00, 0x3e],
            ..TensorProto::default()
        };
        let half = to_tensor(&half).unwrap();
        assert_eq!((half.dtype(), half.to_bytes()), (DType::F16, vec![0x00, 0x3e]));
        let nibbles =
            TensorProto { dims: vec![3], data_type: 22, raw_data: vec![0xf1, 0x07], ..Default::default() };
        let tensor = to_tensor(&nibbles).unwrap();
        assert_eq!(tensor.to_bytes(), [1, 15, 7]);
        assert_eq!(from_tensor("", &tensor).raw_data, [0xf1, 0x07]);
        let truth = TensorProto { dims: vec![1], data_type: 9, raw_data: vec![2], ..TensorProto::default() };
        assert!(matches!(to_tensor(&truth), Err(Error::MalformedTensor { .. })));
        let wide =
            TensorProto { dims: vec![1], data_type: 2, int32_data: vec![256], ..TensorProto::default() };
        assert!(matches!(to_tensor(&wide), Err(Error::MalformedTensor { .. })));
    }

    #[test]
    fn a_huge_shape_is_refused_before_it_is_allocated() {
        let huge = TensorProto { dims: vec![1 << 40], data_type: 1, ..TensorProto::default() };
        assert!(matches!(to_tensor(&huge), Err(Error::TensorTooLarge { .. })));
    }
}
