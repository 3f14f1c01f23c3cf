//! Real networks in every int8 form, against ONNX Runtime; `cargo xtask models --check` makes them and runs this.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed unwrap is a failed test, and what was compared is printed"
)]

use std::path::{Path, PathBuf};

use tilemark_model::{Error, Tensor, import};
use tilemark_testkit::networks::{Comparison, Difference, Failure, compare, run};

/// Outputs may be this far from ONNX Runtime's where it does not run the same integers; relative to the largest.
const TOLERANCE: f64 = 1e-4;

/// Tensors that ONNX Runtime computes from equal operands to something else, and why: network, end of the form's name,
/// part of the tensor's name, and how many of its elements may differ, by how much at most.
const EXPLAINED: &[(&str, &str, &str, f64, u8, &str)] = &[
    (
        "ppocr",
        "",
        "softmax",
        0.5,
        1,
        "fuses to QLinearSoftmax, which rounds otherwise than Softmax between Q and DQ",
    ),
    (
        "selfie-",
        "",
        "resize",
        0.02,
        1,
        "drops Q and DQ around Resize, and then cuts fractions off instead of rounding",
    ),
    (
        "ppocr4-rec",
        "",
        "AveragePool",
        0.01,
        1,
        "sums in f32 whose roundings decide ties; here sums are integers",
    ),
    (
        "ppocr4-det",
        "qop-u8s8",
        "ConvTranspose.1_",
        0.1,
        2,
        "quantizes f32 weights of a ConvTranspose on its own",
    ),
    ("ppocr4-det", "", "ConvTranspose", 1e-5, 1, "adds in another order in f32"),
    ("ppocr4-rec", "mixed-s8s8-asymmetric", "", 1e-3, 1, "adds in another order in f32"),
];

fn explanation(name: &str, difference: &Difference) -> Option<&'static str> {
    let (network, form) = name.split_once('/')?;
    let share = difference.differing as f64 / difference.elements as f64;
    let fits = |e: &&(&str, &str, &str, f64, u8, &'static str)| {
        network.starts_with(e.0)
            && form.ends_with(e.1)
            && difference.tensor.contains(e.2)
            && share <= e.3
            && difference.largest <= e.4
    };
    EXPLAINED.iter().find(fits).map(|e| e.5)
}

/// Prints what was found; returns what is wrong with it.
fn judge(found: &Comparison) -> Vec<String> {
    let (mut text, mut wrong) = (found.to_string(), Vec::new());
    for difference in &found.differences {
        match explanation(&found.name, difference) {
            Some(reason) => text += &format!("\n        ONNX Runtime {reason}"),
            None => wrong.push(format!("{}: unexplained: {difference:?}", found.name)),
        }
    }
    println!("{text}");
    let same_integers = found.differences.is_empty() && found.their_floats == 0 && found.integer_share == 1.0;
    if same_integers && !found.outputs.equal && found.outputs.relative > TOLERANCE {
        wrong.push(format!("{}: the outputs differ by {}", found.name, found.outputs));
    }
    if found.followed.relative > TOLERANCE {
        wrong
            .push(format!("{}: the outputs differ by {} from their own tensors", found.name, found.followed));
    }
    let is_classifier = ["efficientnet-lite0/", "resnet50/", "mobilenet-v2/", "garment/"]
        .iter()
        .any(|classifier| found.name.starts_with(classifier));
    if is_classifier && !found.outputs.equal {
        wrong.push(format!("{}: a classifier's outputs are not equal byte for byte", found.name));
    }
    wrong
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[test]
#[ignore = "needs real networks: run `cargo xtask models --check`, which fetches them"]
fn every_form_equals_the_reference_and_onnx_runtime() {
    let variable = |name: &str| {
        let folder = std::env::var_os(name).map(PathBuf::from);
        folder.unwrap_or_else(|| panic!("{name} names a folder; `cargo xtask models --check` sets it"))
    };
    let (network, oracle) = (variable("TILEMARK_NETWORK"), variable("TILEMARK_ORACLE"));
    let forms = folders(&oracle);
    if forms.is_empty() {
        return refused(&network.join("float.onnx"));
    }
    let exact = std::fs::read_to_string(oracle.join("cpu.json")).unwrap().contains("true");
    if !exact {
        println!(
            "SKIPPED ONNX Runtime's results: on a CPU without VNNI it adds pairs of products in saturating 16 bits"
        );
    }
    let input = std::fs::read(network.join("evaluation/0000.npy")).unwrap();
    let input = tilemark_pipeline::npy::read(&input).unwrap();
    let mut wrong = Vec::new();
    for form in &forms {
        let file = network.join(form.file_name().unwrap()).with_extension("onnx");
        let found = if exact {
            compare(&file, &input, form).map(|found| judge(&found))
        } else {
            alone(&file, &input)
        };
        wrong.extend(found.unwrap_or_else(|error| vec![format!("{}: {error}", file.display())]));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The engine against the reference only.
fn alone(file: &Path, input: &Tensor) -> Result<Vec<String>, Failure> {
    let graph = import(&std::fs::read(file)?)?;
    println!("{}: {} values equal on the engine", file.display(), run(&graph, input)?.0);
    Ok(Vec::new())
}

/// A network of which no form is made is one that must be refused, by the name of the node that is the reason.
fn refused(file: &Path) {
    match import(&std::fs::read(file).unwrap()) {
        Err(Error::UnsupportedOp { node, op, reason, .. }) => {
            println!("{}: refused at `{node}` ({op}): {reason}", file.display());
        }
        other => panic!("{}: {other:?} instead of a node that is not supported", file.display()),
    }
}
