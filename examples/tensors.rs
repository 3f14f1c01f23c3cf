//! Arrays in, arrays out: for those who have their own pre- and post-processing.
//!
//! ```sh
//! cargo run --release -p tilemark-examples --example tensors
//! ```
#![allow(clippy::print_stdout, reason = "an example's result is what it prints")]

use ndarray::Array4;
use tilemark::{Device, Error, Home, Image, Input};
use tilemark_examples::{Delivery, app_folder};

/// Pixels a side of what the tagger takes.
const SIDE: usize = 224;

pub(crate) fn main() -> Result<(), Error> {
    let delivery = Delivery::tagger()?;
    let home = Home::at(delivery.path("home"));
    let app = tilemark::open_with(delivery.bundle(), &delivery.trust(), &home)?;
    let mut session = app.session(Device::best())?;
    for port in &app.graph().inputs {
        println!("takes {} {:?}", port.name, port.shape);
    }

    // Our own pre-processing: nearest pixels of the middle, (p - 127) / 128.
    let path = app_folder().join("samples/coffee.png");
    let photo = Image::decode(&std::fs::read(&path).map_err(|source| Error::Io { path, source })?)?;
    let side = photo.width().min(photo.height()) as usize;
    let (top, left) = ((photo.height() as usize - side) / 2, (photo.width() as usize - side) / 2);
    let array = Array4::from_shape_fn([1, 3, SIDE, SIDE], |(_, channel, y, x)| {
        let (row, column) = (top + y * side / SIDE, left + x * side / SIDE);
        let byte = photo.pixels()[3 * (row * photo.width() as usize + column) + channel];
        (f32::from(byte) - 127.0) / 128.0
    });

    let input = app.graph().inputs[0].name.clone();
    let output = session.run(Input::tensors().array(input, array.view().into_dyn())?)?;
    for name in output.tensors().keys() {
        // The model's own scores, before the app's softmax; a view, not a copy.
        let Some(scores) = output.array(name) else { continue };
        let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        println!("gives {name} {:?}, highest at {best:?}", scores.shape());
    }
    Ok(())
}
