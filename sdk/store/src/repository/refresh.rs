//! Making what was written visible: checked, indexed, listed in a snapshot, dated by a timestamp.

use std::collections::{BTreeMap, BTreeSet};

use tilemark_bundle::{AppName, Digest, SigningKey};

use super::check::newest_releases;
use super::documents::{Documents, Listed};
use super::publish::Publisher;
use super::{MAX_REBUILT_VERSION, Repository};
use crate::error::{Error, Result};
use crate::index::{self, Row};
use crate::layout;
use crate::limits::{MAX_INDEX_BYTES, MAX_SHARD_BYTES};
use crate::metadata::{
    Common, Document as _, FileInfo, Key, Keyring, RoleKeys, Signed, Snapshot, SnapshotOnly, TargetFile,
    Targets, Timestamp, key_id,
};

/// What a refresh did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refreshed {
    /// The snapshot that is now the newest.
    pub snapshot: u64,
    /// Roles with a new version.
    pub accepted: Vec<String>,
    /// Roles whose new version was left out, and why.
    pub refused: Vec<(String, Error)>,
}

/// Lists what was written since the last time.
pub(super) fn run(
    mut documents: Documents<'_>,
    repository: &Repository,
    online: &SigningKey,
) -> Result<Refreshed> {
    let id = key_id(&Key::of(online.public())?);
    if documents.root.online_keys().iter().any(|role| !role.keyids.contains(&id) || role.threshold > 1) {
        return Err(Error::WrongKeys { role: "snapshot and timestamp".into(), needed: 1, found: 0 });
    }
    let mut round = Round::new(repository, &mut documents);
    round.collect()?;
    round.write_index(online)?;
    let (snapshot, snapshot_bytes) = round.write_snapshot(online)?;
    let Round { accepted, refused, .. } = round;
    let known = documents.listed.as_ref().map_or(0, |listed| listed.timestamp.common.version);
    let mut common = Common::new(Timestamp::TYPE, repository.until(repository.validity.timestamp));
    common.version = plausible(&documents, known) + 1;
    let named = SnapshotOnly { snapshot: FileInfo::of(snapshot, &snapshot_bytes) };
    let timestamp = Signed::seal(&Timestamp { common, meta: named }, &[online])?.to_bytes()?;
    // Last: with it all of the above is seen.
    repository.write(layout::TIMESTAMP, &timestamp)?;
    documents.keep(&timestamp, &snapshot_bytes)?;
    Ok(Refreshed { snapshot, accepted, refused })
}

/// A version to count on from. After a rebuild not from one that a thief made huge: integrators forget it with the thief's key.
fn plausible(documents: &Documents<'_>, version: u64) -> u64 {
    if documents.is_rebuilt() && version >= MAX_REBUILT_VERSION { 0 } else { version }
}

/// One refresh in the making.
struct Round<'a, 'r> {
    repository: &'a Repository,
    documents: &'a mut Documents<'r>,
    /// Versions by file, as the next snapshot will list them.
    meta: BTreeMap<String, FileInfo>,
    accepted: Vec<String>,
    refused: Vec<(String, Error)>,
    /// Publishers that there are, and what those offer that do.
    publishers: BTreeSet<String>,
    offers: BTreeMap<String, Offers>,
    index: Option<(RoleKeys, Keyring)>,
    /// Blobs that were found whole.
    whole: BTreeSet<(Digest, u64)>,
}

/// What a publisher offers.
struct Offers {
    publisher: Publisher,
    targets: Targets,
    changed: bool,
}

impl<'a, 'r> Round<'a, 'r> {
    fn new(repository: &'a Repository, documents: &'a mut Documents<'r>) -> Self {
        let listed = documents.listed.as_ref().filter(|_| !documents.is_rebuilt());
        let meta = listed.map(|listed| listed.snapshot.meta.clone()).unwrap_or_default();
        Self {
            repository,
            documents,
            meta,
            accepted: Vec::new(),
            refused: Vec::new(),
            publishers: BTreeSet::new(),
            offers: BTreeMap::new(),
            index: None,
            whole: BTreeSet::new(),
        }
    }

    /// Walks from the targets over the bins to the publishers, and takes the next version of each that has one.
    fn collect(&mut self) -> Result<()> {
        let root = self.documents.root.clone();
        let targets = self.next("targets", &root.roles.targets, &root.keys)?;
        let top = targets.and_then(|targets| targets.delegations).unwrap_or_default();
        for role in &top.roles {
            if role.name.starts_with("bin-") {
                self.collect_bin(&role.name, &role.keys, &top.keys)?;
            } else if role.name == layout::INDEX {
                self.index = Some((role.keys.clone(), top.keys.clone()));
            }
        }
        Ok(())
    }

    fn collect_bin(&mut self, bin: &str, keys: &RoleKeys, ring: &Keyring) -> Result<()> {
        let found = self.next(bin, keys, ring)?;
        let below = found.and_then(|found| found.delegations).unwrap_or_default();
        for role in below.roles {
            let name = role.name.clone();
            let publisher = Publisher { role, ring: below.keys.clone() };
            self.publishers.insert(publisher.name().to_owned());
            if let Err(error) = self.collect_publisher(publisher) {
                self.refused.push((name, error));
            }
        }
        Ok(())
    }

