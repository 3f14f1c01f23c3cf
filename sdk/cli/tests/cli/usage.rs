//! Wrong usage, help, and output that nobody reads.

use std::process::Stdio;

use crate::workshop::{Ran, Workshop};

#[test]
fn wrong_usage_is_told_as_text_or_as_json() {
    let shop = Workshop::new();
    let cases = [
        ("", "Usage: tilemark <COMMAND>"),
        ("frobnicate", "frobnicate"),
        ("keygen", "--out <NAME>"),
        ("keygen --out x --algorithm rsa", "ecdsa-p256"),
        ("pack --key k -o x.tmk", "APP.TOML"),
        ("pack app.toml -o x.tmk", "--key <FILE>"),
        ("pack app.toml --model m.onnx --name a/b --version 1.0.0 --key k -o x.tmk", "cannot be used with"),
        ("run app.tmk", "<PICTURE>..."),
        ("run app.tmk cat.jpg --tensor x=x.npy", "cannot be used with"),
        ("verify", "<BUNDLE>"),
        ("bench app.tmk --runs 0", "--runs <N>"),
    ];
    for (line, message) in cases {
        let ran = shop.tilemark(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "tilemark {line}");
        assert!(ran.stderr.contains(message), "tilemark {line}: {}", ran.stderr);
    }
    assert!(shop.tilemark("verify --json").fails_in_json(2, "TM0601").contains("<BUNDLE>"));
    assert!(shop.tilemark("run --json --bogus").fails_in_json(2, "TM0601").contains("--bogus"));
    assert!(!shop.path("x.key").exists());
}

#[test]
fn help_and_version_are_results() {
    let shop = Workshop::new();
    let commands = [
        "demo", "keygen", "pack", "sign", "check", "inspect", "verify", "run", "devices", "plan", "doctor",
        "bench",
    ];
    let help = shop.tilemark("--help").ok();
    for command in commands {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{command} is not in the list");
        let help = shop.tilemark(&format!("{command} --help")).ok();
        assert!(help.stdout.contains(&format!("Usage: tilemark {command}")) && help.stderr.is_empty());
        assert!(help.stdout.lines().all(|line| line.chars().count() <= 110), "{}", help.stdout);
    }
    shop.tilemark("--version").ok().prints(&format!("tilemark {}", env!("CARGO_PKG_VERSION")));
}

/// Runs with a stdout whose reader is gone.
fn unread(shop: &Workshop, line: &str) -> Ran {
    let mut child = shop.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    Ran::new(line, child.wait_with_output().unwrap())
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let shop = Workshop::with_tiny();
    for line in ["plan tiny.tmk --trust vendor.pub", "devices", "doctor", "inspect tiny.tmk --json"] {
        let ran = unread(&shop, line).ok();
        assert!(!ran.stderr.contains("error"), "{}", ran.stderr);
    }
}

#[test]
fn an_unread_verdict_still_decides_the_exit_code() {
    let shop = Workshop::with_tiny();
    let mut bytes = shop.read("tiny.tmk");
    *bytes.last_mut().unwrap() ^= 1;
    shop.write("damaged.tmk", bytes);
    for flag in ["", "--json"] {
        unread(&shop, &format!("verify damaged.tmk --trust vendor.pub {flag}")).fails(3, "TM0152");
        assert_eq!(unread(&shop, &format!("run damaged.tmk --trust vendor.pub x.png {flag}")).code, 3);
    }
    shop.write("bad.toml", "[app]");
    unread(&shop, "check bad.toml").fails(1, "TM0605");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_stdout_is_a_failure() {
    let shop = Workshop::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = shop.command("devices").stdout(full).stderr(Stdio::piped()).output().unwrap();
    Ran::new("devices", ran).fails(1, "TM0604");
}

/// What it shows in a checkout is in `docs/cli.md`, which is run as well.
#[test]
fn the_demo_says_what_it_needs() {
    let shop = Workshop::new();
    let elsewhere = shop.command("demo").env_remove("CARGO_MANIFEST_DIR").output().unwrap();
    Ran::new("demo", elsewhere).fails(2, "TM0601").says("--app");
    shop.tilemark("demo --app nowhere").fails(1, "TM0602").says("nowhere");
}
