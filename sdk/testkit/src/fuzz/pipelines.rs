//! The target over pipelines: a declaration, checked against a model's ends, and run on small pictures and tensors.

use serde::Deserialize;
use tilemark_model::numerics::narrow::{Number, collect};
use tilemark_model::{DType, Data, Quant, Tensor};
use tilemark_pipeline::{Image, Interface, Pipeline, PreStage, Resources, Spec, TensorInfo};

use super::End;
use crate::random::SplitMix64;

/// Pixels or elements beyond which a pipeline is checked but not run.
const MAX_ELEMENTS: usize = 1 << 16;

/// What the target reads: a pipeline, and the model around which it is built.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    spec: Spec,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Port {
    name: String,
    shape: Vec<Option<usize>>,
    dtype: DType,
    quant: Option<Quant>,
}

/// A pipeline and its model's ends as JSON. A pipeline that fits must take every picture that is not too small for it,
/// and the tensor that it makes must be the model's.
///
/// # Panics
/// If it does not.
pub fn pipeline(json: &[u8]) -> End {
    let Ok(case) = serde_json::from_slice::<Case>(json) else { return End::Refused };
    let ports = |ports: Vec<Port>| ports.into_iter().map(info).collect();
    let interface = Interface { inputs: ports(case.inputs), outputs: ports(case.outputs) };
    let files = [("labels.txt", "cat\ndog\nbird\n"), ("two.txt", "yes\nno\n"), ("none.txt", "")];
    let files: Resources =
        files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into_iter().collect();
    let costly = !is_small(&case.spec);
    let written = serde_json::to_vec(&case.spec).expect("a declaration is JSON");
    if let Ok(again) = serde_json::from_slice::<Spec>(&written) {
        assert_eq!(again, case.spec, "writing a declaration changed it");
    }
    let Ok(pipeline) = Pipeline::new(case.spec, interface, &files) else { return End::Refused };
    if costly {
        return End::Costly;
    }
    if pipeline.takes_image() {
        take_pictures(&pipeline);
    }
    give_outputs(&pipeline)
}

fn info(port: Port) -> TensorInfo {
    TensorInfo { name: port.name, shape: port.shape, dtype: port.dtype, quant: port.quant }
}

/// Whether every stage makes a small picture.
fn is_small(spec: &Spec) -> bool {
    spec.pre.iter().all(|stage| match stage {
        PreStage::Resize(resize) => resize.width.saturating_mul(resize.height) as usize <= MAX_ELEMENTS / 16,
        PreStage::Tiles(_)
        | PreStage::Region(_)
        | PreStage::Crop(_)
        | PreStage::Normalize(_)
        | PreStage::Frames(_)
        | PreStage::LogMel(_)
        | PreStage::Standardize(_) => true,
    })
}

fn take_pictures(pipeline: &Pipeline) {
    let mut random = SplitMix64::new(1);
    for (width, height) in [(8, 6), (1, 1), (3, 17), (40, 40)] {
        let pixels = random.bytes(width as usize * height as usize * 3);
        let picture = Image::from_rgb(width, height, pixels).expect("as many pixels as its size says");
        // Too small for a crop is the one thing that only a picture shows.
        let Ok(tensors) = pipeline.pre_image(&picture) else { continue };
        let inputs = &pipeline.interface().inputs;
        assert_eq!(tensors.len(), inputs.len());
        for (tensor, input) in tensors.iter().zip(inputs) {
            assert_eq!(tensor.dtype(), input.dtype, "type of `{}`", input.name);
            assert!(fits(tensor.shape(), &input.shape), "{:?} for {:?}", tensor.shape(), input.shape);
        }
    }
}

fn fits(shape: &[usize], declared: &[Option<usize>]) -> bool {
    shape.len() == declared.len() && shape.iter().zip(declared).all(|(n, want)| want.is_none_or(|w| w == *n))
}

/// Gives the pipeline outputs of the shapes that it declares: for axes that vary a batch of 1, and 3 of the others.
fn give_outputs(pipeline: &Pipeline) -> End {
    let mut random = SplitMix64::new(2);
    let mut outputs = Vec::new();
    for output in &pipeline.interface().outputs {
        let shape: Vec<usize> = output
            .shape
            .iter()
            .enumerate()
            .map(|(i, axis)| axis.unwrap_or(if i == 0 { 1 } else { 3 }))
            .collect();
        let elements = shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
        let Some(n) = elements.filter(|&n| n <= MAX_ELEMENTS) else { return End::Costly };
        let data = match output.dtype {
            DType::F32 => Data::F32((0..n).map(|_| f32::from_bits(random.bits() as u32)).collect()),
            DType::U8 => Data::U8(random.bytes(n)),
            DType::I8 => Data::I8(random.weights(n)),
            DType::I32 => Data::I32((0..n).map(|_| random.int(i32::MIN, i32::MAX)).collect()),
            DType::I64 => Data::I64((0..n).map(|_| random.bits().cast_signed()).collect()),
            other => collect(other, n, true, &|_| Number::Int(1)).expect("1 is an element of every type"),
        };
        let Ok(tensor) = Tensor::new(shape, data) else { return End::Costly };
        outputs.push(tensor);
    }
    match pipeline.post(outputs) {
        Ok(_) => End::Used,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            End::Refused
        }
    }
}