    fn collect_publisher(&mut self, publisher: Publisher) -> Result<()> {
        let (name, keys, ring) = (publisher.role.name.clone(), &publisher.role.keys, &publisher.ring);
        let listed = match self.documents.listed_role(&name, keys, ring) {
            // By the keys of before: nothing of it is offered until the new ones have signed.
            Err(Error::Unsigned { .. }) => None,
            listed => listed?,
        };
        let newest = self.documents.newest(&name, keys, ring)?;
        let next = match newest.found {
            Some((targets, info)) => {
                let (listed, whole) = (listed.as_ref(), &mut self.whole);
                let checked = self.repository.check_publisher(&publisher, &targets, listed, whole);
                checked.map(|()| Some((targets, info)))
            }
            None => newest.broken.map_or(Ok(None), Err),
        };
        let publisher_name = publisher.name().to_owned();
        match next {
            Ok(Some((targets, info))) => {
                self.accept(&name, info);
                self.offers.insert(publisher_name, Offers { publisher, targets, changed: true });
            }
            Ok(None) | Err(_) => {
                let offers = listed.map(|targets| Offers { publisher, targets, changed: false });
                self.offers.extend(offers.map(|offers| (publisher_name, offers)));
                next?;
            }
        }
        Ok(())
    }

    /// A role of the operator's: its next version if it has one, else the one that is listed.
    fn next(&mut self, role: &str, keys: &RoleKeys, ring: &Keyring) -> Result<Option<Targets>> {
        let newest = self.documents.newest(role, keys, ring)?;
        match (newest.broken, newest.found) {
            (Some(error), _) => Err(error),
            (None, Some((next, info))) => {
                self.documents.remember(role, &info);
                self.accept(role, info);
                Ok(Some(next))
            }
            (None, None) => self.documents.listed_role(role, keys, ring),
        }
    }

    fn accept(&mut self, role: &str, info: FileInfo) {
        self.meta.insert(format!("{role}.json"), info);
        self.accepted.push(role.to_owned());
    }

    /// Writes the shards in which something changed, and the role that names them.
    fn write_index(&mut self, online: &SigningKey) -> Result<()> {
        let Some((keys, ring)) = self.index.take() else { return Ok(()) };
        if !keys.keyids.contains(&key_id(&Key::of(online.public())?)) || keys.threshold > 1 {
            // The online key was replaced, and the targets name the old one yet. Apps are installed without an index.
            let error = Error::WrongKeys { role: "index".into(), needed: 1, found: 0 };
            self.refused.push((layout::INDEX.to_owned(), error));
            return Ok(());
        }
        let newest = match self.documents.own(layout::INDEX, &keys, &ring) {
            Err(Error::Unsigned { .. }) => None,
            found => found?,
        };
        // What was staged and never listed is as good as not there; so is what a thief listed.
        let version = newest.as_ref().map_or(0, |newest| newest.common.version);
        let same = newest.is_some() && version == self.documents.version(layout::INDEX);
        let mut role = newest.unwrap_or_else(|| self.repository.targets());
        let before = role.targets.clone();
        if self.documents.is_rebuilt() {
            role.targets.clear();
        }
        let shards = self.publishers.iter().map(|publisher| layout::shard(&layout::shard_of(publisher)));
        let all: BTreeSet<String> = role.targets.keys().cloned().chain(shards).collect();
        for path in all {
            let rows = self.rows(&path, role.targets.get(&path))?;
            let (bytes, left_out) = index::write(rows, MAX_SHARD_BYTES)?;
            self.refused.extend(left_out.into_iter().map(|publisher| {
                let what = format!("apps in the index of the publisher {publisher}");
                (layout::publisher_role(&publisher), Error::EndlessData { what, max: MAX_SHARD_BYTES })
            }));
            self.put_shard(&mut role, path, &bytes, MAX_INDEX_BYTES)?;
        }
        let repository = self.repository;
        let soon = role.common.expires() < repository.until(repository.validity.snapshot / 2);
        if !same || soon || role.targets != before {
            let until = repository.until(repository.validity.snapshot);
            let info = self.documents.stage(layout::INDEX, &mut role, &[online], until)?;
            self.accept(layout::INDEX, info);
        }
        Ok(())
    }

    /// Writes a shard that differs. Where the index of all would be longer than `limit`, which integrators do not read, it stays as it
    /// was, and that is told.
    fn put_shard(&mut self, role: &mut Targets, path: String, bytes: &[u8], limit: u64) -> Result<()> {
        let file = TargetFile::of(bytes);
        let old = role.targets.get(&path).cloned();
        if old.as_ref() == Some(&file) {
            return Ok(());
        }
        role.targets.insert(path.clone(), file.clone());
        if index::length_of(role) > limit {
            match old {
                Some(old) => role.targets.insert(path.clone(), old),
                None => role.targets.remove(&path),
            };
            let error =
                Error::EndlessData { what: format!("index of all publishers, with {path},"), max: limit };
            self.refused.push((layout::INDEX.to_owned(), error));
            return Ok(());
        }
        self.repository.write(&layout::target_file(&path, file.sha256().unwrap_or_default(), true), bytes)
    }

