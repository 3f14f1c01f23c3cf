//! Grants, from the vendor's vault to the buyer's exit code.

use std::process::Command;

use crate::workshop::{Ran, Workshop, sample};

/// A vendor with the tiny app, encrypted.
pub(crate) fn shop() -> Workshop {
    let shop = Workshop::with_sources();
    shop.tilemark("pack app.toml --key vendor.key --encrypt --vault vault -o app.tmk").ok();
    shop
}

/// Asks as the device whose state is in `home`, and has the request answered.
fn issue(shop: &Workshop, home: &str, terms: &str) {
    on(shop, home, "license request app.tmk -o request.json").ok();
    let line = format!("license issue request.json --key vendor.key --vault vault {terms} -o grant.json");
    shop.tilemark(&line).ok();
}

pub(crate) fn grant(shop: &Workshop, terms: &str) {
    issue(shop, "home", terms);
    shop.tilemark("license install grant.json --trust vendor.pub").ok();
}

/// The binary on a device of its own.
pub(crate) fn on(shop: &Workshop, home: &str, line: &str) -> Ran {
    let home = shop.path(home).display().to_string();
    shop.tilemark_with(("TILEMARK_HOME", &home), line)
}

fn run(shop: &Workshop) -> Ran {
    shop.tilemark(&format!("run app.tmk --trust vendor.pub --device host --json {}", sample("coffee.png")))
}

/// The fact of this name in the verdict of `tilemark verify`.
fn fact(shop: &Workshop, name: &str) -> (bool, String) {
    let verdict = shop.tilemark("verify app.tmk --trust vendor.pub --json").ok().json();
    let fact = verdict.as_array().unwrap().iter().find(|fact| fact["fact"] == name);
    let fact = fact.unwrap_or_else(|| panic!("{name} is not in {verdict}"));
    (fact["holds"].as_bool().unwrap(), fact["evidence"].as_str().unwrap().to_owned())
}

#[test]
fn a_trial_runs_as_often_as_it_says() {
    let shop = shop();
    run(&shop).fails_in_json(4, "TM0530");
    assert!(!fact(&shop, "entitled").0);
    grant(&shop, "--class trial --inferences 3");
    let expected = {
        shop.tilemark("pack app.toml --key vendor.key -o plain.tmk").ok();
        let line = format!("run plain.tmk --trust vendor.pub --device host --json {}", sample("coffee.png"));
        on(&shop, "other", &line).ok().json()
    };
    for left in [3, 2, 1] {
        let (holds, evidence) = fact(&shop, "entitled");
        assert!(holds && evidence.contains(&format!("{left} of 3 inferences left")), "{evidence}");
        assert_eq!(run(&shop).ok().json()["results"], expected["results"], "the same as without encryption");
    }
    let message = run(&shop).fails_in_json(4, "TM0531");
    assert!(message.contains("3 of 3"), "{message}");
    assert!(!fact(&shop, "entitled").0);
    shop.tilemark("license install grant.json --trust vendor.pub").fails(4, "TM0539");
    shop.tilemark("license show").ok().prints("used 3 of 3").prints("not usable now");
    // Who made it can be checked all the same; what it computes cannot.
    shop.tilemark("verify app.tmk --trust vendor.pub --replay").fails(4, "TM0531");
}

#[test]
fn an_owned_app_runs_without_its_vendor() {
    let shop = shop();
    grant(&shop, "--class owned --permit adapt --permit publish-benchmark --field-of-use anything");
    for gone in ["vault", "vendor.key"] {
        std::fs::rename(shop.path(gone), shop.path(&format!("{gone}.gone"))).unwrap();
    }
    (0..5).for_each(|_| drop(run(&shop).ok()));
    shop.tilemark("verify app.tmk --trust vendor.pub --replay").ok().prints("holds  entitled");
    assert_eq!(fact(&shop, "device-bound"), (false, "software".to_owned()));
    let shown = shop.tilemark("license show --json").ok().json();
    assert_eq!((shown[0]["class"].as_str(), shown[0]["usable"].as_bool()), (Some("owned"), Some(true)));
    assert_eq!(shown[0]["claims"]["permits"][1], "publish-benchmark");
}

#[test]
fn a_grant_is_of_use_on_its_device_only() {
    let shop = shop();
    issue(&shop, "one", "--class owned");
    on(&shop, "one", "license install grant.json --trust vendor.pub").ok();
    on(&shop, "two", "license install grant.json --trust vendor.pub").fails(4, "TM0530");
    on(&shop, "two", "license request app.tmk -o other.json").ok();
    on(&shop, "two", "license install grant.json --trust vendor.pub").fails(4, "TM0178");
    let line = format!("run app.tmk --trust vendor.pub --device host {}", sample("coffee.png"));
    on(&shop, "one", &line).ok();
    on(&shop, "two", &line).fails(4, "TM0530");
}

