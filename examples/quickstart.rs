//! The five lines that an integrator writes.
//!
//! ```sh
//! cargo run --release -p tilemark-examples --example quickstart                       # the tagger, packed on the spot
//! cargo run --release -p tilemark-examples --example quickstart -- app.tmk vendor.pub photo.jpg
//! ```
#![allow(clippy::print_stdout, reason = "an example's result is what it prints")]

use std::path::{Path, PathBuf};

use tilemark::{Device, Error, Home, Input, Trust};
use tilemark_examples::{Delivery, app_folder};

fn main() -> Result<(), Error> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match &arguments[..] {
        [bundle, key, photo] => tag(bundle, key, photo, &Home::from_env()?),
        [] => {
            let delivery = Delivery::tagger()?;
            let photo = app_folder().join("samples/coffee.png");
            // A throw-away home: this machine need not remember which release the example had.
            tag(&delivery.bundle(), &delivery.public_key(), &photo, &Home::at(delivery.path("home")))
        }
        _ => {
            println!("usage: quickstart [BUNDLE KEY PHOTO]");
            Ok(())
        }
    }
}

fn tag(bundle: &Path, key: &Path, photo: &Path, home: &Home) -> Result<(), Error> {
    let trust = Trust::from_file(key)?;
    let app = tilemark::open_with(bundle, &trust, home)?; // refuses before parsing anything unsigned
    let mut session = app.session(Device::best())?; // plan compiled, kernels chosen
    let output = session.run(Input::image(photo)?)?;
    for label in output.labels() {
        println!("{:5.1}% {}", 100.0 * label.score, label.name);
    }
    Ok(())
}
