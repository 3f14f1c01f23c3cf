//! Making what was written visible: checked, indexed, listed in a snapshot, dated by a timestamp.

use std::collections::{BTreeMap, BTreeSet};

use tilemark_bundle::{AppName, SigningKey, durable};

use super::Repository;
use super::documents::Documents;
use super::publish::Publisher;
use crate::error::{Error, Result};
use crate::gate;
use crate::index::{self, Row};
use crate::layout;
use crate::limits::{MAX_LISTING_BYTES, MAX_SHARD_BYTES, MAX_SNAPSHOT_BYTES};
use crate::listing::Offer;
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

impl Repository {
    /// Lists what was written since the last time, after checking it as an integrator would, and signs snapshot and timestamp
    /// anew. To be run after every change, and on its own before the timestamp expires.
    ///
    /// # Errors
    /// [`Error::WrongKeys`], [`Error::Io`], or metadata of the operator's own that does not hold. What a publisher got wrong is in
    /// [`Refreshed::refused`], and what it had before stays.
    pub fn refresh(&self, online: &SigningKey) -> Result<Refreshed> {
        let _lock = durable::lock(&self.dir)?;
        let documents = Documents::read(self)?;
        let id = key_id(&Key::of(online.public())?);
        if documents.root.online_keys().iter().any(|role| !role.keyids.contains(&id) || role.threshold > 1) {
            return Err(Error::WrongKeys { role: "snapshot and timestamp".into(), needed: 1, found: 0 });
        }
        let mut round = Round::new(self, &documents);
        round.collect()?;
        round.write_index(online)?;
        let (snapshot, bytes) = round.write_snapshot(online)?;
        let version = documents.timestamp.as_ref().map_or(0, |timestamp| timestamp.common.version) + 1;
        let mut common = Common::new(Timestamp::TYPE, self.until(self.validity.timestamp));
        common.version = version;
        let meta = SnapshotOnly { snapshot: FileInfo::of(snapshot, &bytes) };
        let timestamp = Signed::seal(&Timestamp { common, meta }, &[online])?;
        // Last: with it all of the above is seen.
        self.write("metadata/timestamp.json", &timestamp.to_bytes()?)?;
        Ok(Refreshed { snapshot, accepted: round.accepted, refused: round.refused })
    }
}

/// One refresh in the making.
struct Round<'a> {
    repository: &'a Repository,
    documents: &'a Documents<'a>,
    /// Versions by file, as the next snapshot will list them.
    meta: BTreeMap<String, FileInfo>,
    accepted: Vec<String>,
    refused: Vec<(String, Error)>,
    /// Publishers that there are, by bin, with the targets of those that changed.
    changed: BTreeMap<String, Vec<(Publisher, Targets)>>,
    publishers: BTreeMap<String, BTreeSet<String>>,
    index: Option<(RoleKeys, Keyring)>,
}

impl<'a> Round<'a> {
    fn new(repository: &'a Repository, documents: &'a Documents<'a>) -> Self {
        let meta = documents.snapshot.as_ref().map(|snapshot| snapshot.meta.clone()).unwrap_or_default();
        Self {
            repository,
            documents,
            meta,
            accepted: Vec::new(),
            refused: Vec::new(),
            changed: BTreeMap::new(),
            publishers: BTreeMap::new(),
            index: None,
        }
    }

    /// Walks from the targets over the bins to the publishers, and takes the next version of each that has one.
    fn collect(&mut self) -> Result<()> {
        let root = &self.documents.root;
        let targets = self.next("targets", &root.roles.targets, &root.keys)?;
        let top = targets.and_then(|targets| targets.delegations).unwrap_or_default();
        for role in &top.roles {
            match role.name.strip_prefix("bin-") {
                Some(bin) => self.collect_bin(bin, &role.keys, &top.keys)?,
                None if role.name == layout::INDEX => {
                    self.index = Some((role.keys.clone(), top.keys.clone()))
                }
                None => {}
            }
        }
        Ok(())
    }

