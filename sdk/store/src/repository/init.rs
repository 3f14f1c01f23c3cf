use tilemark_bundle::{PublicKey, SigningKey};

use super::{Repository, delegation, role_keys};
use crate::error::{Error, Result};
use crate::layout;
use crate::metadata::{Common, Document as _, Keyring, Root, Signed, TopLevel};
use tilemark_bundle::calendar::DAY;

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

impl Default for Validity {
    /// A year, a year, 30 days, 7 days.
    fn default() -> Self {
        Self { root: 365 * DAY, targets: 365 * DAY, snapshot: 30 * DAY, timestamp: 7 * DAY }
    }
}

impl Repository {
    /// Writes the first root and the first targets; the root's bytes.
    pub(super) fn init(&self, keys: &RootKeys<'_>) -> Result<Vec<u8>> {
        if keys.threshold == 0 || keys.threshold > keys.root.len() as u64 {
            return Err(Error::invalid(
                "threshold",
                format!("{} of {} root keys", keys.threshold, keys.root.len()),
            ));
        }
        let root = Signed::seal(&self.first_root(keys)?, keys.root)?.to_bytes()?;
        let mut targets = self.targets();
        let delegations = targets.delegations.get_or_insert_default();
        let index = [keys.online.public().clone()];
        let paths = vec![layout::shard("*")];
        let index = delegation(&mut delegations.keys, layout::INDEX.into(), &index, 1, paths)?;
        delegations.roles.push(index);
        targets.common.version = 1;
        targets.common.expires = crate::time::format(self.until(self.validity.targets));
        self.write(
            &layout::metadata("targets", Some(1)),
            &Signed::seal(&targets, &[keys.targets])?.to_bytes()?,
        )?;
        // Last: with it the folder is a store.
        self.write(&layout::root(1), &root)?;
        Ok(root)
    }

    fn first_root(&self, keys: &RootKeys<'_>) -> Result<Root> {
        let mut ring = Keyring::new();
        let mut role = |keys: &[PublicKey], threshold| role_keys(&mut ring, keys, threshold);
        let root: Vec<_> = keys.root.iter().map(|key| key.public().clone()).collect();
        let online = role(&[keys.online.public().clone()], 1)?;
        let roles = TopLevel {
            root: role(&root, keys.threshold)?,
            targets: role(&[keys.targets.public().clone()], 1)?,
            snapshot: online.clone(),
            timestamp: online,
        };
        let common = Common::new(Root::TYPE, self.until(self.validity.root));
        let root = Root { common, consistent_snapshot: Some(true), keys: ring, roles };
        root.check().map_err(|reason| Error::invalid("root keys", reason))?;
        Ok(root)
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
