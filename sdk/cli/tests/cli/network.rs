//! Nothing here talks to anybody: licensed apps run where there is no network, and ask for none.

use std::process::Command;

use crate::license::{grant, on, shop};
use crate::workshop::{Ran, Workshop, sample};

/// In a network namespace of its own there is no route, and not even a loopback that is up.
const ISOLATED: [&str; 4] = ["unshare", "--net", "--map-root-user", "--user"];

/// Whether a program can be run here; else the test says that it was skipped.
fn works(command: &[&str]) -> bool {
    let probe = Command::new(command[0]).args(&command[1..]).output();
    let works = probe.is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("skipped: `{}` does not work on this machine", command.join(" "));
    }
    works
}

/// The binary, run by another program.
fn by(shop: &Workshop, program: &[&str], line: &str) -> Ran {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).arg(env!("CARGO_BIN_EXE_tilemark")).args(line.split_whitespace());
    command.current_dir(shop.path("")).env("TILEMARK_HOME", shop.path("home"));
    command.env("OCL_ICD_VENDORS", shop.path("no-drivers"));
    Ran::new(line, command.output().unwrap())
}

fn run() -> String {
    format!("run app.tmk --trust vendor.pub --device host {}", sample("coffee.png"))
}

#[test]
fn owned_runs_and_a_trial_ends_without_a_route() {
    if !works(&[&ISOLATED[..], &["true"]].concat()) {
        return;
    }
    let owner = shop();
    grant(&owner, "--class owned");
    by(&owner, &ISOLATED, &run()).ok();
    let trial = shop();
    grant(&trial, "--class trial --inferences 2");
    for _ in 0..2 {
        by(&trial, &ISOLATED, &run()).ok();
    }
    by(&trial, &ISOLATED, &run()).fails(4, "TM0531");
}

#[test]
fn a_licence_is_asked_for_and_answered_without_a_route() {
    if !works(&[&ISOLATED[..], &["true"]].concat()) {
        return;
    }
    let shop = shop();
    for line in [
        "license request app.tmk -o request.json",
        "license issue request.json --key vendor.key --vault vault --class owned -o grant.json",
        "license install grant.json --trust vendor.pub",
        "verify app.tmk --trust vendor.pub --replay",
    ] {
        by(&shop, &ISOLATED, line).ok();
    }
}

#[test]
fn an_evaluation_sends_nothing() {
    let evaluated = crate::eval::with_data(5);
    let line = "eval tiny.tmk --trust vendor.pub --device host --data data --json";
    if works(&[&ISOLATED[..], &["true"]].concat()) {
        by(&evaluated, &ISOLATED, line).ok();
    }
    let trace = ["strace", "-f", "-qq", "-e", "trace=%network", "-o"];
    if !works(&[&trace[..], &["/dev/null", "true"]].concat()) {
        return;
    }
    let log = evaluated.path("calls").display().to_string();
    by(&evaluated, &[&trace[..], &[&log]].concat(), line).ok();
    let calls = std::fs::read_to_string(&log).unwrap();
    assert!(!calls.contains("AF_INET"), "{calls}");
}

/// What the kernel was asked for: no socket to anywhere, not by any thread, from the request to the result.
#[test]
fn no_socket_is_made() {
    let trace = ["strace", "-f", "-qq", "-e", "trace=%network", "-o"];
    if !works(&[&trace[..], &["/dev/null", "true"]].concat()) {
        return;
    }
    let shop = shop();
    let log = shop.path("calls").display().to_string();
    for (line, code) in [
        ("license request app.tmk -o request.json".to_owned(), 0),
        ("license issue request.json --key vendor.key --vault vault --class trial --inferences 1 -o grant.json".into(), 0),
        ("license install grant.json --trust vendor.pub".into(), 0),
        (run(), 0),
        (run(), 4),
    ] {
        let ran = by(&shop, &[&trace[..], &[&log]].concat(), &line);
        assert_eq!(ran.code, code, "{line}: {}", ran.stderr);
        let calls = std::fs::read_to_string(&log).unwrap();
        assert!(!calls.contains("AF_INET"), "{line}:\n{calls}");
    }
    // That the trace would show one.
    let connect = "exec 3<>/dev/udp/127.0.0.1/9";
    let shown =
        Command::new("strace").args(&trace[1..]).args([&log, "bash", "-c", connect]).output().unwrap();
    let calls = std::fs::read_to_string(&log).unwrap();
    assert!(calls.contains("AF_INET"), "{}: {calls}", String::from_utf8_lossy(&shown.stderr));
    on(&shop, "home", "license show").ok();
}
