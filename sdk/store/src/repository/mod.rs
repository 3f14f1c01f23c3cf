//! The operator's and the publishers' side: the folder that a web server serves.
//!
//! Whoever holds a key writes the next version of what that key signs; nobody sees it until [`Operator::refresh`] has checked
//! it and listed it in a new snapshot. So a publisher needs no online key, and the operator none of the publishers'. Publishers
//! may write to the folder, so the operator believes nothing in it that its own state, kept elsewhere, does not vouch for.

mod check;
mod documents;
mod init;
mod operator;
mod publish;
mod refresh;

use std::path::{Path, PathBuf};

use tilemark_bundle::{PublicKey, durable};

use crate::error::{Error, Result, io};
use crate::layout;
use crate::limits::MAX_STAGED;
use crate::metadata::{Common, Delegation, Document as _, Key, Keyring, RoleKeys, Targets, key_id};
use crate::time;

pub(crate) use check::listed_release;
pub use init::{Replace, RootKeys, Validity};
pub use operator::Operator;
pub use publish::{Offering, Published};
pub use refresh::Refreshed;

use documents::Documents;

/// A store's folder, as its publishers write to it.
#[derive(Clone, Debug)]
pub struct Repository {
    dir: PathBuf,
    validity: Validity,
    time: Option<u64>,
}

impl Repository {
    /// The store in this folder, made by [`Operator::init`] before.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn open(dir: &Path) -> Result<Self> {
        let opened = Self::at(dir);
        match opened.is_store() {
            true => Ok(opened),
            false => {
                Err(Error::NotFound { what: format!("root at {}: is it a store's folder?", dir.display()) })
            }
        }
    }

    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), validity: Validity::default(), time: None }
    }

    fn is_store(&self) -> bool {
        self.path(&layout::root(1)).exists()
    }

    /// The same with other times of validity for what is written from now on.
    #[must_use]
    pub fn with_validity(self, validity: Validity) -> Self {
        Self { validity, ..self }
    }

    /// The same at a time of the caller's choice, in seconds since 1970-01-01; without, it is this machine's.
    #[must_use]
    pub fn at_time(self, seconds: u64) -> Self {
        Self { time: Some(seconds), ..self }
    }

    /// The newest root that follows the folder's first: what integrators begin to trust the store with.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Malformed`], [`Error::Unsigned`].
    pub fn root(&self) -> Result<Vec<u8>> {
        Ok(Documents::served(self)?.root_bytes)
    }

    /// A document without any target, that was never written.
    pub(crate) fn targets(&self) -> Targets {
        let common = Common { version: 0, ..Common::new(Targets::TYPE, 0) };
        Targets { common, targets: Default::default(), delegations: None }
    }

    pub(crate) fn until(&self, seconds: u64) -> u64 {
        self.time.unwrap_or_else(time::now).saturating_add(seconds)
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.join(relative)
    }

    /// Writes a file of the store, whole or not at all.
    pub(crate) fn write(&self, relative: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(relative);
        self.refuse_links(relative)?;
        crate::client::create_dirs(path.parent().unwrap_or(&self.dir))?;
        Ok(durable::replace(&path, bytes, false, &|_| ())?)
    }

    /// A folder in the store that is a link would have what is written land elsewhere.
    pub(crate) fn refuse_links(&self, relative: &str) -> Result<()> {
        for (end, _) in relative.match_indices('/') {
            let folder = relative.get(..end).unwrap_or_default();
            let link = self.path(folder).symlink_metadata().is_ok_and(|found| !found.is_dir());
            if link {
                return Err(self.tampered(folder, "it is a link, and no folder"));
            }
        }
        Ok(())
    }

    /// The versions of a role that lie there, ascending; the highest so many.
    fn versions(&self, role: &str) -> Result<Vec<u64>> {
        let folder = self.path(layout::METADATA);
        let end = format!(".{}.json", layout::encoded_role(role));
        let mut versions = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(io("list", &folder))? {
            let name = entry.map_err(io("list", &folder))?.file_name();
            let version = name.to_str().and_then(|name| name.strip_suffix(&end)?.parse::<u64>().ok());
            // A version that nobody comes to by counting was planted, or is a thief's.
            versions.extend(version.filter(|version| *version < MAX_REBUILT_VERSION));
        }
        versions.sort_unstable();
        let many = usize::try_from(MAX_STAGED).unwrap_or(usize::MAX);
        Ok(versions.split_off(versions.len().saturating_sub(many)))
    }

    pub(crate) fn tampered(&self, relative: &str, reason: &str) -> Error {
        Error::Tampered { path: self.path(relative), reason: reason.to_owned() }
    }
}

/// Versions below this are believed when a store is rebuilt: one a second for 136 years.
pub(crate) const MAX_REBUILT_VERSION: u64 = 1 << 32;

/// A terminating delegation; its keys are added to the ring.
pub(crate) fn delegation(
    ring: &mut Keyring,
    name: String,
    keys: &[PublicKey],
    threshold: u64,
    paths: Vec<String>,
) -> Result<Delegation> {
    let keys = role_keys(ring, keys, threshold)?;
    Ok(Delegation { name, keys, terminating: true, paths: Some(paths), path_hash_prefixes: None })
}

/// So many of these keys, which are added to the ring.
pub(crate) fn role_keys(ring: &mut Keyring, keys: &[PublicKey], threshold: u64) -> Result<RoleKeys> {
    let mut keyids = Vec::new();
    for key in keys {
        let key = Key::of(key)?;
        keyids.push(key_id(&key));
        ring.insert(key_id(&key), key);
    }
    Ok(RoleKeys { keyids, threshold })
}
