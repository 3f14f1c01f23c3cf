//! A camera: one session, frame after frame. The session keeps its plan, memory and threads, so a frame costs the
//! work on its pixels and nothing else.
//!
//! ```sh
//! cargo run --release -p tilemark-examples --example camera_loop
//! ```
#![allow(clippy::print_stdout, reason = "an example's result is what it prints")]

use tilemark::{Device, Error, Home, Image, Input};
use tilemark_examples::{Delivery, photos};

/// Rounds through the photos.
const ROUNDS: usize = 5;

pub(crate) fn main() -> Result<(), Error> {
    let delivery = Delivery::tagger()?;
    let home = Home::at(delivery.path("home"));
    let app = tilemark::open_with(delivery.bundle(), &delivery.trust(), &home)?;
    let mut session = app.session(Device::best())?;

    // A camera delivers pixels: decoding a file is no part of its loop.
    let frames = photos()?.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    for round in 0..ROUNDS {
        for (name, frame) in &frames {
            let output = session.run(Input::pixels(frame.clone()))?;
            let ms = output.ms();
            let best = output.labels().first().map_or("nothing", |label| &label.name);
            // The first frame also pays for memory that is touched for the first time.
            println!(
                "{round} {name:<12} pre {:5.2} ms, model {:6.2} ms, post {:5.2} ms  {best}",
                ms.pre, ms.infer, ms.post
            );
        }
    }
    Ok(())
}

fn decode(path: &std::path::PathBuf) -> Result<(String, Image), Error> {
    let encoded = std::fs::read(path).map_err(|source| Error::Io { path: path.clone(), source })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, Image::decode(&encoded)?))
}
