//! Batches image by image: where the images of a batch do not meet, a run takes them one after another through the steps of one.
//! Its activations then are an image's, which stay in cache. With several threads it loses: ResNet-50 and MobileNetV2 in batches of
//! eight took 1.2 to 1.3 times as long on two, since threads meet after every step.

use tilemark_model::{DType, Shapes, shape};

use super::source::{Beside, Source};

/// Products for each byte of weights from which on that is faster. Below, as in fully connected layers, weights come from memory
/// more slowly than they are multiplied, and should come once for the whole batch.
const MIN_PRODUCTS_A_BYTE: u64 = 32;

/// The shapes of one pass and the number of passes for inputs of these shapes; `whole` are those of all at once.
pub(super) fn split(source: Source<'_>, whole: Shapes, inputs: &[Vec<usize>]) -> (Shapes, usize) {
    match one_image(source, &whole, inputs) {
        Some(one) => (one, inputs[0][0]),
        None => (whole, 1),
    }
}

fn one_image(source: Source<'_>, whole: &Shapes, inputs: &[Vec<usize>]) -> Option<Shapes> {
    let graph = source.graph;
    let is_batch = inputs.first().and_then(|shape| shape.first()).is_some_and(|&images| images > 1);
    // A device is sent the whole batch at once, and threads wait for each other less often where a step has all images.
    if !is_batch || source.picker.threads > 1 || !matches!(source.beside(), Beside::Nothing) {
        return None;
    }
    let has_arithmetic =
        |dtype| matches!(dtype, DType::U8 | DType::I8 | DType::I32 | DType::I64 | DType::F32);
    if !graph.inputs.iter().all(|port| has_arithmetic(graph.value(port.value).dtype)) {
        return None;
    }
    let image = |shape: &Vec<usize>| Some([&[1], shape.get(1..)?].concat());
    let inputs: Vec<Vec<usize>> = inputs.iter().map(image).collect::<Option<_>>()?;
    let one = shape::infer(graph, &inputs).ok()?;
    let products: u64 = graph.nodes.iter().map(|node| shape::macs(node, &one)).sum();
    let weights = graph.values.iter().filter_map(|value| {
        let elements: usize = value.constant.as_ref()?.shape.iter().product();
        Some((elements * value.dtype.size()) as u64)
    });
    let pays = products >= MIN_PRODUCTS_A_BYTE.saturating_mul(weights.sum());
    (pays && shape::is_per_image(graph, whole, &one)).then_some(one)
}
