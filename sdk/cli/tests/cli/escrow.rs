//! A vendor that is gone: what vendor, trustees and a buyer type.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::workshop::{TINY_TOML, Workshop, sample};

const SPLIT: &str = "store escrow split locked.tmk --vault vault --key vendor.key --trustee ann.pub --trustee ben.pub --trustee cat.pub";
const COMBINE: &str = "store escrow combine locked.tmk --deed escrow/deed.json --trust vendor.pub --key buyer.key --name mine/tiny";

/// A workshop with an encrypted app, its vault, and the keys of three trustees and a buyer.
fn with_locked() -> Workshop {
    let shop = Workshop::with_sources();
    shop.tilemark("pack app.toml --key vendor.key --encrypt --vault vault -o locked.tmk").ok();
    for name in ["ann", "ben", "cat", "buyer"] {
        shop.tilemark(&format!("keygen --out {name}")).ok();
    }
    shop.write("source.tar", "the source");
    shop
}

/// One in which two of the three have to agree, and two have said so.
fn with_release() -> Workshop {
    let shop = with_locked();
    shop.tilemark(&format!("{SPLIT} --threshold 2 --source source.tar -o escrow"))
        .ok()
        .prints("2 of 3 open acme/tiny");
    let release = "store escrow release --deed escrow/deed.json --trust vendor.pub";
    shop.tilemark(&format!("{release} --reason gone --key ann.key -o one.json"))
        .ok()
        .prints("signed   by 1 of the 2");
    shop.tilemark(&format!("{release} --sign one.json --key cat.key -o two.json"))
        .ok()
        .prints("because  gone")
        .prints("signed   by 2 of the 2");
    shop
}

fn shares(numbers: &[u32]) -> String {
    numbers.iter().map(|number| format!(" --share escrow/share-{number}.json")).collect()
}

#[test]
fn two_of_three_trustees_open_an_app_that_then_runs() {
    let shop = with_release();
    let picture = sample("flower.jpg");
    shop.tilemark(&format!("run locked.tmk --trust vendor.pub {picture}")).fails(4, "TM0530");
    for (name, pair) in [("a", [1, 2]), ("b", [3, 1]), ("c", [2, 3])] {
        let line = format!("{COMBINE} --release two.json{} --source source.tar -o {name}.tmk", shares(&pair));
        shop.tilemark(&line).ok().prints("as deposited").prints(&format!("opened   {name}.tmk: mine/tiny"));
    }
    assert_eq!(shop.read("a.tmk"), shop.read("b.tmk"));
    // Another bundle of the same vendor's is not what the deed is about.
    shop.write("app.toml", TINY_TOML.replace("acme/tiny", "acme/another"));
    shop.tilemark("pack app.toml --key vendor.key -o another.tmk").ok();
    let another = COMBINE.replace("locked.tmk", "another.tmk");
    let another = format!("{another} --release two.json{} -o another-opened.tmk", shares(&[1, 2]));
    shop.tilemark(&another).fails(2, "TM0601").says("the deed is about");
    let run =
        |bundle: &str, trust: &str| shop.tilemark(&format!("run {bundle} --trust {trust} {picture} --json"));
    let label = |json: Value| json["results"][0]["labels"].clone();
    // The same app, never encrypted; under a name of its own, since a release is one bundle.
    shop.write("app.toml", TINY_TOML.replace("acme/tiny", "acme/open"));
    shop.tilemark("pack app.toml --key vendor.key -o open.tmk").ok();
    assert_eq!(
        label(run("c.tmk", "buyer.pub").ok().json()),
        label(run("open.tmk", "vendor.pub").ok().json())
    );
    shop.tilemark("verify a.tmk --trust buyer.pub --replay").ok();
    // It is the buyer's word now, not the vendor's.
    run("c.tmk", "vendor.pub").fails_in_json(3, "TM0131");
}

