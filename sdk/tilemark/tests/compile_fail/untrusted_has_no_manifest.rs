//! Nor can its manifest: nobody has signed what it says.
use tilemark::Untrusted;

fn release(file: &Untrusted) -> u64 {
    file.manifest().app.release
}

fn main() {}
