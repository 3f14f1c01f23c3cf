//! From what was known to what is: the specification's client workflow, sections 5.3 to 5.6. Each document is kept before the
//! next one is judged by it, and never if it was refused.

use crate::client::mirrors::Mirrors;
use crate::client::state::{Kept, State};
use crate::error::{Error, Result};
use crate::layout;
use crate::limits::{MAX_ROOT_BYTES, MAX_ROOT_ROTATIONS, MAX_SNAPSHOT_BYTES, MAX_TIMESTAMP_BYTES};
use crate::metadata::{FileInfo, Root, Signed, Snapshot, Timestamp};

/// The chain from root to snapshot, as this machine knows it.
#[derive(Clone, Debug)]
pub(crate) struct Trusted {
    pub(crate) root: Root,
    pub(crate) timestamp: Timestamp,
    pub(crate) snapshot: Snapshot,
}

impl Trusted {
    /// What is kept, whether expired or not; `None` before the first refresh.
    pub(crate) fn kept(state: &State) -> Result<Option<Self>> {
        let root = kept_root(state)?;
        let (timestamp, snapshot) = (kept_timestamp(state, &root)?, kept_snapshot(state, &root)?);
        Ok(timestamp.zip(snapshot).map(|(timestamp, snapshot)| Self { root, timestamp, snapshot }))
    }

    /// Whether it is the very same state of the store.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let versions = |trusted: &Self| {
            let Self { root, timestamp, snapshot } = trusted;
            [root.common.version, timestamp.common.version, snapshot.common.version]
        };
        versions(self) == versions(other)
    }

    /// Asks the mirrors. `now` is the time that expiry is compared with throughout.
    pub(crate) fn refresh(state: &State, mirrors: &Mirrors, now: u64) -> Result<Self> {
        let root = follow_roots(state, mirrors)?;
        root.common.check_expiry("root", now)?;
        let timestamp = newer_timestamp(state, mirrors, &root, now)?;
        let snapshot = named_snapshot(state, mirrors, &root, &timestamp, now)?;
        Ok(Self { root, timestamp, snapshot })
    }

    /// When the first of them expires.
    pub(crate) fn expires(&self) -> u64 {
        let all = [&self.root.common, &self.timestamp.common, &self.snapshot.common];
        all.into_iter().map(|common| common.expires()).min().unwrap_or(0)
    }

    /// What the snapshot says of a role.
    pub(crate) fn info(&self, role: &str) -> Result<&FileInfo> {
        let missing = || Error::NotInSnapshot { role: role.to_owned() };
        self.snapshot.meta.get(&format!("{role}.json")).ok_or_else(missing)
    }

    /// The path of a role's metadata.
    pub(crate) fn path(&self, role: &str, version: u64) -> String {
        metadata_path(&self.root, role, version)
    }
}

fn kept_root(state: &State) -> Result<Root> {
    let bytes = state.read(Kept::Root)?.ok_or_else(|| state.damaged("root.json", "not there".into()))?;
    let root = Signed::parse("root", &bytes).and_then(|signed| signed.trusted_root());
    root.map_err(|error| state.damaged_file(Kept::Root, &error))
}

/// The timestamp that was accepted last, unless its keys are not the root's any more. It may have expired: a floor does not.
fn kept_timestamp(state: &State, root: &Root) -> Result<Option<Timestamp>> {
    kept(state, Kept::Timestamp, |signed| signed.by("timestamp", &root.roles.timestamp, &root.keys))
}

fn kept_snapshot(state: &State, root: &Root) -> Result<Option<Snapshot>> {
    kept(state, Kept::Snapshot, |signed| signed.by("snapshot", &root.roles.snapshot, &root.keys))
}

fn kept<T>(state: &State, what: Kept, read: impl FnOnce(Signed) -> Result<T>) -> Result<Option<T>> {
    let Some(bytes) = state.read(what)? else { return Ok(None) };
    match Signed::parse("kept metadata", &bytes).and_then(read) {
        Ok(document) => Ok(Some(document)),
        Err(Error::Unsigned { .. }) => Ok(None),
        Err(error) => Err(state.damaged_file(what, &error)),
    }
}

/// 5.3: every root to the newest, each signed by the keys of the one before and by its own.
fn follow_roots(state: &State, mirrors: &Mirrors) -> Result<Root> {
    let mut root = kept_root(state)?;
    for _ in 0..MAX_ROOT_ROTATIONS {
        let version = root.common.version + 1;
        let path = layout::root(version);
        let accept = |bytes: Vec<u8>| next_root(&root, &bytes).map(|next| (next, bytes));
        let (next, bytes) = match mirrors.get_if_any(&path, MAX_ROOT_BYTES, accept) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(root),
            // Whoever cannot be reached here cannot be reached for the timestamp either, which then says so.
            Err(error) if error.is_unreachable() => return Ok(root),
            Err(error) => return Err(error),
        };
        // First: floors may not be gone while the root is the old one.
        state.write(Kept::Root, &bytes)?;
        // Versions that a stolen key made huge must not outlive that key (5.3.11).
        if root.online_keys() != next.online_keys() {
            state.remove(Kept::Timestamp)?;
            state.remove(Kept::Snapshot)?;
        }
        root = next;
    }
    Ok(root)
}

