//! The operator's and the publishers' side: the folder that a web server serves.
//!
//! Whoever holds a key writes the next version of what that key signs; nobody sees it until [`Repository::refresh`] has checked
//! it and listed it in a new snapshot. So a publisher needs no online key, and the operator none of the publishers'.

mod documents;
mod init;
mod publish;
mod refresh;

use std::path::{Path, PathBuf};

use tilemark_bundle::{PublicKey, SigningKey, durable};

use crate::error::{Error, Result};
use crate::layout;
use crate::metadata::{Common, Delegation, Delegations, Document as _, Key, RoleKeys, Targets, key_id};
use crate::time;

pub use init::{Replace, RootKeys, Validity};
pub use publish::{Offering, Published};
pub use refresh::Refreshed;

use documents::Documents;

/// A store's folder.
#[derive(Clone, Debug)]
pub struct Repository {
    dir: PathBuf,
    validity: Validity,
    time: Option<u64>,
}

impl Repository {
    /// The store in this folder, made by [`init`](Self::init) before.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn open(dir: &Path) -> Result<Self> {
        let opened = Self::at(dir);
        match opened.path("metadata/1.root.json").exists() {
            true => Ok(opened),
            false => {
                Err(Error::NotFound { what: format!("root at {}: is it a store's folder?", dir.display()) })
            }
        }
    }

    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), validity: Validity::default(), time: None }
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

    /// The newest root: what integrators begin to trust the store with.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Malformed`].
    pub fn root(&self) -> Result<Vec<u8>> {
        Ok(Documents::read(self)?.root_bytes)
    }

    /// Lets a publisher offer apps as `publisher/…`, signed by `threshold` of these keys: those that sign its bundles. Signed with
    /// the key of the targets; seen after the next [`refresh`](Self::refresh).
    ///
    /// # Errors
    /// [`Error::PublisherExists`], [`Error::WrongKeys`], [`Error::Invalid`].
    pub fn invite(
        &self,
        publisher: &str,
        keys: &[PublicKey],
        threshold: u64,
        signer: &SigningKey,
    ) -> Result<()> {
        format!("{publisher}/a").parse::<tilemark_bundle::AppName>()?;
        if threshold == 0 || threshold > keys.len() as u64 {
            return Err(Error::invalid("threshold", format!("{threshold} of {} keys", keys.len())));
        }
        self.change_publishers(publisher, signer, |bin, about| {
            let name = layout::publisher_role(publisher);
            if bin.roles.iter().any(|role| role.name == name) {
                return Err(Error::PublisherExists { publisher: publisher.to_owned() });
            }
            let paths = vec![layout::publisher_paths(publisher)];
            about.extend(paths.iter().cloned());
            bin.roles.push(delegation(&mut bin.keys, name, keys, threshold, paths)?);
            Ok(())
        })
    }

    /// Takes a publisher's leave to offer anything, at once from the next [`refresh`](Self::refresh) on. What is installed of it
    /// stays where it is.
    ///
    /// # Errors
    /// [`Error::NoPublisher`], [`Error::WrongKeys`].
    pub fn revoke(&self, publisher: &str, signer: &SigningKey) -> Result<()> {
        self.change_publishers(publisher, signer, |bin, about| {
            let name = layout::publisher_role(publisher);
            let before = bin.roles.len();
            bin.roles.retain(|role| role.name != name);
            if bin.roles.len() == before {
                return Err(Error::NoPublisher { publisher: publisher.to_owned() });
            }
            let used = |id: &String| bin.roles.iter().any(|role| role.keys.keyids.contains(id));
            bin.keys.retain(|id, _| used(id));
            about.retain(|path| *path != layout::publisher_paths(publisher));
            Ok(())
        })
    }

    /// Signs targets and bins as they are for another while; seen after the next [`refresh`](Self::refresh). To be done before a
    /// year is over, like [`renew_root`](Self::renew_root).
    ///
    /// # Errors
    /// [`Error::WrongKeys`], [`Error::Io`].
    pub fn renew_targets(&self, signer: &SigningKey) -> Result<()> {
        let _lock = durable::lock(&self.dir)?;
        let documents = Documents::read(self)?;
        documents.check_targets_key(signer)?;
        let mut targets = documents.newest_targets()?;
        let top = targets.delegations.clone().unwrap_or_default();
        for role in top.roles.iter().filter(|role| role.name != layout::INDEX) {
            if let Some(mut bin) = documents.newest(&role.name, &role.keys, &top.keys)? {
                documents.stage(&role.name, &mut bin, &[signer], self.until(self.validity.targets))?;
            }
        }
        documents.stage("targets", &mut targets, &[signer], self.until(self.validity.targets))
    }

    /// Changes the delegations of a publisher's bin, and the paths that the targets pass on to that bin.
    fn change_publishers(
        &self,
        publisher: &str,
        signer: &SigningKey,
        change: impl FnOnce(&mut Delegations, &mut Vec<String>) -> Result<()>,
    ) -> Result<()> {
        let _lock = durable::lock(&self.dir)?;
        let documents = Documents::read(self)?;
        documents.check_targets_key(signer)?;
        let role = layout::bin_role(&layout::bin(publisher));
        let mut targets = documents.newest_targets()?;
        let top = targets.delegations.get_or_insert_default();
        let bin = top.roles.iter().find(|delegation| delegation.name == role).cloned();
        let mut delegation = match bin {
            Some(delegation) => delegation,
            None => delegation(&mut top.keys, role.clone(), &[signer.public().clone()], 1, Vec::new())?,
        };
        let mut bin = documents.newest(&role, &delegation.keys, &top.keys)?.unwrap_or_else(|| self.targets());
        change(bin.delegations.get_or_insert_default(), delegation.paths.get_or_insert_default())?;
        top.roles.retain(|other| other.name != role);
        top.roles.push(delegation);
        // The bin first: what the targets pass on to it, it has.
        documents.stage(&role, &mut bin, &[signer], self.until(self.validity.targets))?;
        documents.stage("targets", &mut targets, &[signer], self.until(self.validity.targets))
    }

    /// A document without any target.
    pub(crate) fn targets(&self) -> Targets {
        Targets { common: Common::new(Targets::TYPE, 0), targets: Default::default(), delegations: None }
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
        crate::client::create_dirs(path.parent().unwrap_or(&self.dir))?;
        Ok(durable::replace(&path, bytes, false, &|_| ())?)
    }
}

/// A terminating delegation; its keys are added to the ring.
pub(crate) fn delegation(
    ring: &mut crate::metadata::Keyring,
    name: String,
    keys: &[PublicKey],
    threshold: u64,
    paths: Vec<String>,
) -> Result<Delegation> {
    let mut keyids = Vec::new();
    for key in keys {
        let key = Key::of(key)?;
        keyids.push(key_id(&key));
        ring.insert(key_id(&key), key);
    }
    let keys = RoleKeys { keyids, threshold };
    Ok(Delegation { name, keys, terminating: true, paths: Some(paths), path_hash_prefixes: None })
}
