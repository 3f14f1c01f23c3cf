//! Small drafts for the tests of the passes.

use crate::error::Error;
use crate::graph::{BinaryOp, Dim, Draft, FloatOp, Op, Port, UnaryOp, ValueId};
use crate::reference;
use crate::tensor::{DType, Data, Quant, Tensor};

/// The quantization that most tests use: powers of two make every f32 step exact, so that the f32 form of a draft and
/// its 8-bit form must agree to the byte. The zero point is even, so that ties round alike inside and outside.
pub(super) const Q: Quant = Quant { scale: 0.25, zero_point: 100 };

/// A draft under construction, node by node.
#[derive(Default)]
pub(super) struct Sketch {
    pub(super) draft: Draft,
}

impl Sketch {
    pub(super) fn input(&mut self, dtype: DType, quant: Option<Quant>, shape: &[usize]) -> ValueId {
        let name = format!("in{}", self.draft.inputs.len());
        let value = self.draft.activation(&name, dtype, quant);
        let shape = shape.iter().map(|&n| Dim::Fixed(n)).collect();
        self.draft.inputs.push(Port { name, value, dtype, shape });
        value
    }

    pub(super) fn add(&mut self, op: Op, inputs: &[ValueId], dtype: DType, quant: Option<Quant>) -> ValueId {
        let n = self.draft.values.len();
        let output = self.draft.activation(format!("v{n}"), dtype, quant);
        self.draft.node(format!("n{n}"), op, inputs.to_vec(), output);
        output
    }

    pub(super) fn float(&mut self, op: FloatOp, inputs: &[ValueId]) -> ValueId {
        self.add(Op::Float(op), inputs, DType::F32, None)
    }

    pub(super) fn unary(&mut self, op: UnaryOp, x: ValueId) -> ValueId {
        self.float(FloatOp::Unary(op), &[x])
    }

    pub(super) fn binary(&mut self, op: BinaryOp, a: ValueId, b: ValueId) -> ValueId {
        self.float(FloatOp::Binary(op), &[a, b])
    }

    pub(super) fn quantize(&mut self, x: ValueId, quant: Quant) -> ValueId {
        self.add(Op::Quantize { axis: None }, &[x], DType::U8, Some(quant))
    }

    pub(super) fn dequantize(&mut self, x: ValueId) -> ValueId {
        self.add(Op::Dequantize { axis: None }, &[x], DType::F32, None)
    }

    /// A constant behind Dequantize with one scale per index of axis 0, or one for all.
    pub(super) fn dequantized(&mut self, tensor: Tensor, scales: &[f32], zero: i32) -> ValueId {
        let n = self.draft.values.len();
        let ints = self.draft.constant(format!("c{n}"), tensor);
        let scales = Tensor::f32([scales.len()], scales.to_vec()).unwrap();
        let zeros = Tensor::new(scales.shape(), Data::I32(vec![zero; scales.len()])).unwrap();
        let inputs =
            [ints, self.draft.constant(format!("s{n}"), scales), self.draft.constant(format!("z{n}"), zeros)];
        self.add(Op::Dequantize { axis: Some(0) }, &inputs, DType::F32, None)
    }

    pub(super) fn output(&mut self, value: ValueId) {
        let dtype = self.draft.value(value).dtype;
        let name = format!("out{}", self.draft.outputs.len());
        self.draft.outputs.push(Port { name, value, dtype, shape: Vec::new() });
    }

    /// Names of the operations in execution order.
    pub(super) fn ops(&mut self) -> Vec<&'static str> {
        self.draft.sort().unwrap();
        self.draft.nodes.iter().map(|node| node.op.name()).collect()
    }

    /// What the draft computes, in the types its ports declare.
    pub(super) fn run(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        let graph = self.draft.clone().freeze().unwrap();
        let outputs = reference::run(&graph, inputs.to_vec()).unwrap();
        let ports = graph.outputs.iter().zip(&outputs);
        ports.map(|(port, tensor)| graph.declared(port, tensor).unwrap()).collect()
    }

    /// Applies a pass and checks that it changes no output.
    pub(super) fn apply(&mut self, pass: fn(&mut Draft) -> Result<usize, Error>, inputs: &[Tensor]) -> usize {
        let before = self.run(inputs);
        let rewrites = pass(&mut self.draft).unwrap();
        assert_eq!(self.run(inputs), before, "the pass changed a result");
        rewrites
    }
}

/// All 256 bytes.
pub(super) fn every_byte() -> Tensor {
    Tensor::u8([256], (0..=255).collect()).unwrap()
}

/// Bytes that repeat no pattern of a power of two.
pub(super) fn bytes(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    Tensor::u8(shape, (0..n).map(|i| u8::try_from(i * 89 % 251).unwrap()).collect()).unwrap()
}
