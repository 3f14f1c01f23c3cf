//! The metadata in a store's folder: what the snapshot lists, and what was written since. Whoever may write to the folder may have
//! written any of it: nothing is taken from a document that was not signed by its role's keys, or that differs from what was
//! listed, or from what the operator's own state says of it.

use std::collections::BTreeMap;

use tilemark_bundle::SigningKey;

use crate::client::{Kept, State, metadata_path, named, next_root, no_role_older, not_older, read_bounded};
use crate::error::{Error, Result};
use crate::layout;
use crate::limits::{MAX_ROOT_BYTES, MAX_ROOT_ROTATIONS, MAX_SNAPSHOT_BYTES, MAX_STAGED};
use crate::limits::{MAX_TARGETS_BYTES, MAX_TIMESTAMP_BYTES};
use crate::metadata::{
    Document as _, FileInfo, Key, Keyring, RoleKeys, Root, Signed, Snapshot, Targets, Timestamp, key_id,
};
use crate::repository::Repository;
use crate::time;

/// The chain from root to snapshot, and who looks at it.
pub(crate) struct Documents<'r> {
    repository: &'r Repository,
    /// The operator's own; none for a publisher.
    state: Option<&'r State>,
    pub(crate) root: Root,
    pub(crate) root_bytes: Vec<u8>,
    /// Neither is there before the first refresh.
    pub(crate) listed: Option<Listed>,
    /// The newest of every role of the operator's that was signed or accepted here, listed or not. No thief of the online key says
    /// anything about these.
    signed: BTreeMap<String, FileInfo>,
    /// Whether the listed versions say nothing any more: the key that signed them was stolen.
    rebuild: bool,
}

/// A timestamp and the snapshot that it names.
#[derive(Clone)]
pub(crate) struct Listed {
    pub(crate) timestamp: Timestamp,
    pub(crate) timestamp_bytes: Vec<u8>,
    pub(crate) snapshot: Snapshot,
    pub(crate) snapshot_bytes: Vec<u8>,
}

/// What there is of a role beyond what is listed.
pub(crate) struct Newest {
    /// The newest that holds, and what it weighs.
    pub(crate) found: Option<(Targets, FileInfo)>,
    /// Why a newer one does not.
    pub(crate) broken: Option<Error>,
}

/// The state's record of what was signed.
const SIGNED: &str = "signed.json";

impl<'r> Documents<'r> {
    /// As anybody sees them who trusts the folder's first root.
    pub(crate) fn served(repository: &'r Repository) -> Result<Self> {
        let none = || Error::NotFound { what: "root".into() };
        let bytes = file(repository, &layout::root(1), MAX_ROOT_BYTES)?.ok_or_else(none)?;
        let root = Signed::parse("root", &bytes)?.trusted_root()?;
        let (root, root_bytes) = follow_roots(repository, root, bytes)?;
        let listed = listed(repository, &root)?;
        let signed = BTreeMap::new();
        Ok(Self { repository, state: None, root, root_bytes, listed, signed, rebuild: false })
    }

    /// As their operator knows them: a folder that is older than the state, or differs from it, is refused.
    pub(crate) fn known(repository: &'r Repository, state: &'r State) -> Result<Self> {
        let (root, root_bytes) = known_root(repository, state)?;
        let listed = known_listed(repository, state, &root)?;
        let signed = read_signed(state)?;
        Ok(Self { repository, state: Some(state), root, root_bytes, listed, signed, rebuild: false })
    }

    /// The same where the listed versions are not to be believed: by the newest of every role that its keys signed.
    pub(crate) fn rebuilt(repository: &'r Repository, state: &'r State) -> Result<Self> {
        let (root, root_bytes) = known_root(repository, state)?;
        let listed = kept_listed(state)?;
        let signed = read_signed(state)?;
        Ok(Self { repository, state: Some(state), root, root_bytes, listed, signed, rebuild: true })
    }

    /// What the snapshot lists of a role.
    fn info(&self, role: &str) -> Option<&FileInfo> {
        let listed = self.listed.as_ref().filter(|_| !self.rebuild)?;
        listed.snapshot.meta.get(&format!("{role}.json"))
    }

    /// The version of a role that the snapshot lists; 0 for none.
    pub(crate) fn version(&self, role: &str) -> u64 {
        self.info(role).map_or(0, |info| info.version)
    }

    pub(crate) fn is_rebuilt(&self) -> bool {
        self.rebuild
    }

