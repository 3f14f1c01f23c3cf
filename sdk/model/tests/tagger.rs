//! The reference interpreter against ONNX Runtime on a whole network: every 8-bit tensor, byte for byte.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, BTreeSet};

use tilemark_bundle::{Digest, sha256};
use tilemark_model::{Graph, Tensor, import, reference};
use tilemark_testkit::tagger::{self, Expected};

/// Tensors that one side has under another name, or not at all: ONNX Runtime's name, ours, and why.
const RENAMED: &[(&str, &str, &str)] = &[(
    "view_QuantizeLinear_Output",
    "view.quantized",
    "the model quantizes the flattened mean again with the same scale; import drops that no-op and keeps the flattened view",
)];

/// Every 8-bit value of one inference, inputs included, by name.
fn observe(graph: &Graph, input: Tensor) -> (BTreeMap<String, Digest>, Tensor) {
    let mut seen = BTreeMap::new();
    let outputs = reference::run_observed(graph, vec![input], |id, tensor| {
        if tensor.dtype().range().is_some() {
            seen.insert(graph.value(id).name.clone(), sha256(&tensor.to_bytes()));
        }
    });
    (seen, outputs.unwrap().swap_remove(0))
}

fn our_name(theirs: &str) -> &str {
    RENAMED.iter().find(|(name, ..)| *name == theirs).map_or(theirs, |(_, ours, _)| ours)
}

/// Checks one case; returns how many tensors were compared.
fn check(graph: &Graph, expected: &Expected, name: &str, input: Tensor, logits: &[u8]) -> usize {
    let (mut seen, output) = observe(graph, input);
    let hashes = &expected.cases[name];
    assert_eq!(hashes.len(), expected.tensors.len(), "{name}");
    for (tensor, hash) in expected.tensors.iter().zip(hashes) {
        let ours = seen.remove(our_name(tensor));
        assert_eq!(ours.as_ref(), Some(hash), "{name}: tensor `{tensor}` differs from ONNX Runtime's");
    }
    assert!(seen.is_empty(), "{name}: tensors that ONNX Runtime does not have: {:?}", seen.keys());
    assert_eq!(output.to_bytes(), logits, "{name}: the final integers differ");
    hashes.len()
}

#[test]
fn every_tensor_of_every_case_equals_onnx_runtime() {
    let graph = import(&tagger::model()).unwrap();
    let expected = tagger::expected();
    assert_eq!(expected.model_sha256, sha256(&tagger::model()).to_string(), "run `cargo xtask expected`");
    let cases = tagger::cases();
    assert_eq!(cases.len(), 20, "10 photos and 10 random inputs");
    let names: BTreeSet<&str> = cases.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, expected.cases.keys().map(String::as_str).collect());
    let work: Vec<_> = cases.into_iter().zip(tagger::expected_logits()).collect();
    // Two halves at once: the interpreter is written for reading, and this is most of the suite's time.
    let compared: usize = std::thread::scope(|scope| {
        let halves = work.chunks(10).map(|half| {
            scope.spawn(|| {
                half.iter()
                    .map(|((name, input), logits)| check(&graph, &expected, name, input.clone(), logits))
                    .sum::<usize>()
            })
        });
        halves.collect::<Vec<_>>().into_iter().map(|half| half.join().unwrap()).sum()
    });
    println!("{compared} tensors of {} equal those of {}", work.len(), expected.made_by);
    assert_eq!(compared, 20 * 62);
}

/// The files that the test above compares with say what was compared; a photo that shows nothing would prove little.
#[test]
fn known_photos_have_their_labels() {
    let cases = tagger::cases();
    for (photo, class) in [("coffee", 967), ("chelsea", 285)] {
        let at = cases.iter().position(|(name, _)| name == photo).unwrap();
        let logits = &tagger::expected_logits()[at];
        let mut order: Vec<usize> = (0..tagger::CLASSES).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(logits[i]));
        assert!(order[..5].contains(&class), "{photo}: {:?}", &order[..5]);
    }
}
