//! One kernel launch, as a plan keeps it: no session's objects in it.

use std::ffi::CString;

use tilemark_kernels::Source;

use super::api::Arg;

/// An entry point of a program, its arguments, and its grid of work items.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: ProgramKey,
    pub(crate) entry: &'static str,
    pub(crate) args: Vec<Arg>,
    pub(crate) global: [usize; 3],
    /// Work items of a work-group; the driver's choice without.
    pub(crate) local: Option<[usize; 3]>,
}

/// A program: its source and the options that it is compiled with.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct ProgramKey {
    pub(crate) source: Source,
    /// Macro definitions.
    pub(crate) options: String,
}

impl ProgramKey {
    pub(crate) fn new(source: Source, options: impl Into<String>) -> Self {
        Self { source, options: options.into() }
    }

    /// All options. Nothing that loosens arithmetic, ever.
    pub(crate) fn all_options(&self) -> CString {
        let standard = if self.options.contains("-cl-std") { "" } else { "-cl-std=CL1.2 " };
        CString::new(format!("{standard}{}", self.options)).unwrap_or_default()
    }
}