    /// A role's document in a version, if it is there, its keys signed it, and it is the one that was listed or staged.
    pub(crate) fn role(
        &self,
        role: &str,
        version: u64,
        keys: &RoleKeys,
        ring: &Keyring,
    ) -> Result<Option<(Targets, FileInfo)>> {
        let Some(bytes) = self.bytes(role, version)? else { return Ok(None) };
        let found: Targets = Signed::parse(role, &bytes)?.by(role, keys, ring)?;
        named(role, "its file's name", version, found.common.version)?;
        Ok(Some((found, FileInfo::of(version, &bytes))))
    }

    /// The listed version, which is there, or the folder was tampered with.
    pub(crate) fn listed_role(&self, role: &str, keys: &RoleKeys, ring: &Keyring) -> Result<Option<Targets>> {
        match self.version(role) {
            0 => Ok(None),
            version => match self.role(role, version, keys, ring)? {
                Some((found, _)) => Ok(Some(found)),
                None => Err(self.repository.tampered(&self.path(role, version), "it is gone")),
            },
        }
    }

    /// What was written last for a role after the listed version.
    pub(crate) fn newest(&self, role: &str, keys: &RoleKeys, ring: &Keyring) -> Result<Newest> {
        let mut newest = Newest { found: None, broken: None };
        for version in self.versions_after(role)?.into_iter().rev() {
            match self.role(role, version, keys, ring) {
                Ok(None) => {}
                Ok(found) => {
                    newest.found = found;
                    break;
                }
                Err(error) => newest.broken = newest.broken.or(Some(error)),
            }
        }
        // What was signed here is not forgotten: an invitation that was taken back stays so.
        let found = newest.found.as_ref().map_or(self.version(role), |(_, info)| info.version);
        if let Some(signed) = self.signed.get(role).filter(|_| newest.broken.is_none()) {
            not_older(role, signed.version, found)?;
        }
        Ok(newest)
    }

    /// The newest of a role of the operator's. A document beside it that does not hold was planted, and nothing is signed while it
    /// is there.
    pub(crate) fn own(&self, role: &str, keys: &RoleKeys, ring: &Keyring) -> Result<Option<Targets>> {
        let newest = self.newest(role, keys, ring)?;
        match (newest.broken, newest.found) {
            (Some(error), _) => Err(error),
            (None, Some((found, _))) => Ok(Some(found)),
            (None, None) => self.listed_role(role, keys, ring),
        }
    }

    /// The same where the keys were replaced since: by the hash that was listed.
    pub(crate) fn own_of_old_keys(
        &self,
        role: &str,
        keys: &RoleKeys,
        ring: &Keyring,
    ) -> Result<Option<Targets>> {
        match self.own(role, keys, ring) {
            Err(Error::Unsigned { .. }) if self.state.is_some() => {}
            outcome => return outcome,
        }
        let known = [self.signed.get(role), self.info(role)].into_iter().flatten();
        let Some(info) = known.max_by_key(|info| info.version).filter(|info| info.hashes.is_some()) else {
            return self.own(role, keys, ring);
        };
        match self.bytes(role, info.version)? {
            Some(bytes) => Ok(Some(Signed::parse(role, &bytes)?.unverified(role)?)),
            None => Err(self.repository.tampered(&self.path(role, info.version), "it is gone")),
        }
    }

    /// # Errors
    /// [`Error::WrongKeys`] for another key than that of the targets.
    pub(crate) fn check_targets_key(&self, key: &SigningKey) -> Result<()> {
        let role = &self.root.roles.targets;
        if role.threshold == 1 && role.keyids.contains(&key_id(&Key::of(key.public())?)) {
            return Ok(());
        }
        Err(Error::WrongKeys { role: "targets".into(), needed: role.threshold, found: 0 })
    }

    pub(crate) fn newest_targets(&self) -> Result<Targets> {
        let found = self.own("targets", &self.root.roles.targets, &self.root.keys)?;
        found.ok_or(Error::NotFound { what: "file of the targets".into() })
    }

    /// Writes the next version of a role. No version has two contents, or an old one could take the new one's place.
    pub(crate) fn stage(
        &mut self,
        role: &str,
        document: &mut Targets,
        keys: &[&SigningKey],
        expires: u64,
    ) -> Result<FileInfo> {
        let signed = self.signed.get(role).map_or(0, |info| info.version);
        document.common.version = document.common.version.max(self.version(role)).max(signed) + 1;
        document.common.expires = time::format(expires);
        document.check().map_err(|reason| Error::malformed(role, reason))?;
        let bytes = Signed::seal(document, keys)?.to_bytes()?;
        let info = FileInfo::of(document.common.version, &bytes);
        self.repository.write(&self.path(role, info.version), &bytes)?;
        // After the folder: killed here, the state knows less than it may, never more.
        if self.state.is_some() {
            self.signed.insert(role.to_owned(), info.clone());
            self.write_signed()?;
        }
        Ok(info)
    }

