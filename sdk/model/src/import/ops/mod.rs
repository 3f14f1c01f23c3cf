//! One function per ONNX operator, grouped by what they do. [`SUPPORTED`] is what messages and docs list.

mod dynamic;
mod elementwise;
mod general;
mod linear;
mod movement;
mod moves;
mod normalize;
mod pool;
mod quantize;
mod recurrent;
mod spatial;
mod wide;

use super::lowering::Lowered;
use super::qoperator;
use crate::error::Error;

/// ONNX operators that import reads.
pub const SUPPORTED: &[&str] = &[
    "Abs",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "Cos",
    "DepthToSpace",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "DynamicQuantizeLinear",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "GRU",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "MatMul",
    "MatMulInteger",
    "Max",
    "MaxPool",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "NonMaxSuppression",
    "NonZero",
    "Not",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "QuantizeLinear",
    "Range",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "RoiAlign",
    "Round",
    "Selu",
    "Shape",
    "Sigmoid",
    "Sign",
    "Sin",
    "Size",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "TopK",
    "Transpose",
    "Unsqueeze",
    "Upsample",
    "Where",
    "Xor",
];

/// Lowers one node.
pub(super) fn lower(node: &mut Lowered) -> Result<(), Error> {
    if !matches!(node.node.domain.as_str(), "" | "ai.onnx") {
        let supported = [SUPPORTED, qoperator::SUPPORTED].concat().join(", ");
        return Err(node.unsupported("import does not know this operator", supported));
    }
    match node.node.op_type.as_str() {
        "Add" | "Sub" | "Mul" | "Div" | "PRelu" => elementwise::binary(node),
        "Abs" | "Ceil" | "Celu" | "Clip" | "Cos" | "Elu" | "Erf" | "Exp" | "Floor" | "Gelu"
        | "HardSigmoid" | "HardSwish" | "LeakyRelu" | "Log" | "Mish" | "Neg" | "Reciprocal" | "Relu"
        | "Round" | "Selu" | "Sigmoid" | "Sign" | "Sin" | "Softplus" | "Softsign" | "Sqrt" | "Tanh"
        | "ThresholdedRelu" => elementwise::unary(node),
        "Max" | "Min" | "Sum" => general::variadic(node),
        "Mod" => general::modulo(node),
        "Pow" => general::pow(node),
        "Conv" => linear::conv(node),
        "ConvTranspose" => spatial::conv_transpose(node),
        "Gemm" => linear::gemm(node),
        "MatMul" => linear::matmul(node),
        "GRU" | "LSTM" => recurrent::recurrent(node),
        "BatchNormalization" => normalize::batch(node),
        "InstanceNormalization" => normalize::instance(node),
        "LRN" => normalize::lrn(node),
        "LayerNormalization" => normalize::layer(node),
        "AveragePool" => pool::average(node),
        "GlobalAveragePool" => pool::global_average(node),
        "GlobalMaxPool" => pool::global_max(node),
        "MaxPool" => pool::max(node),
        "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax" | "ReduceMean"
        | "ReduceMin" | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" => general::reduce(node),
        "LogSoftmax" | "Softmax" => pool::softmax(node),
        "Resize" | "Upsample" => spatial::resize(node),
        "NonMaxSuppression" => recurrent::non_max_suppression(node),
        "RoiAlign" => recurrent::roi_align(node),
        "Concat" => movement::concat(node),
        "Constant" => movement::constant(node),
        "DepthToSpace" | "SpaceToDepth" => moves::blocks(node),
        "Dropout" | "Identity" => movement::identity(node),
        "Expand" | "Tile" => moves::repeat(node),
        "Flatten" => movement::flatten(node),
        "Gather" | "GatherElements" | "GatherND" => moves::gather(node),
        "Pad" => moves::pad(node),
        "Reshape" => moves::reshape(node),
        "Slice" => moves::slice(node),
        "Split" => moves::split(node),
        "Squeeze" => movement::squeeze(node),
        "Transpose" => movement::transpose(node),
        "Unsqueeze" => movement::unsqueeze(node),
        _ => other_types(node),
    }
}

/// Quantize and Dequantize, and what works on other element types.
fn other_types(node: &mut Lowered) -> Result<(), Error> {
    match node.node.op_type.as_str() {
        "QuantizeLinear" => quantize::quantize(node),
        "DequantizeLinear" => quantize::dequantize(node),
        "And" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Not" | "Or" | "Xor" => {
            general::truth(node)
        }
        "ArgMax" | "ArgMin" => general::arg_extreme(node),
        "Cast" => general::cast(node),
        "ConstantOfShape" => general::constant_of_shape(node),
        "NonZero" => general::non_zero(node),
        "Range" => general::range(node),
        "Shape" => general::shape(node),
        "Size" => general::size(node),
        "TopK" => general::top_k(node),
        "Where" => general::select(node),
        "ConvInteger" => dynamic::conv(node),
        "DynamicQuantizeLinear" => dynamic::quantize(node),
        "MatMulInteger" => dynamic::matmul(node),
        _ => Err(node.unsupported("import does not know this operator", SUPPORTED.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto};

    /// The list and the dispatch say the same: each listed operator is refused for its missing input, not for being
    /// unknown, and an unlisted one for being unknown.
    #[test]
    fn the_list_of_operators_is_what_dispatch_knows() {
        let refusal = |op: &str| {
            let node = NodeProto { op_type: op.into(), output: vec!["y".into()], ..NodeProto::default() };
            let graph = GraphProto { node: vec![node], ..GraphProto::default() };
            let opset = OperatorSetIdProto { domain: String::new(), version: 13 };
            let model = ModelProto { graph: Some(graph), opset_import: vec![opset], ..ModelProto::default() };
            crate::import::import_model(&model).unwrap_err().to_string()
        };
        for op in SUPPORTED {
            assert!(!refusal(op).contains("does not know"), "{op}");
        }
        assert!(refusal("Einsum").contains("does not know"));
    }
}
