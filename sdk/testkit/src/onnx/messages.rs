//! Attributes and ports in one call each.

use tilemark_model::onnx::{
    AttributeProto, DimensionProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
    attribute_type, code, from_tensor,
};
use tilemark_model::{DType, Tensor};

/// An integer attribute.
#[must_use]
pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i, r#type: attribute_type::INT, ..AttributeProto::default() }
}

/// A float attribute.
#[must_use]
pub fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f, r#type: attribute_type::FLOAT, ..AttributeProto::default() }
}

/// A list of integers.
#[must_use]
pub fn ints(name: &str, ints: impl Into<Vec<i64>>) -> AttributeProto {
    let ints = ints.into();
    AttributeProto { name: name.to_owned(), ints, r#type: attribute_type::INTS, ..AttributeProto::default() }
}

/// A text attribute.
#[must_use]
pub fn string(name: &str, s: &str) -> AttributeProto {
    let (name, s) = (name.to_owned(), s.as_bytes().to_vec());
    AttributeProto { name, s, r#type: attribute_type::STRING, ..AttributeProto::default() }
}

/// A tensor attribute.
#[must_use]
pub fn tensor(name: &str, value: &Tensor) -> AttributeProto {
    let (name, t) = (name.to_owned(), Some(from_tensor(name, value)));
    AttributeProto { name, t, r#type: attribute_type::TENSOR, ..AttributeProto::default() }
}

/// A graph input or output of tensor type.
#[must_use]
pub fn port(name: &str, dtype: DType, dim: Vec<DimensionProto>) -> ValueInfoProto {
    let elem_type = code(dtype);
    let tensor_type = TensorTypeProto { elem_type, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}