#[test]
fn a_floating_seat_can_be_lent_to_another_device() {
    let shop = shop();
    grant(&shop, "--class floating --seats 1");
    run(&shop).ok();
    on(&shop, "other", "license request app.tmk -o other.json").ok();
    let lend = |until: &str| {
        shop.tilemark(&format!("license lease other.json --until {until} --trust vendor.pub -o lease.json"))
    };
    lend("2001-01-01").fails(4, "TM0532");
    lend("2199-12-31").ok();
    run(&shop).fails_in_json(4, "TM0540");
    lend("2199-12-31").fails(4, "TM0540");
    on(&shop, "other", "license install lease.json --trust vendor.pub").ok().prints("1 seat");
    let line = format!("run app.tmk --trust vendor.pub --device host {}", sample("coffee.png"));
    on(&shop, "other", &line).ok();
    let verdict = on(&shop, "other", "verify app.tmk --trust vendor.pub").ok();
    verdict.prints("a seat leased of the grant");
}

#[test]
fn the_issuer_must_be_the_bundles() {
    let shop = shop();
    shop.tilemark("keygen --out mallory").ok();
    shop.tilemark("license request app.tmk -o request.json").ok();
    let issue = "license issue request.json --key mallory.key --vault vault --class owned -o grant.json";
    shop.tilemark(issue).fails(4, "TM0183");
    // One that the vendor named may.
    let pack = "pack app.toml --key vendor.key --encrypt --vault vault --issuer mallory.pub -o app.tmk";
    shop.tilemark(pack).ok();
    shop.tilemark("license request app.tmk -o request.json").ok();
    shop.tilemark(issue).ok();
    shop.tilemark("license install grant.json --trust vendor.pub").fails(3, "TM0131");
}

#[test]
fn packing_encrypted_is_reproducible() {
    let shop = shop();
    let first = shop.read("app.tmk");
    shop.tilemark("pack app.toml --key vendor.key --encrypt --vault vault -o again.tmk").ok();
    assert!(first == shop.read("again.tmk"));
    shop.tilemark("pack app.toml --key vendor.key --encrypt --vault other -o other.tmk").ok();
    assert!(first != shop.read("other.tmk"));
    let labels = b"black";
    assert!(!first.windows(labels.len()).any(|window| window == labels), "a label can be read");
    shop.tilemark("inspect app.tmk --trust vendor.pub").ok().prints("licensed").prints("a grant opens it");
    assert_eq!(shop.tilemark("pack app.toml --key vendor.key --encrypt -o app.tmk").code, 2);
}

#[test]
fn a_degraded_trial_gives_out_a_name_and_nothing_else() {
    let shop = shop();
    grant(&shop, "--class trial --inferences 9 --output-level label");
    let result = run(&shop).ok().json()["results"][0].clone();
    let labels = result["labels"].as_array().unwrap();
    assert_eq!((labels.len(), labels[0]["score"].is_null()), (1, true), "{result}");
    assert_eq!(result.as_object().unwrap().len(), 1, "{result}");
    let line = format!("run app.tmk --trust vendor.pub --device host {}", sample("coffee.png"));
    assert!(!shop.tilemark(&line).ok().stdout.contains('%'));
    shop.tilemark(&format!("{line} --tensors-out out")).fails(4, "TM0541");
    assert!(!shop.path("out").exists());
}

#[test]
fn dates_and_seats_and_classes() {
    let shop = shop();
    grant(&shop, "--class trial --until 2020-01-01");
    run(&shop).fails_in_json(4, "TM0532");
    grant(&shop, "--class subscription --until 2020-01-01 --grace 36500");
    run(&shop).ok();
    assert!(fact(&shop, "entitled").1.contains("in its grace"));
    grant(&shop, "--class metered --inferences 1 --after 2990-01-01");
    grant(&shop, "--class floating --seats 1");
    assert!(fact(&shop, "entitled").1.contains("subscription grant"));
    let refuse = |terms: &str, code: &str| {
        shop.tilemark("license request app.tmk -o request.json").ok();
        let line = format!("license issue request.json --key vendor.key --vault vault {terms} -o grant.json");
        let ran = shop.tilemark(&line);
        match code {
            "usage" => assert_eq!(ran.code, 2, "{ran:?}"),
            code => drop(ran.fails(1, code)),
        }
    };
    refuse("--class trial --inferences 3", "TM0175"); // it had one
    refuse("--class trial --again", "TM0141");
    refuse("--class owned --until 2030-01-01", "TM0141");
    refuse("--class lent", "usage");
    refuse("--class trial --until yesterday", "usage");
    refuse("--class owned --releases 5..3", "TM0141");
    refuse("--class owned --permit resell", "usage");
    assert_eq!(shop.tilemark("license ledger --vault vault --json").ok().json().as_array().unwrap().len(), 4);
}

