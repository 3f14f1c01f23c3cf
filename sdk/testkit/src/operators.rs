//! Small QDQ models, one operator each, and what ONNX Runtime computed from them. `cargo xtask expected` makes the files
//! again.

use std::path::Path;

use serde::Deserialize;
use tilemark_model::{Data, Tensor};

use crate::random::SplitMix64;

/// `data/operators/cases.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    made_by: String,
    cases: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    case: String,
    inputs: Vec<Input>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(rename = "name")]
    _name: String,
    shape: Vec<usize>,
    dtype: String,
    seed: u64,
}

/// One operator: its model, its inputs, and the bytes that ONNX Runtime gave.
#[derive(Debug)]
pub struct Case {
    /// What it is.
    pub name: String,
    /// The ONNX file.
    pub model: Vec<u8>,
    /// 8-bit inputs in the model's order.
    pub inputs: Vec<Tensor>,
    /// ONNX Runtime's output, 8-bit elements in row-major order.
    pub expected: Vec<u8>,
}

/// Every case, and the name and version of the runtime that computed them.
///
/// # Panics
/// If the committed files cannot be read.
#[must_use]
pub fn cases() -> (String, Vec<Case>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/operators");
    let read = |name: &str| {
        std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("data/operators/{name}: {error}"))
    };
    let listed: Listed = serde_json::from_slice(&read("cases.json")).expect("cases.json is well-formed");
    let case = |entry: Entry| Case {
        model: read(&format!("{}.onnx", entry.case)),
        expected: read(&format!("{}.bin", entry.case)),
        inputs: entry.inputs.iter().map(tensor).collect(),
        name: entry.case,
    };
    (listed.made_by, listed.cases.into_iter().map(case).collect())
}

fn tensor(input: &Input) -> Tensor {
    let bytes = SplitMix64::new(input.seed).bytes(input.shape.iter().product());
    let data = match input.dtype.as_str() {
        "i8" => Data::I8(bytes.into_iter().map(u8::cast_signed).collect()),
        _ => Data::U8(bytes),
    };
    Tensor::new(input.shape.clone(), data).expect("as many bytes as the shape says")
}
