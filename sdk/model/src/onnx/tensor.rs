//! Constants of an ONNX file.

use half::f16;

use super::TensorProto;
use crate::error::Error;
use crate::graph::data_from_le;
use crate::limits::MAX_RANK;
use crate::tensor::{DType, Data, Tensor, element_count};

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
    /// 16-bit float; constants only, widened to f32 exactly.
    pub const FLOAT16: i32 = 10;
}

/// The element type that `code` stands for, if import knows it as a tensor type.
pub fn dtype(code: i32) -> Option<DType> {
    match code {
        data_type::FLOAT => Some(DType::F32),
        data_type::UINT8 => Some(DType::U8),
        data_type::INT8 => Some(DType::I8),
        data_type::INT32 => Some(DType::I32),
        data_type::INT64 => Some(DType::I64),
        _ => None,
    }
}

/// Reads a constant; f16 is widened to f32.
///
/// # Errors
/// [`Error::UnsupportedType`], or [`Error::MalformedTensor`] for a shape or length that cannot be.
pub fn to_tensor(proto: &TensorProto) -> Result<Tensor, Error> {
    let fail = |reason: String| Error::MalformedTensor { name: proto.name.clone(), reason };
    if proto.data_location != 0 {
        return Err(fail("its data lies in another file; save the model as one file".into()));
    }
    if dtype(proto.data_type).is_none() && proto.data_type != data_type::FLOAT16 {
        return Err(Error::UnsupportedType { name: proto.name.clone(), found: type_name(proto.data_type) });
    }
    let dims = proto.dims.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>();
    let shape = dims.map_err(|_| fail(format!("shape {:?} has a negative axis", proto.dims)))?;
    if shape.len() > MAX_RANK {
        return Err(fail(format!("rank {} is beyond {MAX_RANK}", shape.len())));
    }
    let expected = element_count(&shape)?;
    let data = if proto.raw_data.is_empty() { typed(proto) } else { raw(proto, expected) };
    let data = data.map_err(fail)?;
    if data.len() != expected {
        return Err(fail(format!("shape {shape:?} needs {expected} elements, {} found", data.len())));
    }
    Tensor::new(shape, data)
}

/// Writes a tensor as a constant called `name`.
pub fn from_tensor(name: &str, tensor: &Tensor) -> TensorProto {
    let code = match tensor.dtype() {
        DType::F32 => data_type::FLOAT,
        DType::U8 => data_type::UINT8,
        DType::I8 => data_type::INT8,
        DType::I32 => data_type::INT32,
        DType::I64 => data_type::INT64,
    };
    TensorProto {
        name: name.to_owned(),
        data_type: code,
        dims: tensor.shape().iter().filter_map(|&d| i64::try_from(d).ok()).collect(),
        raw_data: tensor.to_bytes(),
        ..TensorProto::default()
    }
}

fn raw(proto: &TensorProto, expected: usize) -> Result<Data, String> {
    let size = match proto.data_type {
        data_type::FLOAT16 => 2,
        code => dtype(code).map_or(0, DType::size),
    };
    if proto.raw_data.len() != expected.saturating_mul(size) {
        return Err(format!("{} bytes for {expected} elements of {size} bytes", proto.raw_data.len()));
    }
    Ok(match dtype(proto.data_type) {
        Some(dtype) => data_from_le(dtype, &proto.raw_data),
        None => {
            let halves = proto.raw_data.as_chunks::<2>().0.iter();
            Data::F32(halves.map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect())
        }
    })
}

fn typed(proto: &TensorProto) -> Result<Data, String> {
    fn narrow<T: TryFrom<i32>>(ints: &[i32]) -> Result<Vec<T>, String> {
        let each = |&i: &i32| T::try_from(i).map_err(|_| format!("element {i} is outside its type"));
        ints.iter().map(each).collect()
    }
    Ok(match proto.data_type {
        data_type::FLOAT => Data::F32(proto.float_data.clone()),
        data_type::UINT8 => Data::U8(narrow(&proto.int32_data)?),
        data_type::INT8 => Data::I8(narrow(&proto.int32_data)?),
        data_type::INT32 => Data::I32(proto.int32_data.clone()),
        data_type::INT64 => Data::I64(proto.int64_data.clone()),
        data_type::FLOAT16 => {
            let bits = narrow::<u16>(&proto.int32_data)?;
            Data::F32(bits.into_iter().map(|bits| f16::from_bits(bits).to_f32()).collect())
        }
        code => return Err(format!("element type {code}")),
    })
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
    fn halves_widen_exactly_and_bytes_must_fit() {
        let half = TensorProto {
            dims: vec![1],
            data_type: data_type::FLOAT16,
            raw_data: vec![0x00, 0x3e],
            ..TensorProto::default()
        };
        assert_eq!(to_tensor(&half).unwrap().data(), &Data::F32(vec![1.5]));
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
