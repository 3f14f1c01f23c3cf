//! An app is made of a verified bundle, never of an unverified file.
use tilemark::{App, Error, Untrusted};

fn load(file: Untrusted) -> Result<App, Error> {
    App::from_bundle(file)
}

fn main() {}
