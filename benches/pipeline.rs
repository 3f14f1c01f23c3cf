//! The stages around the model, in pixels of the source picture a second.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tilemark::{Image, Input};
use tilemark_pipeline::Mode;

/// Pixels a side that classifiers take.
const SIDE: u32 = 224;

fn pixels(image: &Image) -> Throughput {
    Throughput::Elements(u64::from(image.width()) * u64::from(image.height()))
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for name in ["flower.jpg", "rocket.jpg", "coffee.png", "chelsea.png"] {
        let encoded = tilemark_benches::photo(name);
        let image = Image::decode(&encoded).expect("a committed photo");
        group.throughput(pixels(&image));
        group.bench_function(name, |b| b.iter(|| Image::decode(black_box(&encoded))));
    }
    group.finish();
}

fn resize(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resize");
    for (width, height) in [(640, 480), (1920, 1080), (4000, 3000)] {
        let bytes = tilemark_benches::bytes(3 * width as usize * height as usize).collect();
        let image = Image::from_rgb(width, height, bytes).expect("as many bytes as pixels");
        group.throughput(pixels(&image));
        for (word, mode) in [("bilinear", Mode::Bilinear), ("area", Mode::Area), ("nearest", Mode::Nearest)] {
            let id = BenchmarkId::new(word, format!("{width}x{height}"));
            group.bench_function(id, |b| b.iter(|| black_box(&image).resized(SIDE, SIDE, mode)));
        }
    }
    group.finish();
}

/// The tagger's declared stages on decoded photos; on one of the model's own size only normalize is left.
fn stages(criterion: &mut Criterion) {
    let app = tilemark_benches::tagger();
    let mut group = criterion.benchmark_group("pre");
    let own_size = tilemark_benches::bytes(3 * (SIDE * SIDE) as usize).collect();
    let images = [
        ("normalize", Image::from_rgb(SIDE, SIDE, own_size)),
        ("crop_resize_normalize/flower.jpg", Image::decode(&tilemark_benches::photo("flower.jpg"))),
    ];
    for (name, image) in images {
        let image = image.expect("a valid picture");
        group.throughput(pixels(&image));
        group.bench_function(name, |b| b.iter(|| app.pipeline().pre_image(black_box(&image))));
    }
    group.finish();

    let mut session = app.session(tilemark::Device::host()).expect("the host runs it");
    let photo = Input::image_bytes(&tilemark_benches::photo("flower.jpg")).expect("a committed photo");
    let inputs = session.prepare_input(photo).expect("a picture fits");
    let outputs = session.run_tensors(&inputs).expect("it runs");
    let mut group = criterion.benchmark_group("post");
    group.throughput(Throughput::Elements(outputs.iter().map(|tensor| tensor.len() as u64).sum()));
    group.bench_function("softmax_top_5", |b| b.iter(|| app.pipeline().post(black_box(outputs.clone()))));
    group.finish();
}

criterion_group!(name = benches; config = tilemark_benches::criterion(); targets = decode, resize, stages);
criterion_main!(benches);
