use std::path::Path;

use tilemark_bundle::{PublicKey, SigningKey};

use super::{Repository, delegation};
use crate::error::{Error, Result};
use crate::layout;
use crate::metadata::{Common, Document as _, Key, Keyring, RoleKeys, Root, Signed, TopLevel, key_id};

/// The keys that a store begins with.
#[derive(Debug)]
pub struct RootKeys<'a> {
    /// Offline, in different hands: they alone change who signs what.
    pub root: &'a [&'a SigningKey],
    /// How many of them it takes.
    pub threshold: u64,
    /// Offline: who is a publisher.
    pub targets: &'a SigningKey,
    /// On the machine that refreshes: snapshot, timestamp, index. Whoever steals it can hide what is new until it expires.
    pub online: &'a SigningKey,
}

/// How long what is signed holds, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// The root.
    pub root: u64,
    /// Targets, bins and publishers.
    pub targets: u64,
    /// The snapshot and the index.
    pub snapshot: u64,
    /// The timestamp: how long a mirror can pretend that nothing is new.
    pub timestamp: u64,
}

const DAY: u64 = 86_400;

impl Default for Validity {
    /// A year, a year, 30 days, 7 days.
    fn default() -> Self {
        Self { root: 365 * DAY, targets: 365 * DAY, snapshot: 30 * DAY, timestamp: 7 * DAY }
    }
}

impl Repository {
    /// Makes a store in a folder that is none yet.
    ///
    /// # Errors
    /// [`Error::StoreExists`], [`Error::Invalid`], [`Error::Io`].
    pub fn init(dir: &Path, keys: &RootKeys<'_>, validity: Validity) -> Result<Self> {
        let made = Self::at(dir).with_validity(validity);
        if made.path("metadata").exists() {
            return Err(Error::StoreExists { path: dir.to_owned() });
        }
        if keys.threshold == 0 || keys.threshold > keys.root.len() as u64 {
            return Err(Error::invalid(
                "threshold",
                format!("{} of {} root keys", keys.threshold, keys.root.len()),
            ));
        }
        let root = made.first_root(keys)?;
        let mut targets = made.targets();
        let delegations = targets.delegations.get_or_insert_default();
        let index = [keys.online.public().clone()];
        let paths = vec![layout::shard("*")];
        let index = delegation(&mut delegations.keys, layout::INDEX.into(), &index, 1, paths)?;
        delegations.roles.push(index);
        targets.common.expires = crate::time::format(made.until(validity.targets));
        made.write("metadata/1.targets.json", &Signed::seal(&targets, &[keys.targets])?.to_bytes()?)?;
        // Last: with it the folder is a store.
        made.write("metadata/1.root.json", &Signed::seal(&root, keys.root)?.to_bytes()?)?;
        made.refresh(keys.online)?;
        Ok(made)
    }

    fn first_root(&self, keys: &RootKeys<'_>) -> Result<Root> {
        let mut ring = Keyring::new();
        let mut role = |keys: &[&PublicKey], threshold| -> Result<RoleKeys> {
            let mut keyids = Vec::new();
            for key in keys {
                let key = Key::of(key)?;
                keyids.push(key_id(&key));
                ring.insert(key_id(&key), key);
            }
            Ok(RoleKeys { keyids, threshold })
        };
        let root: Vec<_> = keys.root.iter().map(|key| key.public()).collect();
        let online = role(&[keys.online.public()], 1)?;
        let roles = TopLevel {
            root: role(&root, keys.threshold)?,
            targets: role(&[keys.targets.public()], 1)?,
            snapshot: online.clone(),
            timestamp: online,
        };
        let common = Common::new(Root::TYPE, self.until(self.validity.root));
        let root = Root { common, consistent_snapshot: Some(true), keys: ring, roles };
        root.check().map_err(|reason| Error::invalid("root keys", reason))?;
        Ok(root)
    }

    /// Writes the next root: the same keys for longer, or other ones by `change`. Signed by as many of the old root's keys and of
    /// the new one's as each asks for.
    ///
    /// # Errors
    /// [`Error::WrongKeys`].
    pub fn renew_root(&self, keys: &[&SigningKey], change: &[Replace<'_>]) -> Result<()> {
        let _lock = tilemark_bundle::durable::lock(&self.dir)?;
        let old = super::Documents::read(self)?.root;
        let mut root = old.clone();
        root.common.version += 1;
        root.common.expires = crate::time::format(self.until(self.validity.root));
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
        self.write(&format!("metadata/{}.root.json", root.common.version), &signed.to_bytes()?)
    }
}

/// A key of the root that takes another one's place, in every role that it has.
#[derive(Clone, Copy, Debug)]
pub struct Replace<'a> {
    /// The key that goes.
    pub old: &'a PublicKey,
    /// The key that comes.
    pub new: &'a PublicKey,
}
