//! `tilemark eval`: what it prints, what it refuses, and that it goes on where it was killed.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;
use tilemark::Picture;

use crate::workshop::{Ran, TINY_TOML, Workshop, tiny_onnx};

const CLASSES: [&str; 5] = ["red", "green", "blue", "black", "white"];

/// The tiny app, and `count` pictures of one colour in a folder for each of its classes.
pub(crate) fn with_data(count: u32) -> Workshop {
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
    for key in
        ["latency_ms", "latency_bins", "samples_per_second", "peak_memory_bytes", "joules", "device_facts"]
    {
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
    eval(&workshop, "--metric f1").ok().prints("f1 ").prints("(widened bootstrap)").prints("data ");
}

/// A cell of a table of the page.
fn cells(page: &str) -> Vec<String> {
    let cell = |part: &str| {
        let text = part.split_once('>')?.1.split_once("</td>")?.0;
        Some(text.replace("&gt;", ">").replace("&lt;", "<").replace("&#39;", "'").replace("&amp;", "&"))
    };
    page.split("<td").filter_map(cell).collect()
}

#[test]
fn the_page_has_the_numbers_of_the_json() {
    let workshop = with_data(40);
    for metric in ["accuracy", "f1"] {
        let line = format!("--json --html page.html --worst 3 --seller-data --metric {metric}");
        let report = eval(&workshop, &line).ok().json();
        let page = String::from_utf8(workshop.read("page.html")).unwrap();
        let cells = cells(&page);
        let has = |text: &str| assert!(cells.iter().any(|cell| cell == text), "{text}: {cells:?}");
        for measured in report["metrics"].as_array().unwrap() {
            for key in ["value", "low", "high"] {
                has(&format!("{:.2} %", 100.0 * measured[key].as_f64().unwrap()));
            }
            has(measured["method"].as_str().unwrap());
        }
        let counts = &report["counts"];
        ["hits", "of"].iter().for_each(|key| has(&counts[key].to_string()));
        for class in counts["classes"].as_array().into_iter().flatten() {
            [&class[1], &class[2]].iter().for_each(|count| has(&count.to_string()));
        }
        for key in ["identity", "answers", "sdk"] {
            has(report[key].as_str().unwrap());
        }
        has(report["data"]["root"].as_str().unwrap());
        for worst in report["worst"].as_array().unwrap() {
            ["name", "what"].iter().for_each(|key| has(worst[key].as_str().unwrap()));
        }
        // Every pair of the confusion is a row: what it is, what it was taken for, how often.
        for pair in report["confusion"].as_array().unwrap() {
            let row = [&pair["truth"], &pair["found"]].map(|name| name.as_str().unwrap().to_owned());
            let row = [&row[..], &[pair["count"].to_string()]].concat();
            assert!(cells.windows(3).any(|cells| cells == row), "{row:?}");
        }
        let latency = format!("at most {:.3} ms", report["latency_ms"]["p99"].as_f64().unwrap());
        has(&latency);
    }
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

/// What is kept of a sample, name and label included: more than this is too much. 223 were measured, 247 where a journal went on.
const MAX_BYTES_A_SAMPLE: u64 = 250;

/// `cargo test -p tilemark-cli --test cli -- --ignored --nocapture a_hundred_thousand`: four minutes on two cores, and 400 MB of small files.
#[test]
#[ignore = "four minutes, and 400 MB of small files"]
fn a_hundred_thousand_pictures_take_little_memory_and_a_kill_changes_nothing() {
    let few = with_data(10_000);
    let peak = |report: &Value| report["peak_memory_bytes"].as_u64().unwrap();
    let least = peak(&eval(&few, "--json").ok().json());
    drop(few);
    let workshop = with_data(100_000);
    let whole = eval(&workshop, "--json").ok().json();
    let line = "eval tiny.tmk --trust vendor.pub --device host --data data --json --journal journal";
    let mut kills = 0;
    for lines in [30_000, 70_000] {
        let mut child = workshop.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        kills += u32::from(kill_after(&mut child, &workshop, lines));
    }
    assert_eq!(kills, 2, "it was done before it was killed");
    let resumed = workshop.tilemark(line).ok().json();
    let a_sample = |report: &Value| peak(report).saturating_sub(least) / 90_000;
    println!(
        "{least} bytes with 10,000 pictures; of each more {} bytes, resumed {}",
        a_sample(&whole),
        a_sample(&resumed)
    );
    for report in [&whole, &resumed] {
        assert!(a_sample(report) <= MAX_BYTES_A_SAMPLE, "{report}");
    }
    assert_eq!(timeless(resumed), timeless(whole));
}

/// Kills it when its journal has so many lines; false if it was done before.
fn kill_after(child: &mut Child, workshop: &Workshop, lines: usize) -> bool {
    loop {
        let journal = std::fs::read(workshop.path("journal")).unwrap_or_default();
        if journal.iter().filter(|byte| **byte == b'\n').count() > lines {
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

/// Another release of the tiny app, with its labels in this order, as `other.tmk`.
pub(crate) fn with_other(workshop: &Workshop, labels: &str) {
    workshop.write("app.toml", TINY_TOML.replace("release = 7", "release = 8"));
    workshop.write("tiny.onnx", tiny_onnx());
    workshop.write("labels.txt", labels);
    workshop.tilemark("pack app.toml --key vendor.key -o other.tmk").ok();
}

#[test]
fn a_claim_is_reproduced_and_what_was_changed_is_named() {
    let workshop = with_data(20);
    workshop.tilemark("keygen --out lab").ok();
    let message = eval(&workshop, "--report report.json --key lab.key --json").fails_in_json(2, "TM0601");
    assert!(message.contains("--buyer-data|--seller-data"), "{message}");
    assert!(!workshop.path("report.json").exists());
    eval(&workshop, "--report report.json --key lab.key --buyer-data").ok();
    let check = |more: &str| eval(&workshop, &format!("--check report.json {more}"));
    check("--signer lab.pub").ok().says("reproduced");
    let line =
        "eval tiny.tmk --trust vendor.pub --device host --data data --check report.json --signer lab.pub";
    workshop.tilemark_with(("TILEMARK_CPU", "scalar"), line).ok().says("reproduced");

    check("--signer vendor.pub").fails(3, "TM0131");
    let claim = workshop.read("report.json");
    let text = String::from_utf8(claim.clone()).unwrap();
    let payload = text.find("\"payload\":\"").unwrap() + 60;
    let mut edited = claim.clone();
    edited[payload] = if edited[payload] == b'A' { b'B' } else { b'A' };
    workshop.write("report.json", &edited);
    check("--signer lab.pub").fails(3, "TM0130");
    workshop.write("report.json", &claim);

    with_other(&workshop, "red\ngreen\nblue\nblack\nwhite\n");
    let other =
        "eval other.tmk --trust vendor.pub --device host --data data --check report.json --signer lab.pub";
    workshop.tilemark(other).fails(1, "TM0564").says("the bundle is not what is claimed");
    std::fs::rename(workshop.path("data/red/00000.png"), workshop.path("data/green/00000.png")).unwrap();
    let swapped = workshop.tilemark_with(("TILEMARK_HOME", "fresh"), line);
    swapped.fails(1, "TM0564").says("the data is not what is claimed").says("--committed");
}

/// A claim says all that its number follows from, whatever the metric is: a number edited by who signs is found by who checks.
#[test]
fn a_lying_signer_is_found_out() {
    use tilemark::eval::Claim;
    use tilemark::{PublicKey, SigningKey};
    let workshop = with_data(20);
    workshop.tilemark("keygen --out lab").ok();
    let key = SigningKey::from_file(workshop.path("lab.key")).unwrap();
    let lab = PublicKey::from_file(workshop.path("lab.pub")).unwrap();
    for metric in ["accuracy", "top-5", "f1"] {
        eval(&workshop, &format!("--metric {metric} --report report.json --key lab.key --seller-data")).ok();
        let claim = Claim::verify(&workshop.read("report.json"), &lab).unwrap();
        for at in 0..claim.counts.len() {
            let mut lie = claim.clone();
            lie.counts[at].value += 1;
            workshop.write("lie.json", lie.sign(&key).unwrap());
            let found = eval(&workshop, "--check lie.json --signer lab.pub").fails(1, "TM0564");
            let Some(count) = claim.counts.get(at) else { panic!("{metric}") };
            found.says(&format!(
                "{} {} claimed, {} {} found",
                count.name,
                count.value + 1,
                count.name,
                count.value
            ));
            if at > 3 {
                break; // One class is as another.
            }
        }
    }
}

#[test]
fn two_apps_of_another_order_of_classes_are_compared_pair_by_pair() {
    let workshop = with_data(60);
    with_other(&workshop, "white\nred\ngreen\nblue\nblack\n");
    let line = "compare tiny.tmk other.tmk --trust vendor.pub --device host --data data";
    let report = workshop.tilemark(&format!("{line} --json")).ok().json();
    let hits = |which: &str| report[which]["counts"]["hits"].as_u64().unwrap();
    let only = |which: &str| report["mcnemar"][which].as_u64().unwrap();
    assert_eq!(report["samples"], 60);
    assert_eq!(hits("first") + only("only_second"), hits("second") + only("only_first"));
    let difference = (hits("second") as f64 - hits("first") as f64) / 60.0;
    assert!((report["difference"]["value"].as_f64().unwrap() - difference).abs() < 1e-12);
    let sum = |which: &str| -> u64 {
        report["classes"].as_array().unwrap().iter().map(|class| class[which].as_u64().unwrap()).sum()
    };
    assert_eq!((sum("samples"), sum("first"), sum("second")), (60, hits("first"), hits("second")));
    let known = report["mcnemar"]["p_exact"].as_f64().unwrap() <= 0.05;
    let said = report["conclusion"].as_str().unwrap();
    assert_eq!(said.contains("is better than"), known, "{said}");
    assert_eq!(report["better"] == "unknown", !known);
    // With itself there is nothing to tell, and that is no proof of anything.
    let same = "compare tiny.tmk tiny.tmk --trust vendor.pub --device host --data data";
    let same = workshop.tilemark_with(("TILEMARK_HOME", "fresh"), same).ok();
    same.prints("Both are acme/tiny 1.2.0: one app is as good as itself");
}
