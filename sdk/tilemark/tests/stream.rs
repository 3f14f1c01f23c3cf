//! Frame after frame: the bits of one by one, in order; dropped frames are counted; a bad frame ends nothing.
#![allow(clippy::unwrap_used, reason = "helpers of a test: a panic names the line")]

mod common;

use std::ops::ControlFlow;
use std::sync::Barrier;

use tilemark::{App, Device, Error, Flow, FrameResult, Input, Outcome, Pressure, Session};

fn frame(seed: u64) -> Result<Input, Error> {
    Input::image_bytes(&common::picture(seed, 20 + seed as u32 % 7, 12))
}

fn session(app: &App) -> Session {
    app.session(Device::host().with_threads(1).unwrap()).unwrap()
}

fn wait(waiting: usize) -> Flow {
    Flow { pressure: Pressure::Wait, waiting }
}

#[test]
fn a_stream_gives_the_bits_of_one_by_one_in_order() {
    let app = common::load(&common::package());
    let mut alone = session(&app);
    let expected: Vec<Outcome> =
        (0..40).map(|seed| alone.run(frame(seed).unwrap()).unwrap().outcome().clone()).collect();
    for waiting in [0, 1, 2, 64, usize::MAX] {
        let mut found = Vec::new();
        let flowed =
            session(&app).stream(wait(waiting), (0..40).map(frame), |FrameResult { frame, output }| {
                assert_eq!(frame, found.len() as u64);
                found.push(output.unwrap().outcome().clone());
                ControlFlow::Continue(())
            });
        assert_eq!(found, expected);
        assert_eq!((flowed.frames, flowed.dropped, flowed.failed), (40, 0, 0));
    }
    let none = session(&app).stream(wait(1), std::iter::empty(), |_| ControlFlow::Continue(()));
    assert_eq!(none.frames, 0);
}

#[test]
fn a_bad_frame_is_told_and_the_others_go_on() {
    let app = common::load(&common::package());
    let frames = (0..9).map(|i| if i % 3 == 1 { Input::image_bytes(b"nonsense") } else { frame(i) });
    let mut failed = Vec::new();
    let flowed = session(&app).stream(wait(2), frames, |result| {
        if let Err(error) = result.output {
            assert_eq!(error.code(), "TM0301");
            failed.push(result.frame);
        }
        ControlFlow::Continue(())
    });
    assert_eq!((failed, flowed.failed, flowed.frames), (vec![1, 4, 7], 3, 9));
}

/// Whoever takes results is so slow that all frames have come before the first is done.
#[test]
fn frames_that_come_too_fast_are_dropped_and_counted() {
    let app = common::load(&common::package());
    let all_given = Barrier::new(2);
    let frames = (0..50).map(|i| {
        if i == 49 {
            all_given.wait();
        }
        frame(i)
    });
    let mut seen = Vec::new();
    let flow = Flow { pressure: Pressure::Drop, waiting: 3 };
    let flowed = session(&app).stream(flow, frames, |result| {
        if seen.is_empty() {
            all_given.wait();
        }
        result.output.unwrap();
        seen.push(result.frame);
        ControlFlow::Continue(())
    });
    assert_eq!((flowed.frames, flowed.dropped + seen.len() as u64), (50, 50));
    assert!(flowed.dropped >= 40, "{flowed:?}");
    assert!(seen.is_sorted() && seen.last() == Some(&49), "the newest stay: {seen:?}");
}

#[test]
fn whoever_has_seen_enough_ends_the_stream() {
    let app = common::load(&common::package());
    let mut seen = 0;
    let flowed = session(&app).stream(wait(1), (0..).map(frame), |_| {
        seen += 1;
        if seen == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    // What was on its way when the fifth result came: one in each queue, and one with each thread.
    assert!(seen == 5 && (5..=10).contains(&flowed.frames), "{flowed:?}");
}

/// A panic in the caller's code goes on in the caller, and no thread waits for ever.
#[test]
fn a_panic_in_what_takes_results_or_gives_frames_ends_the_stream() {
    let app = common::load(&common::package());
    let panics = |run: &mut dyn FnMut()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err();
    assert!(panics(&mut || {
        session(&app).stream(wait(1), (0..).map(frame), |_| panic!("of the test"));
    }));
    assert!(panics(&mut || {
        let frames = (0..).map(|i| if i == 3 { panic!("of the test") } else { frame(i) });
        session(&app).stream(wait(1), frames, |_| ControlFlow::Continue(()));
    }));
}

#[test]
fn scores_are_smoothed_over_the_frames_of_one_stream() {
    let app = |post: &str| common::load(&common::pack_edited("softmax = {}", post).unwrap());
    let (plain, smooth) = (app("softmax = {}"), app("softmax = {}\n[[post]]\nsmooth = { weight = 0.25 }"));
    let scores = |outcome: &Outcome| outcome.outputs.values().next().unwrap().as_f32().unwrap().to_vec();
    let mut alone = session(&plain);
    let mut mean: Option<Vec<f32>> = None;
    let expected: Vec<Vec<f32>> = (0..6)
        .map(|seed| {
            let new = scores(alone.run(frame(seed).unwrap()).unwrap().outcome());
            let old = mean.take().unwrap_or_else(|| new.clone());
            let made: Vec<f32> = match seed {
                0 => new,
                _ => new.iter().zip(&old).map(|(x, y)| 0.25 * x + (1.0 - 0.25) * y).collect(),
            };
            mean = Some(made.clone());
            made
        })
        .collect();
    let mut session = session(&smooth);
    for _ in 0..2 {
        let mut found = Vec::new();
        session.stream(wait(2), (0..6).map(frame), |result| {
            found.push(scores(result.output.unwrap().outcome()));
            ControlFlow::Continue(())
        });
        assert_eq!(found, expected);
    }
    // By itself, a frame is the first one.
    assert_eq!(scores(session.run(frame(0).unwrap()).unwrap().outcome()), expected[0]);
    let zero = common::pack_edited("softmax = {}", "smooth = { weight = 0 }").unwrap_err();
    assert_eq!(zero.code(), "TM0322");
}
