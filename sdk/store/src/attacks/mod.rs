//! Attacks on stores, named as the literature and the advisories name them; each must be refused for what it is.

mod advisories;
mod copies;
mod countersigned;
mod files;
mod http;
mod metadata;
mod offers;
mod operator;
pub(crate) mod shop;
mod sources;
