//! The metadata in a store's folder: what the snapshot lists, and what was written since.

use crate::client::{metadata_path, read_bounded};
use crate::error::{Error, Result};
use crate::limits::{MAX_ROOT_BYTES, MAX_SNAPSHOT_BYTES, MAX_TARGETS_BYTES, MAX_TIMESTAMP_BYTES};
use crate::metadata::{
    Document as _, Key, Keyring, RoleKeys, Root, Signed, Snapshot, Targets, Timestamp, key_id,
};
use crate::repository::Repository;
use crate::time;
use tilemark_bundle::SigningKey;

/// The chain from root to snapshot as it is served.
pub(crate) struct Documents<'r> {
    repository: &'r Repository,
    pub(crate) root: Root,
    pub(crate) root_bytes: Vec<u8>,
    /// Neither is there before the first refresh.
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) snapshot: Option<Snapshot>,
}

impl<'r> Documents<'r> {
    pub(crate) fn read(repository: &'r Repository) -> Result<Self> {
        let (root, root_bytes) = newest_root(repository)?;
        let mut found = Self { repository, root, root_bytes, timestamp: None, snapshot: None };
        let (roles, ring) = (&found.root.roles, &found.root.keys);
        let Some(bytes) = found.file("metadata/timestamp.json", MAX_TIMESTAMP_BYTES)? else {
            return Ok(found);
        };
        // Of a key that the root does not name any more only the version counts: the next one is higher.
        let timestamp: Timestamp = Signed::parse("timestamp", &bytes)?.unverified("timestamp")?;
        let path = metadata_path(&found.root, "snapshot", timestamp.meta.snapshot.version);
        let bytes =
            found.file(&path, MAX_SNAPSHOT_BYTES)?.ok_or(Error::NotFound { what: format!("file {path}") })?;
        let signed = Signed::parse("snapshot", &bytes)?;
        let snapshot = match signed.by("snapshot", &roles.snapshot, ring) {
            Err(Error::Unsigned { .. }) => signed.unverified("snapshot")?,
            outcome => outcome?,
        };
        (found.timestamp, found.snapshot) = (Some(timestamp), Some(snapshot));
        Ok(found)
    }

    /// The version of a role that the snapshot lists; 0 for none.
    pub(crate) fn version(&self, role: &str) -> u64 {
        let listed = self.snapshot.as_ref().and_then(|snapshot| snapshot.meta.get(&format!("{role}.json")));
        listed.map_or(0, |info| info.version)
    }

    /// A role's document in a version, if it is there and its keys signed it.
    pub(crate) fn role(
        &self,
        role: &str,
        version: u64,
        keys: &RoleKeys,
        ring: &Keyring,
    ) -> Result<Option<Targets>> {
        let Some(bytes) = self.file(&metadata_path(&self.root, role, version), MAX_TARGETS_BYTES)? else {
            return Ok(None);
        };
        let found: Targets = Signed::parse(role, &bytes)?.by(role, keys, ring)?;
        if found.common.version != version {
            let found = found.common.version;
            return Err(Error::MixedUp {
                role: role.to_owned(),
                by: "its file's name",
                expected: version,
                found,
            });
        }
        Ok(Some(found))
    }

    /// What was written last for a role, whether it is listed yet or not.
    pub(crate) fn newest(&self, role: &str, keys: &RoleKeys, ring: &Keyring) -> Result<Option<Targets>> {
        let listed = self.version(role);
        match self.role(role, listed + 1, keys, ring)? {
            Some(staged) => Ok(Some(staged)),
            None if listed == 0 => Ok(None),
            None => self.role(role, listed, keys, ring),
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
        let found = self.newest("targets", &self.root.roles.targets, &self.root.keys)?;
        found.ok_or(Error::NotFound { what: "file of the targets".into() })
    }

    /// Writes the version of a role after the listed one. Until a refresh lists it, it may be written again.
    pub(crate) fn stage(
        &self,
        role: &str,
        document: &mut Targets,
        keys: &[&SigningKey],
        expires: u64,
    ) -> Result<()> {
        document.common.version = self.version(role) + 1;
        document.common.expires = time::format(expires);
        document.check().map_err(|reason| Error::malformed(role, reason))?;
        let bytes = Signed::seal(document, keys)?.to_bytes()?;
        self.repository.write(&metadata_path(&self.root, role, document.common.version), &bytes)
    }

    pub(crate) fn file(&self, relative: &str, max: u64) -> Result<Option<Vec<u8>>> {
        read_bounded(&self.repository.path(relative), max)
    }
}

fn newest_root(repository: &Repository) -> Result<(Root, Vec<u8>)> {
    let mut newest = None;
    for version in 1.. {
        let path = repository.path(&format!("metadata/{version}.root.json"));
        let Some(bytes) = read_bounded(&path, MAX_ROOT_BYTES)? else { break };
        newest = Some(bytes);
    }
    let bytes = newest.ok_or_else(|| Error::NotFound { what: "root".into() })?;
    Ok((Signed::parse("root", &bytes)?.trusted_root()?, bytes))
}