    fn collect_bin(&mut self, bin: &str, keys: &RoleKeys, ring: &Keyring) -> Result<()> {
        let found = self.next(&layout::bin_role(bin), keys, ring)?;
        self.publishers.entry(bin.to_owned()).or_default();
        let below = found.and_then(|found| found.delegations).unwrap_or_default();
        for role in below.roles {
            let name = role.name.clone();
            let publisher = Publisher { role, ring: below.keys.clone() };
            self.publishers.entry(bin.to_owned()).or_default().insert(publisher.name().to_owned());
            let check = |targets: &Targets| self.repository.check_publisher(&publisher, targets);
            match self.documents.next(&name, &publisher.role.keys, &publisher.ring, check) {
                Ok(Some(targets)) => {
                    self.accept(&name, targets.common.version);
                    self.changed.entry(bin.to_owned()).or_default().push((publisher, targets));
                }
                Ok(None) => {}
                Err(error) => self.refused.push((name, error)),
            }
        }
        Ok(())
    }

    /// A role of the operator's: its next version if it has one, else the one that is listed.
    fn next(&mut self, role: &str, keys: &RoleKeys, ring: &Keyring) -> Result<Option<Targets>> {
        if let Some(next) = self.documents.next(role, keys, ring, |_| Ok(()))? {
            self.accept(role, next.common.version);
            return Ok(Some(next));
        }
        match self.documents.version(role) {
            0 => Ok(None),
            version => self.documents.role(role, version, keys, ring),
        }
    }

    fn accept(&mut self, role: &str, version: u64) {
        // Lengths and hashes would make the snapshot four times as long; the signature and the version say enough.
        self.meta.insert(format!("{role}.json"), FileInfo { version, length: None, hashes: None });
        self.accepted.push(role.to_owned());
    }

    /// Writes the shards of bins in which something changed, and the role that names them.
    fn write_index(&mut self, online: &SigningKey) -> Result<()> {
        let Some((keys, ring)) = self.index.take() else { return Ok(()) };
        let listed = self.documents.newest(layout::INDEX, &keys, &ring)?;
        let first = listed.is_none();
        let mut role = listed.unwrap_or_else(|| self.repository.targets());
        let before = role.targets.clone();
        let bins: BTreeSet<_> = self.publishers.keys().cloned().collect();
        for bin in bins {
            let path = layout::shard(&bin);
            let rows = self.rows(&bin, role.targets.get(&path))?;
            let bytes = index::write(rows)?;
            let file = TargetFile::of(&bytes);
            if role.targets.get(&path) != Some(&file) {
                self.repository
                    .write(&layout::target_file(&path, file.sha256().unwrap_or_default(), true), &bytes)?;
                role.targets.insert(path, file);
            }
        }
        let repository = self.repository;
        let soon = role.common.expires() < repository.until(repository.validity.snapshot / 2);
        if first || soon || role.targets != before {
            self.documents.stage(
                layout::INDEX,
                &mut role,
                &[online],
                repository.until(repository.validity.snapshot),
            )?;
            self.accept(layout::INDEX, role.common.version);
        }
        Ok(())
    }

    /// The rows of a bin: those of publishers that changed made anew, of the others as they were, of those that are gone none.
    fn rows(&self, bin: &str, old: Option<&TargetFile>) -> Result<Vec<Row>> {
        let path = layout::shard(bin);
        let mut rows = Vec::new();
        if let Some(file) = old {
            let relative = layout::target_file(&path, file.sha256().unwrap_or_default(), true);
            if let Some(bytes) = self.documents.file(&relative, MAX_SHARD_BYTES)? {
                rows = index::read(&path, &bytes)?;
            }
        }
        let none = BTreeSet::new();
        let publishers = self.publishers.get(bin).unwrap_or(&none);
        rows.retain(|row| publishers.contains(row.app.publisher()));
        for (publisher, targets) in self.changed.get(bin).into_iter().flatten() {
            rows.retain(|row| row.app.publisher() != publisher.name());
            for (app, release) in newest_releases(targets) {
                let offer = self.repository.listed(publisher, targets, &app, release)?;
                rows.push(Row::of(offer.listing()));
            }
        }
        Ok(rows)
    }

