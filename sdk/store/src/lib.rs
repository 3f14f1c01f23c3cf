//! The Tilemark store: where publishers offer bundles, and integrators find, install and update them, without trusting whoever
//! hosts the files.
//!
//! A store is a folder behind any web server (`docs/store.md`). Trust in it follows The Update Framework: an offline root names
//! the keys of every role, publishers sign their own listings, a snapshot says which versions belong together, a timestamp how
//! fresh all of it is. A bundle that comes from a store is verified like any other; the store only says which keys are its
//! publisher's, and what is new.
//!
//! - [`Operator`] and [`Repository`]: the folder, for its operator and for publishers.
//! - [`Store`] and [`View`]: what an integrator sees of it, through mirrors that may be hostile.
//! - [`Installation`]: the apps of a machine.
//! - [`oci`]: the same bundles in registries of containers.
//! - [`Site`]: a store as static web pages.
//! - [`judge`]: whether an app may be offered at a price, by the licences of all that is in it.
//!
//! Everything here blocks; there is no async runtime.

#![forbid(unsafe_code)]

#[cfg(test)]
mod attacks;
mod client;
mod contract;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod index;
mod layout;
pub mod limits;
mod listing;
mod metadata;
pub mod oci;
#[cfg(test)]
mod peer;
mod repository;
#[cfg(test)]
mod scale;
mod search;
mod site;
pub mod time;
pub mod transport;

pub use client::{
    Copied, Countersigners, Freshness, Installation, Installed, Outcome, Progress, Store, View,
};
pub use contract::{Contract, Report, Reported, Speed};
pub use error::{CODES, Error, ErrorKind, Result};
pub use gate::{Duty, DutyKind, Price, Ruling, judge};
pub use index::Row;
pub use limits::Patience;
pub use listing::{ListedBlob, Listing, Offer};
pub use repository::{Offering, Operator, Published, Refreshed, Replace, Repository, RootKeys, Validity};
pub use search::{Hardware, Query};
pub use site::{Site, SiteMade};
pub use tilemark_bundle::AppName;
