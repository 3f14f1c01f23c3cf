//! Convolutions one by one on one thread, in multiply-accumulates a second: each shape of the tagger, and the dense ones of
//! ResNet-50, which the tagger lacks. A name reads `kind/input -> outputs, kernel, stride`.

use criterion::{Criterion, criterion_group, criterion_main};
use tilemark_benches::layer::Layer;
use tilemark_benches::{bench_layers, networks};
use tilemark_model::{Op, shape};

fn tagger_layers(criterion: &mut Criterion) {
    let app = tilemark_benches::tagger();
    let graph = app.graph();
    let shapes = shape::infer(graph, &shape::declared(graph, 1)).expect("its shapes fit");
    let layers = graph.nodes.iter().filter_map(|node| match (&node.op, shapes.of(node.inputs[0])) {
        (Op::Conv(conv, _), &[_, channels, height, width]) => {
            let outputs = shapes.of(node.output)[1];
            Some(Layer::Conv { conv: conv.clone(), input: [channels, height, width], outputs })
        }
        _ => None,
    });
    bench_layers(criterion, "conv_i8_tagger", layers);
}

fn dense_layers(criterion: &mut Criterion) {
    bench_layers(criterion, "conv_i8_dense", networks::dense());
}

criterion_group!(name = benches; config = tilemark_benches::criterion(); targets = tagger_layers, dense_layers);
criterion_main!(benches);
