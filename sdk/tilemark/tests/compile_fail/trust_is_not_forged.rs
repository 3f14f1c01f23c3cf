//! A policy has no default and no public parts: it names keys, or it is not there.
use tilemark::Trust;

fn main() {
    let _: Trust = Default::default();
}
