//! Reports as one file for a browser: what the JSON has, with pictures. It asks the network for nothing and runs nothing.

mod compare;
mod page;
mod plots;
mod report;
mod svg;

pub use page::is_page;

#[cfg(test)]
pub(super) mod tests;
