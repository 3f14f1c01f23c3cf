//! `tilemark eval`: what it prints, what it refuses, and that it goes on where it was killed.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;
use tilemark::Picture;

use crate::workshop::{Ran, Workshop};

const CLASSES: [&str; 5] = ["red", "green", "blue", "black", "white"];

/// The tiny app, and `count` pictures of one colour in a folder for each of its classes.
fn with_data(count: u32) -> Workshop {
    let workshop = Workshop::with_tiny();
    for at in 0..count {
        let class = CLASSES[at as usize % CLASSES.len()];
        std::fs::create_dir_all(workshop.path("data").join(class)).unwrap();
        let colour = [(at * 37 % 256) as u8, (at * 91 % 256) as u8, (at * 151 % 256) as u8];
        let picture = Picture { width: 3, height: 3, channels: 3, samples: colour.repeat(9) };
        workshop.write(&format!("data/{class}/{at:05}.png"), picture.png().unwrap());
    }
    workshop
}

fn eval(workshop: &Workshop, more: &str) -> Ran {
    workshop.tilemark(&format!("eval tiny.tmk --trust vendor.pub --device host --data data {more}"))
}

/// A report but for what the clock made of it.
fn timeless(mut report: Value) -> Value {
    for key in ["latency_ms", "samples_per_second", "peak_memory_bytes", "joules"] {
        report.as_object_mut().unwrap().remove(key);
    }
    report
}

#[test]
fn accuracy_is_the_share_that_run_gets_right() {
    let workshop = with_data(40);
    let mut right = 0;
    for class in CLASSES {
        for entry in std::fs::read_dir(workshop.path("data").join(class)).unwrap() {
            let line = format!(
                "run tiny.tmk --trust vendor.pub --device host --json {}",
                entry.unwrap().path().display()
            );
            right +=
                u64::from(workshop.tilemark(&line).ok().json()["results"][0]["labels"][0]["name"] == class);
        }
    }
    let report = eval(&workshop, "--json").ok().json();
    assert_eq!((report["app"].as_str(), report["device"].as_str()), (Some("acme/tiny"), Some("host")));
    assert_eq!((report["samples"].as_u64(), report["failed"].as_u64()), (Some(40), Some(0)));
    assert_eq!(report["counts"], serde_json::json!({ "hits": right, "of": 40 }));
    let accuracy = &report["metrics"][0];
    assert_eq!(accuracy["name"], "accuracy");
    let number = |key: &str| accuracy[key].as_f64().unwrap();
    assert_eq!((number("value"), number("confidence")), (right as f64 / 40.0, 0.95));
    assert!(number("low") <= number("value") && number("value") <= number("high"));
    let confused: u64 =
        report["confusion"].as_array().unwrap().iter().map(|pair| pair["count"].as_u64().unwrap()).sum();
    assert_eq!(confused, 40);
    for level in ["scalar", "avx2"] {
        let line = "eval tiny.tmk --trust vendor.pub --device host --data data --json";
        let other = workshop.tilemark_with(("TILEMARK_CPU", level), line);
        if other.code == 5 {
            println!("skipped: this CPU lacks {level}");
            continue;
        }
        assert_eq!(timeless(other.ok().json()), timeless(report.clone()), "{level}");
    }
    eval(&workshop, "--metric f1").ok().prints("f1 ").prints("(bootstrap)").prints("data ");
}

#[test]
fn data_that_does_not_fit_is_refused() {
    let workshop = with_data(10);
    std::fs::create_dir(workshop.path("data/purple")).unwrap();
    let message = eval(&workshop, "--json").fails_in_json(6, "TM0560");
    assert!(message.contains("purple; its classes: red, green"), "{message}");
    std::fs::remove_dir(workshop.path("data/purple")).unwrap();
    workshop.write("data/red/zz.png", b"no picture");
    eval(&workshop, "").fails(6, "TM0562").says("red/zz.png").says("--max-failed");
}

#[test]
fn a_failed_sample_is_named_and_a_wrong_metric_told() {
    let workshop = with_data(10);
    workshop.write("data/red/zz.png", b"no picture");
    eval(&workshop, "--max-failed 10").ok().prints("11 of 11 samples, 1 failed").prints("red/zz.png");
    workshop.write("data/manifest.csv", "file,text\nred/00000.png,RED\n");
    eval(&workshop, "--metric cer").fails(2, "TM0561").says("it reads no text");
    let message = eval(&workshop, "--metric beauty --json").fails_in_json(2, "TM0601");
    assert!(message.contains("accuracy, top-5, f1"), "{message}");
    let message = workshop.tilemark("eval tiny.tmk --trust vendor.pub --json").fails_in_json(2, "TM0601");
    assert!(message.contains("--data"), "{message}");
}

#[test]
fn a_plan_needs_no_app() {
    let workshop = Workshop::new();
    let plan = |question: &str| {
        let mut command = workshop.command("eval --json --plan");
        Ran::new(question, command.arg(question).output().unwrap())
    };
    for (question, samples) in [
        ("accuracy within 3 % at 95 %", 388),
        ("accuracy within 1 % at 95 %", 3461),
        ("difference of 3 % with 10 % discordant at 95 %", 870),
    ] {
        assert_eq!(plan(question).ok().json(), serde_json::json!({ "samples": samples }));
    }
    plan("accuracy soon").fails_in_json(2, "TM0601");
}

#[test]
fn an_evaluation_that_was_killed_goes_on_to_the_same_report() {
    let workshop = with_data(1500);
    let whole = timeless(eval(&workshop, "--json").ok().json());
    let line = "eval tiny.tmk --trust vendor.pub --device host --data data --json --journal journal";
    let mut kills = 0;
    for lines in [5, 400, 1100] {
        let mut child = workshop.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        kills += u32::from(kill_after(&mut child, &workshop, lines));
    }
    println!("killed {kills} times");
    assert_eq!(timeless(workshop.tilemark(line).ok().json()), whole);
}

/// Kills it when its journal has so many lines; false if it was done before.
fn kill_after(child: &mut Child, workshop: &Workshop, lines: usize) -> bool {
    loop {
        let journal = std::fs::read(workshop.path("journal")).unwrap_or_default();
        if journal.iter().filter(|byte| **byte == b'\n').count() >= lines {
            let running = child.try_wait().unwrap().is_none();
            child.kill().unwrap();
            child.wait().unwrap();
            return running;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
