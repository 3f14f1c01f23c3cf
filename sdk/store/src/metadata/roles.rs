//! The five kinds of documents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Common, Document, Key, Keyring, RoleKeys, pattern};
use crate::error::{Error, Result};
use crate::limits::MAX_ROLE_NAME_BYTES;
use tilemark_bundle::sha256;
use tilemark_bundle::text::excerpt;

/// The names that a delegated role cannot have.
const TOP_LEVEL: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];

/// The keys of the four roles.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Root {
    #[serde(flatten)]
    pub(crate) common: Common,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) consistent_snapshot: Option<bool>,
    pub(crate) keys: Keyring,
    pub(crate) roles: TopLevel,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopLevel {
    pub(crate) root: RoleKeys,
    pub(crate) snapshot: RoleKeys,
    pub(crate) targets: RoleKeys,
    pub(crate) timestamp: RoleKeys,
}

/// Which snapshot is the newest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Timestamp {
    #[serde(flatten)]
    pub(crate) common: Common,
    pub(crate) meta: SnapshotOnly,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct SnapshotOnly {
    #[serde(rename = "snapshot.json")]
    pub(crate) snapshot: FileInfo,
}

/// Which version of every role there is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Snapshot {
    #[serde(flatten)]
    pub(crate) common: Common,
    pub(crate) meta: BTreeMap<String, FileInfo>,
}

/// A file of metadata.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct FileInfo {
    pub(crate) version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hashes: Option<Hashes>,
}

/// Hashes by algorithm; SHA-256 is the one that is compared.
pub(crate) type Hashes = BTreeMap<String, String>;

/// Files, and roles for more of them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Targets {
    #[serde(flatten)]
    pub(crate) common: Common,
    pub(crate) targets: BTreeMap<String, TargetFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delegations: Option<Delegations>,
}

/// A file that a store offers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct TargetFile {
    pub(crate) length: u64,
    pub(crate) hashes: Hashes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) custom: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Delegations {
    pub(crate) keys: Keyring,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) succinct_roles: Option<Value>,
    #[serde(default)]
    pub(crate) roles: Vec<Delegation>,
}

/// A role for some paths. Exactly one of `paths` and `path_hash_prefixes` is there.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Delegation {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) keys: RoleKeys,
    pub(crate) terminating: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) paths: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path_hash_prefixes: Option<Vec<String>>,
}

impl Document for Root {
    const TYPE: &'static str = "root";

    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self) -> Result<(), String> {
        let roles = &self.roles;
        let all = [&roles.root, &roles.snapshot, &roles.targets, &roles.timestamp];
        all.into_iter().zip(TOP_LEVEL).try_for_each(|(keys, role)| keys.check(role))
    }
}

impl Document for Timestamp {
    const TYPE: &'static str = "timestamp";

    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self) -> Result<(), String> {
        self.meta.snapshot.check("snapshot.json")
    }
}

impl Document for Snapshot {
    const TYPE: &'static str = "snapshot";

    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self) -> Result<(), String> {
        self.meta.iter().try_for_each(|(file, info)| info.check(file))
    }
}

impl Document for Targets {
    const TYPE: &'static str = "targets";

    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self) -> Result<(), String> {
        if let Some((path, _)) = self.targets.iter().find(|(_, file)| file.hashes.is_empty()) {
            return Err(format!("the target {:?} has no hash", excerpt(path)));
        }
        self.delegations.as_ref().map_or(Ok(()), Delegations::check)
    }
}

impl Delegations {
    fn check(&self) -> Result<(), String> {
        if self.succinct_roles.is_some() {
            return Err("it delegates by succinct_roles, which this SDK does not read".into());
        }
        let mut names = std::collections::BTreeSet::new();
        for role in &self.roles {
            let name = excerpt(&role.name);
            if role.name.is_empty()
                || role.name.len() > MAX_ROLE_NAME_BYTES
                || TOP_LEVEL.contains(&role.name.as_str())
            {
                return Err(format!("a delegated role cannot have the name {name:?}"));
            }
            if !names.insert(&role.name) {
                return Err(format!("two delegated roles have the name {name:?}"));
            }
            if role.paths.is_some() == role.path_hash_prefixes.is_some() {
                return Err(format!("the role {name:?} needs either paths or path_hash_prefixes"));
            }
            role.keys.check(&name)?;
        }
        Ok(())
    }
}

