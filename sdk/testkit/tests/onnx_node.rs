//! ONNX's own node cases; `cargo xtask onnx-tests` fetches them and runs this.

use std::path::PathBuf;

use tilemark_testkit::node_tests::{Outcome, missing, run_all, table};

/// Cases in onnx 1.16.2; another number means another package.
const CASES: usize = 1282;
/// Cases that must pass. Raise it with what import learns; never lower it.
const FLOOR: usize = 786;
/// Cases that bear on quantized CNNs, and how many of them must pass.
const BEARING: [usize; 2] = [443, 430];

#[test]
#[ignore = "needs ONNX's cases: run `cargo xtask onnx-tests`, which fetches them"]
fn every_case_passes_or_is_refused_as_unsupported() {
    let folder = std::env::var_os("TILEMARK_ONNX_NODE_TESTS").map(PathBuf::from);
    let folder = folder.expect("TILEMARK_ONNX_NODE_TESTS names the folder; `cargo xtask onnx-tests` sets it");
    let reports = run_all(&folder).unwrap();
    println!("{}\n{}", table(&reports), missing(&reports));
    assert_eq!(reports.len(), CASES, "cases in {}", folder.display());
    let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
    assert!(!reports.iter().any(|report| failed(&report.outcome)), "see FAILED above");
    let passed = reports.iter().filter(|report| report.outcome == Outcome::Passed).count();
    let bearing: Vec<_> = reports.iter().filter(|report| report.bears()).collect();
    let of_these = bearing.iter().filter(|report| report.outcome == Outcome::Passed).count();
    assert_eq!(bearing.len(), BEARING[0], "the cases of ONNX have changed");
    assert!(of_these >= BEARING[1], "{of_these} of the cases that bear on CNNs pass");
    assert!(passed >= FLOOR, "{passed} cases pass, at least {FLOOR} did before");
}
