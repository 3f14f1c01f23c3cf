//! The cache of a store: files that can be fetched again, and are checked again whenever they are used. It does not only grow.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::refresh::Trusted;
use crate::limits::{MAX_CACHE_BYTES, MAX_PART_DAYS};
use tilemark_bundle::calendar::DAY;

/// Where a role's document is kept.
pub(crate) fn file_name(path: &str) -> String {
    path.replace('/', "~")
}

/// Removes documents that are not listed any more, the oldest targets beyond a limit, and downloads that nobody went on with.
/// Failing to is no failure.
pub(crate) fn prune(cache: &Path, trusted: &Trusted) {
    let roles = trusted.snapshot.meta.iter();
    let listed: BTreeSet<String> = roles
        .map(|(file, info)| {
            file_name(&trusted.path(file.strip_suffix(".json").unwrap_or(file), info.version))
        })
        .collect();
    for (path, _) in files(cache) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("metadata~") && !listed.contains(&name) {
            let _ = fs::remove_file(path);
        }
    }
    let mut targets = files(&cache.join("targets"));
    targets.sort_by_key(|(_, metadata)| std::cmp::Reverse(metadata.modified().ok()));
    let mut kept = 0_u64;
    for (path, metadata) in targets {
        kept = kept.saturating_add(metadata.len());
        if kept > MAX_CACHE_BYTES {
            let _ = fs::remove_file(path);
        }
    }
    prune_parts(&cache.join("parts"));
}

/// Removes downloads that nobody went on with.
pub(crate) fn prune_parts(folder: &Path) {
    let long_ago = SystemTime::now() - Duration::from_secs(MAX_PART_DAYS * DAY);
    for (path, metadata) in files(folder) {
        let part = path.extension().is_some_and(|extension| extension == "part");
        if part && metadata.modified().is_ok_and(|modified| modified < long_ago) {
            let _ = fs::remove_file(path);
        }
    }
}

fn files(folder: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
    files.filter(|(_, metadata)| metadata.is_file()).collect()
}
