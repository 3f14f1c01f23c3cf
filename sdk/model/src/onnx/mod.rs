//! The parts of the ONNX file format that import reads, as hand-declared protobuf messages (field numbers are those of
//! ONNX's public schema), and decoding under limits. The messages encode too, so tests can build models.

mod scan;
mod tensor;

use prost::Message;

use crate::error::Error;
use crate::limits::{MAX_NODES, MAX_ONNX_BYTES, MAX_PORTS, MAX_VALUES};

pub(crate) use tensor::type_name;
pub use tensor::{code, data_type, dtype, from_tensor, to_tensor};

/// A whole file.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    /// Version of the file format itself.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// Who wrote it.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// The program.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// Versions of the operator sets used.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
}

/// One operator set and its version.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetIdProto {
    /// Empty for ONNX's own operators.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// The version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// Nodes, constants and ports.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    /// In execution order.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// The graph's name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Constants.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// Inputs; files before IR version 4 list the initializers too.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// Outputs.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

/// One operation.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    /// Names of what it reads; empty for an optional input left out.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of what it writes.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Its own name, possibly empty.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The operator.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Parameters.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    /// The operator's set.
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// A parameter; which field counts follows from the operator.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A float.
    #[prost(float, tag = "2")]
    pub f: f32,
    /// An integer.
    #[prost(int64, tag = "3")]
    pub i: i64,
    /// A byte string.
    #[prost(bytes = "vec", tag = "4")]
    pub s: Vec<u8>,
    /// A tensor.
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorProto>,
    /// Floats.
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    /// Integers.
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Byte strings.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    /// [`attribute_type`].
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

/// Values of [`AttributeProto::type`].
pub mod attribute_type {
    /// `f` counts.
    pub const FLOAT: i32 = 1;
    /// `i` counts.
    pub const INT: i32 = 2;
    /// `s` counts.
    pub const STRING: i32 = 3;
    /// `t` counts.
    pub const TENSOR: i32 = 4;
    /// `floats` counts.
    pub const FLOATS: i32 = 6;
    /// `ints` counts.
    pub const INTS: i32 = 7;
}

/// A constant.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    /// The shape.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// [`data_type`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Elements of float tensors, unless raw.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// Elements of tensors of up to 32-bit integers, unless raw.
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    /// Elements of 64-bit integer tensors, unless raw.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// The tensor's name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Little-endian elements.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
    /// Elements of double tensors, unless raw.
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    /// Elements of u32 and u64 tensors, unless raw.
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
    /// 1 if the elements lie in another file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// A port's name and type.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

/// A type; only tensors are read.
#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    /// A tensor's.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// A tensor's type.
#[derive(Clone, PartialEq, Message)]
pub struct TensorTypeProto {
    /// [`data_type`].
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// The shape, if declared.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// A declared shape.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    /// One entry an axis.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// One axis: a number, a name, or neither.
#[derive(Clone, PartialEq, Message)]
pub struct DimensionProto {
    /// How many.
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// Under which name it varies.
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}

/// Decodes a file.
///
/// # Errors
/// [`Error::OnnxTooLarge`], [`Error::NotOnnx`], or [`Error::LimitExceeded`] for too many nodes, tensors, ports or fields.
pub fn decode(bytes: &[u8]) -> Result<ModelProto, Error> {
    if bytes.len() > MAX_ONNX_BYTES {
        return Err(Error::OnnxTooLarge { found: bytes.len(), limit: MAX_ONNX_BYTES });
    }
    let not_onnx = |reason: &str| Error::NotOnnx { reason: reason.to_owned() };
    scan::scan(bytes)?;
    let model = ModelProto::decode(bytes).map_err(|error| not_onnx(&error.to_string()))?;
    let graph = model.graph.as_ref().ok_or_else(|| not_onnx("it holds no graph; it may be cut short"))?;
    if graph.node.is_empty() && graph.output.is_empty() {
        return Err(not_onnx("its graph is empty"));
    }
    let ports = graph.input.len().saturating_sub(graph.initializer.len()).max(graph.output.len());
    let tensors = graph.initializer.len() + graph.node.iter().map(|node| node.output.len()).sum::<usize>();
    for (what, found, limit) in [
        ("nodes", graph.node.len(), MAX_NODES),
        ("tensors", tensors, MAX_VALUES),
        ("inputs or outputs", ports, MAX_PORTS),
    ] {
        if found > limit {
            return Err(Error::LimitExceeded { what, found: found as u64, limit: limit as u64 });
        }
    }
    Ok(model)
}