impl Delegation {
    pub(crate) fn is_about(&self, path: &str) -> bool {
        let paths = self.paths.iter().flatten().any(|pattern| pattern::matches(pattern, path));
        paths || self.path_hash_prefixes.as_ref().is_some_and(|prefixes| pattern::in_bin(prefixes, path))
    }
}

impl FileInfo {
    /// Of a file with these bytes.
    pub(crate) fn of(version: u64, bytes: &[u8]) -> Self {
        Self { version, length: Some(bytes.len() as u64), hashes: Some(hashes(bytes)) }
    }

    fn check(&self, file: &str) -> Result<(), String> {
        let hashed = self.hashes.as_ref().is_none_or(|hashes| !hashes.is_empty());
        if self.version > 0 && hashed {
            return Ok(());
        }
        Err(format!("{:?} has version 0, or no hash", excerpt(file)))
    }

    /// Compares length and hash, where they are stated.
    ///
    /// # Errors
    /// [`Error::WrongLength`], [`Error::WrongHash`].
    pub(crate) fn check_bytes(&self, what: &str, bytes: &[u8]) -> Result<()> {
        check_bytes(what, bytes, self.length, self.hashes.as_ref())
    }
}

impl TargetFile {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len() as u64, hashes: hashes(bytes), custom: None }
    }

    /// # Errors
    /// [`Error::WrongLength`], [`Error::WrongHash`].
    pub(crate) fn check_bytes(&self, what: &str, bytes: &[u8]) -> Result<()> {
        check_bytes(what, bytes, Some(self.length), Some(&self.hashes))
    }

    pub(crate) fn sha256(&self) -> Option<&str> {
        self.hashes.get("sha256").map(String::as_str)
    }
}

fn hashes(bytes: &[u8]) -> Hashes {
    Hashes::from([("sha256".to_owned(), sha256(bytes).to_string())])
}

fn check_bytes(what: &str, bytes: &[u8], length: Option<u64>, hashes: Option<&Hashes>) -> Result<()> {
    let size = bytes.len() as u64;
    if let Some(expected) = length.filter(|expected| *expected != size) {
        return Err(Error::WrongLength { what: what.to_owned(), expected, found: size });
    }
    let Some(hashes) = hashes else { return Ok(()) };
    // Other algorithms beside SHA-256 may be stated, and say nothing that it does not.
    let (found, expected) = (sha256(bytes), hashes.get("sha256"));
    if expected.is_some_and(|expected| *expected == found.to_string()) {
        return Ok(());
    }
    let expected = expected.map_or_else(|| "a hash other than SHA-256".into(), |text| excerpt(text));
    Err(Error::WrongHash { what: what.to_owned(), expected, found })
}

/// Whether a path of a target can be a path below a folder: what a store writes and asks mirrors for.
pub(crate) fn is_safe_path(path: &str) -> bool {
    tilemark_bundle::check_blob_name(path).is_ok()
}

impl Root {
    /// The keys of the roles that a refresh compares versions of.
    pub(crate) fn online_keys(&self) -> [&RoleKeys; 2] {
        [&self.roles.timestamp, &self.roles.snapshot]
    }

    /// Puts a key in another one's place, wherever that is.
    pub(crate) fn replace_key(&mut self, old: &str, new: Key) {
        let id = super::key_id(&new);
        let roles = &mut self.roles;
        for role in [&mut roles.root, &mut roles.targets, &mut roles.snapshot, &mut roles.timestamp] {
            role.keyids.iter_mut().filter(|keyid| *keyid == old).for_each(|keyid| keyid.clone_from(&id));
        }
        self.keys.remove(old);
        self.keys.insert(id, new);
    }
}
