//! The QOperator form (`QLinearConv` and its like, also those of `com.microsoft`): each such node is spelled out as the
//! QDQ form that means the same, before lowering. So both forms take one path, and one pass makes the 8-bit operations.

use super::lowering::node_name;
use crate::error::Error;
use crate::numerics::narrow::{collect, number};
use crate::onnx::{AttributeProto, NodeProto, attribute_type};
use crate::tensor::{DType, Data, Tensor};

/// QOperator nodes that import reads; those of `com.microsoft` come with their domain.
pub(super) const SUPPORTED: &[&str] = &[
    "QLinearConv",
    "QLinearMatMul",
    "com.microsoft.QGemm",
    "com.microsoft.QLinearAdd",
    "com.microsoft.QLinearAveragePool",
    "com.microsoft.QLinearConcat",
    "com.microsoft.QLinearGlobalAveragePool",
    "com.microsoft.QLinearLeakyRelu",
    "com.microsoft.QLinearMul",
    "com.microsoft.QLinearReduceMean",
    "com.microsoft.QLinearSigmoid",
    "com.microsoft.QLinearSoftmax",
];

/// What a node stands for.
#[derive(Debug, Default)]
pub(super) struct Spelled {
    /// Nodes in execution order.
    pub(super) nodes: Vec<NodeProto>,
    /// New constants that they read.
    pub(super) constants: Vec<(String, Tensor)>,
}

/// The QDQ spelling of a QOperator node; `None` for any other node. `constant` finds a constant by its name.
pub(super) fn spell_out<'a>(
    node: &NodeProto,
    constant: impl Fn(&str) -> Option<&'a Tensor>,
) -> Result<Option<Spelled>, Error> {
    let mut speller = Speller { node, constant: &constant, spelled: Spelled::default() };
    match (node.domain.as_str(), node.op_type.as_str()) {
        ("" | "ai.onnx", "QLinearConv") => speller.conv()?,
        ("" | "ai.onnx", "QLinearMatMul") => speller.binary("MatMul", Some(-1))?,
        ("com.microsoft", "QGemm") => speller.gemm()?,
        ("com.microsoft", "QLinearAdd") => speller.binary("Add", None)?,
        ("com.microsoft", "QLinearMul") => speller.binary("Mul", None)?,
        ("com.microsoft", "QLinearConcat") => speller.concat()?,
        ("com.microsoft", "QLinearAveragePool") => speller.unary("AveragePool")?,
        ("com.microsoft", "QLinearGlobalAveragePool") => speller.unary("GlobalAveragePool")?,
        ("com.microsoft", "QLinearLeakyRelu") => speller.unary("LeakyRelu")?,
        ("com.microsoft", "QLinearReduceMean") => speller.unary("ReduceMean")?,
        ("com.microsoft", "QLinearSigmoid") => speller.unary("Sigmoid")?,
        ("com.microsoft", "QLinearSoftmax") => speller.unary("Softmax")?,
        // ONNX Runtime's own spelling of two standard operators.
        ("com.microsoft", "QuantizeLinear" | "DequantizeLinear") => {
            speller.spelled.nodes.push(NodeProto { domain: String::new(), ..node.clone() });
        }
        _ => return Ok(None),
    }
    Ok(Some(speller.spelled))
}

struct Speller<'a, 'c> {
    node: &'a NodeProto,
    constant: &'a dyn Fn(&str) -> Option<&'c Tensor>,
    spelled: Spelled,
}

impl Speller<'_, '_> {
    /// x, its scale and zero point, w, its, those of y, and an i32 bias in units of `x_scale * w_scale`.
    fn conv(&mut self) -> Result<(), Error> {
        let x = self.dequantized(0, None)?;
        let w = self.dequantized(3, Some(0))?;
        let mut inputs = vec![x, w];
        inputs.extend(self.bias(8, [1, 4])?);
        self.operation("Conv", inputs, Some([6, 7]))
    }

    /// a, b, an optional i32 bias, and the output's scale and zero point; without these the output is f32.
    fn gemm(&mut self) -> Result<(), Error> {
        let transposed = self.node.attribute.iter().any(|a| a.name == "transB" && a.i != 0);
        let a = self.dequantized(0, None)?;
        let b = self.dequantized(3, Some(if transposed { 0 } else { 1 }))?;
        let mut inputs = vec![a, b];
        inputs.extend(self.bias(6, [1, 4])?);
        let quantized = self.given(7).is_some();
        self.operation("Gemm", inputs, quantized.then_some([7, 8]))
    }

    /// a and b, each with scale and zero point, then those of y. Scales of b may run along an axis.
    fn binary(&mut self, op: &str, axis: Option<i64>) -> Result<(), Error> {
        let inputs = vec![self.dequantized(0, None)?, self.dequantized(3, axis)?];
        self.operation(op, inputs, Some([6, 7]))
    }

    fn unary(&mut self, op: &str) -> Result<(), Error> {
        let inputs = vec![self.dequantized(0, None)?];
        self.operation(op, inputs, Some([3, 4]))
    }

    /// The output's scale and zero point, then each input with its own.
    fn concat(&mut self) -> Result<(), Error> {
        let inputs = (2..self.node.input.len()).step_by(3).map(|i| self.dequantized(i, None));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        self.operation("Concat", inputs, Some([0, 1]))
    }