#[test]
fn one_share_less_a_changed_one_and_those_of_another_app() {
    let shop = with_release();
    let combine = |shares: &str| shop.tilemark(&format!("{COMBINE} --release two.json{shares} -o out.tmk"));
    combine(&shares(&[1])).fails(1, "TM0193").says("1 shares of 2");
    combine(&shares(&[2, 2])).fails(1, "TM0193");
    let share: Value = serde_json::from_slice(&shop.read("escrow/share-2.json")).unwrap();
    let value = share["value"].as_str().unwrap();
    let first = if value.starts_with('A') { "B" } else { "A" };
    let changed = share.to_string().replace(value, &format!("{first}{}", &value[1..]));
    shop.write("changed.json", changed);
    combine(&format!("{} --share changed.json", shares(&[1]))).fails(3, "TM0194").says("trustee 2");
    shop.write("torn.json", &shop.read("escrow/share-2.json")[..40]);
    combine(&format!("{} --share torn.json", shares(&[1]))).fails(1, "TM0110");

    // The same vendor and trustees, another app.
    shop.tilemark("pack --model tiny.onnx --name acme/other --version 1.0.0 --key vendor.key --encrypt --vault vault -o other.tmk").ok();
    let split = SPLIT.replace("locked.tmk", "other.tmk");
    shop.tilemark(&format!("{split} --threshold 2 -o others")).ok();
    combine(&format!("{} --share others/share-2.json", shares(&[1]))).fails(3, "TM0194");
    let line = format!("{COMBINE} --release two.json{} -o out.tmk", shares(&[1, 2]))
        .replace("locked.tmk", "other.tmk");
    shop.tilemark(&line).fails(3, "TM0158");
    assert!(!shop.path("out.tmk").exists());
}

#[test]
fn a_release_that_is_none() {
    let shop = with_release();
    let combine = |release: &str| {
        shop.tilemark(&format!("{COMBINE} --release {release}{} -o out.tmk", shares(&[1, 2])))
    };
    combine("one.json").fails(1, "TM0192");
    shop.tilemark(&format!("{SPLIT} --threshold 1 -o others")).ok();
    shop.tilemark("store escrow release --deed others/deed.json --trust vendor.pub --reason gone --key ann.key -o other.json").ok();
    let release = "store escrow release --deed escrow/deed.json --trust vendor.pub";
    shop.tilemark(&format!("{release} --sign other.json --key cat.key -o x.json")).fails(1, "TM0141");
    combine("other.json").fails(1, "TM0192");
    combine("escrow/deed.json").fails(3, "TM0122");
    // Whoever is no trustee has no say, and a deed that the vendor did not sign is none.
    shop.tilemark(&format!("{release} --reason gone --key buyer.key -o x.json")).fails(2, "TM0601");
    shop.tilemark(
        &format!("{release} --reason gone --key ann.key -o x.json").replace("vendor.pub", "buyer.pub"),
    )
    .fails(3, "TM0131");
    shop.write("sauce.tar", "another source");
    shop.tilemark(&format!("{COMBINE} --release two.json{} --source sauce.tar -o out.tmk", shares(&[1, 2])))
        .fails(3, "TM0195");
    assert!(!shop.path("out.tmk").exists() && !shop.path("x.json").exists());
}

#[test]
fn shares_are_for_their_owner_alone_and_nothing_is_written_over() {
    let shop = with_release();
    let mode = |name: &str| std::fs::metadata(shop.path(name)).unwrap().permissions().mode() & 0o777;
    for number in 1..=3 {
        assert_eq!(mode(&format!("escrow/share-{number}.json")), 0o600);
    }
    assert_eq!((mode("escrow"), mode("escrow/deed.json")), (0o700, 0o644));
    let before = shop.read("escrow/share-1.json");
    shop.tilemark(&format!("{SPLIT} --threshold 2 -o escrow")).fails(1, "TM0603");
    assert_eq!(shop.read("escrow/share-1.json"), before);
    let release =
        "store escrow release --deed escrow/deed.json --trust vendor.pub --reason gone --key ann.key";
    for there in ["one.json", "ann.key"] {
        shop.tilemark(&format!("{release} -o {there}")).fails(1, "TM0603");
    }
    let line = format!("{COMBINE} --release two.json{} -o locked.tmk", shares(&[1, 2]));
    shop.tilemark(&line).fails(1, "TM0603");
}

#[test]
fn a_deposit_that_cannot_be() {
    let shop = with_locked();
    for threshold in [0, 4] {
        shop.tilemark(&format!("{SPLIT} --threshold {threshold} -o escrow")).fails(1, "TM0141");
    }
    shop.tilemark(&format!("{SPLIT} --trustee ann.pub --threshold 2 -o escrow")).fails(1, "TM0141");
    shop.tilemark("pack app.toml --key vendor.key -o open.tmk").ok();
    shop.tilemark(&format!("{SPLIT} --threshold 2 -o escrow").replace("locked.tmk", "open.tmk"))
        .fails(1, "TM0172");
    shop.tilemark(&format!("{SPLIT} --threshold 2 -o escrow").replace("vendor.key", "ann.key"))
        .fails(3, "TM0131");
    assert!(!shop.path("escrow").exists());
}
