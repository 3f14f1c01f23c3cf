//! Batches whose images do not meet: what is said of a graph is true, and image by image they give the reference's bits.

use tilemark_model::{DType, Data, Tensor, reference, shape};

use super::build::{Builder, Case, ConvSpec, Fill, window};
use super::{cases, check, compare, device, emulated, levels};

/// Elements `order` of a tensor, under another shape.
fn taken(tensor: &Tensor, shape: &[usize], order: impl Iterator<Item = usize>) -> Tensor {
    fn pick<T: Copy>(from: &[T], order: impl Iterator<Item = usize>) -> Vec<T> {
        order.map(|i| from[i]).collect()
    }
    let data = match tensor.data() {
        Data::U8(v) => Data::U8(pick(v, order)),
        Data::I8(v) => Data::I8(pick(v, order)),
        Data::I32(v) => Data::I32(pick(v, order)),
        Data::I64(v) => Data::I64(pick(v, order)),
        Data::F32(v) => Data::F32(pick(v, order)),
        Data::Coded(coded) => {
            let elements: Vec<&[u8]> = coded.bytes().chunks(coded.dtype().size()).collect();
            let bytes = order.flat_map(|i| elements[i]).copied().collect();
            Data::Coded(tilemark_model::Coded::new(coded.dtype(), bytes).unwrap())
        }
    };
    Tensor::new(shape, data).unwrap()
}

/// Part `i` of `batch` along the first axis.
fn image(tensor: &Tensor, i: usize, batch: usize) -> Tensor {
    let mut shape = tensor.shape().to_vec();
    shape[0] /= batch;
    let count = tensor.len() / batch;
    taken(tensor, &shape, i * count..(i + 1) * count)
}

/// The case with a second image, made of the first one's elements, unless it has several or no images at all.
fn batch(case: &Case) -> Option<(usize, Vec<Tensor>)> {
    let first = *case.inputs.first()?.shape().first()?;
    if first > 1 {
        return Some((first, case.inputs.clone()));
    }
    let doubled = case.inputs.iter().map(|tensor| {
        let (shape, n) = (tensor.shape(), tensor.len());
        let shape = [&[2 * shape.first()?], &shape[1..]].concat();
        Some(taken(tensor, &shape, (0..n).chain((0..n).rev())))
    });
    Some((2 * first, doubled.collect::<Option<_>>()?))
}

fn is_per_image(case: &Case, batch: usize, inputs: &[Tensor]) -> bool {
    let of = |parts: usize| {
        let shape = |tensor: &Tensor| {
            let mut shape = tensor.shape().to_vec();
            shape.first_mut().into_iter().for_each(|first| *first /= parts);
            shape
        };
        shape::infer(&case.graph, &inputs.iter().map(shape).collect::<Vec<_>>()).ok()
    };
    matches!((of(1), of(batch)), (Some(whole), Some(one)) if shape::is_per_image(&case.graph, &whole, &one))
}

/// Operations with cases that keep images apart. Those of the others have inputs of different batches, or sizes that are given for
/// one batch alone.
const APART: [&str; 17] = [
    "conv",
    "depthwise",
    "fully_connected",
    "pairwise",
    "average_pool",
    "max_pool",
    "table",
    "concat",
    "quantize",
    "movement",
    "scale_shift",
    "softmax",
    "conv_transpose",
    "matmul",
    "reduce",
    "normalize",
    "networks",
];

/// For every operation's cases and for whole networks.
#[test]
fn images_do_not_meet_where_a_graph_is_said_to_keep_them_apart() {
    if let Some(flavour) = emulated() {
        println!(
            "left out on {flavour}: no kernel runs here, and the reference ran natively with all other tests"
        );
        return;
    }
    let networks = (0..60).map(cases::network).collect();
    for (operation, cases) in cases::all().into_iter().chain([("networks", networks)]) {
        let mut apart = 0;
        for case in &cases {
            let Some((batch, inputs)) = batch(case) else { continue };
            if !is_per_image(case, batch, &inputs) {
                continue;
            }
            apart += 1;
            let whole = reference::run(&case.graph, inputs.clone()).unwrap();
            for i in 0..batch {
                let inputs = inputs.iter().map(|tensor| image(tensor, i, batch)).collect();
                let one = reference::run(&case.graph, inputs).unwrap();
                for (output, whole) in one.iter().zip(&whole) {
                    compare(&image(whole, i, batch), output, || format!("{}: image {i}", case.name));
                }
            }
        }
        println!("{operation}: {apart} of {} cases keep images apart", cases.len());
        // Along the first axis a recurrent layer has its steps, and a tensor's own range is that of all its images.
        if ["recurrent", "dynamic_quantize"].contains(&operation) {
            assert_eq!(apart, 0, "{operation}");
        } else if APART.contains(&operation) {
            assert!(apart > 0, "{operation}");
        }
    }
}

/// `[batch, 6, 9, 9]` -> 3x3 convolution -> table, halo and f32 result included.
fn network(batch: usize) -> Case {
    let mut builder = Builder::new(77);
    let x = builder.input(&[batch, 6, 9, 9], DType::U8, Fill::Any);
    let spec = ConvSpec {
        outputs: 12,
        groups: 1,
        window: window([3, 3], [1, 1], [1, 1], [1; 4]),
        weights: Fill::Any,
        multiplier: 1e-3,
        narrow: 0,
        dtype: DType::I8,
        zero: 3,
    };
    let y = builder.conv(&x, &spec);
    let y = builder.table(&y);
    let real = builder.dequantize(&y);
    builder.finish(format!("batch of {batch}"), &[&y, &real])
}

#[test]
fn a_batch_runs_image_by_image_and_its_plan_tells_of_all() {
    let (one, many) = (network(1), network(5));
    for level in levels() {
        for threads in 1..=2 {
            let compiled =
                tilemark_engine::Compiled::new(many.graph.clone(), &device(level, threads)).unwrap();
            let plan = |case: &Case| compiled.plan(&[case.inputs[0].shape().to_vec()]).unwrap();
            let (single, plan) = (plan(&one), plan(&many));
            let alone = threads == 1; // several threads meet less often with all images in a step
            assert_eq!((single.passes(), plan.passes()), (1, if alone { 5 } else { 1 }));
            assert_eq!(plan.arena_bytes() == single.arena_bytes(), alone);
            assert_eq!(plan.macs(), 5 * single.macs());
            assert_eq!(plan.steps().next().unwrap().shape, [5, 12, 9, 9]);
            check(&many, &device(level, threads));
            let mut session = compiled.session().unwrap();
            // Into what another batch left behind.
            let mut outputs = session.run(&network(7).inputs).unwrap();
            session.run_into(&many.inputs, &mut outputs).unwrap();
            assert_eq!(outputs, reference::run(&many.graph, many.inputs.clone()).unwrap());
            let (timed, times) = session.run_timed(&many.inputs).unwrap();
            assert_eq!((timed, times.len()), (outputs, plan.steps().count()));
        }
    }
}

/// A model that is declared for batches of five alone has no plan of one image.
#[test]
fn a_declared_batch_runs_as_one() {
    let case = network(5).declared();
    let compiled = tilemark_engine::Compiled::new(case.graph.clone(), &device(levels()[0], 1)).unwrap();
    assert_eq!(compiled.plan(&[case.inputs[0].shape().to_vec()]).unwrap().passes(), 1);
    check(&case, &device(levels()[0], 1));
}
