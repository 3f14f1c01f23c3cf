//! The examples are not only built but run. `quickstart` reads the arguments, which are the test runner's here: its
//! lines are in the second test.

use tilemark::{Device, Error, Home, Input};
use tilemark_examples::{Delivery, app_folder, photos};

#[path = "../camera_loop.rs"]
mod camera_loop;
#[path = "../custom_trust.rs"]
mod custom_trust;
#[path = "../tensors.rs"]
mod tensors;
#[path = "../threads.rs"]
mod threads;

#[test]
fn the_stories_end_well() {
    for (name, story) in [
        ("camera_loop", camera_loop::main as fn() -> Result<(), Error>),
        ("custom_trust", custom_trust::main),
        ("tensors", tensors::main),
        ("threads", threads::main),
    ] {
        story().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn the_delivered_tagger_names_the_photos() {
    let delivery = Delivery::tagger().unwrap();
    let trust = tilemark::Trust::from_file(delivery.public_key()).unwrap();
    let app = tilemark::open_with(delivery.bundle(), &trust, &Home::at(delivery.path("home"))).unwrap();
    let mut session = app.session(Device::best()).unwrap();
    assert_eq!(photos().unwrap().len(), 4);
    for (photo, best) in [("coffee.png", "espresso"), ("chelsea.png", "Egyptian cat")] {
        let output = session.run(Input::image(app_folder().join("samples").join(photo)).unwrap()).unwrap();
        assert_eq!(output.labels()[0].name, best, "{photo}");
    }
}
