//! Convolutions one by one on one thread, in multiply-accumulates a second: each shape of the tagger, and the dense 3x3
//! ones of ResNet-50, which the tagger lacks.
//!
//! A name reads `kind/input -> outputs, kernel, stride`. Times contain what every inference pays around a layer: storing
//! the input and reading the output.

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tilemark_benches::bytes;
use tilemark_engine::{Compiled, Device};
use tilemark_model::graph::{Bounds, Conv, Dim, Draft, Pads, Window};
use tilemark_model::{DType, Data, Graph, Op, Port, Quant, Tensor, shape};

/// A convolution's geometry.
#[derive(Clone, Debug)]
struct Layer {
    conv: Conv,
    /// Channels, height, width.
    input: [usize; 3],
    outputs: usize,
}

fn tagger_layers(criterion: &mut Criterion) {
    let app = tilemark_benches::tagger();
    let graph = app.graph();
    let shapes = shape::infer(graph, &shape::declared(graph, 1)).expect("its shapes fit");
    let layers = graph.nodes.iter().filter_map(|node| match (&node.op, shapes.of(node.inputs[0])) {
        (Op::Conv(conv, _), &[_, channels, height, width]) => {
            let outputs = shapes.of(node.output)[1];
            Some(Layer { conv: conv.clone(), input: [channels, height, width], outputs })
        }
        _ => None,
    });
    bench(criterion, "conv_i8_tagger", layers);
}

fn resnet_layers(criterion: &mut Criterion) {
    let layers = [(64, 56), (128, 28), (256, 14), (512, 7)].into_iter().map(|(channels, side)| {
        let window =
            Window { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: Pads::Explicit([1; 4]) };
        Layer { conv: Conv { window, groups: 1 }, input: [channels, side, side], outputs: channels }
    });
    bench(criterion, "conv_i8_resnet50", layers);
}

fn bench(criterion: &mut Criterion, name: &str, layers: impl Iterator<Item = Layer>) {
    let device = Device::host().with_threads(1).expect("one thread is possible");
    let mut group = criterion.benchmark_group(name);
    let mut seen = BTreeSet::new();
    for layer in layers.filter(|layer| seen.insert(layer.name())) {
        let graph = layer.graph();
        let [channels, height, width] = layer.input;
        let input = Tensor::u8([1, channels, height, width], bytes(channels * height * width).collect());
        let input = [input.expect("as many bytes as elements")];
        let compiled = Compiled::new(graph, &device).expect("the host compiles it");
        let mut session = compiled.session().expect("there is memory");
        let plan = session.prepare(&[input[0].shape().to_vec()]).expect("a plan");
        group.throughput(Throughput::Elements(plan.macs()));
        group.bench_function(layer.name(), |b| b.iter(|| session.run(black_box(&input)).expect("it runs")));
    }
    group.finish();
}

impl Layer {
    fn name(&self) -> String {
        let [channels, height, width] = self.input;
        let Window { kernel, strides, .. } = &self.conv.window;
        let kind = match (self.conv.groups, kernel) {
            (groups, _) if groups > 1 && groups == channels => "depthwise",
            (1, [1, 1]) => "pointwise",
            (1, _) => "dense",
            _ => "grouped",
        };
        format!(
            "{kind}/{height}x{width}x{channels} -> {}, {}x{}, {}",
            self.outputs, kernel[0], kernel[1], strides[0]
        )
    }

    /// The layer alone, with weights of every value. Multipliers bring sums into the range of a byte.
    fn graph(&self) -> Graph {
        let [channels, height, width] = self.input;
        let [kh, kw] = self.conv.window.kernel;
        let per_group = channels / self.conv.groups;
        let weights = bytes(self.outputs * per_group * kh * kw).map(|byte| byte.cast_signed().max(-127));
        let constants = [
            Tensor::new([self.outputs, per_group, kh, kw], Data::I8(weights.collect())),
            Tensor::new([self.outputs], Data::I32(bytes(self.outputs).map(i32::from).collect())),
            Tensor::f32([self.outputs], vec![1e-3; self.outputs]),
        ];
        let mut draft = Draft { name: "layer".into(), ..Draft::default() };
        let quant = Some(Quant { scale: 0.5, zero_point: 128 });
        let x = draft.activation("x", DType::U8, quant);
        let y = draft.activation("y", DType::U8, quant);
        let mut inputs = vec![x];
        for (tensor, name) in constants.into_iter().zip(["weights", "bias", "multipliers"]) {
            inputs.push(draft.constant(name, tensor.expect("as many elements as the shape says")));
        }
        draft.node("conv", Op::Conv(self.conv.clone(), Bounds { lo: 0, hi: 255 }), inputs, y);
        let shape = [1, channels, height, width].map(Dim::Fixed).to_vec();
        draft.inputs.push(Port { name: "x".into(), value: x, dtype: DType::U8, shape });
        draft.outputs.push(Port { name: "y".into(), value: y, dtype: DType::U8, shape: Vec::new() });
        draft.freeze().expect("a valid graph")
    }
}

criterion_group!(name = benches; config = tilemark_benches::criterion(); targets = tagger_layers, resnet_layers);
criterion_main!(benches);
