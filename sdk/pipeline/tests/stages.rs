//! Stages against implementations of others. The expected values are committed; `sdk/testkit/python/stages_expected.py` makes them.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use tilemark_model::{DType, Tensor};
use tilemark_pipeline::{
    Done, FoundRegion, Given, Image, Interface, Pipeline, Resources, Result, Sound, Spec, TensorInfo,
};

/// The generator of the script.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 16
    }
}

fn port(name: &str, shape: &[usize]) -> TensorInfo {
    let shape = shape.iter().copied().map(Some).collect();
    TensorInfo { name: name.into(), shape, dtype: DType::F32, quant: None }
}

/// A pipeline around a model of pictures of this size, whose outputs are these.
fn run(post: &str, size: [usize; 2], outputs: Vec<(&str, Tensor)>) -> Done {
    let [width, height] = size;
    let text = format!(
        "input.image = {{}}\npre = [{{ resize = {{ width = {width}, height = {height} }} }}]\npost = [{post}]"
    );
    let spec: Spec = toml::from_str(&text).unwrap();
    let interface = Interface {
        inputs: vec![port("x", &[1, 3, height, width])],
        outputs: outputs.iter().map(|(name, tensor)| port(name, tensor.shape())).collect(),
    };
    let pipeline = Pipeline::new(spec, interface, &Resources::new()).unwrap();
    let picture = Image::from_rgb(width as u32, height as u32, vec![0; width * height * 3]).unwrap();
    let outputs: Vec<Tensor> = outputs.into_iter().map(|(_, tensor)| tensor).collect();
    pipeline.run(&Given::Image(&picture), |_, _| -> Result<Vec<Tensor>> { Ok(outputs.clone()) }).unwrap()
}

/// Rectangles are compared by their corners. OpenCV's lie on angles in f32 and pyclipper's on whole pixels: corners may differ by
/// three pixels, and one region in fifty may be found by one alone, where its side is next to the least one.
#[test]
fn regions_are_rapidocrs_but_for_rounding() {
    let expected = include_str!("data/regions.txt");
    let (mut both, mut only, mut worst) = (0, 0, 0.0f32);
    for line in expected.lines() {
        let (runs, boxes) = line.split_once('|').unwrap();
        let map: Vec<f32> = runs.split(' ').flat_map(pixels).collect();
        let found = run(
            "{ regions = { threshold = 0.3, min_score = 0, unclip = 1.6, dilate = true } }",
            [160, 120],
            vec![("map", Tensor::f32([1, 1, 120, 160], map).unwrap())],
        );
        let mut found = found.outcome.regions.unwrap();
        for theirs in boxes.split(';').filter(|text| !text.is_empty()) {
            let numbers: Vec<f32> = theirs.split(' ').map(|n| n.parse().unwrap()).collect();
            let apart = |region: &FoundRegion| apart(region, &numbers);
            let nearest = (0..found.len()).min_by(|&a, &b| apart(&found[a]).total_cmp(&apart(&found[b])));
            match nearest.map(|i| (i, apart(&found[i]))) {
                Some((i, distance)) if distance <= 3.0 => {
                    worst = worst.max(distance);
                    both += 1;
                    found.swap_remove(i);
                }
                _ => only += 1,
            }
        }
        only += found.len();
    }
    println!("{both} regions as RapidOCR has them, at most {worst:.2} pixels apart; {only} in one alone");
    assert!(both > 200 && only * 50 <= both, "{both} regions in both, {only} in one alone");
}

/// `180x12`: twelve pixels of 180.
fn pixels(run: &str) -> impl Iterator<Item = f32> {
    let (value, count) = run.split_once('x').unwrap();
    let value: f32 = value.parse().unwrap();
    std::iter::repeat_n(value / 255.0, count.parse().unwrap())
}

/// The largest difference of a corner, of the corner that is nearest. A pixel's middle is half a pixel from its corner, and ours are
/// inside the picture.
fn apart(region: &FoundRegion, theirs: &[f32]) -> f32 {
    let corner = |c: &[f32]| [(c[0] + 0.5).clamp(0.0, 160.0), (c[1] + 0.5).clamp(0.0, 120.0)];
    let distance = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).abs().max((a[1] - b[1]).abs());
    let nearest =
        |c: &[f32]| region.quad.iter().map(|&q| distance(q, corner(c))).fold(f32::INFINITY, f32::min);
    theirs.chunks_exact(2).map(nearest).fold(0.0, f32::max)
}

/// scipy computes the same filter in f64 and sums in another order; ours is rounded to f32: 1e-6 of full scale.
#[test]
fn resampled_sounds_are_scipys() {
    for line in include_str!("data/resample.txt").lines() {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap().parse::<u32>().unwrap();
        let (seed, rate, to, count, length, step) = (next(), next(), next(), next(), next(), next());
        let mut random = Random(seed);
        let samples = (0..count).map(|_| (f64::from(random.next()) / 32_768.0 - 1.0) as f32).collect();
        let sound = Sound::from_samples(rate, samples).unwrap().resampled(to).unwrap();
        assert_eq!(sound.samples().len(), length as usize, "{rate} to {to}");
        let ours = sound.samples().iter().step_by(step as usize);
        for (i, (ours, theirs)) in ours.zip(words).enumerate() {
            let theirs: f32 = theirs.parse().unwrap();
            assert!((ours - theirs).abs() < 1e-6, "{rate} to {to}, sample {i}: {ours} and {theirs}");
        }
    }
}