pub(crate) fn next_root(root: &Root, bytes: &[u8]) -> Result<Root> {
    let signed = Signed::parse("root", bytes)?;
    let by_old: Root = signed.by("root", &root.roles.root, &root.keys)?;
    let by_itself: Root = signed.by("root", &by_old.roles.root, &by_old.keys)?;
    let (expected, found) = (root.common.version + 1, by_itself.common.version);
    if found != expected {
        return Err(Error::MixedUp { role: "root".into(), by: "its file's name", expected, found });
    }
    Ok(by_itself)
}

/// 5.4: the timestamp, not older than the one that is kept, nor naming an older snapshot.
fn newer_timestamp(state: &State, mirrors: &Mirrors, root: &Root, now: u64) -> Result<Timestamp> {
    let known = kept_timestamp(state, root)?;
    let accept = |bytes: Vec<u8>| {
        let signed = Signed::parse("timestamp", &bytes)?;
        let found: Timestamp = signed.by("timestamp", &root.roles.timestamp, &root.keys)?;
        if let Some(known) = &known {
            not_older("timestamp", known.common.version, found.common.version)?;
            if found.common.version > known.common.version {
                not_older("snapshot", known.meta.snapshot.version, found.meta.snapshot.version)?;
            } else {
                // One version has one content: the kept one is used, and the mirror's is not looked at any further.
                known.common.check_expiry("timestamp", now)?;
                return Ok(None);
            }
        }
        found.common.check_expiry("timestamp", now)?;
        Ok(Some((found, bytes)))
    };
    let answer = mirrors.get(layout::TIMESTAMP, MAX_TIMESTAMP_BYTES, accept)?;
    match (answer, known) {
        (Some(Some((found, bytes))), _) => {
            state.write(Kept::Timestamp, &bytes)?;
            Ok(found)
        }
        (Some(None), Some(known)) => Ok(known),
        _ => Err(Error::NotFound { what: "timestamp: is this a store's address?".into() }),
    }
}

/// 5.5: the snapshot that the timestamp names, in which no role is missing or older than before.
fn named_snapshot(
    state: &State,
    mirrors: &Mirrors,
    root: &Root,
    timestamp: &Timestamp,
    now: u64,
) -> Result<Snapshot> {
    let (known, info) = (kept_snapshot(state, root)?, &timestamp.meta.snapshot);
    if let Some(known) = &known
        && known.common.version == info.version
        && state.read(Kept::Snapshot)?.is_some_and(|bytes| info.check_bytes("snapshot", &bytes).is_ok())
    {
        known.common.check_expiry("snapshot", now)?;
        return Ok(known.clone());
    }
    let accept = |bytes: Vec<u8>| {
        info.check_bytes("snapshot", &bytes)?;
        let signed = Signed::parse("snapshot", &bytes)?;
        let found: Snapshot = signed.by("snapshot", &root.roles.snapshot, &root.keys)?;
        named("snapshot", "the timestamp", info.version, found.common.version)?;
        if let Some(known) = &known {
            no_role_older(known, &found)?;
        }
        found.common.check_expiry("snapshot", now)?;
        Ok((found, bytes))
    };
    let path = metadata_path(root, "snapshot", info.version);
    let max = info.length.unwrap_or(MAX_SNAPSHOT_BYTES).min(MAX_SNAPSHOT_BYTES);
    let found = mirrors.get(&path, max, accept)?;
    let (found, bytes) = found.ok_or(Error::NotFound { what: format!("file {path}") })?;
    state.write(Kept::Snapshot, &bytes)?;
    Ok(found)
}

pub(crate) fn no_role_older(known: &Snapshot, found: &Snapshot) -> Result<()> {
    known.meta.iter().try_for_each(|(file, info)| {
        let role = || file.trim_end_matches(".json").to_owned();
        let now = found.meta.get(file).ok_or_else(|| Error::NotInSnapshot { role: role() })?;
        not_older(&role(), info.version, now.version)
    })
}

pub(crate) fn not_older(role: &str, known: u64, found: u64) -> Result<()> {
    if found < known {
        return Err(Error::RolledBack { role: role.to_owned(), known, found });
    }
    Ok(())
}

pub(crate) fn named(role: &str, by: &'static str, expected: u64, found: u64) -> Result<()> {
    if expected != found {
        return Err(Error::MixedUp { role: role.to_owned(), by, expected, found });
    }
    Ok(())
}

/// The path of metadata below a store's folder.
pub(crate) fn metadata_path(root: &Root, role: &str, version: u64) -> String {
    layout::metadata(role, (root.consistent_snapshot == Some(true)).then_some(version))
}