    /// The rows of a shard: those of publishers that changed made anew, of the others as they were, of those that offer nothing
    /// any more none. What cannot be read of an app is told, and its row stays as it was: no publisher holds up another.
    fn rows(&mut self, path: &str, old: Option<&TargetFile>) -> Result<Vec<Row>> {
        let known = match old {
            Some(file) => self.old_rows(path, file)?,
            None => None,
        };
        let all = known.is_none();
        let is_unchanged =
            |row: &Row| self.offers.get(row.app.publisher()).is_some_and(|offers| !offers.changed);
        let (mut rows, old): (Vec<Row>, Vec<Row>) =
            known.unwrap_or_default().into_iter().partition(is_unchanged);
        let mut old: BTreeMap<AppName, Row> = old.into_iter().map(|row| (row.app.clone(), row)).collect();
        let here = |publisher: &str| layout::shard(&layout::shard_of(publisher)) == path;
        for Offers { publisher, targets, changed } in self.offers.values() {
            if !here(publisher.name()) || !(all || *changed) {
                continue;
            }
            for (app, release) in newest_releases(targets) {
                let offer = self.repository.listed(publisher, targets, &app, release);
                match offer.and_then(|offer| Row::of(offer.listing())) {
                    Ok(row) => rows.push(row),
                    Err(error) => {
                        self.refused.push((publisher.role.name.clone(), error));
                        rows.extend(old.remove(&app));
                    }
                }
            }
        }
        Ok(rows)
    }

    /// The rows that a shard has, if it is the one that was signed and can be read: whatever is in it is signed again.
    fn old_rows(&self, path: &str, file: &TargetFile) -> Result<Option<Vec<Row>>> {
        let relative = layout::target_file(path, file.sha256().unwrap_or_default(), true);
        match self.documents.file(&relative, MAX_SHARD_BYTES) {
            Ok(Some(bytes)) if file.check_bytes(path, &bytes).is_ok() => Ok(index::read(path, &bytes).ok()),
            Ok(_) | Err(Error::EndlessData { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next snapshot, if anything is new or the last one expires soon, or else that one; its version and bytes.
    fn write_snapshot(&mut self, online: &SigningKey) -> Result<(u64, Vec<u8>)> {
        let (repository, documents) = (self.repository, &*self.documents);
        let listed = documents.listed.as_ref();
        if let Some(listed) = listed.filter(|listed| self.accepted.is_empty() && self.lasts(listed)) {
            return Ok((listed.snapshot.common.version, listed.snapshot_bytes.clone()));
        }
        let known = listed.map_or(0, |listed| listed.snapshot.common.version);
        let mut version = plausible(documents, known) + 1;
        // A file that was served once keeps its content, for whoever has it in a cache.
        while documents.is_rebuilt() && repository.path(&documents.path("snapshot", version)).exists() {
            version += 1;
        }
        let mut common = Common::new(Snapshot::TYPE, repository.until(repository.validity.snapshot));
        common.version = version;
        let snapshot = Snapshot { common, meta: self.meta.clone() };
        let bytes = Signed::seal(&snapshot, &[online])?.to_bytes()?;
        repository.write(&documents.path("snapshot", version), &bytes)?;
        Ok((version, bytes))
    }

    /// Whether a snapshot is by the keys that the root names now, and holds for half of its time yet.
    fn lasts(&self, listed: &Listed) -> bool {
        let root = &self.documents.root;
        let signed = Signed::parse("snapshot", &listed.snapshot_bytes);
        let snapshot =
            signed.and_then(|signed| signed.by::<Snapshot>("snapshot", &root.roles.snapshot, &root.keys));
        let until = self.repository.until(self.repository.validity.snapshot / 2);
        !self.documents.is_rebuilt() && snapshot.is_ok_and(|snapshot| snapshot.common.expires() > until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attacks::shop::Shop;

    #[test]
    fn an_index_that_nobody_would_fetch_does_not_grow() {
        let shop = Shop::open();
        let operator = shop.operator();
        let mut documents = Documents::known(&operator.repository, &operator.state).unwrap();
        let mut round = Round::new(&operator.repository, &mut documents);
        let mut role = operator.repository.targets();
        let mut put = |path: &str, length: usize| {
            round.put_shard(&mut role, path.into(), &vec![b'x'; length], 150).unwrap();
            let refused: Vec<_> = round.refused.drain(..).map(|(role, error)| (role, error.code())).collect();
            (index::length_of(&role), refused)
        };
        let refused = || vec![("index".to_owned(), "TM0803")];
        assert_eq!(put("index/00.json", 100), (100, vec![]));
        assert_eq!(put("index/01.json", 51), (100, refused()));
        assert_eq!(put("index/01.json", 50), (150, vec![]));
        assert_eq!(put("index/00.json", 101), (150, refused()));
        assert_eq!(put("index/00.json", 1), (51, vec![]));
    }
}
