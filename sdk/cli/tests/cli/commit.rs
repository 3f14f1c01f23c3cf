//! Commit first, reveal later: `tilemark eval commit`, and `--committed`.

use tilemark::PublicKey;
use tilemark::eval::{Claim, Whose};

use crate::eval::with_data;
use crate::workshop::{Ran, Workshop};

fn committed(workshop: &Workshop, more: &str) -> Ran {
    let line =
        "eval tiny.tmk --trust vendor.pub --device host --data data --committed commitment.json --salt salt";
    workshop.tilemark(&format!("{line} {more}"))
}

/// The tiny app, twenty samples, a key of a laboratory, and its commitment.
fn laboratory() -> (Workshop, String) {
    let workshop = with_data(20);
    workshop.tilemark("keygen --out lab").ok();
    let line = "eval commit data --out commitment.json --salt salt --key lab.key --json";
    let commitment = workshop.tilemark(line).ok().json();
    assert_eq!(commitment["samples"], 20);
    (workshop, commitment["root"].as_str().unwrap().to_owned())
}

#[test]
fn data_that_was_committed_to_is_evaluated_and_the_claim_says_so() {
    let (workshop, root) = laboratory();
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(workshop.path("salt")).unwrap());
        assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    }
    let published = String::from_utf8(workshop.read("commitment.json")).unwrap();
    let kept = String::from_utf8(workshop.read("salt")).unwrap();
    assert!(kept.contains("00000.png") && !published.contains("png"), "{published}");
    let more =
        "--committed-by lab.pub --json --seller-data --report claim.json --key lab.key --html page.html";
    let report = committed(&workshop, more).ok().json();
    assert_eq!(
        (report["committed"].as_str(), report["whose"].as_str()),
        (Some(root.as_str()), Some("seller"))
    );
    let page = String::from_utf8(workshop.read("page.html")).unwrap();
    assert!(page.contains(&root) && page.contains("the seller&#39;s data"), "{page}");
    let lab = PublicKey::from_file(workshop.path("lab.pub")).unwrap();
    let claim = Claim::verify(&workshop.read("claim.json"), &lab).unwrap();
    assert_eq!(
        (claim.committed.map(|root| root.to_string()), claim.whose),
        (Some(root.clone()), Whose::Seller)
    );
    let buyers =
        workshop.tilemark("eval tiny.tmk --trust vendor.pub --device host --data data --json").ok().json();
    assert_eq!((buyers["whose"].as_str(), buyers.get("committed")), (Some("unsaid"), None));
    // Who checks the claim shows the same commitment to be kept.
    let check = "--committed-by lab.pub --check claim.json --signer lab.pub";
    committed(&workshop, check).ok().says("reproduced");
    let without =
        "eval tiny.tmk --trust vendor.pub --device host --data data --check claim.json --signer lab.pub";
    let refused = workshop.tilemark(without).fails(1, "TM0564");
    refused
        .says("the commitment that the data was checked against")
        .says(&format!("root {root} claimed, none found"));
    workshop.tilemark("eval commit data --out other.json --salt other").ok();
    let other = format!("{without} --committed other.json --salt other");
    workshop.tilemark(&other).fails(1, "TM0564").says(&format!("root {root} claimed, root"));
    // A sample that was changed since is named, since the salt file lists them.
    std::fs::copy(workshop.path("data/red/00000.png"), workshop.path("data/red/00005.png")).unwrap();
    committed(&workshop, check).fails(1, "TM0566").says("red/00005.png was changed");
}

#[test]
fn what_is_measured_is_committed_to() {
    let (workshop, _) = laboratory();
    let other = committed(&workshop, "--committed-by lab.pub --metric f1").fails(1, "TM0566");
    other.says("it is for accuracy, and f1 was asked for");
    let salt = String::from_utf8(workshop.read("salt")).unwrap();
    assert!(salt.contains("\"metric\":\"accuracy\""), "{salt}");
    workshop.write("salt", salt.replace("\"metric\":\"accuracy\"", "\"metric\":\"f1\""));
    committed(&workshop, "--committed-by lab.pub --metric f1").fails(1, "TM0566").says("was changed");
}

#[test]
fn what_was_changed_after_the_commitment_is_named() {
    let (workshop, _) = laboratory();
    let at = |name: &str| workshop.path(&format!("data/{name}"));
    let refused = |named: &str| {
        committed(&workshop, "--committed-by lab.pub").fails(1, "TM0566").says(named);
    };
    let picture = workshop.read("data/red/00005.png");
    std::fs::copy(at("red/00000.png"), at("red/00005.png")).unwrap();
    refused("committed to: red/00005.png was changed\n");
    workshop.write("data/red/00005.png", picture);
    std::fs::rename(at("red/00005.png"), at("blue/00005.png")).unwrap();
    refused("committed to: red/00005.png is now blue/00005.png\n");
    std::fs::rename(at("blue/00005.png"), at("red/00005.png")).unwrap();
    std::fs::copy(at("red/00005.png"), at("red/99999.png")).unwrap();
    refused("committed to: red/99999.png was added\n");
    std::fs::remove_file(at("red/99999.png")).unwrap();
    committed(&workshop, "--committed-by lab.pub").ok();
    std::fs::remove_file(at("red/00005.png")).unwrap();
    refused("committed to: red/00005.png was removed\n");
}

#[test]
fn commitments_are_read_by_their_signer_and_opened_by_their_salt() {
    let (workshop, _) = laboratory();
    committed(&workshop, "").fails(1, "TM0566").says("it is not said whose key");
    committed(&workshop, "--committed-by vendor.pub").fails(3, "TM0131");
    workshop.tilemark("eval commit data --out other.json --salt other").ok().prints("publish other.json");
    let mixed =
        "eval tiny.tmk --trust vendor.pub --device host --data data --committed other.json --salt salt";
    workshop.tilemark(mixed).fails(1, "TM0566").says("of another commitment");
    workshop.tilemark("eval commit data --out new.json --salt salt").fails(1, "TM0603");
    let without = "eval tiny.tmk --trust vendor.pub --data data --committed other.json --json";
    let message = workshop.tilemark(without).fails_in_json(2, "TM0601");
    assert!(message.contains("--salt"), "{message}");
}
