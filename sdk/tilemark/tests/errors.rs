//! Every variant of the error has its code in the list from which `docs/errors.md` is made.

use std::path::PathBuf;

use tilemark::license::Unlicensed;
use tilemark::{CODES, Error, ErrorKind};

/// One error of each variant that this crate adds.
fn own() -> Vec<Error> {
    let path = || "x".into();
    [
        Error::Io { path: path(), source: std::io::Error::other("gone") },
        Error::NoHome,
        Error::Contents { what: "graph", reason: "r".into() },
        Error::CeilingExceeded { what: "bytes", found: 2, declared: 1 },
        Error::InputTooLarge { path: path(), limit: 1 },
        Error::Description { path: path(), reason: "r".into() },
        Error::GoldenMismatch {
            device: "host".into(),
            vector: 0,
            tensor: "t".into(),
            element: String::new(),
        },
        Error::GoldenResult { input: "i".into(), file: "f".into(), difference: "d".into() },
        Error::Ensemble { reason: "r".into() },
        Error::Samples { path: path(), reason: "r".into() },
        Error::Calibration { tensor: "t".into(), reason: "r".into() },
        Error::Keeper { name: "k".into(), reason: "r".into() },
        Error::Dataset { path: path(), reason: "r".into() },
        Error::Metric { metric: "map".into(), reason: "r".into() },
        Error::TooManyFailed { failed: 2, samples: 3, allowed: 1, first: "f".into() },
        Error::Journal { path: path(), reason: "r".into() },
        Error::NotReproduced { what: "data", claimed: "a".into(), found: "b".into() },
        Error::DevicesDiffer { app: "a".into(), devices: ["d".into(), "e".into()], sample: "s".into() },
        Error::NotCommitted { reason: "r".into() },
    ]
    .into_iter()
    .chain(unlicensed().into_iter().map(Error::from))
    .collect()
}

fn unlicensed() -> Vec<Unlicensed> {
    let (class, text, path) = ("trial", || "t".to_owned(), || PathBuf::from("p"));
    vec![
        Unlicensed::NoGrant { app: text(), found: text() },
        Unlicensed::Spent { class, grant: text(), used: 1, budget: 1, wanted: 1 },
        Unlicensed::Expired { class, grant: text(), end: 1, now: 2 },
        Unlicensed::NotYet { class, grant: text(), begin: 2, now: 1 },
        Unlicensed::ClockSetBack { grant: text(), now: 1, last: 2 },
        Unlicensed::StateRestored { grant: text(), found: 1, expected: 2 },
        Unlicensed::StateOfOtherDevice { path: path() },
        Unlicensed::StateDamaged { path: path(), reason: text() },
        Unlicensed::StateMissing { path: path() },
        Unlicensed::Replayed { grant: text() },
        Unlicensed::NoSeat { grant: text(), seats: 1 },
        Unlicensed::OutputLevel { class, grant: text(), asked: "more" },
        Unlicensed::Revoked { class, grant: text(), said: text() },
        Unlicensed::Stale { class, grant: text(), publisher: text(), days: 1, found: text() },
    ]
}

#[test]
fn every_variant_has_its_own_code_with_a_line_about_it() {
    let mut found: Vec<&str> = own().iter().map(Error::code).collect();
    found.sort_unstable();
    let listed: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
    assert_eq!(found, listed);
    assert!(CODES.iter().all(|(code, line)| code.starts_with("TM05") && !line.is_empty()));
}

/// The source is read too, so that a variant that `own` forgets is found.
#[test]
fn no_code_is_missing_from_the_list() {
    let sources = [include_str!("../src/error.rs"), include_str!("../src/license/refusal.rs")];
    let arms = sources.into_iter().flat_map(str::lines).filter_map(|line| line.split_once("=> \"TM"));
    let mut written: Vec<String> = arms.map(|(_, rest)| format!("TM{}", &rest[..4])).collect();
    written.sort_unstable();
    assert_eq!(written, CODES.iter().map(|(code, _)| (*code).to_owned()).collect::<Vec<_>>());
}

#[test]
fn every_error_says_what_to_do() {
    for error in own() {
        assert!(!error.hint().is_empty() && !error.to_string().is_empty(), "{error:?}");
    }
}

#[test]
fn errors_of_the_crates_below_keep_their_code_and_kind() {
    let error: Error = tilemark::Image::decode(b"no picture").unwrap_err().into();
    assert_eq!((error.code(), error.kind()), ("TM0301", ErrorKind::BadInput));
    let error: Error = "opencl:7".parse::<tilemark::Device>().unwrap_err().into();
    assert_eq!((error.code(), error.kind()), ("TM0401", ErrorKind::NoDevice));
    let error: Error = tilemark::Trust::parse("neither").unwrap_err().into();
    assert_eq!((error.code(), error.kind()), ("TM0160", ErrorKind::Failed));
    let error: Error = tilemark::model::import_traced(b"\xff").unwrap_err().into();
    assert_eq!((error.code(), error.kind()), ("TM0201", ErrorKind::Failed));
}
