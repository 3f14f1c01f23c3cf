//! A model of one process feeds a model of another through shared memory, and gives the bits of the same chain in one process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tilemark::pack::Package;
use tilemark::slots::{Consumer, Producer};
use tilemark::{App, Device, Tensor};
use tilemark_bundle::AppIdentity;
use tilemark_testkit::onnx::{Builder, Quantization};
use tilemark_testkit::random::SplitMix64;

/// Names the folder to the other process.
const FOLDER: &str = "TILEMARK_TEST_SLOTS";
const FRAMES: usize = 200;
const PATIENCE: Duration = Duration::from_secs(30);

/// Scores of one model to scores of another kind.
fn second() -> App {
    let mut random = SplitMix64::new(7);
    let mut net = Builder::new(13);
    let x = net.input("scores", &[1, common::CLASSES]);
    let x = net.qdq(&x, Quantization::u8(0.04, 120));
    let y = net.gemm(&x, &mut random, 3, common::CLASSES);
    let y = net.rename(&y, "kinds");
    let y = net.qdq(&y, Quantization::u8(0.05, 128));
    net.output(&y);
    let identity = AppIdentity::new("other/sorter", "1.0.0", 1, "MIT", "").unwrap();
    common::load(&Package::from_model(&net.encode(), identity).unwrap())
}

fn first() -> App {
    common::load(&common::raw_package(false))
}

fn frame(i: usize) -> Tensor {
    let mut random = SplitMix64::new(i as u64);
    let bytes = random.bytes(3 * common::SIDE * common::SIDE);
    let reals = bytes.into_iter().map(|byte| (f32::from(byte) - 128.0) * 0.02).collect();
    Tensor::f32([1, 3, common::SIDE, common::SIDE], reals).unwrap()
}

fn output(app: &App) -> String {
    app.graph().outputs[0].name.clone()
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

#[test]
#[ignore = "the other process of the test of a chain"]
fn produces() {
    let Some(folder) = folder() else { return };
    let app = first();
    let contract = app.output_contract(&output(&app), 1).unwrap();
    let mut producer = Producer::open(&folder, "scores", &contract, 3).unwrap();
    let mut session = app.session(Device::host()).unwrap();
    std::fs::write(folder.join("ready"), []).unwrap();
    for i in 0..FRAMES {
        let scores = session.run_views(&[frame(i).view()]).unwrap();
        assert!(producer.publish(scores[0].view()).unwrap().is_some(), "one reader cannot hold all slots");
        // Every frame counts: wait until the other end has read it.
        wait_for(&folder.join(format!("read-{i}")));
    }
}

#[test]
fn a_chain_of_two_processes_gives_the_bits_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let exe = std::env::current_exe().unwrap();
    let mut child = Command::new(exe);
    child.args(["--exact", "produces", "--ignored", "--nocapture"]).env(FOLDER, folder.path());
    let mut child = child.stdout(Stdio::null()).spawn().unwrap();
    let (first, second) = (first(), second());
    wait_for(&folder.path().join("ready"));
    let contract = second.input_contract("scores", 1).unwrap();
    let mut consumer = Consumer::open(folder.path(), "scores", &contract).unwrap();
    let mut sessions = [&first, &second].map(|app| app.session(Device::host()).unwrap());
    let mut across = second.session(Device::host()).unwrap();
    let mut seen = Vec::new();
    for i in 0..FRAMES {
        let reading = consumer.next(PATIENCE).unwrap().expect("the producer is at work");
        let found = across.run_views(&[reading.view().unwrap()]).unwrap();
        drop(reading);
        let scores = sessions[0].run_views(&[frame(i).view()]).unwrap();
        let expected = sessions[1].run_views(&[scores[0].view()]).unwrap();
        assert_eq!(found, expected, "frame {i}");
        seen.push(found[0].to_bytes());
        std::fs::write(folder.path().join(format!("read-{i}")), []).unwrap();
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(consumer.missed(), 0);
    seen.sort();
    seen.dedup();
    assert!(seen.len() > 20, "{} different results", seen.len());
}

fn wait_for(path: &Path) {
    let start = Instant::now();
    while path.metadata().is_err() {
        assert!(start.elapsed() < PATIENCE, "no {}", path.display());
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn ends_that_do_not_fit_are_told_apart() {
    let (first, second) = (first(), second());
    let (from, to) =
        (first.output_contract(&output(&first), 1).unwrap(), second.input_contract("scores", 1).unwrap());
    assert_eq!(from, to);
    assert_ne!(from, first.input_contract("x", 1).unwrap());
    assert_ne!(from, second.input_contract("scores", 2).unwrap());
    let error = second.input_contract("x", 1).unwrap_err();
    assert_eq!(error.code(), "TM0503");
    assert!(error.to_string().contains("there is no `x`, but scores"), "{error}");
}
