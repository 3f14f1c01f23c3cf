//! What the fuzzers in `sdk/fuzz` run: one plain function per target, so that the corpora also run as tests on stable
//! (`tests/fuzz_corpus.rs`).
//!
//! A function takes any bytes and returns how far they came. Returning an error value to its caller is what the code
//! under test is for; a panic, more than a moment, or more than moderate memory is a finding.

mod files;
mod graphs;
mod json;
mod mutate;
mod nets;
mod operators;
mod pipelines;
mod seeds;
mod stores;

use std::fmt;

pub use files::{bundle, envelope, grant, header, image, manifest, npy, policy};
pub use graphs::{graph, onnx};
pub use pipelines::pipeline;
pub use seeds::{Seed, seeds};
pub use stores::{index, listing, metadata};

use crate::random::SplitMix64;

/// How far an input came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// An error said what is wrong with it.
    Refused,
    /// It is well-formed, but asks for more work than a fuzzer spends on one input.
    Costly,
    /// It was used to the end, and everything compared was equal.
    Used,
}

/// One fuzz target: its name, that of its corpus folder, and what it runs.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// The body.
    pub run: fn(&[u8]) -> End,
    change: fn(&[u8], &mut SplitMix64) -> Vec<u8>,
}

/// Every target.
pub const TARGETS: [Target; 14] = [
    Target { name: "onnx", run: onnx, change: mutate::onnx },
    Target { name: "graph", run: graph, change: mutate::graph },
    Target { name: "bundle", run: bundle, change: mutate::bundle },
    Target { name: "header", run: header, change: mutate::header },
    Target { name: "envelope", run: envelope, change: mutate::envelope },
    Target { name: "manifest", run: manifest, change: json::mutate },
    Target { name: "grant", run: grant, change: json::mutate },
    Target { name: "policy", run: policy, change: json::mutate },
    Target { name: "pipeline", run: pipeline, change: json::mutate },
    Target { name: "image", run: image, change: mutate::flip },
    Target { name: "metadata", run: metadata, change: json::mutate },
    Target { name: "listing", run: listing, change: json::mutate },
    Target { name: "index", run: index, change: json::mutate },
    Target { name: "npy", run: npy, change: mutate::flip },
];

impl Target {
    /// The target called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// Another input, made from `bytes` and decided by `seed`: changed in the terms of its format (an attribute, a
    /// shape, a JSON value) with checksums and lengths put right, or in its bytes.
    #[must_use]
    pub fn mutate(&self, bytes: &[u8], seed: u64) -> Vec<u8> {
        let mut random = SplitMix64::new(seed);
        match random.below(8) {
            0 => mutate::flip(bytes, &mut random),
            _ => (self.change)(bytes, &mut random),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.name)
    }
}
