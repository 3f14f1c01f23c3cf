//! Bundles in registries of containers, by the OCI distribution specification 1.1: the same bundle, byte for byte, in any of them.
//!
//! A registry is not trusted. It keeps blobs by their SHA-256, which the bundle's signed manifest names, and what comes is verified
//! like a bundle from anywhere. `docs/store.md` says what an image looks like.

mod auth;
mod image;
mod pull;
mod push;
mod reference;
mod referrers;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use tilemark_bundle::Digest;

use crate::client::Mirrors;
use crate::error::{Error, Result};
use crate::limits::Patience;
use image::{Descriptor, written};
use wire::Wire;

pub use auth::Credentials;
pub use pull::{Attached, Pulled};
pub use push::Pushed;
pub use reference::{Reference, Version};
pub use wire::Access;

/// A repository of a registry, and an image of it.
#[derive(Debug)]
pub struct Registry {
    reference: Reference,
    wire: Arc<Wire>,
    mirrors: Mirrors,
}

impl Registry {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] for credentials that everybody on the way could read.
    pub fn new(reference: Reference, access: Access) -> Result<Self> {
        Self::with_patience(reference, access, Patience::default())
    }

    /// The same with a patience of the caller's choice for a registry that says nothing.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_patience(reference: Reference, access: Access, patience: Patience) -> Result<Self> {
        let wire = Arc::new(Wire::new(&reference, access, patience)?);
        let mirrors = Mirrors::new(vec![Box::new(Arc::clone(&wire))], patience);
        Ok(Self { reference, wire, mirrors })
    }

    /// What an image of it is not, as an error.
    fn not_a_bundle(&self, what: &str, reason: String) -> Error {
        Error::NotABundle { image: format!("{what} of {}", self.reference), reason }
    }

    /// A document by its digest, of its length.
    fn document(&self, path: &str, wanted: &Descriptor, max: u64) -> Result<Vec<u8>> {
        let sha256 = wanted.sha256().map_err(|reason| self.not_a_bundle(path, reason))?;
        if wanted.size > max {
            return Err(Error::EndlessData { what: path.to_owned(), max });
        }
        let found = self.mirrors.get(path, wanted.size, |bytes| {
            check(path, &bytes, wanted.size)?;
            check_hash(path, &bytes, sha256)?;
            Ok(bytes)
        })?;
        found.ok_or_else(|| Error::NotFound { what: format!("{} in {}", written(&sha256), self.reference) })
    }
}

fn check(what: &str, bytes: &[u8], expected: u64) -> Result<()> {
    let found = bytes.len() as u64;
    match found == expected {
        true => Ok(()),
        false => Err(Error::WrongLength { what: what.to_owned(), expected, found }),
    }
}

fn check_hash(what: &str, bytes: &[u8], expected: Digest) -> Result<()> {
    let found = tilemark_bundle::sha256(bytes);
    match found == expected {
        true => Ok(()),
        false => Err(Error::WrongHash { what: what.to_owned(), expected: expected.to_string(), found }),
    }
}
