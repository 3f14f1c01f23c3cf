//! Reports as one file for a browser: text, tables and pictures. Such a page asks the network for nothing and runs nothing.

pub(crate) mod page;
pub(crate) mod plots;
pub(crate) mod svg;