    /// Remembers a document of the operator's own that its keys signed, maybe on another machine.
    pub(crate) fn remember(&mut self, role: &str, info: &FileInfo) {
        self.signed.insert(role.to_owned(), info.clone());
    }

    /// Keeps what is listed now.
    pub(crate) fn keep(&self, timestamp: &[u8], snapshot: &[u8]) -> Result<()> {
        let Some(state) = self.state else { return Ok(()) };
        state.write(Kept::Snapshot, snapshot)?;
        state.write(Kept::Timestamp, timestamp)?;
        self.write_signed()
    }

    /// A file of the store's.
    pub(crate) fn file(&self, relative: &str, max: u64) -> Result<Option<Vec<u8>>> {
        file(self.repository, relative, max)
    }

    /// Where a role's document lies.
    pub(crate) fn path(&self, role: &str, version: u64) -> String {
        metadata_path(&self.root, role, version)
    }

    /// The bytes of a role's document, which are those that were listed or staged, if it was.
    fn bytes(&self, role: &str, version: u64) -> Result<Option<Vec<u8>>> {
        let Some(bytes) = self.file(&self.path(role, version), MAX_TARGETS_BYTES)? else { return Ok(None) };
        let known = [self.info(role), self.signed.get(role)].into_iter().flatten();
        known.filter(|info| info.version == version).try_for_each(|info| info.check_bytes(role, &bytes))?;
        Ok(Some(bytes))
    }

    /// The versions that lie there after the listed one, without a gap; where nothing is listed any more, all of them.
    fn versions_after(&self, role: &str) -> Result<Vec<u64>> {
        if self.rebuild {
            return self.repository.versions(role);
        }
        let there = |version: &u64| self.repository.path(&self.path(role, *version)).exists();
        let first = self.version(role) + 1;
        Ok((first..first + MAX_STAGED).take_while(there).collect())
    }

    fn write_signed(&self) -> Result<()> {
        let Some(state) = self.state else { return Ok(()) };
        let bytes =
            serde_json::to_vec(&self.signed).map_err(|error| Error::invalid(SIGNED, error.to_string()))?;
        state.write_file(SIGNED, &bytes)
    }
}

fn read_signed(state: &State) -> Result<BTreeMap<String, FileInfo>> {
    let Some(bytes) = state.read_file(SIGNED)? else { return Ok(BTreeMap::new()) };
    serde_json::from_slice(&bytes).map_err(|error| state.damaged(SIGNED, error.to_string()))
}

/// The newest root after the state's, which is then the state's.
fn known_root(repository: &Repository, state: &State) -> Result<(Root, Vec<u8>)> {
    let bytes = state.read(Kept::Root)?.ok_or_else(|| Error::NoState { path: state.path().to_owned() })?;
    let root = Signed::parse("root", &bytes).and_then(|signed| signed.trusted_root());
    let root = root.map_err(|error| state.damaged_file(Kept::Root, &error))?;
    let version = root.common.version;
    let path = layout::root(version);
    match file(repository, &path, MAX_ROOT_BYTES)? {
        Some(found) if found == bytes => {}
        Some(_) => {
            return Err(repository.tampered(&path, "it is another root than the one that is known here"));
        }
        None => return Err(repository.tampered(&path, "it is gone")),
    }
    let (root, bytes) = follow_roots(repository, root, bytes)?;
    if root.common.version > version {
        state.write(Kept::Root, &bytes)?;
    }
    Ok((root, bytes))
}

/// Every root to the newest, each signed by the keys of the one before.
fn follow_roots(repository: &Repository, mut root: Root, mut bytes: Vec<u8>) -> Result<(Root, Vec<u8>)> {
    for _ in 0..MAX_ROOT_ROTATIONS {
        let Some(next) = file(repository, &layout::root(root.common.version + 1), MAX_ROOT_BYTES)? else {
            break;
        };
        root = next_root(&root, &next)?;
        bytes = next;
    }
    Ok((root, bytes))
}

