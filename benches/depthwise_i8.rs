//! Depthwise convolutions of MobileNetV2, EfficientNet-Lite0 and small networks, one by one on one thread, in
//! multiply-accumulates a second.

use criterion::{Criterion, criterion_group, criterion_main};
use tilemark_benches::{bench_layers, networks};

fn layers(criterion: &mut Criterion) {
    bench_layers(criterion, "depthwise_i8", networks::depthwise());
}

criterion_group!(name = benches; config = tilemark_benches::criterion(); targets = layers);
criterion_main!(benches);
