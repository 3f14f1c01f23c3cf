//! A verified bundle cannot be put together by hand.
use tilemark::Bundle;

fn main() {
    let _ = Bundle { bytes: Vec::new().into() };
}
