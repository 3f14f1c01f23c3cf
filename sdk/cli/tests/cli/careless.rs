//! `tilemark eval` in careless hands: nothing that was there is lost, and what cannot be had is told before anything is run.

use crate::eval::with_data;
use crate::workshop::{Ran, Workshop};

fn eval(workshop: &Workshop, more: &str) -> Ran {
    workshop.tilemark(&format!("eval tiny.tmk --trust vendor.pub --device host --data data {more}"))
}

/// Every file below the workshop, but for the state of the machine.
fn all(workshop: &Workshop) -> Vec<(String, Vec<u8>)> {
    let mut folders = vec![workshop.path("")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(workshop.path("")).unwrap().display().to_string();
            match path.is_dir() {
                true if name != "home" => folders.push(path),
                true => {}
                false => files.push((name, std::fs::read(path).unwrap())),
            }
        }
    }
    files.sort();
    files
}

#[test]
fn no_command_writes_over_its_input_or_over_a_private_key() {
    let workshop = Workshop::with_sources();
    workshop.tilemark("pack app.toml --key vendor.key -o tiny.tmk").ok();
    workshop.tilemark("keygen --out lab").ok();
    std::fs::create_dir(workshop.path("data")).unwrap();
    let before = all(&workshop);
    for (command, exit, said) in [
        ("pack app.toml --key vendor.key -o vendor.key", 1, "vendor.key exists already"),
        (
            "pack app.toml --key vendor.key -o ./app.toml",
            2,
            "--output and the description name the same file",
        ),
        ("sign tiny.tmk --key lab.key -o lab.key", 1, "lab.key exists already"),
        (
            "quantize tiny.onnx --calibration data -o tiny.onnx",
            2,
            "--output and the model name the same file",
        ),
        (
            "quantize tiny.onnx --calibration data -o a.onnx --report a.onnx",
            2,
            "--report and --output name the same file",
        ),
    ] {
        let ran = workshop.tilemark(command);
        assert_eq!(ran.code, exit, "{command}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{command}: {}", ran.stderr);
        assert_eq!(all(&workshop), before, "{command}");
    }
}

#[test]
fn no_output_is_written_over_what_is_read_or_what_is_somebody_elses() {
    let workshop = with_data(10);
    workshop.tilemark("keygen --out lab").ok();
    workshop.write("notes", "one line, and no end of it");
    workshop.write("data/manifest.csv", "file,label\nred/00000.png,red\n");
    let before = all(&workshop);
    for (more, exit, code, said) in [
        ("--journal notes", 1, "TM0563", "no journal of an evaluation"),
        ("--journal data/red/00000.png", 1, "TM0563", "no journal of an evaluation"),
        ("--journal tiny.tmk", 2, "TM0601", "--journal and the bundle name the same file"),
        ("--journal vendor.pub", 2, "TM0601", "--journal and --trust name the same file"),
        ("--journal data", 2, "TM0601", "--journal and --data name the same file"),
        ("--journal x --html x", 2, "TM0601", "--html and --journal name the same file"),
        ("--html notes", 1, "TM0603", "notes exists already"),
        ("--html data/red/00000.png", 1, "TM0603", "exists already"),
        ("--html data/manifest.csv", 1, "TM0603", "exists already"),
        ("--html nowhere/page.html", 2, "TM0601", "there is no folder nowhere"),
        ("--report lab.key --key lab.key --buyer-data", 2, "TM0601", "--report and --key name the same file"),
        ("--report notes --key lab.key --buyer-data", 1, "TM0603", "notes exists already"),
        (
            "--report x --html ./x --key lab.key --buyer-data",
            2,
            "TM0601",
            "--report and --html name the same file",
        ),
        ("--report x --key nowhere.key --buyer-data", 1, "TM01", "nowhere.key"),
    ] {
        let ran = eval(&workshop, more);
        assert_eq!(ran.code, exit, "{more}: {}", ran.stderr);
        assert!(ran.stderr.contains(said) && ran.stderr.contains(code), "{more}: {}", ran.stderr);
        assert_eq!(all(&workshop), before, "{more}");
    }
    for (more, said) in [
        ("--out same --salt same", "--salt and --out name the same file"),
        ("--out data/../same --salt same", "--salt and --out name the same file"),
        ("--out notes --salt salt", "notes exists already"),
        ("--out out --salt notes", "notes exists already"),
        ("--out lab.key --salt salt --key lab.key", "--out and --key name the same file"),
    ] {
        let ran = workshop.tilemark(&format!("eval commit data {more}"));
        assert!(ran.code != 0 && ran.stderr.contains(said), "{more}: {}", ran.stderr);
        assert_eq!(all(&workshop), before, "{more}");
    }
    let line = "compare tiny.tmk tiny.tmk --trust vendor.pub --device host --data data --html tiny.tmk";
    workshop.tilemark(line).fails(2, "TM0601").says("--html and the first bundle name the same file");
    assert_eq!(all(&workshop), before);
}

