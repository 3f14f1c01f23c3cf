//! One function per ONNX operator, grouped by what they do. [`SUPPORTED`] is what messages and docs list.

mod elementwise;
mod linear;
mod movement;
mod pool;
mod quantize;

use super::lowering::Lowered;
use super::qoperator;
use crate::error::Error;

/// ONNX operators that import reads.
pub const SUPPORTED: &[&str] = &[
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "MatMul",
    "MaxPool",
    "Mul",
    "QuantizeLinear",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

/// Lowers one node.
pub(super) fn lower(node: &mut Lowered) -> Result<(), Error> {
    if !matches!(node.node.domain.as_str(), "" | "ai.onnx") {
        let supported = [SUPPORTED, qoperator::SUPPORTED].concat().join(", ");
        return Err(node.unsupported("import does not know this operator", supported));
    }
    match node.node.op_type.as_str() {
        "Add" | "Sub" | "Mul" | "Div" => elementwise::binary(node),
        "Clip" | "HardSigmoid" | "HardSwish" | "LeakyRelu" | "Relu" | "Sigmoid" | "Tanh" => {
            elementwise::unary(node)
        }
        "Conv" => linear::conv(node),
        "Gemm" => linear::gemm(node),
        "MatMul" => linear::matmul(node),
        "AveragePool" => pool::average(node),
        "GlobalAveragePool" => pool::global_average(node),
        "MaxPool" => pool::max(node),
        "ReduceMax" | "ReduceMean" | "ReduceSum" => pool::reduce(node),
        "Softmax" => pool::softmax(node),
        "Concat" => movement::concat(node),
        "Constant" => movement::constant(node),
        "Dropout" | "Identity" => movement::identity(node),
        "Flatten" => movement::flatten(node),
        "Reshape" => movement::reshape(node),
        "Squeeze" => movement::squeeze(node),
        "Transpose" => movement::transpose(node),
        "Unsqueeze" => movement::unsqueeze(node),
        "QuantizeLinear" => quantize::quantize(node),
        "DequantizeLinear" => quantize::dequantize(node),
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
