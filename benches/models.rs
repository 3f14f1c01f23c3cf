//! The tagger end to end, on one thread and on all: the model alone, and the whole app from decoded pixels to labels. The
//! reference interpreter is measured beside it, for the ratio.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use tilemark::{Device, Image, Input, Tensor};
use tilemark_model::reference;

fn tagger(criterion: &mut Criterion) {
    let app = tilemark_benches::tagger();
    let photo = Image::decode(&tilemark_benches::photo("coffee.png")).expect("a committed photo");
    let inputs: Vec<Tensor> = app.pipeline().pre_image(&photo).expect("a picture fits");
    let mut group = criterion.benchmark_group("tagger");
    group.throughput(Throughput::Elements(1)); // images
    for threads in tilemark_benches::thread_counts() {
        let device = Device::host().with_threads(threads).expect("a possible number of threads");
        let mut session = app.session(device).expect("the host runs it");
        group.bench_function(BenchmarkId::new("model", threads), |b| {
            b.iter(|| session.run_tensors(black_box(&inputs)).expect("it runs"));
        });
        group.bench_function(BenchmarkId::new("app", threads), |b| {
            b.iter_batched(
                || Input::pixels(photo.clone()),
                |input| session.run(input).expect("it runs"),
                criterion::BatchSize::LargeInput,
            );
        });
    }
    group.finish();

    // A second or so a run: ten runs, no more.
    let mut group = criterion.benchmark_group("tagger_reference");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(1));
    group.throughput(Throughput::Elements(1));
    group.bench_function("model", |b| {
        b.iter(|| reference::run(app.graph(), black_box(inputs.clone())).expect("it runs"))
    });
    group.finish();
}

criterion_group!(name = benches; config = tilemark_benches::criterion(); targets = tagger);
criterion_main!(benches);
