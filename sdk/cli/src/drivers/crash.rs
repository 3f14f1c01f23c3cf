//! Drivers that crash or hang when they are asked for devices: which of them live, found out once and remembered.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tilemark::Home;

use super::{LISTING, Listing, ask, gather};

/// The variable by which Debian's and Khronos' loaders find drivers: a folder of `.icd` files, or one file.
pub(super) const VENDORS: &str = "OCL_ICD_VENDORS";
const VENDORS_FOLDER: &str = "/etc/OpenCL/vendors";
/// Where it is remembered, below the state directory.
const FILE: &str = "drivers/crash.json";
/// Bytes of that file; a driver has some hundred.
const MAX_BYTES: u64 = 1024 * 1024;

/// What became of the drivers of this machine, not all of which can be loaded together.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Crash {
    /// All of them; with others it means nothing.
    drivers: Vec<Driver>,
    /// Those that can be loaded together.
    living: Vec<PathBuf>,
    /// What the others did.
    problems: Vec<String>,
}

/// A driver's file, as it was when it was asked.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Driver {
    icd: PathBuf,
    bytes: u64,
    modified: SystemTime,
}

impl Crash {
    /// What is remembered of the very drivers that are here now.
    pub(super) fn remembered() -> Option<Self> {
        let path = file()?;
        if fs::metadata(&path).ok()?.len() > MAX_BYTES {
            return None;
        }
        let mut crash: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        if crash.drivers != drivers() {
            return None;
        }
        crash.problems.push("they are not asked again before `tilemark devices --retest`".to_owned());
        Some(crash)
    }

    /// Forgets it.
    pub(crate) fn forget() {
        let _ = file().map(fs::remove_file); // there may be none
    }

    /// Asks each driver alone, and then those together that came through. `end` is what became of all together.
    pub(super) fn find(end: &str) -> Self {
        let drivers = drivers();
        let (mut living, mut problems) = (Vec::new(), Vec::new());
        for Driver { icd, .. } in &drivers {
            match ask(&[], Some(icd), LISTING / 2) {
                Ok(_) => living.push(icd.clone()),
                Err(end) => {
                    problems
                        .push(format!("driver {}: it {end} when it was asked for devices", icd.display()));
                }
            }
        }
        let together = gather(&living).map(|folder| ask(&[], Some(&folder), LISTING));
        if let Some(Err(end)) = &together {
            problems.push(format!("the other OpenCL drivers {end} when they were asked together"));
            living.clear();
        } else if together.is_none() {
            problems.insert(0, format!("the OpenCL drivers {end} when they were asked for devices"));
        }
        let crash = Self { drivers, living, problems };
        if !crash.problems.is_empty() && !crash.drivers.is_empty() {
            crash.remember();
        }
        crash
    }

    /// The devices of those that live.
    pub(super) fn listing(self) -> Listing {
        let Some(folder) = gather(&self.living) else {
            return Listing { problems: self.problems, ..Listing::default() };
        };
        let mut listing = ask(&[], Some(&folder), LISTING).unwrap_or_else(|end| Listing::failed(&end));
        listing.problems.splice(0..0, self.problems);
        listing.vendors = Some(folder);
        listing
    }

    fn remember(&self) {
        let Some(path) = file() else { return };
        let folder = path.parent().unwrap_or(Path::new("."));
        // Not remembered is found out again.
        let _ = fs::create_dir_all(folder).and_then(|()| {
            let part = path.with_extension(format!("{}.part", std::process::id()));
            fs::write(&part, serde_json::to_vec(self).unwrap_or_default())?;
            fs::rename(part, &path)
        });
    }
}

fn file() -> Option<PathBuf> {
    Home::from_env().ok().map(|home| home.path().join(FILE))
}

/// The drivers that the loader would load, if it is one that reads a folder.
fn drivers() -> Vec<Driver> {
    let folder = std::env::var_os(VENDORS).filter(|folder| !folder.is_empty());
    let folder = folder.map_or_else(|| PathBuf::from(VENDORS_FOLDER), PathBuf::from);
    let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
    let driver = |icd: PathBuf| {
        let metadata = fs::metadata(&icd).ok()?;
        Some(Driver { bytes: metadata.len(), modified: metadata.modified().ok()?, icd })
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let icds = paths.filter(|path| path.extension().is_some_and(|extension| extension == "icd"));
    let mut drivers: Vec<_> = icds.filter_map(driver).collect();
    drivers.sort_by(|a, b| a.icd.cmp(&b.icd));
    drivers
}
