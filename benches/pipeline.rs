//! The stages around the model, in pixels of the source picture a second.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tilemark::{DType, Image, Tensor};
use tilemark_pipeline::{Interface, Mode, Pipeline, PostStage, Resources, Softmax, Spec, TensorInfo, TopK};

/// Pixels a side that classifiers take.
const SIDE: u32 = 224;
/// Classes of ImageNet.
const CLASSES: usize = 1000;

fn pixels(image: &Image) -> Throughput {
    Throughput::Elements(u64::from(image.width()) * u64::from(image.height()))
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for name in ["flower.jpg", "rocket.jpg", "coffee.png", "chelsea.png"] {
        let encoded = tilemark_benches::photo(name);
        let image = Image::decode(&encoded).expect("a committed photo");
        group.throughput(pixels(&image));
        group.bench_function(name, |b| b.iter(|| Image::decode(black_box(&encoded)).expect("a photo")));
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
            group.bench_function(id, |b| {
                b.iter(|| black_box(&image).resized(SIDE, SIDE, mode).expect("a size"))
            });
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
        group.bench_function(name, |b| {
            b.iter(|| app.pipeline().pre_image(black_box(&image)).expect("it fits"))
        });
    }
    group.finish();
}

/// Softmax and top-5 of a thousand classes.
fn post(criterion: &mut Criterion) {
    let port = |name: &str, shape: &[usize]| TensorInfo {
        name: name.into(),
        shape: shape.iter().copied().map(Some).collect(),
        dtype: DType::F32,
        quant: None,
    };
    let interface = Interface { inputs: vec![port("x", &[1])], outputs: vec![port("y", &[1, CLASSES])] };
    let top_k = TopK::new(5, "labels.txt");
    let stages = vec![PostStage::Softmax(Softmax::default()), PostStage::TopK(top_k)];
    let labels: String = (0..CLASSES).map(|class| format!("class {class}\n")).collect();
    let resources = Resources::from_iter([("labels.txt".to_owned(), labels.into_bytes())]);
    let spec = Spec { post: stages, ..Spec::default() };
    let pipeline = Pipeline::new(spec, interface, &resources).expect("a valid pipeline");
    let scores = tilemark_benches::bytes(CLASSES).map(|byte| f32::from(byte) / 16.0).collect();
    let outputs = vec![Tensor::f32([1, CLASSES], scores).expect("one score a class")];
    let mut group = criterion.benchmark_group("post");
    group.throughput(Throughput::Elements(CLASSES as u64));
    group.bench_function("softmax_top_5", |b| {
        b.iter(|| pipeline.post(black_box(outputs.clone())).expect("scores have labels"));
    });
    group.finish();
}

criterion_group!(name = benches; config = tilemark_benches::criterion(); targets = decode, resize, stages, post);
criterion_main!(benches);
