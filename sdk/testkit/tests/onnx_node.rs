//! ONNX's own node cases; `cargo xtask onnx-tests` fetches them and runs this.

use std::path::PathBuf;

use tilemark_testkit::node_tests::{Outcome, run_all, table};

/// Cases in onnx 1.16.2; another number means another package.
const CASES: usize = 1282;
/// Cases that must pass. Raise it with what import learns; never lower it.
const FLOOR: usize = 180;

#[test]
#[ignore = "needs ONNX's cases: run `cargo xtask onnx-tests`, which fetches them"]
fn every_case_passes_or_is_refused_as_unsupported() {
    let folder = std::env::var_os("TILEMARK_ONNX_NODE_TESTS").map(PathBuf::from);
    let folder = folder.expect("TILEMARK_ONNX_NODE_TESTS names the folder; `cargo xtask onnx-tests` sets it");
    let reports = run_all(&folder).unwrap();
    println!("{}", table(&reports));
    assert_eq!(reports.len(), CASES, "cases in {}", folder.display());
    let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
    assert!(!reports.iter().any(|report| failed(&report.outcome)), "see FAILED above");
    let passed = reports.iter().filter(|report| report.outcome == Outcome::Passed).count();
    assert!(passed >= FLOOR, "{passed} cases pass, at least {FLOOR} did before");
}
