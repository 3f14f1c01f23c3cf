use std::collections::BTreeSet;
use std::path::Path;

use tilemark_bundle::{KeyId, PublicKey, SigningKey, Trust, TrustBuilder, Untrusted};

use super::documents::Documents;
use super::{Refreshed, Replace, Repository, RootKeys, Validity, delegation, role_keys};
use crate::client::{Kept, State};
use crate::error::{Error, Result};
use crate::gate::{self, Price};
use crate::layout;
use crate::limits::MAX_ROOT_BYTES;
use crate::metadata::{Delegations, Document as _, Key, Root, Signed, key_id};

/// A store's folder, as its operator writes to it.
///
/// The folder is where publishers write, and a web server reads. The state is a folder of the operator's own, where nobody else
/// writes: what was signed here last. A folder that is older than the state, or says something else, is refused, and no document
/// in it is believed that the right keys did not sign.
#[derive(Clone, Debug)]
pub struct Operator {
    pub(super) repository: Repository,
    pub(super) state: State,
}

impl Operator {
    /// Makes a store in a folder that is none yet.
    ///
    /// # Errors
    /// [`Error::StoreExists`], [`Error::Invalid`], [`Error::Io`].
    pub fn init(dir: &Path, state: &Path, keys: &RootKeys<'_>, validity: Validity) -> Result<Self> {
        Self::check_vacant(dir, state)?;
        let repository = Repository::at(dir).with_validity(validity);
        let root = repository.init(keys)?;
        let made = Self::begin(dir, state, &root)?.with_validity(validity);
        made.refresh(keys.online)?;
        Ok(made)
    }

    /// Whether a store may be made there.
    ///
    /// # Errors
    /// [`Error::StoreExists`].
    pub fn check_vacant(dir: &Path, state: &Path) -> Result<()> {
        if Repository::at(dir).is_store() {
            return Err(Error::StoreExists { path: dir.to_owned() });
        }
        if State::at(state.to_owned()).read(Kept::Root)?.is_some() {
            return Err(Error::StoreExists { path: state.to_owned() });
        }
        Ok(())
    }

    /// Begins a state on another machine, or where it was lost: by a root that came by a way that is trusted.
    ///
    /// # Errors
    /// [`Error::StoreExists`] where there is a state, [`Error::Unsigned`], [`Error::Malformed`], [`Error::Io`].
    pub fn begin(dir: &Path, state: &Path, root: &[u8]) -> Result<Self> {
        let begun = Self { repository: Repository::open(dir)?, state: State::at(state.to_owned()) };
        if begun.state.read(Kept::Root)?.is_some() {
            return Err(Error::StoreExists { path: state.to_owned() });
        }
        if root.len() as u64 > MAX_ROOT_BYTES {
            return Err(Error::EndlessData { what: "root".into(), max: MAX_ROOT_BYTES });
        }
        Signed::parse("root", root)?.trusted_root()?;
        begun.state.write(Kept::Root, root)?;
        Ok(begun)
    }

    /// The store in this folder, as it is known by this state.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NoState`].
    pub fn open(dir: &Path, state: &Path) -> Result<Self> {
        let opened = Self { repository: Repository::open(dir)?, state: State::at(state.to_owned()) };
        match opened.state.read(Kept::Root)? {
            Some(_) => Ok(opened),
            None => Err(Error::NoState { path: state.to_owned() }),
        }
    }

    /// The same with other times of validity for what is written from now on.
    #[must_use]
    pub fn with_validity(self, validity: Validity) -> Self {
        Self { repository: self.repository.with_validity(validity), ..self }
    }

    /// The same at a time of the caller's choice, in seconds since 1970-01-01; without, it is this machine's.
    #[must_use]
    pub fn at_time(self, seconds: u64) -> Self {
        Self { repository: self.repository.at_time(seconds), ..self }
    }