    /// Adds a DequantizeLinear of inputs `first` (value), `first + 1` (scale), `first + 2` (zero point).
    fn dequantized(&mut self, first: usize, axis: Option<i64>) -> Result<String, Error> {
        let inputs =
            [self.required(first)?, self.scale(first + 1)?, self.given(first + 2).unwrap_or_default()];
        let output = self.derived(&format!("input{first}"));
        let attribute = axis.map(|axis| int("axis", axis)).into_iter().collect();
        self.push("DequantizeLinear", inputs.to_vec(), &output, attribute);
        Ok(output)
    }

    /// Adds a DequantizeLinear of the i32 bias, if there is one; its scale is the product of those of the operands.
    fn bias(&mut self, input: usize, scales: [usize; 2]) -> Result<Option<String>, Error> {
        let Some(bias) = self.given(input) else { return Ok(None) };
        let [x, w] = scales.map(|i| self.given(i).and_then(|name| (self.constant)(&name)));
        let (Some(x), Some(w)) = (x, w) else { return Err(self.malformed("its scales are no constants")) };
        let (x, w) = (single(x)?, single(w)?);
        let &[x] = x.as_f32()? else {
            return Err(self.malformed("its input has more than one scale"));
        };
        let w = w.as_f32()?;
        let scale: Vec<f32> = w.iter().map(|w| x * w).collect();
        let names = ["bias.scale", "bias.zero", "bias.real"].map(|suffix| self.derived(suffix));
        let [scale_name, zero_name, output] = names;
        let zeros = Tensor::new([scale.len()], Data::I32(vec![0; scale.len()]))?;
        self.spelled.constants.push((scale_name.clone(), Tensor::f32([scale.len()], scale)?));
        self.spelled.constants.push((zero_name.clone(), zeros));
        self.push("DequantizeLinear", vec![bias, scale_name, zero_name], &output, vec![int("axis", 0)]);
        Ok(Some(output))
    }

    /// Adds the operation itself, and a QuantizeLinear by the scale and zero point at these inputs.
    fn operation(
        &mut self,
        op: &str,
        inputs: Vec<String>,
        quantized: Option<[usize; 2]>,
    ) -> Result<(), Error> {
        let output = self.node.output.first().cloned().unwrap_or_default();
        // Channels-last is how ONNX Runtime lays tensors out inside; 0, the default, is ONNX's own layout.
        // `opset` names the meaning of Softmax's axis, which is the model's own opset's in what ONNX Runtime writes.
        let means_something =
            |a: &&AttributeProto| !(a.name == "channels_last" && a.i == 0) && a.name != "opset";
        let attribute = self.node.attribute.iter().filter(means_something).cloned().collect();
        let Some([scale, zero]) = quantized else {
            self.push(op, inputs, &output, attribute);
            return Ok(());
        };
        let real = self.derived("real");
        self.push(op, inputs, &real, attribute);
        let quantize = vec![real, self.scale(scale)?, self.given(zero).unwrap_or_default()];
        self.push("QuantizeLinear", quantize, &output, Vec::new());
        Ok(())
    }

    /// The scale at input `i`. One of f16 becomes f32, which holds it exactly: between integers nothing else is f16.
    fn scale(&mut self, i: usize) -> Result<String, Error> {
        let name = self.required(i)?;
        let half = (self.constant)(&name).filter(|scale| scale.dtype() == DType::F16);
        let Some(scale) = half else { return Ok(name) };
        let widened = self.derived(&format!("scale{i}"));
        self.spelled.constants.push((widened.clone(), single(scale)?));
        Ok(widened)
    }

    fn push(&mut self, op: &str, input: Vec<String>, output: &str, attribute: Vec<AttributeProto>) {
        // The last node keeps the name, so that messages and plans show the model's own.
        let name = if self.node.output.first().is_some_and(|own| own == output) || op == self.node.op_type {
            node_name(self.node)
        } else {
            output.to_owned()
        };
        let (op_type, output) = (op.to_owned(), vec![output.to_owned()]);
        self.spelled.nodes.push(NodeProto { input, output, name, op_type, attribute, domain: String::new() });
    }

    /// A name made from the node's output.
    fn derived(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.node.output.first().map_or("", String::as_str))
    }

    fn given(&self, i: usize) -> Option<String> {
        self.node.input.get(i).filter(|name| !name.is_empty()).cloned()
    }

    fn required(&self, i: usize) -> Result<String, Error> {
        self.given(i).ok_or_else(|| self.malformed(&format!("input {i} is missing")))
    }

    fn malformed(&self, reason: &str) -> Error {
        Error::MalformedNode {
            node: node_name(self.node),
            op: self.node.op_type.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// An f32 or f16 tensor as f32.
fn single(tensor: &Tensor) -> Result<Tensor, Error> {
    if tensor.dtype() != DType::F16 {
        tensor.as_f32()?;
    }
    Tensor::new(tensor.shape(), collect(DType::F32, tensor.len(), true, &|i| number(tensor.data(), i))?)
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: value, r#type: attribute_type::INT, ..AttributeProto::default() }
}
