use super::*;
use crate::attacks::shop::key;
use tilemark_bundle::{AppPort, AppTarget, SigningKey, json, sha256};

pub(crate) fn contract() -> Contract {
    let port = |name: &str, dtype: &str, shape: &[u64]| AppPort {
        name: name.into(),
        dtype: dtype.into(),
        shape: shape.to_vec(),
        ..AppPort::default()
    };
    let image = AppPort { range: Some([0, 255]), ..port("image", "u8", &[0, 0, 3]) };
    let labels = AppPort { classes: Some(sha256(b"cat\ndog\n")), ..port("labels", "label", &[2]) };
    let speed = Speed { device: "host".into(), name: "a processor".into(), microseconds: 5300 };
    let app = AppContract {
        task: "image -> labels".into(),
        inputs: vec![image],
        outputs: vec![labels],
        ..AppContract::default()
    };
    Contract { app, speeds: vec![speed], ..Contract::default() }
}

fn host() -> Vec<String> {
    vec!["host".into()]
}

fn report(identity: Digest, key: &SigningKey) -> Report {
    claimed(identity, "seller", key)
}

pub(crate) fn claimed(identity: Digest, whose: &str, key: &SigningKey) -> Report {
    let payload = claim_of(identity, whose).into_bytes();
    Report::new(&Envelope::seal(PayloadType::EVALUATION, payload, &[key]).unwrap().to_json()).unwrap()
}

fn claim_of(identity: Digest, whose: &str) -> String {
    serde_json::json!({ "schema": 1, "app": "acme/tagger", "identity": identity, "metric": "accuracy",
        "whose": whose, "samples": 10, "counts": [{ "name": "hits", "value": 9 }], "new": true })
    .to_string()
}

#[test]
fn it_is_strict_json_without_fractions() {
    let text = serde_json::to_string(&contract()).unwrap();
    let read = |text: &str| json::from_slice::<Contract>("contract", text.as_bytes(), 4096);
    assert_eq!(read(&text).unwrap(), contract());
    assert!(text.contains(r#""type":"u8","shape":[0,0,3],"range":[0,255]"#), "{text}");
    assert!(read(&text.replacen("\"task\"", "\"task\":\"a -> b\",\"task\"", 1)).is_err(), "a field twice");
    assert!(read(&text.replacen("5300", "5300.5", 1)).is_err());
}

/// What `docs/store.md` lets newer SDKs add, on every level.
const OF_A_NEWER_SDK: &str = r#"{ "contract": { "schema": 1, "task": "image -> labels", "languages": ["en"],
    "inputs": [{ "name": "image", "type": "u8", "shape": [0, 0, 3], "range": [0, 255], "color": "rgb" }],
    "outputs": [{ "name": "labels", "type": "label", "shape": [2], "unit": "none",
        "classes": "a9d59f5d16ec4a94efc30a3c4b2acfa7ac4bd6fa4d3b4e47b91c4a0d9e2a56b1" }],
    "targets": [{ "target": "board-8x8", "platform": "Maker", "part": "one", "clock": 200 }],
    "speeds": [{ "device": "host", "name": "a processor", "microseconds": 5300, "threads": 4 }],
    "reports": [] } }"#;

#[derive(Deserialize)]
struct Listed {
    #[serde(default, deserialize_with = "readable")]
    contract: Option<Contract>,
}

