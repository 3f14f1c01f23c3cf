//! Apps of several publishers on one input.
#![allow(clippy::unwrap_used, reason = "helpers of a test: a panic names the line")]

mod common;

use tilemark::{Device, Ensemble, IfMissing, Input, Member, Rule};

fn member(name: &str, edit: (&str, &str), weight: f64) -> Member {
    // Each is signed by a key of its own.
    let app = common::load(&common::pack_edited(edit.0, edit.1).unwrap());
    Member { name: name.into(), session: app.session(Device::host()), weight }
}

fn members() -> Vec<Member> {
    let all = ("k = 2", "k = 4");
    vec![member("one", all, 1.0), member("two", ("acme/tagger", "other/tagger"), 3.0)]
}

fn gone() -> Member {
    let session = Input::image("/nonexistent/app.tmk").map(|_| unreachable!());
    Member { name: "gone".into(), session, weight: 1.0 }
}

fn photo() -> Input {
    Input::image_bytes(&common::picture(5, 30, 20)).unwrap()
}

#[test]
fn members_count_by_their_weights() {
    let mut ensemble = Ensemble::new(members(), Rule::Mean, IfMissing::Fail).unwrap();
    let combined = ensemble.run(&photo()).unwrap();
    assert_eq!(combined.outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    // The same network twice: what both list has its own score, what one leaves out has a quarter of it.
    let alone = combined.outputs[0].1.labels();
    for (i, label) in combined.labels.iter().enumerate() {
        let own = alone.iter().find(|own| own.name == label.name).unwrap();
        let expected = if i < 2 { own.score } else { own.score / 4.0 };
        assert!((label.score - expected).abs() <= f32::EPSILON, "{label:?} {own:?}");
    }
    assert_eq!((combined.labels.len(), combined.missing.len()), (4, 0));
    let mut vote = Ensemble::new(members(), Rule::Vote, IfMissing::Fail).unwrap();
    let voted = vote.run(&photo()).unwrap();
    assert_eq!((voted.labels.len(), voted.labels[0].score, &voted.labels[0].name), (1, 1.0, &alone[0].name));
}

#[test]
fn a_missing_member_is_told_or_ends_it_as_declared() {
    let with_gone = || members().into_iter().chain([gone()]).collect::<Vec<_>>();
    let error = Ensemble::new(with_gone(), Rule::Max, IfMissing::Fail).unwrap_err();
    assert_eq!(error.code(), "TM0501");
    let mut ensemble = Ensemble::new(with_gone(), Rule::Max, IfMissing::Skip { least: 2 }).unwrap();
    let combined = ensemble.run(&photo()).unwrap();
    assert_eq!((combined.outputs.len(), combined.missing[0].0.as_str()), (2, "gone"));
    assert!(combined.missing[0].1.contains("/nonexistent/app.tmk"));
    let few = Ensemble::new(with_gone(), Rule::Max, IfMissing::Skip { least: 3 }).unwrap_err();
    assert_eq!(few.code(), "TM0509");
    // An input that no member takes.
    let bad = Input::tensors();
    assert_eq!(ensemble.run(&bad).unwrap_err().code(), "TM0509");
    ensemble.run(&photo()).unwrap();
}

#[test]
fn what_is_no_ensemble_is_refused() {
    let none = Ensemble::new(Vec::new(), Rule::Mean, IfMissing::Fail).unwrap_err();
    assert_eq!(none.code(), "TM0509");
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let one = vec![member("one", ("k = 2", "k = 3"), weight)];
        assert_eq!(Ensemble::new(one, Rule::Mean, IfMissing::Fail).unwrap_err().code(), "TM0509");
    }
}
