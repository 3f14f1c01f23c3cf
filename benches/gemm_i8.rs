//! Matrix products without a window: pointwise convolutions and fully connected layers, one by one on one thread, in
//! multiply-accumulates a second.

use criterion::{Criterion, criterion_group, criterion_main};
use tilemark_benches::{bench_layers, networks};

fn layers(criterion: &mut Criterion) {
    bench_layers(criterion, "gemm_i8", networks::products());
}

criterion_group!(name = benches; config = tilemark_benches::criterion(); targets = layers);
criterion_main!(benches);
