//! Where this machine keeps what must outlive a process.

use std::path::{Path, PathBuf};

use tilemark_bundle::Floors;

use crate::devices::DeviceCache;
use crate::error::Error;
use crate::license::{Clock, Licenses};
use crate::lineages::Lineages;
use crate::revocations::RevocationLists;
use crate::tuning::TuningCache;

/// The state directory: rollback floors, successors of keys, the device's key and its licences, measurements of kernels, what was learned of devices.
#[derive(Clone, Debug)]
pub struct Home {
    path: PathBuf,
    clock: Clock,
}

impl Home {
    /// `TILEMARK_HOME`, or else `tilemark` in the user's data directory (`XDG_DATA_HOME`, `~/.local/share`).
    ///
    /// # Errors
    /// [`Error::NoHome`] if none of these variables is set.
    pub fn from_env() -> Result<Self, Error> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        variable("TILEMARK_HOME")
            .or_else(|| variable("XDG_DATA_HOME").map(|data| data.join("tilemark")))
            .or_else(|| variable("HOME").map(|home| home.join(".local/share/tilemark")))
            .map(Self::at)
            .ok_or(Error::NoHome)
    }

    /// A state directory of the caller's choice.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), clock: Clock::system() }
    }

    /// The same directory with another clock: licences and their receipts go by it.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// This device's key, its grants, and how far they were used.
    pub fn licenses(&self) -> Licenses {
        Licenses::at(self.path.clone(), self.clock.clone())
    }

    /// The revocation lists that this machine was given.
    pub fn revocations(&self) -> RevocationLists {
        RevocationLists::at(self.path.join("revocations"))
    }

    /// The successors of keys that this machine was told of.
    pub fn lineages(&self) -> Lineages {
        Lineages::at(self.path.join("lineages"))
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The directory; it is made when something is first kept in it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether something can be kept there: tries it with an empty file, which it removes.
    pub fn is_usable(&self) -> bool {
        let probe = self.path.join(format!(".probe.{}", std::process::id()));
        let written = std::fs::create_dir_all(&self.path).and_then(|()| std::fs::write(&probe, b""));
        written.and_then(|()| std::fs::remove_file(&probe)).is_ok()
    }

    /// What was measured of kernels on this machine. Losing it costs the time to measure again.
    pub fn tuning(&self) -> TuningCache {
        TuningCache::at(self.path.join("tuning"))
    }

    /// What was learned of OpenCL devices on this machine. Losing it costs the time to test them and to build programs again.
    pub fn devices(&self) -> DeviceCache {
        DeviceCache::at(self.path.join("devices"))
    }

    /// The highest release of each app that this machine has accepted.
    ///
    /// # Errors
    /// [`Error::Bundle`] if the record cannot be read.
    pub fn floors(&self) -> Result<Floors, Error> {
        Ok(Floors::open(self.path.join("floors"))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_made_when_it_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("deep/home"));
        home.floors().unwrap();
        assert!(!home.path().exists());
        assert!(home.is_usable());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "the probe is removed");
    }

    #[test]
    fn a_home_below_a_file_is_not_usable() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        assert!(!Home::at(&file).is_usable());
        assert!(!Home::at(file.join("home")).is_usable());
        std::fs::write(folder.path().join("floors"), b"").unwrap();
        assert_eq!(Home::at(folder.path()).floors().unwrap_err().code(), "TM0181");
    }
}
