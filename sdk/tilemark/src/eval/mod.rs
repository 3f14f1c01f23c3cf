//! Is this app good enough on my data, on my device?

pub mod stats;
