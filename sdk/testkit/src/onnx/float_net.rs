//! Float layers with seeded weights, for what quantizes them.

use tilemark_model::Tensor;
use tilemark_model::onnx::AttributeProto;

use super::{Builder, float, int, ints};
use crate::random::SplitMix64;

impl Builder {
    /// A constant of floats in `[lo, hi)`.
    pub fn floats(&mut self, random: &mut SplitMix64, shape: &[usize], lo: f32, hi: f32) -> String {
        let values = random.floats(shape.iter().product(), lo, hi);
        let tensor = Tensor::f32(shape, values).expect("as many as the shape says");
        self.constant(&tensor)
    }

    /// Conv with float weights `[O, C/groups, KH, KW]` whose channels differ in size, padded to keep the picture's size at
    /// stride 1, and a bias.
    pub fn float_conv(
        &mut self,
        x: &str,
        random: &mut SplitMix64,
        shape: [usize; 4],
        groups: usize,
        stride: i64,
    ) -> String {
        let fan = (shape[1] * shape[2] * shape[3]) as f32;
        let inner = shape[1] * shape[2] * shape[3];
        let mut weights = Vec::new();
        for _ in 0..shape[0] {
            let most = (0.3 + 2.0 * random.unit()) * (3.0 / fan).sqrt();
            weights.extend(random.floats(inner, -most, most));
        }
        let weights = Tensor::f32(shape, weights).expect("as many as the shape says");
        let weights = self.constant(&weights);
        let bias = self.floats(random, &[shape[0]], -0.3, 0.5);
        let pad = i64::try_from(shape[2] / 2).expect("a small kernel");
        let attributes = vec![
            int("group", i64::try_from(groups).expect("few groups")),
            ints("strides", [stride, stride]),
            ints("pads", [pad; 4]),
        ];
        self.node("Conv", &[x, &weights, &bias], attributes)
    }

    /// BatchNormalization with statistics that differ from channel to channel.
    pub fn batch_normalization(&mut self, x: &str, random: &mut SplitMix64, channels: usize) -> String {
        let ranges = [(0.5, 1.5), (-0.2, 0.4), (-0.3, 0.3), (0.2, 2.0)];
        let parameters = ranges.map(|(lo, hi)| self.floats(random, &[channels], lo, hi));
        let [gamma, beta, mean, variance] = &parameters;
        self.node("BatchNormalization", &[x, gamma, beta, mean, variance], vec![float("epsilon", 1e-3)])
    }

    /// Gemm with float weights `[outputs, inputs]` and a bias.
    pub fn float_gemm(&mut self, x: &str, random: &mut SplitMix64, outputs: usize, inputs: usize) -> String {
        let weights = self.floats(random, &[outputs, inputs], -0.6, 0.6);
        let bias = self.floats(random, &[outputs], -0.5, 0.5);
        self.node("Gemm", &[x, &weights, &bias], vec![int("transB", 1)])
    }

    /// An operator of one operand with attributes.
    pub fn with(&mut self, op: &str, x: &str, attributes: Vec<AttributeProto>) -> String {
        self.node(op, &[x], attributes)
    }
}

/// A classifier of 3 x 16 x 16 pictures with all that mobile networks have: separable convolutions, batch normalization,
/// clipped and smooth activations, a residual, a gate, pools joined. Input `x`, output `scores` `[1, 5]`.
#[must_use]
pub fn classifier() -> Builder {
    let mut random = SplitMix64::new(21);
    let mut net = Builder::new(13);
    let x = net.batched_input("x", &[3, 16, 16]);
    let a = net.float_conv(&x, &mut random, [8, 3, 3, 3], 1, 2);
    let a = net.batch_normalization(&a, &mut random, 8);
    let a = net.clip(&a, 0.0, 6.0);
    let b = net.float_conv(&a, &mut random, [8, 1, 3, 3], 8, 1);
    let b = net.batch_normalization(&b, &mut random, 8);
    let b = net.unary("Relu", &b);
    let b = net.float_conv(&b, &mut random, [8, 8, 1, 1], 1, 1);
    let sum = net.node("Add", &[&a, &b], vec![]);
    let c = net.unary("HardSwish", &sum);
    let gate = net.unary("GlobalAveragePool", &c);
    let gate = net.float_conv(&gate, &mut random, [4, 8, 1, 1], 1, 1);
    let gate = net.unary("Relu", &gate);
    let gate = net.float_conv(&gate, &mut random, [8, 4, 1, 1], 1, 1);
    let gate = net.unary("HardSigmoid", &gate);
    let c = net.node("Mul", &[&c, &gate], vec![]);
    let most = net.pool("MaxPool", &c, [2, 2], [2, 2], [0; 4]);
    let mean = net.pool("AveragePool", &c, [2, 2], [2, 2], [0; 4]);
    let both = net.concat(&[&most, &mean], 1);
    let both = net.unary("Identity", &both);
    let d = net.float_conv(&both, &mut random, [12, 16, 1, 1], 1, 1);
    let d = net.unary("Relu", &d);
    let d = net.unary("GlobalAveragePool", &d);
    let d = net.with("Flatten", &d, vec![int("axis", 1)]);
    let y = net.float_gemm(&d, &mut random, 5, 12);
    let y = net.rename(&y, "scores");
    net.output(&y);
    net
}

/// `count` inputs for [`classifier`]: blobs of light of changing size and colour, so that they are not all alike.
#[must_use]
pub fn pictures(count: usize, seed: u64) -> Vec<Tensor> {
    let mut random = SplitMix64::new(seed);
    let picture = |random: &mut SplitMix64| {
        let [x0, y0, size] = [0; 3].map(|_| random.unit() * 16.0);
        let colour = [0; 3].map(|_| random.unit() * 3.0 - 1.0);
        let mut values = Vec::with_capacity(768);
        for (c, y, x) in (0..3).flat_map(|c| (0..16).flat_map(move |y| (0..16).map(move |x| (c, y, x)))) {
            let distance = (x as f32 - x0).powi(2) + (y as f32 - y0).powi(2);
            let light = (1.0 - distance / (1.0 + size * size)).max(-1.0);
            values.push(colour[c] * light + 0.1 * random.unit());
        }
        Tensor::f32([1, 3, 16, 16], values).expect("16 x 16 pixels of 3 channels")
    };
    (0..count).map(|_| picture(&mut random)).collect()
}