#[test]
fn what_is_ours_is_written_again() {
    let workshop = with_data(5);
    workshop.tilemark("keygen --out lab").ok();
    for _ in 0..2 {
        eval(
            &workshop,
            "--html page.html --report report.json --key lab.key --seller-data --journal journal",
        )
        .ok();
    }
    assert_ne!(workshop.read("page.html"), workshop.read("report.json"));
}

#[test]
fn options_that_say_nothing_together_are_refused() {
    let workshop = with_data(1);
    for (more, said) in [
        ("--key vendor.key", "--report"),
        ("--signer vendor.pub", "--check"),
        ("--buyer-data --seller-data", "--seller-data"),
        ("--check x --signer vendor.pub --seller-data", "--seller-data"),
        ("--confidence 99.95 --metric f1", "99.9 % at most"),
        ("--stop-when soon", "expected"),
    ] {
        let ran = eval(&workshop, more);
        assert!(ran.code == 2 && ran.stderr.contains(said), "{more}: {}", ran.stderr);
    }
}

#[test]
fn a_journal_does_not_go_on_with_other_bytes() {
    let workshop = with_data(20);
    eval(&workshop, "--journal journal").ok();
    let journal = workshop.read("journal");
    let picture = workshop.read("data/red/00005.png");
    std::fs::copy(workshop.path("data/red/00000.png"), workshop.path("data/red/00005.png")).unwrap();
    eval(&workshop, "--journal journal")
        .fails(1, "TM0563")
        .says("changed since they were evaluated: red/00005.png");
    assert_eq!(workshop.read("journal"), journal);
    workshop.write("data/red/00005.png", picture);
    eval(&workshop, "--journal journal").ok();
    assert_eq!(workshop.read("journal"), journal);
    eval(&workshop, "--journal journal --metric top-5").fails(1, "TM0563").says("of another metric");
}

/// A picture that was mended is tried again, and the report is that of who never had a broken one.
#[test]
fn a_mended_sample_is_tried_again() {
    let workshop = with_data(20);
    let whole = |more: &str| {
        let mut report = eval(&workshop, more).ok().json();
        for key in ["latency_ms", "latency_bins", "samples_per_second", "peak_memory_bytes", "joules"] {
            report.as_object_mut().unwrap().remove(key);
        }
        report
    };
    let expected = whole("--json");
    let picture = workshop.read("data/red/00005.png");
    workshop.write("data/red/00005.png", b"no picture");
    eval(&workshop, "--journal journal").fails(6, "TM0562").says("red/00005.png");
    eval(&workshop, "--journal journal --max-failed 5").ok().prints("1 failed");
    workshop.write("data/red/00005.png", picture);
    assert_eq!(whole("--json --journal journal"), expected);
    assert_eq!(whole("--json --journal journal"), expected);
}
