//! Throughput: one app compiled once, one single-threaded session per core, weights shared.
//!
//! Latency wants one session with all threads instead; this shows both.
//!
//! ```sh
//! cargo run --release -p tilemark-examples --example threads
//! ```
#![allow(clippy::print_stdout, reason = "an example's result is what it prints")]

use std::time::Instant;

use tilemark::{App, Device, Error, Home};
use tilemark_examples::Delivery;

/// Images that each way of running gets.
const IMAGES: usize = 32;

pub(crate) fn main() -> Result<(), Error> {
    let delivery = Delivery::tagger()?;
    let home = Home::at(delivery.path("home"));
    let app = tilemark::open_with(delivery.bundle(), &delivery.trust(), &home)?;
    let cores = Device::best().threads();

    let seconds = one_session(&app, cores)?;
    println!("1 session of {cores} threads:  {:7.1} images/s", IMAGES as f64 / seconds);
    let seconds = many_sessions(&app, cores)?;
    println!("{cores} sessions of 1 thread:   {:7.1} images/s", IMAGES as f64 / seconds);
    Ok(())
}

fn one_session(app: &App, threads: usize) -> Result<f64, Error> {
    let mut session = app.session(Device::best().with_threads(threads)?)?;
    let Some(input) = app.sample_input() else { return Ok(f64::NAN) };
    let start = Instant::now();
    for _ in 0..IMAGES {
        session.run(input.clone())?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn many_sessions(app: &App, sessions: usize) -> Result<f64, Error> {
    let compiled = app.compile(&Device::best().with_threads(1)?)?;
    let Some(input) = app.sample_input() else { return Ok(f64::NAN) };
    let start = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..sessions)
            .map(|worker| {
                let (compiled, input) = (&compiled, &input);
                scope.spawn(move || {
                    let mut session = compiled.session()?;
                    for _ in (worker..IMAGES).step_by(sessions) {
                        session.run(input.clone())?;
                    }
                    Ok::<(), Error>(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(start.elapsed().as_secs_f64())
}