#[test]
fn an_older_sdk_reads_what_it_knows_of_a_newer_ones_contract() {
    let read = |text: &str| json::from_slice::<Listed>("listing", text.as_bytes(), 4096).unwrap().contract;
    let found = read(OF_A_NEWER_SDK).unwrap();
    let ships = ["host".to_owned(), "board-8x8".to_owned()];
    found.check(sha256(b"bundle"), &ships, &[]).unwrap();
    assert_eq!((&found.app.inputs, &found.speeds), (&contract().app.inputs, &contract().speeds));
    // Another form is taken for none: the app is installed all the same.
    assert_eq!(read(&OF_A_NEWER_SDK.replace("\"schema\": 1", "\"schema\": 2")), None);
    assert_eq!(read(r#"{ "contract": { "schema": 2, "jobs": 3 } }"#), None);
    assert_eq!(read("{}"), None);
    // What is known has to be there.
    let missing = OF_A_NEWER_SDK.replace("\"task\"", "\"tasks\"");
    assert!(json::from_slice::<Listed>("listing", missing.as_bytes(), 4096).is_err());
}

#[test]
fn targets_and_speeds_that_the_bundle_does_not_ship() {
    let facts =
        |target: &str| AppTarget { target: target.into(), platform: "Maker".into(), part: "one".into() };
    let speed = |device: &str| Speed { device: device.into(), ..contract().speeds[0].clone() };
    let check = |ships: &[&str], targets: Vec<AppTarget>, speeds: Vec<Speed>| {
        let ships: Vec<String> = ships.iter().map(|&ships| ships.to_owned()).collect();
        let app = AppContract { targets, ..contract().app };
        Contract { app, speeds, ..contract() }.check(sha256(b"bundle"), &ships, &[])
    };
    check(&["host", "board"], vec![facts("board")], vec![speed("host"), speed("opencl-gpu"), speed("board")])
        .unwrap();
    check(&["board"], vec![facts("board")], vec![speed("board")]).unwrap();
    let refused = |ships: &[&str], targets, speeds| check(ships, targets, speeds).unwrap_err().to_string();
    assert!(refused(&["host"], vec![facts("board")], vec![]).starts_with("contract.targets: \"board\""));
    assert!(refused(&["host"], vec![], vec![speed("board")]).starts_with("contract.speeds: \"board\""));
    assert!(refused(&["board"], vec![], vec![speed("opencl-gpu")]).starts_with("contract.speeds: \"host\""));
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Contract)) -> String {
    let mut contract = contract();
    contract.check(sha256(b"bundle"), &host(), &[]).unwrap();
    change(&mut contract);
    contract.check(sha256(b"bundle"), &host(), &[]).unwrap_err().to_string()
}

#[test]
fn what_a_terminal_or_the_index_could_not_take_is_refused() {
    assert!(refused(|c| c.app.task = "tagging".into()).starts_with("contract.task"));
    assert!(refused(|c| c.app.task = "image -> a\tb".into()).starts_with("contract.task"));
    assert!(refused(|c| c.app.inputs[0].name = "x".repeat(257)).starts_with("contract.name"));
    assert!(refused(|c| c.app.inputs[0].range = Some([1, 0])).starts_with("contract.range"));
    assert!(refused(|c| c.app.outputs[0].shape = vec![1; 9]).starts_with("contract.shape"));
    assert!(refused(|c| c.app.outputs = vec![c.app.outputs[0].clone(); 65]).starts_with("contract.outputs"));
    assert!(refused(|c| c.speeds.push(c.speeds[0].clone())).starts_with("contract.speeds"));
    assert!(refused(|c| c.speeds[0].name = "\u{1b}[2J".into()).starts_with("contract.name"));
}

#[test]
fn a_report_about_another_bundle_is_not_attached() {
    let (acme, other) = (key(), key());
    let bundle = sha256(b"bundle");
    assert!(
        refused(|c| c.reports = vec![report(sha256(b"other"), &acme)]).contains("it is about the bundle")
    );
    let said = refused(|c| c.reports = vec![Report { envelope: "{}".into() }]);
    assert!(said.contains("the key \"payloadType\" is missing"), "{said}");
    assert!(refused(|c| c.reports = vec![report(bundle, &acme); 9]).starts_with("contract.reports"));

    let said = report(bundle, &acme).read(bundle, &[acme.public().clone()]).unwrap();
    assert_eq!((said.by_publisher, said.counts), (true, vec!["hits 9".to_owned()]));
    let said = report(bundle, &other).read(bundle, &[acme.public().clone()]).unwrap();
    assert!(!said.by_publisher && said.unchecked == [other.public().id().to_string()]);
}

/// An envelope in which somebody signed under the key id of somebody else.
pub(crate) fn forged(identity: Digest, as_key: &SigningKey) -> Report {
    let mallory = key();
    let [from, to] = [&mallory, as_key].map(|key| key.public().id().to_string());
    Report { envelope: report(identity, &mallory).envelope.replace(&from, &to) }
}

#[test]
fn a_lab_that_signed_nothing_is_not_named_as_a_signer() {
    let (acme, lab, bundle) = (key(), key(), sha256(b"bundle"));
    let publisher = [acme.public().clone()];
    let said = forged(bundle, &lab).read(bundle, &publisher).unwrap();
    assert_eq!((said.by_publisher, said.signers.len()), (false, 0));
    assert_eq!(said.unchecked, [lab.public().id().to_string()]);
    // Nor beside a signature that holds.
    let own = report(bundle, &acme);
    let mut both = Envelope::parse(own.envelope.as_bytes(), PayloadType::EVALUATION).unwrap();
    both.sign(&lab).unwrap();
    let said = Report::new(&both.to_json()).unwrap().read(bundle, &publisher).unwrap();
    assert!(said.by_publisher && said.signers == [acme.public().id().to_string()], "{said:?}");
    assert_eq!(said.unchecked, [lab.public().id().to_string()]);
}

#[test]
fn data_that_is_said_to_be_somebody_elses() {
    let (acme, bundle) = (key(), sha256(b"bundle"));
    let read = |whose: &str| claimed(bundle, whose, &acme).read(bundle, &[]).map(|said| said.whose);
    assert_eq!(read("buyer").unwrap(), "buyer");
    for whose in ["unsaid", "", "Buyer", "independent laboratory", "buyer\nprice free"] {
        assert!(read(whose).unwrap_err().to_string().contains("buyer or seller"), "{whose:?}");
    }
}

#[test]
fn a_count_whose_name_begins_a_line_of_its_own() {
    let (acme, bundle) = (key(), sha256(b"bundle"));
    let named = |name: &str| {
        let text = claim_of(bundle, "seller").replace("hits", name);
        let sealed = Envelope::seal(PayloadType::EVALUATION, text.into_bytes(), &[&acme]).unwrap();
        Report::new(&sealed.to_json()).unwrap().read(bundle, &[])
    };
    assert_eq!(named("misses").unwrap().counts, ["misses 9"]);
    for name in ["hits\\nprice  free", "\\u001b[2J", "", &"x".repeat(257)] {
        assert!(named(name).unwrap_err().to_string().starts_with("contract.counts"), "{name:?}");
    }
}

#[test]
fn an_edited_report_under_the_publishers_signature_is_refused() {
    let (acme, bundle) = (key(), sha256(b"bundle"));
    let error = forged(bundle, &acme).read(bundle, &[acme.public().clone()]).unwrap_err();
    assert!(error.to_string().contains("does not hold"), "{error}");
}

#[test]
fn speed_and_reports_do_not_keep_an_app_from_taking_anothers_place() {
    let slow = Contract { speeds: vec![], ..contract() };
    assert!(contract().app.is_equal_to(&slow.app));
    let mut other = contract();
    other.app.outputs[0].classes = Some(sha256(b"cat\nbird\n"));
    assert!(!contract().app.is_equal_to(&other.app));
}