#[test]
fn receipts_tell_the_vendor_of_a_restored_state() {
    let shop = shop();
    grant(&shop, "--class metered --inferences 100");
    run(&shop).ok();
    let backup = shop.path("backup");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let _ = std::fs::remove_dir_all(to);
        assert!(Command::new("cp").arg("-rp").args([from, to]).status().unwrap().success());
    };
    copy(&shop.path("home"), &backup);
    run(&shop).ok();
    let audit = "license audit statement.jsonl --vault vault --trust vendor.pub";
    shop.tilemark("license receipts -o statement.jsonl").ok();
    shop.tilemark(audit).ok().prints("used 2 of 100");
    copy(&backup, &shop.path("home"));
    // Another number of inferences, so that the second history is another one whatever the clock says.
    let two = format!("{0} {0}", sample("coffee.png"));
    shop.tilemark(&format!("run app.tmk --trust vendor.pub --device host {two}")).ok();
    shop.tilemark("license receipts -o statement.jsonl").ok();
    shop.tilemark(audit).fails(3, "TM0185");
    let mut cut = shop.read("statement.jsonl");
    let third = cut.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(2).unwrap().0;
    cut.drain(third..=third + 300);
    shop.write("cut.jsonl", cut);
    assert_ne!(shop.tilemark("license audit cut.jsonl --vault vault --trust vendor.pub").code, 0);
}

#[test]
fn what_is_no_grant_is_refused() {
    let shop = shop();
    shop.tilemark("license request app.tmk -o request.json").ok();
    shop.tilemark("license install request.json --trust vendor.pub").fails(3, "TM0122");
    shop.tilemark("license install app.toml --trust vendor.pub").fails(3, "TM0110");
    shop.tilemark("license request app.toml -o request.json").fails(3, "TM0101");
    shop.tilemark("license issue request.json --key vendor.key --vault nowhere --class owned -o g")
        .fails(1, "TM0180");
    shop.tilemark("pack app.toml --key vendor.key -o plain.tmk").ok();
    shop.tilemark("license request plain.tmk -o request.json").ok();
    let line = "license issue request.json --key vendor.key --vault vault --class owned -o grant.json";
    shop.tilemark(line).fails(1, "TM0174");
    shop.tilemark("license receipts -o x").fails(2, "TM0601");
}

#[test]
fn text_goes_through_pipes() {
    let shop = shop();
    let request = shop.tilemark("license request app.tmk -o -").ok().stdout;
    shop.write("request.txt", &request);
    let issued = "license issue request.txt --key vendor.key --vault vault --class owned -o -";
    let grant = shop.tilemark(issued).ok().stdout;
    let mut command = shop.command("license install - --trust vendor.pub");
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), grant.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    run(&shop).ok();
}

#[test]
fn a_revocation_list_says_what_follows() {
    let shop = shop();
    grant(&shop, "--class subscription --until 2990-01-01 --max-staleness 30");
    run(&shop).fails_in_json(4, "TM0543");
    let identity = {
        let shown = shop.tilemark("inspect app.tmk --trust vendor.pub --json").ok().json();
        shown["identity"].as_str().unwrap().to_owned()
    };
    let publish = |number: u32, what: &str| {
        let line =
            format!("license revoke --publisher acme --number {number} --key vendor.key {what} -o list.json");
        shop.tilemark(&line).ok();
        shop.tilemark("license install list.json --trust vendor.pub").ok().prints("revocation list");
    };
    publish(1, "");
    run(&shop).ok();
    assert!(fact(&shop, "fresh").1.contains("list 1 of acme"));
    // In use here before: a warning. Elsewhere: refused.
    publish(2, &format!("--bundle {identity}=vulnerable:reads-past-its-end"));
    run(&shop).ok();
    let (holds, evidence) = fact(&shop, "not-revoked");
    assert!(
        !holds && evidence.contains("reads-past-its-end") && evidence.contains("in use here"),
        "{evidence}"
    );
    let line = format!("run app.tmk --trust vendor.pub --device host {}", sample("coffee.png"));
    on(&shop, "fresh", "license install list.json --trust vendor.pub").ok();
    on(&shop, "fresh", &line).fails(3, "TM0133");
    publish(3, &format!("--bundle {identity}=superseded:there-is-a-newer-one"));
    run(&shop).ok();
    publish(4, "--floor acme/tiny=8");
    run(&shop).ok();
    on(&shop, "other", "license install list.json --trust vendor.pub").ok();
    on(&shop, "other", &line).fails(3, "TM0138");
    publish(5, &format!("--bundle {identity}=key-compromise"));
    run(&shop).fails_in_json(3, "TM0133");
    let line = "license revoke --publisher acme --number 4 --key vendor.key -o list.json";
    shop.tilemark(line).ok();
    shop.tilemark("license install list.json --trust vendor.pub").fails(3, "TM0186");
}
