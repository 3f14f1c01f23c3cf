//! Evaluations as pages: what the JSON has, with pictures.

mod compare;
mod report;

pub use crate::html::page::is_page;

#[cfg(test)]
pub(super) mod tests;
