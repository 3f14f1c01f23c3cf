//! Two processes: no tensor is torn, and the death of one end does not hang the other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tilemark_model::DType;
use tilemark_slots::{Consumer, Contract, Producer};

/// Names the folder to the process that produces.
const FOLDER: &str = "TILEMARK_TEST_SLOTS";
/// Not a whole number of cache lines or pages.
const BYTES: usize = 70_001;
/// Tensors read, and how often the producer is killed meanwhile.
const TENSORS: usize = 1_200;
const DEATHS: usize = 5;

fn contract() -> Contract {
    Contract::new(3, DType::U8, [BYTES])
}

/// Every byte of a tensor follows from its number.
fn byte(sequence: u64, at: usize) -> u8 {
    (sequence.wrapping_mul(167) as u8).wrapping_add((at % 251) as u8)
}

#[test]
#[ignore = "the other process of the stress test"]
fn produces() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut producer = Producer::open(Path::new(&folder), "stress", &contract(), 4).unwrap();
    loop {
        let Some(mut writing) = producer.begin().unwrap() else { continue };
        let sequence = writing.sequence();
        for (at, to) in writing.bytes_mut().iter_mut().enumerate() {
            *to = byte(sequence, at);
        }
        assert_eq!(writing.commit(), sequence);
    }
}

fn spawn(folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "produces", "--ignored", "--nocapture"]).env(FOLDER, folder);
    command.stdout(std::process::Stdio::null()).spawn().unwrap()
}

fn open(folder: &Path) -> Consumer {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match Consumer::open(folder, "stress", &contract()) {
            Ok(consumer) => return consumer,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads so many tensors, each twice; says how many were missed.
fn read(consumer: &mut Consumer, count: usize) -> u64 {
    for _ in 0..count {
        let reading = consumer.next(Duration::from_secs(30)).unwrap().expect("a producer is at work");
        let sequence = reading.sequence();
        for _ in 0..2 {
            let wrong = reading.bytes().iter().enumerate().find(|(at, found)| **found != byte(sequence, *at));
            assert_eq!(wrong, None, "tensor {sequence} is torn");
        }
    }
    consumer.missed()
}

#[test]
fn nothing_is_torn_between_processes_and_a_dead_end_hangs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = spawn(folder.path());
    let mut consumers = [open(folder.path()), open(folder.path())];
    for death in 0..=DEATHS {
        std::thread::scope(|scope| {
            for consumer in &mut consumers {
                scope.spawn(move || read(consumer, TENSORS / (DEATHS + 1)));
            }
        });
        // Killed wherever it is: in the middle of a slot, as a rule.
        child.kill().unwrap();
        child.wait().unwrap();
        if death < DEATHS {
            child = spawn(folder.path());
        }
    }
    let [a, b] = consumers.map(|consumer| consumer.missed());
    println!(
        "{TENSORS} tensors each of {BYTES} bytes read by two consumers, {a} and {b} missed, {DEATHS} deaths"
    );
}

/// A reader that dies with a slot in its hands gives it back.
#[test]
fn a_dead_reader_holds_no_slot() {
    let folder = tempfile::tempdir().unwrap();
    let mut producer = Producer::open(folder.path(), "held", &contract(), 2).unwrap();
    producer.begin().unwrap().unwrap().commit();
    let mut reader = Command::new(std::env::current_exe().unwrap());
    reader.args(["--exact", "holds", "--ignored", "--nocapture"]).env(FOLDER, folder.path());
    let mut reader = reader.stdout(std::process::Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    // While it reads one slot of two, the producer can write the other once and then no more.
    while folder.path().join("held/holding").metadata().is_err() {
        assert!(Instant::now() < deadline, "the reader did not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    producer.begin().unwrap().unwrap().commit();
    assert!(producer.begin().unwrap().is_none());
    reader.kill().unwrap();
    reader.wait().unwrap();
    assert!(producer.begin().unwrap().is_some());
}

#[test]
#[ignore = "the other process of the test of a dead reader"]
fn holds() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut consumer = Consumer::open(Path::new(&folder), "held", &contract()).unwrap();
    let _reading = consumer.next(Duration::from_secs(30)).unwrap().unwrap();
    std::fs::write(Path::new(&folder).join("held/holding"), []).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}
