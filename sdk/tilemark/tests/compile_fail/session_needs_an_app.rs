//! A session cannot be made without an app.
use tilemark::Session;

fn main() {
    let _ = Session::new();
}
