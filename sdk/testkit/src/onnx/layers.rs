//! Layers of quantized networks, with random weights where a test does not care about them.

use tilemark_model::{DType, Data, Tensor};

use super::{Builder, Quantization, int, ints};
use crate::random::SplitMix64;

impl Builder {
    /// QuantizeLinear.
    pub fn quantize(&mut self, x: &str, q: Quantization) -> String {
        let (scale, zero) = self.quantization(q);
        self.node("QuantizeLinear", &[x, &scale, &zero], vec![])
    }

    /// DequantizeLinear.
    pub fn dequantize(&mut self, x: &str, q: Quantization) -> String {
        let (scale, zero) = self.quantization(q);
        self.node("DequantizeLinear", &[x, &scale, &zero], vec![])
    }

    /// QuantizeLinear and DequantizeLinear: the mark of a quantized activation.
    pub fn qdq(&mut self, x: &str, q: Quantization) -> String {
        let y = self.quantize(x, q);
        self.dequantize(&y, q)
    }

    /// One f32 operator of one operand and no attributes.
    pub fn unary(&mut self, op: &str, x: &str) -> String {
        self.node(op, &[x], vec![])
    }

    /// Clip between two bounds (opset 11 and later).
    pub fn clip(&mut self, x: &str, lo: f32, hi: f32) -> String {
        let (lo, hi) = (self.scalar(lo), self.scalar(hi));
        self.node("Clip", &[x, &lo, &hi], vec![])
    }

    /// MaxPool or AveragePool.
    pub fn pool(&mut self, op: &str, x: &str, kernel: [i64; 2], strides: [i64; 2], pads: [i64; 4]) -> String {
        let attributes = vec![ints("kernel_shape", kernel), ints("strides", strides), ints("pads", pads)];
        self.node(op, &[x], attributes)
    }

    /// Concat.
    pub fn concat(&mut self, parts: &[&str], axis: i64) -> String {
        self.node("Concat", parts, vec![int("axis", axis)])
    }

    /// Reshape to a constant shape.
    pub fn reshape(&mut self, x: &str, shape: &[i64]) -> String {
        let shape = Tensor::new([shape.len()], Data::I64(shape.to_vec())).expect("one entry an axis");
        let shape = self.constant(&shape);
        self.node("Reshape", &[x, &shape], vec![])
    }

    /// Transpose.
    pub fn transpose(&mut self, x: &str, perm: &[i64]) -> String {
        self.node("Transpose", &[x], vec![ints("perm", perm)])
    }

    /// A convolution of random weights `[O, C/groups, KH, KW]` with one scale per output channel and a random bias.
    /// Attributes are set on what is returned; [`ConvLayer::add`] adds the node.
    pub fn conv<'a>(&'a mut self, x: &str, random: &'a mut SplitMix64, shape: [usize; 4]) -> ConvLayer<'a> {
        let x = x.to_owned();
        ConvLayer { net: self, random, x, shape, groups: 1, attributes: Vec::new() }
    }

    /// Gemm with `transB`: random weights `[outputs, inputs]`, one scale for all, and a random bias.
    pub fn gemm(&mut self, x: &str, random: &mut SplitMix64, outputs: usize, inputs: usize) -> String {
        let scale = 0.01;
        let weights = self.weights(random, &[outputs, inputs], &[scale]);
        let bias = self.bias(random, outputs, &[scale]);
        self.node("Gemm", &[x, &weights, &bias], vec![int("transB", 1)])
    }

    /// A dequantized i8 constant of random weights: one scale for all, or one per index of axis 0.
    pub fn weights(&mut self, random: &mut SplitMix64, shape: &[usize], scales: &[f32]) -> String {
        let n = shape.iter().product();
        let weights = Tensor::new(shape, Data::I8(random.weights(n))).expect("n elements were drawn");
        self.dequantized(&weights, scales)
    }

    /// A dequantized constant with zero points of zero.
    pub fn dequantized(&mut self, tensor: &Tensor, scales: &[f32]) -> String {
        let n = scales.len();
        let zeros = match tensor.dtype() {
            DType::I8 => Data::I8(vec![0; n]),
            DType::U8 => Data::U8(vec![0; n]),
            _ => Data::I32(vec![0; n]),
        };
        let shape = if n == 1 { vec![] } else { vec![n] };
        let scales = Tensor::f32(shape.clone(), scales.to_vec()).expect("as many as the shape says");
        let zeros = Tensor::new(shape, zeros).expect("as many as the shape says");
        let names = [self.constant(tensor), self.constant(&scales), self.constant(&zeros)];
        let attributes = if n == 1 { vec![] } else { vec![int("axis", 0)] };
        self.node("DequantizeLinear", &[&names[0], &names[1], &names[2]], attributes)
    }

    /// A dequantized i32 bias; the activation scale of every layer of this module is [`ConvLayer::X_SCALE`].
    fn bias(&mut self, random: &mut SplitMix64, n: usize, scales: &[f32]) -> String {
        let ints = (0..n).map(|_| random.int(-2000, 2000)).collect();
        let bias = Tensor::new([n], Data::I32(ints)).expect("n elements were drawn");
        let scales: Vec<f32> = scales.iter().map(|&scale| ConvLayer::X_SCALE * scale).collect();
        self.dequantized(&bias, &scales)
    }

    fn quantization(&mut self, q: Quantization) -> (String, String) {
        let zero = match q.dtype {
            DType::I8 => Data::I8(vec![i8::try_from(q.zero_point).expect("a zero point of its type")]),
            _ => Data::U8(vec![u8::try_from(q.zero_point).expect("a zero point of its type")]),
        };
        let zero = Tensor::new([], zero).expect("a scalar has one element");
        (self.scalar(q.scale), self.constant(&zero))
    }
}

/// A convolution whose attributes are being set.
#[derive(Debug)]
pub struct ConvLayer<'a> {
    net: &'a mut Builder,
    random: &'a mut SplitMix64,
    x: String,
    shape: [usize; 4],
    groups: i64,
    attributes: Vec<tilemark_model::onnx::AttributeProto>,
}

impl ConvLayer<'_> {
    /// Scale of the activations that layers with a bias take: a bias is quantized by it times the weights' scale.
    pub const X_SCALE: f32 = 0.02;

    /// Groups; as many as output channels makes it depthwise.
    #[must_use]
    pub fn groups(mut self, groups: i64) -> Self {
        self.groups = groups;
        self
    }

    /// Strides, vertical and horizontal.
    #[must_use]
    pub fn strides(self, strides: [i64; 2]) -> Self {
        self.attribute("strides", strides.to_vec())
    }

    /// Dilations, vertical and horizontal.
    #[must_use]
    pub fn dilations(self, dilations: [i64; 2]) -> Self {
        self.attribute("dilations", dilations.to_vec())
    }

    /// Top, left, bottom, right.
    #[must_use]
    pub fn pads(self, pads: [i64; 4]) -> Self {
        self.attribute("pads", pads.to_vec())
    }

    /// Adds the node; its input is to be quantized by [`ConvLayer::X_SCALE`].
    pub fn add(self) -> String {
        let Self { net, random, x, shape, groups, mut attributes } = self;
        let scales: Vec<f32> = (0..shape[0]).map(|_| 0.002 + 0.01 * random.unit()).collect();
        let weights = net.weights(random, &shape, &scales);
        let bias = net.bias(random, shape[0], &scales);
        attributes.push(int("group", groups));
        net.node("Conv", &[&x, &weights, &bias], attributes)
    }

    fn attribute(mut self, name: &str, values: Vec<i64>) -> Self {
        self.attributes.push(ints(name, values));
        self
    }
}
