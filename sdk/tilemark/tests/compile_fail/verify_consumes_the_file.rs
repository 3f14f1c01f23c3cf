//! After verification the unverified file is gone: there is one object, and it is the checked one.
use tilemark::{Bundle, Refused, Trust, Untrusted};

fn twice(file: Untrusted, trust: &Trust) -> Result<Bundle, Refused> {
    file.verify(trust)?;
    file.verify(trust)
}

fn main() {}
