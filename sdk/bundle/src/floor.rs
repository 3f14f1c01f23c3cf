//! Rollback floors: the highest release of each app that this machine has accepted.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::durable::{self, io};
use crate::limits::MAX_FLOOR_BYTES;
use crate::{AppIdentity, AppName, Digest, Error, Result, json};

/// A directory with one small file per app: the highest release accepted, and which bundle it was.
///
/// Several processes may use it at once. The directory is made when the first release is recorded.
#[derive(Clone, Debug)]
pub struct Floors {
    dir: PathBuf,
}

/// The highest release of one app that was accepted here.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Floor {
    schema: u64,
    /// The app.
    pub app: AppName,
    /// Its highest release.
    pub release: u64,
    /// The bundle that had this release.
    pub identity: Digest,
}

const SCHEMA: u64 = 1;

impl Floors {
    /// Floors kept in `dir`, which need not exist yet.
    ///
    /// # Errors
    /// [`Error::NotAFile`] if `dir` is something else than a directory, [`Error::Io`] if it cannot be looked at.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        match fs::metadata(&dir) {
            Ok(metadata) if !metadata.is_dir() => {
                Err(Error::NotAFile { path: dir, found: "a file", expected: "a directory" })
            }
            Err(source) if source.kind() != ErrorKind::NotFound => Err(io("look at", &dir)(source)),
            _ => Ok(Self { dir }),
        }
    }

    /// What is recorded about an app.
    ///
    /// # Errors
    /// [`Error::FloorDamaged`] if the record cannot be relied on, [`Error::Io`] if it cannot be read.
    pub fn floor(&self, app: &AppName) -> Result<Option<Floor>> {
        let path = self.path(app);
        let damaged = |reason: String| Error::FloorDamaged { path: path.clone(), reason };
        let text = match crate::file::read_text(&path, "rollback floor", MAX_FLOOR_BYTES) {
            Ok(text) => text,
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(error) => return Err(damaged(error.to_string())),
        };
        let floor: Floor = json::from_slice("rollback floor", text.as_bytes(), MAX_FLOOR_BYTES)
            .map_err(|error| damaged(error.to_string()))?;
        if floor.schema != SCHEMA || floor.app != *app {
            return Err(damaged(format!("it is about {} in schema {}", floor.app, floor.schema)));
        }
        Ok(Some(floor))
    }

    /// Compares a release with the floor and changes nothing.
    ///
    /// # Errors
    /// [`Error::RolledBack`], [`Error::ReleaseReused`], or as [`floor`](Self::floor).
    pub fn check(&self, app: &AppIdentity, identity: Digest) -> Result<Option<Floor>> {
        let floor = self.floor(&app.name)?;
        match &floor {
            Some(floor) if app.release < floor.release => Err(Error::RolledBack {
                app: app.name.to_string(),
                release: app.release,
                floor: floor.release,
            }),
            // One release number for two contents would let an old content return under a new signature.
            Some(floor) if app.release == floor.release && identity != floor.identity => {
                Err(Error::ReleaseReused {
                    app: app.name.to_string(),
                    release: app.release,
                    known: floor.identity,
                    found: identity,
                })
            }
            _ => Ok(floor),
        }
    }

    /// Raises the floor to this release, durably: when this returns, an older release will be refused.
    ///
    /// # Errors
    /// As [`check`](Self::check), which is made again while no other process can record; [`Error::Io`] if the directory
    /// cannot be written.
    pub fn record(&self, app: &AppIdentity, identity: Digest) -> Result<()> {
        if self.check(app, identity)?.is_some_and(|floor| floor.release == app.release) {
            return Ok(()); // also on a read-only disk
        }
        fs::create_dir_all(&self.dir).map_err(io("make the directory", &self.dir))?;
        let _lock = durable::lock(&self.dir)?;
        if self.check(app, identity)?.is_some_and(|floor| floor.release == app.release) {
            return Ok(());
        }
        self.write(&Floor { schema: SCHEMA, app: app.name.clone(), release: app.release, identity })
    }

    fn path(&self, app: &AppName) -> PathBuf {
        // '~' is in no name, so the file's name is unique and cannot leave the directory.
        self.dir.join(format!("{}~{}.json", app.publisher(), app.name()))
    }

    fn write(&self, floor: &Floor) -> Result<()> {
        let mut text = json::to_vec(floor)?;
        text.push(b'\n');
        durable::replace(&self.path(&floor.app), &text, false, &|_| ())
    }
}

#[cfg(test)]
#[path = "floor_tests.rs"]
mod tests;
