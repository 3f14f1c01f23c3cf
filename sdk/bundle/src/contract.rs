//! What is said of an app beyond its manifest, in the types that an app derives and a store's listing carries: its ends, what its
//! bitstreams were built for, and the integers of an evaluation.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// What an app does for whoever uses it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct AppContract {
    /// What goes in and what comes out: `image -> labels`. Several are joined by `+`.
    pub task: String,
    /// What a user gives.
    pub inputs: Vec<AppPort>,
    /// What a user gets.
    pub outputs: Vec<AppPort>,
    /// What its bitstreams were built for; none of an app without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<AppTarget>,
}

impl AppContract {
    /// Whether an app of this contract can take another one's place: the same ends, and classes where those are named.
    #[must_use]
    pub fn is_equal_to(&self, other: &Self) -> bool {
        (&self.task, &self.inputs, &self.outputs) == (&other.task, &other.inputs, &other.outputs)
    }
}

/// One end of an app.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct AppPort {
    /// Its name.
    pub name: String,
    /// Of an element: `u8`, `f32`; or what a result is: `label`, `box`, `line`.
    #[serde(rename = "type")]
    pub dtype: String,
    /// Lengths of its axes; 0 where any length will do.
    pub shape: Vec<u64>,
    /// The least and the largest value, where the type bounds it to integers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[i64; 2]>,
    /// SHA-256 over the names of its classes, a line each: apps with the same one tell the same things apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Digest>,
}

/// What a bitstream was built for: it fits a device whose names contain both words, in small letters or capitals.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AppTarget {
    /// The target, as the manifest has it.
    pub target: String,
    /// What the platform's name must have in it.
    pub platform: String,
    /// What the device's name must have in it.
    pub part: String,
}

/// A named integer that a metric follows from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Count {
    /// What is counted.
    pub name: String,
    /// How often.
    pub value: u64,
}
