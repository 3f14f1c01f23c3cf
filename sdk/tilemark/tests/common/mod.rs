//! A small app for tests: a model of two layers, with and without a picture pipeline around it.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test's own files are well-formed, and a panic names the line")]

pub(crate) mod examples;
pub(crate) mod garments;

use std::path::PathBuf;

use tilemark::pack::Package;
use tilemark::{Algorithm, App, Bundle, Home, SigningKey, Trust, Untrusted};
use tilemark_bundle::{AppIdentity, BundleWriter, Ceilings};
use tilemark_testkit::onnx::{Builder, Quantization, int};
use tilemark_testkit::random::SplitMix64;
use tilemark_testkit::temp::TempFolder;

/// Pixels a side of the model's input.
pub(crate) const SIDE: usize = 8;
/// Classes of the model.
pub(crate) const CLASSES: usize = 4;

/// An `app.toml` around [`model`].
pub(crate) const APP_TOML: &str = r#"
[app]
name = "acme/tagger"
version = "1.2.0"
release = 7
license = "Apache-2.0"
description = "Names the object in a photo"

[models.net]
file = "net.onnx"

[input]
image = { channels = "rgb" }

[[pre]]
resize = { width = 8, height = 8, mode = "bilinear", fit = "crop" }
[[pre]]
normalize = { mean = [127, 127, 127], std = [50, 50, 50] }

[[post]]
softmax = {}
[[post]]
top_k = { k = 2, labels = "labels.txt" }

[golden]
inputs = ["photo.bmp"]
"#;

/// One name for each class.
pub(crate) const LABELS: &str = "cat\ndog\nfish\nbird\n";

/// Convolution, Relu, global average, and a matrix product to the classes; `x` is `[1 or batch, 3, 8, 8]` in f32.
pub(crate) fn model(batched: bool) -> Vec<u8> {
    let mut random = SplitMix64::new(42);
    let mut net = Builder::new(13);
    let x =
        if batched { net.batched_input("x", &[3, SIDE, SIDE]) } else { net.input("x", &[1, 3, SIDE, SIDE]) };
    let x = net.qdq(&x, Quantization::u8(0.02, 128));
    let y = net.conv(&x, &mut random, [16, 3, 3, 3]).pads([1; 4]).add();
    let y = net.unary("Relu", &y);
    let y = net.rename(&y, "features");
    let y = net.qdq(&y, Quantization::u8(0.02, 0));
    let y = net.unary("GlobalAveragePool", &y);
    let y = net.qdq(&y, Quantization::u8(0.02, 0));
    let y = net.node("Flatten", &[&y], vec![int("axis", 1)]);
    let y = net.gemm(&y, &mut random, CLASSES, 16);
    let y = net.rename(&y, "scores");
    let y = net.qdq(&y, Quantization::u8(0.05, 128));
    net.output(&y);
    net.encode()
}

/// A picture of `width` x `height` pixels that depends on the seed alone, as a BMP file.
pub(crate) fn picture(seed: u64, width: u32, height: u32) -> Vec<u8> {
    let row = (3 * width as usize).next_multiple_of(4);
    let mut file = b"BM".to_vec();
    let pixels = row * height as usize;
    let word = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    for n in [54 + pixels, 0, 54, 40, width as usize, height as usize] {
        file.extend(word(n));
    }
    file.extend([1, 0, 24, 0]);
    for n in [0, pixels, 2835, 2835, 0, 0] {
        file.extend(word(n));
    }
    file.extend(SplitMix64::new(seed).bytes(pixels));
    file
}

/// A folder with the app's files, ready to be packed.
pub(crate) fn folder() -> TempFolder {
    let folder = TempFolder::new();
    folder.file("app.toml", APP_TOML);
    folder.file("net.onnx", model(false));
    folder.file("labels.txt", LABELS);
    folder.file("photo.bmp", picture(1, 20, 12));
    folder
}

/// What packing the app's folder gives after `edit` changed its `app.toml`.
pub(crate) fn pack_edited(from: &str, to: &str) -> Result<Package, tilemark::Error> {
    assert!(APP_TOML.contains(from), "{from}");
    let folder = folder();
    let path = folder.file("app.toml", APP_TOML.replacen(from, to, 1));
    Package::from_description(path)
}

/// The app as [`APP_TOML`] describes it.
pub(crate) fn package() -> Package {
    Package::from_description(folder().path().join("app.toml")).unwrap()
}

/// An app of a model alone.
pub(crate) fn raw_package(batched: bool) -> Package {
    let identity = AppIdentity::new("acme/raw", "1.0.0", 1, "MIT", "").unwrap();
    Package::from_model(&model(batched), identity).unwrap()
}

pub(crate) fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Ed25519).unwrap()
}

/// Signs with a fresh key, verifies with it, and loads: no files.
pub(crate) fn load(package: &Package) -> App {
    App::from_bundle(bundle(package)).unwrap()
}

pub(crate) fn bundle(package: &Package) -> Bundle {
    let key = key();
    verified(package.sign(&[&key]).unwrap(), &key)
}

pub(crate) fn verified(file: Vec<u8>, key: &SigningKey) -> Bundle {
    Untrusted::from_bytes(file).unwrap().verify(&Trust::key(key.public().clone())).unwrap()
}

/// A vendor with other intentions: the bundle's blobs after `change`, signed by a trusted key. Its ceilings are kept.
pub(crate) fn resigned(bundle: &Bundle, change: impl FnMut(&mut String, &mut Vec<u8>) -> bool) -> Bundle {
    resigned_within(bundle, bundle.manifest().limits, change)
}

/// [`resigned`], with other ceilings. `change` tells whether the blob stays.
pub(crate) fn resigned_within(
    bundle: &Bundle,
    limits: Ceilings,
    mut change: impl FnMut(&mut String, &mut Vec<u8>) -> bool,
) -> Bundle {
    let mut writer = BundleWriter::new(bundle.manifest().app.clone()).limits(limits);
    for (name, bytes) in bundle.blobs() {
        let (mut name, mut bytes) = (name.to_owned(), bytes.to_vec());
        if change(&mut name, &mut bytes) {
            writer = writer.blob(name, bytes);
        }
    }
    let key = key();
    verified(writer.sign(&[&key]).unwrap(), &key)
}

/// A bundle file on disk with the key that signed it and a home of its own.
pub(crate) struct OnDisk {
    pub(crate) folder: TempFolder,
    pub(crate) path: PathBuf,
    pub(crate) trust: Trust,
    pub(crate) home: Home,
}

pub(crate) fn on_disk(package: &Package) -> OnDisk {
    let (folder, key) = (TempFolder::new(), key());
    let path = folder.file("app.tmk", package.sign(&[&key]).unwrap());
    let home = Home::at(folder.path().join("home"));
    OnDisk { path, trust: Trust::key(key.public().clone()), home, folder }
}
