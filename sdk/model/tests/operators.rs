//! One quantized operator at a time against ONNX Runtime, to the byte; where the two differ by design, by how much. The
//! numbers are those of docs/numerics.md.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use tilemark_model::{import, reference};
use tilemark_testkit::operators::{Case, cases};

/// Operators that differ from ONNX Runtime: case, elements that differ, largest difference, why.
const DIFFER: &[(&str, usize, u8, &str)] = &[
    (
        "average_pool_padded",
        13,
        1,
        "ONNX Runtime averages dequantized floats; exact halves over 6 elements fall either way",
    ),
    ("reduce_mean_channels", 1, 1, "ONNX Runtime runs ReduceMean in f32 between Dequantize and Quantize"),
];

/// Operators that stay in f32 inside the graph: a difference there is one of rounding before the last quantization.
const FLOAT: &[&str] = &["softmax"];

/// Elements that differ and the largest difference.
fn compare(case: &Case) -> (usize, u8) {
    let graph = import(&case.model).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let float = graph.nodes.iter().any(|node| node.op.is_float());
    assert_eq!(float, FLOAT.contains(&case.name.as_str()), "{}: runs in f32", case.name);
    let outputs = reference::run(&graph, case.inputs.clone()).unwrap();
    let ours = outputs[0].to_bytes();
    assert_eq!(ours.len(), case.expected.len(), "{}", case.name);
    let signed = outputs[0].dtype() == tilemark_model::DType::I8;
    let step = |byte: u8| if signed { byte ^ 0x80 } else { byte };
    let differences = ours.iter().zip(&case.expected).map(|(&a, &b)| step(a).abs_diff(step(b)));
    differences.filter(|&d| d > 0).fold((0, 0), |(n, most), d| (n + 1, most.max(d)))
}

#[test]
fn every_operator_equals_onnx_runtime_or_differs_as_documented() {
    let (made_by, cases) = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        let found = compare(case);
        let known =
            DIFFER.iter().find(|entry| entry.0 == case.name).map_or((0, 0), |entry| (entry.1, entry.2));
        println!("{}: {} of {} differ, by at most {}", case.name, found.0, case.expected.len(), found.1);
        if found != known {
            wrong.push(format!("{}: {found:?}, documented {known:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "against {made_by}: {wrong:#?}");
    assert!(
        DIFFER.iter().all(|entry| cases.iter().any(|case| case.name == entry.0)),
        "an entry without a case"
    );
}
