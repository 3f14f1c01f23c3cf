//! Everything that is wrong with a declaration, not only the first thing.

use crate::error::{Error, Result};

/// What was found so far, in the order of the declaration.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Error>);

impl Faults {
    /// The value; or nothing, and its error is noted.
    pub(crate) fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }

    /// How many there are: a part without fault leaves it as it was.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// What `find` finds, each changed by `say`.
    pub(crate) fn within<T>(&mut self, say: impl Fn(Error) -> Error, find: impl FnOnce(&mut Self) -> T) -> T {
        let mut inner = Self::default();
        let found = find(&mut inner);
        self.0.extend(inner.0.into_iter().map(say));
        found
    }

    /// The first of them, if there is one.
    pub(crate) fn first(self) -> Result<()> {
        self.0.into_iter().next().map_or(Ok(()), Err)
    }

    /// All of them.
    pub(crate) fn all(self) -> Vec<Error> {
        self.0
    }
}