    /// The next snapshot, if anything is new or the last one expires soon, or else that one; its version and bytes.
    fn write_snapshot(&mut self, online: &SigningKey) -> Result<(u64, Vec<u8>)> {
        let (repository, documents) = (self.repository, self.documents);
        let listed = documents.snapshot.as_ref().map_or(0, |snapshot| snapshot.common.version);
        let path = |version| crate::client::metadata_path(&documents.root, "snapshot", version);
        if self.accepted.is_empty()
            && let Some(bytes) = documents.file(&path(listed), MAX_SNAPSHOT_BYTES)?
            && self.lasts(&bytes)
        {
            return Ok((listed, bytes));
        }
        let mut common = Common::new(Snapshot::TYPE, repository.until(repository.validity.snapshot));
        common.version = listed + 1;
        let snapshot = Snapshot { common, meta: std::mem::take(&mut self.meta) };
        let bytes = Signed::seal(&snapshot, &[online])?.to_bytes()?;
        repository.write(&path(listed + 1), &bytes)?;
        Ok((listed + 1, bytes))
    }

    /// Whether a snapshot is by the keys that the root names now, and holds for half of its time yet.
    fn lasts(&self, bytes: &[u8]) -> bool {
        let root = &self.documents.root;
        let signed = Signed::parse("snapshot", bytes);
        let snapshot =
            signed.and_then(|signed| signed.by::<Snapshot>("snapshot", &root.roles.snapshot, &root.keys));
        let until = self.repository.until(self.repository.validity.snapshot / 2);
        snapshot.is_ok_and(|snapshot| snapshot.common.expires() > until)
    }
}

impl Documents<'_> {
    /// The version of a role after the listed one, if there is one and it holds.
    fn next(
        &self,
        role: &str,
        keys: &RoleKeys,
        ring: &Keyring,
        check: impl Fn(&Targets) -> Result<()>,
    ) -> Result<Option<Targets>> {
        let Some(next) = self.role(role, self.version(role) + 1, keys, ring)? else { return Ok(None) };
        check(&next).map(|()| Some(next))
    }
}

impl Repository {
    /// A publisher's targets, as integrators will look at them: paths of its own, every new listing readable, every blob there.
    fn check_publisher(&self, publisher: &Publisher, targets: &Targets) -> Result<()> {
        targets.common.check_expiry(&publisher.role.name, self.until(0))?;
        let releases = targets.targets.keys().map(|path| listed_release(path).ok_or(path));
        for found in releases {
            let (app, release) = found.map_err(|path| {
                Error::invalid(
                    crate::metadata::excerpt(path),
                    "a target is named publisher/app/RELEASE.listing",
                )
            })?;
            if app.publisher() != publisher.name() {
                return Err(Error::invalid(
                    app.to_string(),
                    format!("it is not the publisher {}'s to offer", publisher.name()),
                ));
            }
            let offer = self.listed(publisher, targets, &app, release)?;
            gate::offered(offer.manifest(), offer.listing().price)?;
            for blob in &offer.listing().blobs {
                let relative = layout::blob(&blob.sha256);
                let there = self.path(&relative).metadata().is_ok_and(|metadata| metadata.len() == blob.size);
                if !there {
                    return Err(Error::NotFound { what: format!("file {relative} of {} bytes", blob.size) });
                }
            }
        }
        Ok(())
    }

    fn listed(&self, publisher: &Publisher, targets: &Targets, app: &AppName, release: u64) -> Result<Offer> {
        let path = layout::listing(app, release);
        let none = || Error::NotFound { what: format!("file of {path}") };
        let file = targets.targets.get(&path).ok_or_else(none)?;
        let relative = layout::target_file(&path, file.sha256().unwrap_or_default(), true);
        let bytes =
            crate::client::read_bounded(&self.path(&relative), MAX_LISTING_BYTES)?.ok_or_else(none)?;
        file.check_bytes(&path, &bytes)?;
        Offer::read(&path, &bytes, app, release, publisher.signers()?)
    }
}

/// The newest release of every app.
fn newest_releases(targets: &Targets) -> BTreeMap<AppName, u64> {
    let mut newest = BTreeMap::new();
    for (app, release) in targets.targets.keys().filter_map(|path| listed_release(path)) {
        let known = newest.entry(app).or_insert(release);
        *known = release.max(*known);
    }
    newest
}

/// App and release of a listing's path.
fn listed_release(path: &str) -> Option<(AppName, u64)> {
    let (app, file) = path.rsplit_once('/')?;
    let (app, release) = (app.parse().ok()?, file.strip_suffix(".listing")?.parse().ok()?);
    (layout::listing(&app, release) == path).then_some((app, release))
}