    /// Lets a publisher offer apps as `publisher/…`, signed by `threshold` of these keys: those that sign its bundles. Signed with
    /// the key of the targets; seen after the next [`refresh`](Self::refresh).
    ///
    /// # Errors
    /// [`Error::PublisherExists`], [`Error::LooksLike`], [`Error::WrongKeys`], [`Error::Invalid`], [`Error::Tampered`].
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
            let paths = vec![layout::publisher_paths(publisher)];
            let invited = delegation(&mut bin.keys, name, keys, threshold, paths.clone())?;
            match bin.roles.iter().find(|role| role.name == invited.name) {
                None => bin.roles.push(invited),
                // A process that was killed had come so far, and not to the targets.
                Some(known) if *known == invited && !about.contains(&layout::publisher_paths(publisher)) => {}
                Some(_) => return Err(Error::PublisherExists { publisher: publisher.to_owned() }),
            }
            about.extend(paths);
            Ok(())
        })
    }

    /// Takes a publisher's leave to offer anything, at once from the next [`refresh`](Self::refresh) on. What is installed of it
    /// stays where it is.
    ///
    /// # Errors
    /// [`Error::NoPublisher`], [`Error::WrongKeys`], [`Error::Tampered`].
    pub fn revoke(&self, publisher: &str, signer: &SigningKey) -> Result<()> {
        self.change_publishers(publisher, signer, |bin, about| {
            let (name, paths) = (layout::publisher_role(publisher), layout::publisher_paths(publisher));
            let there = bin.roles.iter().any(|role| role.name == name) || about.contains(&paths);
            if !there {
                return Err(Error::NoPublisher { publisher: publisher.to_owned() });
            }
            bin.roles.retain(|role| role.name != name);
            let used = |id: &String| bin.roles.iter().any(|role| role.keys.keyids.contains(id));
            bin.keys.retain(|id, _| used(id));
            about.retain(|path| *path != paths);
            Ok(())
        })
    }

    /// Signs targets and bins as they are for another while, by the keys that the root names now; seen after the next
    /// [`refresh`](Self::refresh). To be done before a year is over, and after a key of targets or online was replaced.
    ///
    /// # Errors
    /// [`Error::WrongKeys`], [`Error::Tampered`], [`Error::Io`].
    pub fn renew_targets(&self, signer: &SigningKey) -> Result<()> {
        let _lock = self.state.lock()?;
        let mut documents = Documents::known(&self.repository, &self.state)?;
        documents.check_targets_key(signer)?;
        let until = self.repository.until(self.repository.validity.targets);
        let root = documents.root.clone();
        let targets = documents.own_of_old_keys("targets", &root.roles.targets, &root.keys)?;
        let mut targets = targets.ok_or(Error::NotFound { what: "file of the targets".into() })?;
        let old = targets.delegations.clone().unwrap_or_default();
        let top = targets.delegations.get_or_insert_default();
        let own = role_keys(&mut top.keys, &[signer.public().clone()], 1)?;
        for role in &mut top.roles {
            if role.name == layout::INDEX {
                role.keys = root.roles.snapshot.clone();
                let keys =
                    role.keys.keyids.iter().filter_map(|id| Some((id.clone(), root.keys.get(id)?.clone())));
                top.keys.extend(keys);
                continue;
            }
            if let Some(mut bin) = documents.own_of_old_keys(&role.name, &role.keys, &old.keys)? {
                documents.stage(&role.name, &mut bin, &[signer], until)?;
            }
            role.keys = own.clone();
        }
        let used = |id: &String| top.roles.iter().any(|role| role.keys.keyids.contains(id));
        top.keys.retain(|id, _| used(id));
        documents.stage("targets", &mut targets, &[signer], until).map(drop)
    }

    /// Writes the next root: the same keys for longer, or other ones by `change`. Signed by as many of the old root's keys and of
    /// the new one's as each asks for.
    ///
    /// # Errors
    /// [`Error::WrongKeys`], [`Error::Tampered`].
    pub fn renew_root(&self, keys: &[&SigningKey], change: &[Replace<'_>]) -> Result<()> {
        let _lock = self.state.lock()?;
        let old = Documents::known(&self.repository, &self.state)?.root;
        let mut root = old.clone();
        root.common.version += 1;
        root.common.expires = crate::time::format(self.repository.until(self.repository.validity.root));
        for Replace { old, new } in change {
            root.replace_key(&key_id(&Key::of(old)?), Key::of(new)?);
        }
        root.check().map_err(|reason| Error::invalid("root keys", reason))?;
        let signed = Signed::seal(&root, keys)?;
        for root in [&old, &root] {
            signed.by::<Root>("root", &root.roles.root, &root.keys).map_err(|error| match error {
                Error::Unsigned { role, needed, found } => Error::WrongKeys { role, needed, found },
                error => error,
            })?;
        }
        let bytes = signed.to_bytes()?;
        self.repository.write(&layout::root(root.common.version), &bytes)?;
        self.state.write(Kept::Root, &bytes)
    }

    /// Lists what was written since the last time, after checking it as an integrator would, and signs snapshot and timestamp
    /// anew. To be run after every change, and on its own before the timestamp expires.
    ///
    /// # Errors
    /// [`Error::WrongKeys`], [`Error::Tampered`], [`Error::RolledBack`], [`Error::Io`], or metadata of the operator's own that does
    /// not hold. What a publisher got wrong is in [`Refreshed::refused`], and what it had before stays.
    pub fn refresh(&self, online: &SigningKey) -> Result<Refreshed> {
        let _lock = self.state.lock()?;
        super::refresh::run(Documents::known(&self.repository, &self.state)?, &self.repository, online)
    }

    /// The same after the online key was stolen and replaced: what it had listed is not believed, and every role is listed anew, in
    /// the newest version that its own keys signed.
    ///
    /// # Errors
    /// As [`refresh`](Self::refresh).
    pub fn rebuild(&self, online: &SigningKey) -> Result<Refreshed> {
        let _lock = self.state.lock()?;
        super::refresh::run(Documents::rebuilt(&self.repository, &self.state)?, &self.repository, online)
    }

    /// Adds the store's own signature to a bundle that a publisher of this store signed, and that the licence gate lets it offer at
    /// this price: the new file, of the same identity, which the publisher then publishes. Policies that ask for the role `store`
    /// accept no other (`docs/trust.md`).
    ///
    /// # Errors
    /// [`Error::NoPublisher`], [`Error::NotOffered`], what the bundle is refused for, [`Error::Tampered`].
    pub fn countersign(&self, bundle: &Path, price: Price, signer: &SigningKey) -> Result<Vec<u8>> {
        let _lock = self.state.lock()?;
        let documents = Documents::known(&self.repository, &self.state)?;
        let file = Untrusted::from_path(bundle)?;
        let signers: Vec<KeyId> = file.signers().collect();
        let mut trust = Trust::builder();
        let mut known = BTreeSet::new();
        for publisher in documents.publishers()? {
            let keys = publisher.keys();
            let ids: Vec<KeyId> = keys.iter().map(PublicKey::id).collect();
            if ids.iter().any(|id| signers.contains(id)) {
                let new = keys.into_iter().filter(|key| known.insert(key.id()));
                trust = new.fold(trust, TrustBuilder::key);
                trust = trust.publisher(publisher.name(), &ids, publisher.role.keys.threshold);
            }
        }
        if known.is_empty() {
            let publisher = signers.first().map_or("nobody".into(), |id| format!("the key {id}"));
            return Err(Error::NoPublisher { publisher });
        }
        let bundle = file.verify(&trust.build()?).map_err(tilemark_bundle::Refused::into_error)?;
        gate::offered(bundle.manifest(), price)?;
        Ok(bundle.with_signature(signer)?)
    }

    /// Changes the delegations of a publisher's bin, and the paths that the targets pass on to that bin.
    fn change_publishers(
        &self,
        publisher: &str,
        signer: &SigningKey,
        change: impl FnOnce(&mut Delegations, &mut Vec<String>) -> Result<()>,
    ) -> Result<()> {
        let _lock = self.state.lock()?;
        let repository = &self.repository;
        let mut documents = Documents::known(repository, &self.state)?;
        documents.check_targets_key(signer)?;
        let role = layout::bin_role(&layout::bin(publisher));
        let mut targets = documents.newest_targets()?;
        let top = targets.delegations.get_or_insert_default();
        let all = || top.roles.iter().flat_map(|role| role.paths.iter().flatten());
        if !all().any(|path| *path == layout::publisher_paths(publisher)) {
            look_alike(publisher, all())?;
        }
        let bin = top.roles.iter().find(|delegation| delegation.name == role).cloned();
        let mut delegation = match bin {
            Some(delegation) => delegation,
            None => delegation(&mut top.keys, role.clone(), &[signer.public().clone()], 1, Vec::new())?,
        };
        let bin = documents.own(&role, &delegation.keys, &top.keys)?;
        let mut bin = bin.unwrap_or_else(|| repository.targets());
        change(bin.delegations.get_or_insert_default(), delegation.paths.get_or_insert_default())?;
        top.roles.retain(|other| other.name != role);
        top.roles.push(delegation);
        let until = repository.until(repository.validity.targets);
        // The bin first: what the targets pass on to it, it has.
        documents.stage(&role, &mut bin, &[signer], until)?;
        documents.stage("targets", &mut targets, &[signer], until).map(drop)
    }
}

/// Refuses a name that people take for another publisher's. The targets' patterns name all of them.
fn look_alike<'a>(publisher: &str, paths: impl Iterator<Item = &'a String>) -> Result<()> {
    let names = paths.filter_map(|path| path.strip_suffix("/*/*"));
    let wanted = skeleton(publisher);
    let mut others = names.filter(|name| *name != publisher && skeleton(name) == wanted);
    match others.next() {
        Some(like) => Err(Error::LooksLike { publisher: publisher.to_owned(), like: like.to_owned() }),
        None => Ok(()),
    }
}

/// A name without what the eye passes over.
fn skeleton(name: &str) -> String {
    let plain = name.replace('-', "").replace('0', "o").replace(['1', 'i'], "l");
    plain.replace("rn", "m").replace("vv", "w")
}

#[cfg(test)]
mod tests {
    use super::skeleton;

    #[test]
    fn names_that_look_alike() {
        for (a, b) in
            [("acme", "acrne"), ("acme1", "acmel"), ("ac-me", "acme"), ("vvoof", "woof"), ("t00l", "tool")]
        {
            assert_eq!(skeleton(a), skeleton(b));
        }
        assert_ne!(skeleton("acme"), skeleton("acne"));
    }
}