/// What the folder's timestamp lists, if it and the snapshot are by the root's keys.
fn listed(repository: &Repository, root: &Root) -> Result<Option<Listed>> {
    let Some(timestamp_bytes) = file(repository, layout::TIMESTAMP, MAX_TIMESTAMP_BYTES)? else {
        return Ok(None);
    };
    let signed = Signed::parse("timestamp", &timestamp_bytes)?;
    let timestamp: Timestamp = signed.by("timestamp", &root.roles.timestamp, &root.keys)?;
    let info = &timestamp.meta.snapshot;
    let path = metadata_path(root, "snapshot", info.version);
    let snapshot_bytes = file(repository, &path, MAX_SNAPSHOT_BYTES)?;
    let snapshot_bytes = snapshot_bytes.ok_or_else(|| repository.tampered(&path, "it is gone"))?;
    info.check_bytes("snapshot", &snapshot_bytes)?;
    let snapshot: Snapshot =
        Signed::parse("snapshot", &snapshot_bytes)?.by("snapshot", &root.roles.snapshot, &root.keys)?;
    named("snapshot", "the timestamp", info.version, snapshot.common.version)?;
    Ok(Some(Listed { timestamp, timestamp_bytes, snapshot, snapshot_bytes }))
}

/// What the operator signed last, by whatever keys: the state is not where others write.
fn kept_listed(state: &State) -> Result<Option<Listed>> {
    let (Some(timestamp_bytes), Some(snapshot_bytes)) =
        (state.read(Kept::Timestamp)?, state.read(Kept::Snapshot)?)
    else {
        return Ok(None);
    };
    let read = || -> Result<_> {
        let timestamp = Signed::parse("timestamp", &timestamp_bytes)?.unverified("timestamp")?;
        let snapshot = Signed::parse("snapshot", &snapshot_bytes)?.unverified("snapshot")?;
        Ok((timestamp, snapshot))
    };
    let (timestamp, snapshot) = read().map_err(|error| state.damaged_file(Kept::Snapshot, &error))?;
    Ok(Some(Listed { timestamp, timestamp_bytes, snapshot, snapshot_bytes }))
}

/// What the folder lists: what is kept, or what another machine of the operator's signed after it.
fn known_listed(repository: &Repository, state: &State, root: &Root) -> Result<Option<Listed>> {
    let kept = kept_listed(state)?;
    let on_disk = file(repository, layout::TIMESTAMP, MAX_TIMESTAMP_BYTES)?;
    let Some(kept) = kept else { return adopt(repository, state, root) };
    match on_disk {
        None => Err(repository.tampered(layout::TIMESTAMP, "it is gone")),
        Some(bytes) if bytes == kept.timestamp_bytes => {
            let path = metadata_path(root, "snapshot", kept.snapshot.common.version);
            match file(repository, &path, MAX_SNAPSHOT_BYTES)? {
                Some(bytes) if bytes == kept.snapshot_bytes => Ok(Some(kept)),
                _ => Err(repository.tampered(&path, "it is not the snapshot that was signed")),
            }
        }
        Some(_) => {
            let found = adopt_newer(repository, root, &kept)?;
            state.write(Kept::Snapshot, &found.snapshot_bytes)?;
            state.write(Kept::Timestamp, &found.timestamp_bytes)?;
            Ok(Some(found))
        }
    }
}

fn adopt(repository: &Repository, state: &State, root: &Root) -> Result<Option<Listed>> {
    let found = listed(repository, root)?;
    if let Some(found) = &found {
        state.write(Kept::Snapshot, &found.snapshot_bytes)?;
        state.write(Kept::Timestamp, &found.timestamp_bytes)?;
    }
    Ok(found)
}

fn adopt_newer(repository: &Repository, root: &Root, kept: &Listed) -> Result<Listed> {
    let found =
        listed(repository, root)?.ok_or_else(|| repository.tampered(layout::TIMESTAMP, "it is gone"))?;
    let (old, new) = (kept.timestamp.common.version, found.timestamp.common.version);
    not_older("timestamp", old, new)?;
    not_older("snapshot", kept.snapshot.common.version, found.snapshot.common.version)?;
    if old == new {
        return Err(
            repository.tampered(layout::TIMESTAMP, "it is another one than was signed with this version")
        );
    }
    no_role_older(&kept.snapshot, &found.snapshot)?;
    Ok(found)
}

fn file(repository: &Repository, relative: &str, max: u64) -> Result<Option<Vec<u8>>> {
    read_bounded(&repository.path(relative), max)
}
