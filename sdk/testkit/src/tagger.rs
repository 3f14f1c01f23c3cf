//! The committed tagger (EfficientNet-Lite0, int8): its file, twenty inputs, and what ONNX Runtime computed from them.
//! `cargo xtask expected` makes the expected files again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tilemark_bundle::Digest;
use tilemark_model::Tensor;

use crate::random::SplitMix64;

/// Pixels a side.
const SIDE: usize = 224;
/// Inputs of random floats, beside the photos.
pub const RANDOM_CASES: u64 = 10;
/// Length of the network's output.
pub const CLASSES: usize = 1000;

/// `data/tagger/expected.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Name and version of the runtime that computed it.
    pub made_by: String,
    /// SHA-256 of the model file it was computed from.
    pub model_sha256: String,
    /// Names of the 8-bit tensors, in execution order.
    pub tensors: Vec<String>,
    /// For each case the SHA-256 of every tensor's bytes in NCHW, in the order of `tensors`.
    pub cases: BTreeMap<String, Vec<Digest>>,
}

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The model file's bytes.
///
/// # Panics
/// If the committed file cannot be read.
#[must_use]
pub fn model() -> Vec<u8> {
    read(&root().join("examples/apps/tagger/efficientnet-lite0-int8.onnx"))
}

/// What ONNX Runtime computed.
///
/// # Panics
/// If the committed files cannot be read.
#[must_use]
pub fn expected() -> Expected {
    serde_json::from_slice(&read(&data().join("tagger/expected.json"))).expect("expected.json is well-formed")
}

/// The final integer tensor of every case, in the order of [`cases`].
///
/// # Panics
/// If the committed file cannot be read.
#[must_use]
pub fn expected_logits() -> Vec<Vec<u8>> {
    read(&data().join("tagger/logits.bin")).chunks(CLASSES).map(<[u8]>::to_vec).collect()
}

/// Every case: its name and the f32 input `[1, 3, 224, 224]`. Photos by name, then the random ones.
///
/// # Panics
/// If a committed photo cannot be read.
#[must_use]
pub fn cases() -> Vec<(String, Tensor)> {
    let folder = std::fs::read_dir(data().join("photos")).expect("the photos are committed");
    let mut photos: Vec<PathBuf> = folder
        .map(|entry| entry.expect("a listed file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "png"))
        .collect();
    photos.sort();
    let photo = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        (name, photo(path))
    };
    let random = |seed: u64| {
        let reals = SplitMix64::new(seed).floats(3 * SIDE * SIDE, -1.5, 1.5);
        (format!("random{seed}"), image(reals))
    };
    photos.iter().map(photo).chain((0..RANDOM_CASES).map(random)).collect()
}

/// `(pixel - 127) / 128`, channel planes one after the other.
fn photo(path: &Path) -> Tensor {
    let pixels = image::load_from_memory(&read(path)).expect("a readable photo").into_rgb8();
    let pixels = pixels.as_raw();
    let real = |channel: usize, i: usize| (f32::from(pixels[3 * i + channel]) - 127.0) / 128.0;
    image((0..3).flat_map(|channel| (0..SIDE * SIDE).map(move |i| real(channel, i))).collect())
}

fn image(reals: Vec<f32>) -> Tensor {
    Tensor::f32([1, 3, SIDE, SIDE], reals).expect("a photo of 224 x 224")
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
