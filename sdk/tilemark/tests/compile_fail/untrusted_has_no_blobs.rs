//! The bytes of an unverified file cannot be read.
use tilemark::Untrusted;

fn graph(file: &Untrusted) -> &[u8] {
    file.blob("graph").unwrap()
}

fn main() {}
