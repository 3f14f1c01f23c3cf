//! Golden vectors: what a replay proves, and that it says where a difference begins.
#![allow(clippy::unwrap_used, reason = "helpers of a test: a panic names the line")]

mod common;

use common::{bundle, load, package, raw_package, resigned};
use tilemark::{App, Device, Error, ErrorKind, Replay};

fn replay(app: &App) -> Replay {
    app.replay(&Device::host()).unwrap()
}

/// The app after its vendor (or whoever holds the key) changed one blob and signed again.
fn changed(part: &str, mut change: impl FnMut(&mut Vec<u8>)) -> App {
    let bundle = bundle(&package());
    let resigned = resigned(&bundle, |name, bytes| {
        if name == part {
            change(bytes);
        }
        true
    });
    App::from_bundle(resigned).unwrap()
}

#[test]
fn the_vendors_bits_come_back() {
    for app in [load(&package()), load(&raw_package(false)), load(&raw_package(true))] {
        let replay = replay(&app);
        replay.check().unwrap();
        assert_eq!(replay.vectors, 1);
        assert!(replay.tensors_compared >= 4 && replay.tensors_compared <= replay.tensors_recorded);
        assert!(app.sample_input().is_some());
        let choice = app.choose_device(Some(1)).unwrap();
        assert!(choice.why.contains("all bits as recorded"), "{}", choice.why);
    }
}

#[test]
fn an_app_without_vectors_proves_nothing_and_says_so() {
    let bundle = bundle(&package());
    let app = App::from_bundle(resigned(&bundle, |name, _| !name.starts_with("golden/"))).unwrap();
    let replay = replay(&app);
    assert_eq!((replay.vectors, replay.tensors_compared), (0, 0));
    assert_eq!(replay.check().unwrap_err().code(), "TM0503");
    assert!(replay.to_string().contains("nothing was proven"), "{replay}");
    assert!(app.choose_device(None).is_err());
    assert!(app.sample_input().is_none());
}

/// Where a graph's constant begins in the weights blob.
fn constant(app: &App, of: &str) -> usize {
    let graph = app.graph();
    let node = graph.nodes.iter().find(|node| node.op.name() == of).unwrap();
    let weights = graph.value(node.inputs[1]).constant.as_ref().unwrap();
    usize::try_from(weights.offset).unwrap()
}

#[test]
fn a_changed_weight_is_located_by_tensor_and_element() {
    // Weight [0, 0, 0, 0] of the first convolution reaches channel 0 of its output and nothing else.
    let at = constant(&load(&package()), "Conv");
    let app = changed("weights", |weights| weights[at] = weights[at].wrapping_add(90));
    let replay = replay(&app);
    let found = replay.divergence.as_ref().unwrap();
    let graph = app.graph();
    let conv = graph.nodes.iter().find(|node| node.op.name() == "Conv").unwrap();
    assert_eq!((found.vector, &found.tensor), (0, &graph.value(conv.output).name));
    // This machine's own reference computes the changed weight too: the record knows the tensor, not its element.
    assert_eq!(found.element, None);
    let error = replay.check().unwrap_err();
    assert_eq!((error.code(), error.kind()), ("TM0507", ErrorKind::GoldenMismatch));
    assert!(error.to_string().contains(&found.tensor), "{error}");
    let Err(Error::GoldenMismatch { .. }) = app.choose_device(None) else { panic!("it was chosen") };
}

#[test]
fn a_later_layers_weight_leaves_the_earlier_tensors_alone() {
    let at = constant(&load(&package()), "FullyConnected");
    let app = changed("weights", |weights| weights[at..at + 16].fill(127));
    let found = replay(&app).divergence.unwrap();
    let graph = app.graph();
    let last = graph.nodes.iter().find(|node| node.op.name() == "FullyConnected").unwrap();
    assert_eq!(found.tensor, graph.value(last.output).name);
}

#[test]
fn a_changed_record_picture_or_pipeline_is_seen() {
    // The result's digest is the record's end; digests are hexadecimal digits.
    let other_digit = |digit: &mut u8| *digit = if *digit == b'0' { b'1' } else { b'0' };
    let app = changed("golden/0/record", |bytes| other_digit(bytes.last_mut().unwrap()));
    assert_eq!(replay(&app).divergence.unwrap().tensor, "result");
    // The first input's digest lies behind schema, tensor count, run count, the run's model, input count and its own length.
    let app = changed("golden/0/record", |bytes| other_digit(&mut bytes[2 + 8 + 8 + 4 + 8 + 8]));
    assert_eq!(replay(&app).divergence.unwrap().tensor, "x");

    let app =
        changed("golden/0/image.npy", |bytes| bytes.iter_mut().rev().take(300).for_each(|b| *b ^= 0x80));
    assert_eq!(replay(&app).divergence.unwrap().tensor, "x");

    let swapped = "dog\ncat\nfish\nbird\n".as_bytes().to_vec();
    let app = changed("resources/labels.txt", |bytes| bytes.clone_from(&swapped));
    let found = replay(&app).divergence;
    let labels = replay_labels(&app);
    let touched = labels.iter().any(|name| name == "dog" || name == "cat");
    assert_eq!(found.map(|d| d.tensor), touched.then(|| "result".to_owned()), "{labels:?}");
}

fn replay_labels(app: &App) -> Vec<String> {
    let mut session = app.session(Device::host()).unwrap();
    let output = session.run(app.sample_input().unwrap()).unwrap();
    output.labels().iter().map(|label| label.name.clone()).collect()
}
