//! What a publisher wrote, looked at as integrators will.

use std::collections::{BTreeMap, BTreeSet};

use tilemark_bundle::{AppName, Digest};

use super::Repository;
use super::publish::Publisher;
use crate::error::{Error, Result, io};
use crate::gate;
use crate::layout;
use crate::limits::MAX_LISTING_BYTES;
use crate::listing::{Listing, Offer};
use crate::metadata::Targets;

impl Repository {
    /// A publisher's targets, as integrators will look at them: paths of its own, every new listing readable, every blob of one
    /// there and whole; those in `whole` are.
    pub(super) fn check_publisher(
        &self,
        publisher: &Publisher,
        targets: &Targets,
        listed: Option<&Targets>,
        whole: &mut BTreeSet<(Digest, u64)>,
    ) -> Result<()> {
        targets.common.check_expiry(&publisher.role.name, self.until(0))?;
        if targets.delegations.as_ref().is_some_and(|delegations| !delegations.roles.is_empty()) {
            return Err(Error::invalid(publisher.role.name.clone(), "a publisher delegates to nobody"));
        }
        let known = listed.map(newest_releases).unwrap_or_default();
        no_release_lower(&known, &newest_releases(targets))?;
        for (path, file) in &targets.targets {
            let (app, release) = listed_release(path).ok_or_else(|| {
                let name = tilemark_bundle::text::excerpt(path);
                Error::invalid(name, "a target is named publisher/app/RELEASE.listing")
            })?;
            if app.publisher() != publisher.name() {
                return Err(Error::invalid(
                    app.to_string(),
                    format!("it is not the publisher {}'s to offer", publisher.name()),
                ));
            }
            let is_new = listed.is_none_or(|listed| listed.targets.get(path) != Some(file));
            let offer = match self.listed(publisher, targets, &app, release) {
                Err(_) if !is_new => continue, // nobody installs it: the index tells
                offer => offer?,
            };
            // Of every listing, whenever one is new: the gate's rules may have changed since.
            gate::offered(offer.manifest(), offer.listing().price)?;
            if !is_new {
                continue; // it was looked at when it was new
            }
            if let (Some(listed), Some(newest)) = (listed, known.get(&app)) {
                match self.listed(publisher, listed, &app, *newest) {
                    Err(_) if release > *newest => {} // it took its newest listing away
                    before => follows(before?.listing(), offer.listing())?,
                }
            }
            // Each blob once, however many listings name it.
            for blob in &offer.listing().blobs {
                let key = (blob.sha256, blob.size);
                if !whole.contains(&key) && !self.has_blob(&blob.sha256, blob.size)? {
                    let relative = layout::blob(&blob.sha256);
                    return Err(Error::NotFound { what: format!("file {relative} of {} bytes", blob.size) });
                }
                whole.insert(key);
            }
        }
        Ok(())
    }

    /// Whether a blob is there, whole and itself.
    pub(crate) fn has_blob(&self, sha256: &Digest, size: u64) -> Result<bool> {
        let path = self.path(&layout::blob(sha256));
        let right = |found: std::fs::Metadata| found.is_file() && found.len() == size;
        if !path.metadata().is_ok_and(right) {
            return Ok(false);
        }
        let mut file = std::fs::File::open(&path).map_err(io("open", &path))?;
        Ok(crate::client::digest(&mut file, &path)? == *sha256)
    }

    pub(super) fn listed(
        &self,
        publisher: &Publisher,
        targets: &Targets,
        app: &AppName,
        release: u64,
    ) -> Result<Offer> {
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

/// Whether a listing may come after the newest of its app: as a newer release, or as that very bundle, dated anew, at another price
/// or with other reports. None is offered below the newest: integrators would not install it.
///
/// # Errors
/// [`Error::NotNewer`], [`Error::Invalid`] for a version that goes back.
pub(super) fn follows(newest: &Listing, new: &Listing) -> Result<()> {
    let again = new.release == newest.release && new.identity == newest.identity;
    if new.release <= newest.release && !again {
        let (app, known, found) = (new.app.to_string(), newest.release, new.release);
        return Err(Error::NotNewer { app, known, found });
    }
    if new.version < newest.version {
        let (app, known) = (&new.app, &newest.version);
        return Err(Error::invalid(
            format!("version {} of {app}, release {}", new.version, new.release),
            format!("release {} has version {known} already, and versions do not go back", newest.release),
        ));
    }
    Ok(())
}

/// A publisher may take an app back, but not its newest release alone: whoever has that one would never be updated by an older one.
fn no_release_lower(known: &BTreeMap<AppName, u64>, new: &BTreeMap<AppName, u64>) -> Result<()> {
    for (app, known) in known {
        if let Some(found) = new.get(app).filter(|found| *found < known) {
            return Err(Error::NotNewer { app: app.to_string(), known: *known, found: *found });
        }
    }
    Ok(())
}

/// The newest release of every app.
pub(super) fn newest_releases(targets: &Targets) -> BTreeMap<AppName, u64> {
    let mut newest = BTreeMap::new();
    for (app, release) in targets.targets.keys().filter_map(|path| listed_release(path)) {
        let known = newest.entry(app).or_insert(release);
        *known = release.max(*known);
    }
    newest
}

/// App and release of a listing's path.
pub(crate) fn listed_release(path: &str) -> Option<(AppName, u64)> {
    let (app, file) = path.rsplit_once('/')?;
    let (app, release) = (app.parse().ok()?, file.strip_suffix(".listing")?.parse().ok()?);
    (layout::listing(&app, release) == path).then_some((app, release))
}
